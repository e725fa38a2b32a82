"""The version of the code, as manifests name it; a test holds it to pyproject.toml."""

VERSION = "0.1.0"
