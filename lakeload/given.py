"""Values as users give them: text, several texts, yes or no; all else is an error that names the option."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lakeload.errors import ConfigError

_SHOWN = 60


def text(value: object, option: str, *, like: str = "text") -> str:
    """The text itself, if it is one that can be stored.

    Args:
        value: What was given.
        option: What it was given for.
        like: What to give instead.

    Raises:
        ConfigError: It is none.

    Example:
        >>> text("events", "table")
        'events'
    """
    if isinstance(value, str) and value and "\x00" not in value and _encodes(value):
        return value
    raise unsuitable(value, option, like)


def texts(value: object, option: str, *, like: str = "a name, or a list of names") -> tuple[str, ...]:
    """One text or several.

    Raises:
        ConfigError: It is neither.

    Example:
        >>> texts("id", "primary_key"), texts(["id", "day"], "primary_key")
        (('id',), ('id', 'day'))
    """
    several = (value,) if isinstance(value, str) else value
    if not isinstance(several, Iterable) or isinstance(
        several, bytes | bytearray | memoryview | Mapping | type
    ):
        raise unsuitable(value, option, like)
    return tuple(text(one, option, like=like) for one in several)


def texts_by_text(value: object, option: str, *, like: str) -> dict[str, str]:
    """A mapping from text to text; no value may be anything else.

    Raises:
        ConfigError: It is none. The message shows no value, which may be a secret.
    """
    if isinstance(value, Mapping) and all(isinstance(one, str) for pair in value.items() for one in pair):
        return dict(value)
    raise ConfigError(f"{option} is not text by text", hint=f"Give {like}.")


def flag(value: object, option: str) -> bool:
    """The truth value itself.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, bool):
        return value
    raise unsuitable(value, option, "True or False")


def unsuitable(value: object, option: str, like: str) -> ConfigError:
    """The error for a value an option cannot have."""
    shown = repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    shown = shown.encode("utf-8", "backslashreplace").decode()
    return ConfigError(f"{option} cannot be {shown}", hint=f"Give {like}.")


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
