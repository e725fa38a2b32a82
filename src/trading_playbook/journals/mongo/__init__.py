"""A journal in MongoDB: a document for each row, the rows that were replaced and the records of runs beside it."""
