"""Sources: anything that yields rows, as Arrow record batches."""
