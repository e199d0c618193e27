import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "meeting_threads.py"


@pytest.mark.parametrize("what", ["plans", "catalogs"])
def test_what_is_built_lazily_is_built_once_before_threads_share_it(what):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", PROGRAM, what],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
