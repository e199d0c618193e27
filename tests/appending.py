"""Append to one table again and again, waiting for a common start; run as a script by the fault tests.

```
python appending.py ROOT FORMATS PIPELINE LOADS START
```
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import lakeload as ll


def main() -> None:
    """Load `LOADS` rows in as many loads once the file START is there."""
    root, formats, name, loads, start = sys.argv[1:]
    lake = ll.Lakehouse(root, format=tuple(formats.split("+")))
    ll.load(
        [{"id": -1, "by": name}], lake, table=f"warm_{name}"
    )  # imports are slow: do them before the start
    Path(f"{start}.{name}").touch()
    while not Path(start).exists():
        time.sleep(0.01)
    pipeline = ll.Pipeline(name, lake)
    for number in range(int(loads)):
        pipeline.run([{"id": number, "by": name}], table="t")


if __name__ == "__main__":
    main()
