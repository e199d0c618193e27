"""One measured child process: time, CPU and memory as the kernel accounts for them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness.environments import PROJECT, Environment

ROOT = Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.02


class ChildError(Exception):
    """A child process ended with an error; the message holds the end of its output."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one run cost.

    Args:
        wall: Seconds from start to exit of the process, interpreter start and imports included.
        work: Seconds of the work alone, imports of the competitor's library done before.
        cpu: User and system seconds of the whole process, all threads.
        work_cpu: The same of the work alone.
        peak_rss: Bytes; the kernel's high-water mark. Pages of memory-mapped input count.
        peak_anonymous: Bytes; highest of samples every 20 ms of what is not backed by a file.
        returned: What the child's function returned.
        versions: Packages in the child's environment.
    """

    wall: float
    work: float
    cpu: float
    work_cpu: float
    peak_rss: int
    peak_anonymous: int
    returned: Any = None
    versions: dict[str, str] = field(default_factory=dict)


def measure(
    call: str, arguments: dict[str, Any], environment: Environment = PROJECT, imports: Sequence[str] = ()
) -> Measurement:
    """Run `module:function` with keyword arguments in a fresh process of the environment.

    Args:
        call: What to run.
        arguments: Keyword arguments, JSON values.
        environment: Where to run it; by default where this process runs.
        imports: Modules to import before the clock starts, for libraries that import lazily.

    Raises:
        ChildError: The process did not end with success.
    """
    with tempfile.TemporaryDirectory(prefix="lakeload-bench-") as directory:
        place = Path(directory)
        (place / "arguments.json").write_text(json.dumps(arguments))
        module = "benchmarks.harness.child"
        files = ["arguments.json", "result.json"]
        command = [environment.python(), "-m", module, call, ",".join(imports), *files]
        wall, usage, anonymous = run(command, place)
        answer = json.loads((place / "result.json").read_text())
    return Measurement(
        wall=wall,
        work=answer["seconds"],
        cpu=usage.ru_utime + usage.ru_stime,
        work_cpu=answer["cpu_seconds"],
        peak_rss=usage.ru_maxrss * 1024,
        peak_anonymous=anonymous,
        returned=answer["returned"],
        versions=answer["versions"],
    )


def run(command: list[str], place: Path) -> tuple[float, Any, int]:
    """Run a command in `place`: seconds, resource usage, peak anonymous bytes.

    Raises:
        ChildError: The command did not end with success.
    """
    # Data written by the run before must not be flushed at this run's cost.
    os.sync()
    output = place / "output.txt"
    with output.open("wb") as stream:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=place, env=_environment(place), stdout=stream, stderr=subprocess.STDOUT
        )
        sampler = _Sampler(child.pid)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    anonymous = sampler.stop()
    if child.returncode != 0:
        tail = output.read_text(errors="replace").strip()[-3000:]
        raise ChildError(f"exit code {child.returncode}: {' '.join(map(str, command))}\n{tail}")
    return wall, usage, anonymous


def _environment(place: Path) -> dict[str, str]:
    # Settings of whoever starts the benchmark must not tune a competitor.
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "LC_ALL", "TMPDIR", "HOME") if key in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "",
        "DLT_DATA_DIR": str(place / "dlt"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }


class _Sampler(threading.Thread):
    """Watches `RssAnon` of a process: memory-mapped input makes the kernel's high-water mark unfair."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._peak = 0
        self.start()

    def run(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            try:
                text = self._status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                return
            for line in text.splitlines():
                if line.startswith("RssAnon:"):
                    self._peak = max(self._peak, int(line.split()[1]) * 1024)

    def stop(self) -> int:
        self._over.set()
        self.join()
        return self._peak
