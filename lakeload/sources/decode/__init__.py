"""Decoding: JSON bytes and Python rows to Arrow, exactly; part of extract."""
