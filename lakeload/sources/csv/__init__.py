"""CSV: separated text as columns of text, exactly as written."""
