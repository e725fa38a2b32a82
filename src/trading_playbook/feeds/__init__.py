"""Where bars come from. One module a source, and the readers of files that the sources share."""
