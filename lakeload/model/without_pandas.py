"""pyarrow makes arrays of Python values without importing pandas first.

Where pandas is installed, the first value pyarrow converts makes it import pandas, to know whether the value
is one of its own: half a second of CPU for a load that never sees a frame. Who hands over a frame has
imported pandas already. So what is converted on behalf of this package is told that there is no pandas, until
somebody else imports it. Every part of the package that uses Arrow imports the model: there this is
installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType

_OURS = __name__.partition(".")[0]


class _NotForUs:
    """The finder that answers for pandas while nobody but this package has asked for it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != "pandas":
            return None
        asking = _asking(sys._getframe(1))  # noqa: SLF001 - the one way to know who imports
        if asking == _OURS:
            raise ModuleNotFoundError("pandas is not imported by this package", name=fullname)
        if asking:
            let_in()
        return None


def keep_out() -> None:
    """From now on no conversion of this package's imports pandas; what others import is left alone."""
    if "pandas" not in sys.modules and not _installed():
        sys.meta_path.insert(0, _NotForUs())


def let_in() -> None:
    """Pandas may be imported by everybody: the next conversion knows its values again."""
    found = _installed()
    for finder in found:
        with suppress(ValueError):  # another thread lets pandas in too
            sys.meta_path.remove(finder)
    arrow = sys.modules.get("pyarrow.lib")
    if found and arrow is not None:
        # It remembers that there was no pandas. Made anew in place it asks once more.
        arrow._pandas_api.__init__()  # noqa: SLF001 - there is no public way


def _installed() -> list[_NotForUs]:
    return [finder for finder in sys.meta_path if isinstance(finder, _NotForUs)]


def _asking(frame: FrameType | None) -> str:
    """The package on whose behalf a module is imported; empty for who only asks whether it is there."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name == "importlib.util":
            return ""
        package = name.partition(".")[0]
        if package not in ("importlib", "_frozen_importlib", "_frozen_importlib_external", "pyarrow"):
            return package
        frame = frame.f_back
    return "unknown"
