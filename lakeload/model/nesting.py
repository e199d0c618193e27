"""`Nesting`: what becomes of objects and lists inside rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, get_args

from lakeload.errors import ConfigError
from lakeload.given import texts_by_text

Policy: TypeAlias = Literal["native", "tables", "flatten", "json", "map"]

MAX_DEPTH = 32
"""Levels of nesting kept as types; what lies deeper is kept as JSON text."""
MAP_KEYS = 256
"""An object with more distinct keys than this over all rows becomes a map: its keys are data."""
_HINT = f"Use one of {', '.join(get_args(Policy))}, or one by dotted path."


@dataclass(frozen=True, slots=True)
class Nesting:
    """The policy for nested values, by path, with one default.

    | policy | objects become | lists become |
    |---|---|---|
    | `native` (default) | structs | lists |
    | `tables` | columns `parent__member` | child tables `table__path` |
    | `flatten` | columns `parent__member` | lists |
    | `json` | JSON text | JSON text |
    | `map` | maps from text | lists; objects inside them become maps |

    A path holds for everything below it until a longer one says otherwise.

    Args:
        default: Policy where no path says anything.
        paths: Policy by dotted path in the source's spelling, as `payload.commits`; list elements add
            nothing to a path.
        max_depth: Levels kept as types, counted from the row's columns as 1; deeper values become JSON text.
        map_keys: Distinct keys at one path beyond which an object becomes a map, under any policy.
            Never applies to the row itself, nor to an object with a member that a path speaks of.

    Example:
        >>> nesting = Nesting.parse({"": "tables", "payload": "json"})
        >>> nesting.policy(("payload", "size")), nesting.policy(("actor",))
        ('json', 'tables')
    """

    default: Policy = "native"
    paths: Mapping[str, Policy] = field(default_factory=dict)
    max_depth: int = MAX_DEPTH
    map_keys: int = MAP_KEYS

    def __post_init__(self) -> None:
        for word in (self.default, *_by_path(self.paths).values()):
            if not isinstance(word, str) or word not in get_args(Policy):
                raise ConfigError(f"{word!r} is no policy for nested values", hint=_HINT)
        for name in ("max_depth", "map_keys"):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigError(f"{name} must be at least 1", hint="Give a whole number.")

    @classmethod
    def parse(cls, given: Nesting | str | Mapping[str, str] | None, max_depth: int | None = None) -> Nesting:
        """A nesting from the forms users write: one word, or words by path with `""` for the default.

        Raises:
            ConfigError: A word is unknown, or the depth no positive number.
        """
        if isinstance(given, Nesting):
            return given if max_depth is None else replace(given, max_depth=max_depth)
        words = {"": given} if isinstance(given, str) else _by_path({} if given is None else given)
        default = words.pop("", "native")
        return cls(default, words, MAX_DEPTH if max_depth is None else max_depth)  # type: ignore[arg-type]  # checked above

    def policy(self, path: tuple[str, ...]) -> Policy:
        """The policy for what lies at a path of source names."""
        for length in range(len(path), 0, -1):
            found = self.paths.get(".".join(path[:length]))
            if found is not None:
                return found
        return self.default


def _by_path(given: object) -> dict[str, str]:
    return texts_by_text(given, "nesting", like=_HINT)
