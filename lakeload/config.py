"""The environment and the machine: the only module that asks them.

What is found is handed to the rest of extract → normalize → write → commit as plain values.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from lakeload.errors import ConfigError

_MIB = 1 << 20


_OTHER_NAMES = (("aws_region", "AWS_DEFAULT_REGION"), ("aws_endpoint_url", "AWS_ENDPOINT_URL_S3"))

_LEFT_TO_LIBRARIES = frozenset({"aws_profile"})
"""botocore reads AWS_PROFILE itself, and ranks it below keys in the environment."""


def ambient_storage(keys: Iterable[str]) -> dict[str, str]:
    """Values of storage options found in environment variables, called as the keys but in capitals.

    Example:
        >>> ambient_storage(["google_no_such_key"])
        {}
    """
    wanted = [key for key in keys if key not in _LEFT_TO_LIBRARIES]
    found = {key: os.environ[key.upper()] for key in wanted if os.environ.get(key.upper())}
    for key, name in _OTHER_NAMES:
        if key in wanted and os.environ.get(name):
            found.setdefault(key, os.environ[name])
    return found


def aws_credentials(profile: str | None = None) -> dict[str, str]:
    """Keys where AWS tools look, shared files, then the instance's role; and the profile's region.

    Args:
        profile: Name in the shared files; the default one when `None`.

    Raises:
        ConfigError: There is no such profile.
    """
    from botocore.exceptions import ProfileNotFound
    from botocore.session import Session

    session = Session(profile=profile)
    try:
        credentials, region = session.get_credentials(), session.get_config_variable("region")
    except ProfileNotFound:
        raise ConfigError(
            f"there is no AWS profile {profile!r}", hint="Check aws_profile and the shared credentials file."
        ) from None
    found = {"aws_region": region} if region else {}
    if credentials is None:
        return found
    frozen = credentials.get_frozen_credentials()
    found |= {"aws_access_key_id": frozen.access_key, "aws_secret_access_key": frozen.secret_key}
    return {**found, "aws_session_token": frozen.token} if frozen.token else found


def own_command() -> str:
    """What a person types to start this program again: uv puts it on the path of what it runs alone."""
    return "uv run lakeload" if "UV_RUN_RECURSION_DEPTH" in os.environ else "lakeload"


def machine_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_budget() -> int:
    """Bytes a load may hold at once: `LAKELOAD_MEMORY_BUDGET`, else 1 GiB or a quarter of the machine.

    The environment variable takes bytes or a size such as `512MB`.

    Raises:
        ConfigError: The variable cannot be read.
    """
    text = os.environ.get("LAKELOAD_MEMORY_BUDGET")
    if text:
        return parse_size(text)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(1024 * _MIB, machine // 4)


_UNITS = {
    "": 1,
    "b": 1,
    "kb": 1 << 10,
    "kib": 1 << 10,
    "mb": _MIB,
    "mib": _MIB,
    "gb": 1 << 30,
    "gib": 1 << 30,
}


def parse_size(text: str | int) -> int:
    """Bytes in `"128MB"`, `"16MiB"`, `"1gb"` or `4096`; units are powers of 1024.

    Raises:
        ConfigError: The text is no size, or not positive.

    Example:
        >>> parse_size("128MB")
        134217728
    """
    digits = str(text).strip().lower()
    number = digits.rstrip("bgikm ")
    unit = digits[len(number) :].strip()
    try:
        size = int(float(number) * _UNITS[unit])
    except (KeyError, ValueError):
        size = 0
    if size < 1:
        raise ConfigError(f"cannot read {str(text)!r} as a size", hint="Write bytes, or 128MB.")
    return size


_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve_references(text: str) -> str:
    """The text with every `${NAME}` replaced by that environment variable, for settings files.

    Raises:
        ConfigError: A variable is not set.

    Example:
        >>> resolve_references("no reference")
        'no reference'
    """

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise ConfigError(
                f"the environment variable {match[1]} is not set", hint="Set it, or write the value itself."
            )
        return found

    return _REFERENCE.sub(value, text)
