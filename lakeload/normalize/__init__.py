"""The normalize stage: names, storage types and schema evolution, compiled once per incoming schema."""
