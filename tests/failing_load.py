"""A load whose storage fails under it; run as a script by the fault tests, in a mount namespace if there are any.

```
python failing_load.py HOW ROOT FORMATS
```
Prints the error, what the table holds afterwards, and how many data files nobody refers to.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

import lakeload as ll

DISK = "3m"
NOBODY = 65534


def isolated(command: list[str]) -> list[str]:
    """The command in a mount namespace of its own, where the machine allows one; else as it is."""
    for way in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        if (
            shutil.which("unshare")
            and subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0
        ):
            return [*way, *command]
    return command


def main() -> None:
    """Load three rows, break the storage, load more."""
    how, root, formats = sys.argv[1:]
    Path(root).mkdir(parents=True)
    if how == "full disk" and not _small_disk(root):
        how = "file limit"
    lake = ll.Lakehouse(root, format=tuple(formats.split("+")))
    ll.load(pa.table({"id": [1, 2, 3]}), lake, table="t", load_columns=False)
    if how == "file limit":
        # Without a disk of our own, a limit on file sizes fails the write in the middle just the same.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    if how == "read only":
        _forbid_writing(root)
    try:
        ll.load(_many_rows(), lake, table="t")
    except ll.LakeloadError as error:
        print(f"{type(error).__name__}: {error}")
    else:
        print("no error")
    os.seteuid(os.getuid())
    table = ll.Lakehouse(root, format=tuple(formats.split("+"))).table("t")
    print(f"rows after: {table.to_arrow().num_rows}")
    on_disk = [
        path for path in Path(root, "default", "t").rglob("*.parquet") if "_delta_log" not in path.parts
    ]
    print(f"files left behind: {len(on_disk) - len(table.files())}")


def _small_disk(root: str) -> bool:
    return _mount("-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", root)


def _mount(*options: str) -> bool:
    """Mount, if this process has a mount namespace of its own and may."""
    alone = Path("/proc/self/ns/mnt").readlink() != Path(f"/proc/{os.getppid()}/ns/mnt").readlink()
    return alone and subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0


def _forbid_writing(root: str) -> None:
    if _mount("--bind", root, root) and _mount("-o", "remount,bind,ro", root):
        return
    for path in [*Path(root).rglob("*"), Path(root)]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        # Permissions mean nothing to root: go on as somebody else, who may pass through but not write.
        for folder in Path(root).parents:
            if folder.stat().st_uid == 0 and len(folder.parts) > 2:
                folder.chmod(folder.stat().st_mode | 0o055)
        os.seteuid(NOBODY)


def _many_rows() -> Iterator[pa.Table]:
    source = np.random.default_rng(7)
    for _ in range(40):
        yield pa.table({"id": source.integers(0, 2**62, 50_000)})


if __name__ == "__main__":
    main()
