"""Java programs and libraries for the engines, from Maven, by profile of `tests/engines/pom.xml`.

Files are kept in a cache outside the clone (`LAKELOAD_TEST_CACHE`, default `~/.cache/lakeload-tests`), in a
folder named after profile and versions: a changed pom makes a new one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from services.java import NoJavaError, java_home

POM = Path(__file__).parent.parent / "engines" / "pom.xml"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def version(name: str) -> str:
    """A version pinned in the pom, by the name of its property without `.version`."""
    match = re.search(rf"<{re.escape(name)}\.version>([^<]+)<", POM.read_text())
    assert match, f"pom.xml pins no {name}"
    return match[1]


def cache() -> Path:
    """Folder of everything downloaded once and kept."""
    given = os.environ.get("LAKELOAD_TEST_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "lakeload-tests"


def files(profile: str) -> list[Path]:
    """Every file of the profile, dependencies included.

    Raises:
        NoJavaError: Maven or a Java runtime is missing.
        RuntimeError: Maven could not get them.
    """
    text = POM.read_text()
    section = re.search(rf"<profile>\s*<id>{profile}</id>.*?</profile>", text, re.DOTALL)
    assert section, f"pom.xml has no profile {profile}"
    versions = re.search(r"<properties>.*?</properties>", text, re.DOTALL)
    key = hashlib.sha256((section[0] + (versions[0] if versions else "")).encode()).hexdigest()[:12]
    folder = cache() / f"{profile}-{key}"
    if not folder.exists():
        _copy(profile, folder)
    return sorted(folder.iterdir())


def _copy(profile: str, folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise NoJavaError("Maven is missing: install it, for example `apt-get install maven`")
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Made aside and moved into place whole: another process may want the same folder right now.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{profile}-") as aside:
        target = Path(aside) / "files"
        done = subprocess.run(
            [maven, "-q", "-B", "-f", POM, "-P", profile, _COPY, f"-DoutputDirectory={target}"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "JAVA_HOME": str(java_home(8, 25))},
        )
        if done.returncode:
            raise RuntimeError(f"Maven could not get the profile {profile}:\n{done.stdout[-3000:]}")
        try:
            target.rename(folder)
        except OSError:
            if not folder.exists():
                raise
