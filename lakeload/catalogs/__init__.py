"""Catalogs: names become tables. One file per catalog, the same shape in each."""
