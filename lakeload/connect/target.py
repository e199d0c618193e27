"""What a snippet is about: one table in one format, and how it is reached."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

from lakeload.errors import ConfigError
from lakeload.places import SCHEMES, azure_account
from lakeload.storage_options import StorageOptions

_SECRETS = ("credential", "token")
REFERENCE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True)
class Place:
    """A catalog, taken apart.

    Args:
        kind: `sql`, `rest`, `hive` or `glue`.
        address: Where it is: database URL, HTTP address, host and port; without secrets.
        settings: The query of its URI; secrets as `${NAME}`.
    """

    kind: str
    address: str
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, uri: str) -> Place:
        """The catalog behind a URI as `Lakehouse(catalog=…)` takes it.

        Example:
            >>> Place.of("postgresql://me:hush@db:5432/lake").address
            'postgresql://me:${PGPASSWORD}@db:5432/lake'
        """
        scheme, _, rest = uri.partition("://")
        rest, _, query = rest.partition("?")
        netloc, slash, path = rest.partition("/")
        settings = dict(parse_qsl(query, keep_blank_values=True))
        for key in settings:
            if key in _SECRETS or key.startswith("header.") or "password" in key:
                settings[key] = f"${{LAKE_CATALOG_{re.sub('[^A-Z0-9]', '_', key.upper())}}}"
        kind, _, transport = scheme.partition("+")
        if kind in ("sqlite", "postgresql"):
            return cls("sql", f"{kind}://{_hidden(netloc)}{slash}{path}", settings)
        address = f"{transport or kind}://{_hidden(netloc)}{slash}{path}".rstrip("/")
        return cls(kind, address if "://" in address else f"{address}//", settings)

    @property
    def thrift(self) -> str:
        """Address of a Hive metastore."""
        host = self.address.partition("//")[2].partition("/")[0]
        return f"thrift://{host if ':' in host else f'{host}:9083'}"

    @property
    def jdbc(self) -> tuple[str, str, str]:
        """URL, user and password of a database, as Java wants them.

        Example:
            >>> Place.of("postgresql://me:hush@db/lake").jdbc
            ('jdbc:postgresql://db/lake', 'me', '${PGPASSWORD}')
        """
        kind, _, rest = self.address.partition("://")
        if kind == "sqlite":
            return f"jdbc:sqlite:{rest.removeprefix('/')}", "", ""
        login, at, host = rest.rpartition("@")
        user, _, password = login.partition(":") if at else ("", "", "")
        return f"jdbc:{kind}://{host}", user, password


def _hidden(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{name}:${{PGPASSWORD}}@{host}" if colon else f"{user}{at}{host}"


@dataclass(frozen=True)
class Target:
    """One table in one format.

    Args:
        name: Table name.
        namespace: Its namespace.
        format: `delta` or `iceberg`.
        location: Root of the table, as lakeload spells it.
        options: How the object store is reached. Secrets in it are never shown.
        catalog: URI of the catalog the table is registered in; `None` for a Delta table known by its path.
        metadata: Current metadata file of an Iceberg table.
        warehouse: Root of the lake.

    Example:
        >>> Target("t", "default", "delta", "s3://lake/default/t").bucket
        'lake'
    """

    name: str
    namespace: str
    format: str
    location: str
    options: StorageOptions = field(default_factory=StorageOptions)
    catalog: str | None = None
    metadata: str | None = None
    warehouse: str = ""

    @property
    def family(self) -> str:
        """`aws`, `google`, `azure`; empty for a local table."""
        return SCHEMES.get(self.location.partition("://")[0], "")

    @property
    def bucket(self) -> str:
        """Bucket or container of a remote table."""
        return urlsplit(self.location).netloc.partition("@")[0]

    @cached_property
    def place(self) -> Place | None:
        """The catalog, taken apart."""
        return Place.of(self.catalog) if self.catalog else None

    @cached_property
    def shown(self) -> StorageOptions:
        """The options with `${NAME}` for every secret. The account is spelled out when the URL names it."""
        values = dict(self.options.values)
        if account := azure_account(self.location):
            values.setdefault("azure_storage_account_name", account)
        values.pop("aws_profile", None)
        return StorageOptions(values).with_secrets(lambda key: f"${{{key.upper()}}}")

    def refuse(self, engine: str, why: str, hint: str) -> ConfigError:
        """The error that says an engine cannot read this table."""
        return ConfigError(f"{engine} {why}", table=self.name, place=self.location, hint=hint)


def python(value: object) -> str:
    """A value as Python source; `${NAME}` reads the environment.

    Example:
        >>> print(python("a b"), python("${KEY}"), python("x:${KEY}"))
        "a b" os.environ["KEY"] f"x:{os.environ['KEY']}"
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{python(key)}: {python(inner)}" for key, inner in value.items()) + "}"
    if not isinstance(value, str):
        return repr(value)
    whole = REFERENCE.fullmatch(value)
    if whole:
        return f'os.environ["{whole[1]}"]'
    if not REFERENCE.search(value):
        return _quoted(value)
    text = _quoted(REFERENCE.sub(r"\0\1\0", value)).replace("{", "{{").replace("}", "}}")
    return "f" + re.sub(r"\\x00(\w+?)\\x00", r"{os.environ['\1']}", text)


def mapping(values: dict[str, str], indent: int = 0) -> str:
    """A dictionary as Python source, one entry a line.

    Example:
        >>> print(mapping({"a": "b"}))
        {
            "a": "b",
        }
    """
    inner = "".join(f"{' ' * (indent + 4)}{python(k)}: {python(v)},\n" for k, v in values.items())
    return "{\n" + inner + " " * indent + "}"


def imports(text: str, *modules: str) -> str:
    """The text below the imports it needs; `os` only when it reads the environment."""
    standard = ["import os", ""] if "os.environ[" in text else []
    return "\n".join([*standard, *modules, "", text])


def _quoted(text: str) -> str:
    inner = repr(text)[1:-1]
    if repr(text).startswith('"'):  # it holds a single quote and no double one
        return f'"{inner}"'
    return '"' + inner.replace("\\'", "'").replace('"', '\\"') + '"'


def literal(text: str) -> str:
    """A text as a literal of SQL.

    Example:
        >>> literal("it's")
        "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"
