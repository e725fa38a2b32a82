"""Where bytes are kept under a key, with compare-and-swap. One module a kind of store, and what they share."""
