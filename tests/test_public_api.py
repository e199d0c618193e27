"""The public face: what `import lakeload` offers, and the signature of everything in it.

`tests/golden/public_api.txt` records it, so that a change of the face is a change of that file. To record
what there is now: `uv run --group dev python tests/test_public_api.py`.
"""

from __future__ import annotations

import enum
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lakeload as ll
from lakeload import options

GOLDEN = Path(__file__).parent / "golden" / "public_api.txt"


def test_all_is_sorted_and_everything_in_it_is_there() -> None:
    assert list(ll.__all__) == sorted(ll.__all__)
    assert len(set(ll.__all__)) == len(ll.__all__)
    missing = [name for name in ll.__all__ if not hasattr(ll, name)]
    assert not missing


def test_nothing_public_is_left_out_of_all() -> None:
    offered = {name for name in dir(ll) if not name.startswith("_")}
    assert offered <= set(ll.__all__)


def test_every_public_thing_is_documented() -> None:
    bare = [name for name in ll.__all__ if not inspect.getdoc(getattr(ll, name))]
    bare += [
        f"{name}.{member}"
        for name in ll.__all__
        if inspect.isclass(found := getattr(ll, name))
        for member, value in vars(found).items()
        if not member.startswith("_")
        and (callable(value) or isinstance(value, property))
        and not inspect.getdoc(value)
    ]
    assert not bare


@pytest.mark.parametrize("function", [ll.load, ll.resource])
def test_help_lists_every_option(function: Callable[..., object]) -> None:
    text = inspect.getdoc(function) or ""
    assert [name for name in options.Options.__annotations__ if f"    {name}: " not in text] == []
    assert "{options}" not in text


def test_modules_of_the_face_need_no_import_of_their_own() -> None:
    code = "import lakeload as ll; print(ll.rules.not_null('id'), callable(ll.hooks.log_changes))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "id not null True"


def test_signatures_are_the_recorded_ones() -> None:
    assert list(describe()) == GOLDEN.read_text(encoding="utf-8").splitlines(), (
        "the public face changed; if it was meant to, record it: uv run --group dev python tests/test_public_api.py"
    )


def describe() -> Iterator[str]:
    """One line per public name and per public member of a class."""
    for name in ll.__all__:
        found = getattr(ll, name)
        if inspect.isclass(found):
            yield from _describe_class(name, found)
        elif callable(found):
            yield f"def {name}{_signature(found)}"
        else:
            yield f"{name}: {found}"
    yield from _describe_options()


def _describe_options() -> Iterator[str]:
    """The keys of what functions take as `**options: Unpack[...]`, each where it is declared."""
    seen: set[str] = set()
    for kind in (options.TableOptions, options.SourceOptions, options.RunOptions, options.Options):
        yield f"options {kind.__name__}"
        own = {key: found for key, found in kind.__annotations__.items() if key not in seen}
        yield from (f"    {kind.__name__}.{key}: {found.__forward_arg__}" for key, found in own.items())
        seen |= set(own)


def _describe_class(name: str, found: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in found.__bases__ if base is not object)
    yield f"class {name}({bases})" if bases else f"class {name}"
    own = "__init__" in vars(found) and not issubclass(found, enum.Enum)
    if own:
        yield f"    {name}.__init__{_signature(vars(found)['__init__'])}"
    for member, value in sorted(vars(found).items()):
        if member.startswith("_"):
            continue
        if isinstance(value, property):
            yield f"    {name}.{member}: {inspect.signature(value.fget).return_annotation}"
        elif isinstance(value, staticmethod | classmethod):
            yield f"    {name}.{member}{_signature(value.__func__)}"
        elif inspect.isfunction(value):
            yield f"    {name}.{member}{_signature(value)}"


class _Bare(str):
    """An annotation that is shown without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _signature(function: Callable[..., object]) -> str:
    found = inspect.signature(function)
    parameters = [
        p if p.annotation is p.empty else p.replace(annotation=_Bare(p.annotation))
        for p in found.parameters.values()
    ]
    shown = str(found.replace(parameters=parameters, return_annotation=_Bare(found.return_annotation)))
    return re.sub(r"<factory>|<function (\w+) at 0x[0-9a-f]+>", lambda match: match[1] or "...", shown)


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(describe()) + "\n", encoding="utf-8")
    print(f"recorded {len(GOLDEN.read_text(encoding='utf-8').splitlines())} lines in {GOLDEN}")
