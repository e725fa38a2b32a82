"""The independent scalar reading of specs/dp20.md and specs/journal.md, which shares no code with the product."""
