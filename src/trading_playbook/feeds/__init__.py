"""Where bars come from: one package a source."""
