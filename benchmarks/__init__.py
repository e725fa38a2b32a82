"""Benchmarks: what the product takes beside what its user would otherwise write. Run with `python -m benchmarks`."""
