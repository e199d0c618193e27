"""Maintain: keep tables healthy without changing a row."""
