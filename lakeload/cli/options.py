"""Options of commands: those several have in common, and those made of the options of tables and sources.

`FLAGS` says how the options of `lakeload.options` are written on the command line. A command takes them with
`@with_flags` and hands what `chosen` makes of them to the function of the library.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import typer

Catalog = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[FORMAT=]URI",
        help="Where tables have names: sqlite:///…, postgresql://…, rest+https://…, hive://…, glue://… "
        "One per format when repeated. Default: for Iceberg, a file in a local lake.",
    ),
]
Namespace = Annotated[str, typer.Option(help="Group of tables.")]
StorageOption = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-option",
        metavar="KEY=VALUE",
        help="Credentials and endpoint, such as aws_endpoint_url. Repeatable.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _log(level: str | None) -> str | None:
    if level is not None:
        import logging

        logging.basicConfig(
            level=logging.getLevelNamesMapping()[level.upper()],
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
    return level


Log = Annotated[
    Literal["debug", "info", "warning"] | None,
    typer.Option("--log", callback=_log, help="Log on stderr what happens, from this level on."),
]
MaxQuarantined = Annotated[
    int | None,
    typer.Option(
        "--max-quarantined",
        metavar="ROWS",
        min=0,
        help="Exit with 8 when more rows were put aside. The others are loaded all the same.",
    ),
]


def words(given: Sequence[str]) -> dict[str, str]:
    """Words such as `quarantine` and `types=freeze`: by what stands before the sign, `""` where none does.

    Example:
        >>> words(["tables", "payload=json"])
        {'': 'tables', 'payload': 'json'}
    """
    split = [word.rpartition("=") for word in given]
    return {key.strip(): value.strip() for key, _, value in split}


def write_mode(word: str) -> object:
    """The write mode of a word of the command line and of pipeline files."""
    from lakeload.model.mode import Append, Overwrite

    modes = {"append": Append(), "overwrite": Overwrite(), "overwrite-partitions": Overwrite("dynamic")}
    modes["overwrite-or-clear"] = Overwrite(empty="clear")
    return modes[word]


def _mark(word: str) -> str:
    return "\t" if word == "\\t" else word


@dataclass(frozen=True, slots=True)
class Flag:
    """How one option is written on the command line.

    Args:
        help: What `--help` says.
        kind: What typer makes of the words. Lists are repeatable, `bool` has a `--no-`.
        metavar: Stands for the value in the help.
        names: Other spellings than the option's own name.
        read: What makes of the words what the library takes; `None` where they are it.
        least: Smallest number.
        parts: Flags of its fields, by their names, in place of one of its own.
    """

    help: str
    kind: Any = str
    metavar: str | None = None
    names: tuple[str, ...] = ()
    read: Callable[[Any], object] | None = None
    least: int | None = None
    parts: Mapping[str, Flag] = field(default_factory=dict)


FLAGS: dict[str, Flag] = {
    "mode": Flag(
        "Add rows (default), replace all (-or-clear: even by none), or the partitions that get rows.",
        Literal["append", "overwrite", "overwrite-or-clear", "overwrite-partitions"],
        read=write_mode,
    ),
    "partition_by": Flag(
        "Column, or day(c), bucket(16, c), … Repeatable. For a new table.", list[str], "FIELD"
    ),
    "sort_by": Flag('Column, or "column desc". Repeatable.', list[str], "COLUMN"),
    "primary_key": Flag(
        "Identifies a row; ids in child tables are made of it. Repeatable.", list[str], "COLUMN"
    ),
    "target_file_size": Flag("Such as 64MB. Default: the table's own, else 128MB.", metavar="SIZE"),
    "encoding": Flag(
        "Parquet encodings: read fast by every engine (default), or smaller files.",
        Literal["compat", "modern"],
    ),
    "cursor": Flag("Load only rows after the position of the last load.", metavar="COLUMN"),
    "record_path": Flag("Dotted path to the array of records in a JSON object.", metavar="PATH"),
    "csv": Flag(
        "How CSV is written.",
        parts={
            "separator": Flag("Between values. Default: found out.", metavar="TEXT", read=_mark),
            "quote": Flag("Around values. Default: found out.", metavar="CHARACTER"),
            "escape": Flag("Before a quote within quotes. Default: found out.", metavar="CHARACTER"),
            "encoding": Flag("Such as latin-1, utf-16. Default: found out.", metavar="NAME"),
            "header": Flag("The first row holds the names. Default: found out.", bool),
            "skip_rows": Flag("Lines above the header. Default: found out.", int, "LINES", least=0),
            "ragged": Flag(
                "Rows with another number of values than there are names: pad (default), quarantine, stop.",
                Literal["pad", "quarantine", "stop"],
            ),
        },
    ),
    "on_error": Flag(
        "Lines that cannot be read: stop, or put aside in the quarantine. Default: stop, but broken rows of "
        "CSV are put aside while most can be read.",
        Literal["stop", "quarantine"],
    ),
    "max_errors": Flag("Lines put aside before the load fails: a number, or a share below 1.", float),
    "input_format": Flag(
        "Where names and content do not tell it.",
        Literal["jsonl", "json", "csv", "tsv", "parquet", "arrow"],
    ),
    "nesting": Flag(
        "Objects and lists become: native (default), tables, flatten, json, map. Repeatable.",
        list[str],
        "[PATH=]POLICY",
        read=words,
    ),
    "max_depth": Flag("Levels of nesting kept as types; deeper ones become JSON text.", int, least=1),
    "contract": Flag(
        "Of new tables, columns, types: evolve (default), freeze, discard_value, discard_row, quarantine. "
        "Repeatable.",
        list[str],
        "[KIND=]OUTCOME",
        read=words,
    ),
    "rules": Flag('What rows must meet, as "id not null". Repeatable.', list[str], "RULE", names=("--rule",)),
    "naming": Flag(
        "How columns are named; snake_case is the default.", Literal["snake_case", "preserve", "sql_safe"]
    ),
    "max_name_length": Flag("Longest column name in bytes; default 127.", int, "BYTES"),
    "detect_dates": Flag("Make dates of ISO 8601 text in JSON (default).", bool),
    "load_columns": Flag("Add _lakeload_id and _lakeload_at to a new table (default).", bool),
    "fold": Flag("Fold small files after the load (default).", bool),
}
"""Options of `lakeload.options` by their names, as flags."""


def with_flags(*names: str, **help: str) -> Callable[[Callable[..., None]], Callable[..., None]]:  # noqa: A002 - typer's word
    """Give a command that takes `**options` the flags of these names, before its own keyword arguments.

    Args:
        names: Names in `FLAGS`.
        help: Help of some of them, where the command means something of its own.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)  # typer reads no text once it is made
        own = [one for one in signature.parameters.values() if one.kind is not one.VAR_KEYWORD]
        made = [one for name in names for one in _parameters(name, FLAGS[name], help.get(name))]
        first = next((at for at, one in enumerate(own) if one.name == "json"), len(own))
        command.__signature__ = signature.replace(  # type: ignore[attr-defined]  # what inspect and typer read
            parameters=[*own[:first], *made, *own[first:]]
        )
        return command

    return decorate


def _parameters(name: str, flag: Flag, text: str | None) -> list[inspect.Parameter]:
    if not flag.parts:
        return [_parameter(name, flag, text)]
    return [_parameter(f"{name}_{part}", of, None) for part, of in flag.parts.items()]


def _parameter(name: str, flag: Flag, text: str | None) -> inspect.Parameter:
    word = name.replace("_", "-")
    spelled = flag.names or ((f"--{word}/--no-{word}",) if flag.kind is bool else (f"--{word}",))
    option = typer.Option(*spelled, metavar=flag.metavar, help=text or flag.help, min=flag.least)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[flag.kind | None, option],
    )


def chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    """What was written on the command line, as the library takes it; what was not is left out."""
    given = {name: value for name, value in options.items() if value is not None and value != []}
    for name, flag in FLAGS.items():
        parts = {part: given.pop(f"{name}_{part}") for part in flag.parts if f"{name}_{part}" in given}
        if parts:
            given[name] = {part: _said(flag.parts[part], value) for part, value in parts.items()}
    return {name: _said(FLAGS[name], value) for name, value in given.items()}


def _said(flag: Flag, value: Any) -> object:
    return flag.read(value) if flag.read else value
