"""Rules for rows: `from lakeload import rules`, then `rules.not_null("id")`, `rules.between("age", 0, 150)`.

Given as `rules=` to a resource, a pipeline or a load.
"""

from __future__ import annotations

from lakeload.model.rules import Rule, between, conforms, matches, not_null, one_of, parse, unique, where

__all__ = ["Rule", "between", "conforms", "matches", "not_null", "one_of", "parse", "unique", "where"]
