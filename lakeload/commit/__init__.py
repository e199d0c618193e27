"""Commit: data files and a position in, one atomic change per table out."""
