"""Write: normalized batches in, right-sized Parquet data files out."""
