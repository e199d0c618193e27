"""Words of the command line become values without pydantic, wherever a word is plainly what is asked for.

typer has pydantic read every option, given or not: a fifth of a second before anything happens. A text, a
choice that is spelled as it is offered, and a flag need no reading. Everything else, and so every message
about a word that does not fit, is still typer's.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, get_args, get_origin

UNCLEAR = object()
"""Not plainly one thing: typer decides."""


def read_lightly(command: Any) -> Any:
    """The command and those below it, with options that are read here first.

    Args:
        command: As `typer.main.get_command` makes it.
    """
    asked = command.get_params

    def params(ctx: Any) -> list[Any]:
        found = asked(ctx)
        for param in found:
            # typer's own place for how an option is read; a version that has none reads as it always did.
            if getattr(param, "_runtime_param", UNCLEAR) is None and hasattr(param, "type_descriptor"):
                param._runtime_param = _Word(param.type_descriptor)  # noqa: SLF001 - as above
        return list(found)

    command.get_params = params
    for child in getattr(command, "commands", {}).values():
        read_lightly(child)
    return command


class _Word:
    """How one option is read, in the place of typer's own way."""

    def __init__(self, described: Any) -> None:
        self._described = described

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value of a word, of several, or of none."""
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        found = plainly(value, self._described.annotation, self._described.choices)
        if found is not UNCLEAR:
            return found
        from typer._coercion import build_runtime_param

        return build_runtime_param(self._described).coerce(value, param=param, ctx=ctx)


def plainly(value: Any, kind: Any, choices: tuple[Any, ...] | None = None) -> Any:
    """What a word is if there can be no doubt, else `UNCLEAR`.

    Args:
        value: A word, several, or a default.
        kind: The option's annotation.
        choices: What may be said, if the option is a choice.

    Example:
        >>> plainly("a", str), plainly(["a"], list[str]), plainly("12", int) is UNCLEAR
        ('a', ['a'], True)
    """
    if get_origin(kind) is list:
        if not isinstance(value, list | tuple):
            return UNCLEAR
        each = [plainly(item, get_args(kind)[0], choices) for item in value]
        return UNCLEAR if any(item is UNCLEAR for item in each) else each
    if choices is not None:
        spelled = {choice.value if isinstance(choice, Enum) else choice: choice for choice in choices}
        return value if isinstance(value, Enum) and value in choices else spelled.get(value, UNCLEAR)
    if (kind is str and isinstance(value, str)) or (kind is bool and isinstance(value, bool)):
        return value
    return UNCLEAR
