"""The terminal door: one thin file a command."""
