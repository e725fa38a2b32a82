"""Where journals and the records of runs are kept. One module a form; each works on any store."""
