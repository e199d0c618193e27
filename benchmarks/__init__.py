"""Benchmarks: one question per module, every competitor in a fresh process and its own environment.

Run `uv run python -m benchmarks --help`; what is measured and how is told in docs/benchmarks.md.
"""
