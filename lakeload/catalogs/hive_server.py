"""Talking to a Hive Metastore: what its entries for Iceberg and for Delta tables have in common.

A metastore is asked over Thrift; its generated client comes with pyiceberg. Every exchange opens a connection
of its own and closes it: commits are seconds apart, and a metastore that was restarted is found again.

URIs: `hive://host:port`, `hive://host` (port 9083), and several metastores over the same database as
`hive://one:9083,two:9083`, tried in that order. Kerberos and TLS are not supported.
"""

from __future__ import annotations

import datetime as dt
import getpass
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from lakeload.catalogs.delta_entry import provider
from lakeload.errors import CatalogError, ConfigError

if TYPE_CHECKING:
    from hive_metastore.ThriftHiveMetastore import Client
    from hive_metastore.ttypes import Table

PORT = 9083
"""Where metastores listen unless told otherwise."""
TIMEOUT = 60.0
"""Seconds to wait for an answer."""
EXTERNAL = "EXTERNAL_TABLE"
ICEBERG, VIEW = "iceberg", "view"

_QUICK = {"DO_NOT_UPDATE_STATS": "true"}
_HOST = re.compile(r"^(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?$")
_UNSUPPORTED = ("No FileSystem for scheme", "ClassNotFoundException")


class Metastore:
    """A Hive Metastore, or several that share a database.

    Args:
        uri: Where it is; see the module's text.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> Metastore("hive://meta.example.org")
        Metastore('hive://meta.example.org:9083')
    """

    def __init__(self, uri: str) -> None:
        self._addresses = read_uri(uri)
        self.place = "hive://" + ",".join(f"{host}:{port}" for host, port in self._addresses)
        self.abandoned: set[str] = set()
        """Names of locks that could not be released because the metastore had gone."""

    def __repr__(self) -> str:
        return f"Metastore({self.place!r})"

    @property
    def thrift(self) -> str:
        """The same place as Hive's own clients write it."""
        return ",".join(f"thrift://{host}:{port}" for host, port in self._addresses)

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """A connection; turns refusals and silence inside into `CatalogError` with the way out."""
        from thrift.protocol.TProtocol import TProtocolException
        from thrift.Thrift import TException
        from thrift.transport.TTransport import TTransportException

        transport = None
        try:
            transport = self._opened()
            yield _client(transport)
        except (TTransportException, TProtocolException, OSError, EOFError) as error:
            raise CatalogError(
                f"the metastore did not answer ({_silence(error)})",
                place=self.place,
                hint="Check that a Hive Metastore runs there, then run the load again: "
                "it looks for its own commit before it repeats it.",
            ) from None
        except TException as error:
            text = said(error)
            raise CatalogError(
                f"the metastore refused: {text}", place=self.place, hint=_remedy(text)
            ) from None
        finally:
            if transport is not None:
                transport.close()

    def _opened(self) -> Any:
        """A connection to the first address that answers."""
        try:
            from thrift.transport.TSocket import TSocket
            from thrift.transport.TTransport import TBufferedTransport, TTransportException
        except ImportError as error:
            raise ConfigError(
                f"the package {error.name} is not installed", hint="Install lakeload[hive]."
            ) from error
        for number, (host, port) in enumerate(self._addresses, 1):
            socket = TSocket(host.strip("[]"), port)
            socket.setTimeout(TIMEOUT * 1000)
            transport = TBufferedTransport(socket)
            try:
                transport.open()
            except TTransportException:
                if number == len(self._addresses):
                    raise
            else:
                return transport
        return None

    def tables(self, namespace: str, kind: str) -> list[str]:
        """Names of the tables of that kind in the namespace, sorted; empty when there is no namespace.

        Raises:
            CatalogError: The metastore refused or did not answer.
        """
        with self.connected() as hive:
            names = hive.get_all_tables(namespace)
            found = hive.get_table_objects_by_name(namespace, names) if names else []
        return sorted(table.tableName for table in found if kind_of(table) == kind)

    def forget(self, namespace: str, name: str, kind: str) -> None:
        """Drop the entry of that kind; files stay.

        Raises:
            CatalogError: There is no such table, it is of another kind, or the metastore refused.
        """
        table = None
        with self.connected() as hive:
            table = entry(hive, namespace, name)
            if table is not None and kind_of(table) == kind:
                hive.drop_table(namespace, name, False)
                return
        found = "there is no such table" if table is None else f"the name belongs to {described(table)}"
        raise CatalogError(
            found,
            table=f"{namespace}.{name}",
            place=self.place,
            hint="Check namespace and name; list() gives the names there are.",
        )


def read_uri(uri: str) -> list[tuple[str, int]]:
    """Hosts and ports a catalog URI names.

    Raises:
        ConfigError: The URI cannot be read.

    Example:
        >>> read_uri("hive://one,two:9000")
        [('one', 9083), ('two', 9000)]
    """
    scheme, _, rest = uri.partition("://")
    matches = [_HOST.match(part.strip()) for part in rest.rstrip("/").split(",")]
    found = [(match["host"], int(match["port"] or PORT)) for match in matches if match is not None]
    if scheme != "hive" or len(found) < len(matches) or any(not 0 < port < 1 << 16 for _, port in found):
        raise ConfigError(
            "the catalog URI cannot be read",
            hint="Write hive://host:9083, or several as hive://one:9083,two:9083; no user, path or query.",
        )
    return found


def entry(hive: Client, namespace: str, name: str) -> Table | None:
    """The metastore's entry of that name, whatever it is."""
    from hive_metastore.ttypes import NoSuchObjectException

    try:
        return hive.get_table(namespace, name)
    except NoSuchObjectException:
        return None


def kind_of(table: Table) -> str:
    """What an entry is: `iceberg`, `view`, the provider Spark noted such as `delta`, or `hive`."""
    return provider(table.parameters or {}, str(table.tableType))


def described(table: Table) -> str:
    """What an entry is, for messages."""
    kind = kind_of(table)
    return "a view" if kind == VIEW else f"a table of {kind}"


def make_namespace(hive: Client, namespace: str, location: str) -> None:
    """Make the namespace, its tables to lie below `location`, if there is none of that name."""
    from hive_metastore.ttypes import AlreadyExistsException, Database, NoSuchObjectException

    try:
        hive.get_database(namespace)
    except NoSuchObjectException:
        with suppress(AlreadyExistsException):  # somebody else made it meanwhile
            hive.create_database(Database(name=namespace, locationUri=hadoop(location), parameters={}))


def new_table(namespace: str, name: str, now: Callable[[], dt.datetime]) -> Table:
    """An entry to be filled: an external table, whose files the metastore never deletes."""
    from hive_metastore.ttypes import Table

    seconds = int(now().timestamp())
    return Table(
        dbName=namespace,
        tableName=name,
        owner=user(),
        createTime=seconds,
        lastAccessTime=seconds,
        retention=0,
        partitionKeys=[],
        parameters={"EXTERNAL": "TRUE"},
        tableType=EXTERNAL,
    )


def storage(
    location: str, columns: Sequence[Any], formats: tuple[str, str], options: dict[str, str] | None = None
) -> Any:
    """Where an entry's files lie. Hive wants to know their format; engines that know the table ignore it."""
    from hive_metastore.ttypes import SerDeInfo, StorageDescriptor

    reader = SerDeInfo(
        serializationLib="org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe", parameters=dict(options or {})
    )
    return StorageDescriptor(
        cols=list(columns),
        location=hadoop(location),
        inputFormat=formats[0],
        outputFormat=formats[1],
        compressed=False,
        numBuckets=0,
        serdeInfo=reader,
        bucketCols=[],
        sortCols=[],
        parameters={},
    )


def fields(columns: Iterable[tuple[str, str, str | None]]) -> list[Any]:
    """Columns of an entry, of names, types in Hive's language and comments.

    Hive compares names without case: of columns that differ only in that, the first is shown.
    """
    from hive_metastore.ttypes import FieldSchema

    shown: dict[str, Any] = {}
    for name, kind, comment in columns:
        shown.setdefault(name.lower(), FieldSchema(name, kind, comment))
    return list(shown.values())


def _client(transport: Any) -> Client:
    from hive_metastore.ThriftHiveMetastore import Client
    from thrift.protocol.TBinaryProtocol import TBinaryProtocol

    return Client(TBinaryProtocol(transport))


def create(hive: Client, table: Table) -> None:
    """Make an entry. The metastore does not go and count the files."""
    from hive_metastore.ttypes import EnvironmentContext

    hive.create_table_with_environment_context(table, EnvironmentContext(properties=dict(_QUICK)))


def alter(hive: Client, table: Table, before: Sequence[Any], expected: dict[str, str] | None = None) -> None:
    """Replace an entry. Columns Hive does not let change stay as they were: they are for show.

    Args:
        hive: A connection.
        table: The entry as it shall be.
        before: Its columns as they are.
        expected: What a metastore that can (version 4) checks before it changes anything.
    """
    from hive_metastore.ttypes import EnvironmentContext, InvalidOperationException

    context = EnvironmentContext(properties={**_QUICK, **(expected or {})})
    try:
        hive.alter_table_with_environment_context(table.dbName, table.tableName, table, context)
    except InvalidOperationException as error:
        if "incompatible" not in said(error) or table.sd.cols == before:
            raise
        table.sd.cols = list(before)
        hive.alter_table_with_environment_context(table.dbName, table.tableName, table, context)


def hadoop(location: str) -> str:
    """A location as Hadoop programs understand it without being told: `s3a://`, and `file:` for paths."""
    if "://" not in location and not location.startswith("file:"):
        return f"file:{location}"
    scheme, found, rest = location.partition("://")
    return f"s3a://{rest}" if found and scheme in ("s3", "s3n") else location


def user() -> str:
    """Who owns new entries and holds locks."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "lakeload"


def said(error: BaseException) -> str:
    """The first line of what the metastore said."""
    text = str(getattr(error, "message", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0].rstrip(".") or type(error).__name__


def _silence(error: BaseException) -> str:
    inner = getattr(error, "inner", None)
    if isinstance(inner, OSError):
        return type(inner).__name__
    return said(error) if str(error) else type(error).__name__


def _remedy(text: str) -> str:
    if any(word in text for word in _UNSUPPORTED):
        return "The metastore cannot look at this location: give it hadoop-aws and credentials for S3."
    if "TXNS" in text or "HIVE_LOCKS" in text or "NEXT_LOCK_ID" in text:
        return "Its database has no tables for locks: create them with Hive's schematool."
    return "The table is as it was; the metastore's log says more."
