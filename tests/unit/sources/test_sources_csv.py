"""Where rows of CSV end, what is no row, and how a file is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakeload.errors import ConfigError, LakeloadError, SourceError
from lakeload.model.csv_options import CsvOptions
from lakeload.model.rejection import REJECTED, SOURCE_ROW, ErrorPolicy
from lakeload.sources.csv.blocks import blocks_of
from lakeload.sources.csv.grammar import Grammar, Marks
from lakeload.sources.csv.read import CsvReader
from lakeload.sources.files import File
from lakeload.sources.notes import Notes
from lakeload.sources.read import ReadOptions, read
from lakeload.sources.rejects import Rejecting

Row = dict[str, Any]


class Read:
    """A file read as text: its rows, what was put aside by line, and what the report says."""

    def __init__(
        self,
        path: Path,
        content: str | bytes,
        *,
        size: int = 1 << 20,
        policy: ErrorPolicy | None = None,
        workers: int = 1,
        **options: Any,
    ) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        notes = Notes()
        rejecting = Rejecting(policy or ErrorPolicy(), gentle=True)
        reader = CsvReader(CsvOptions(**options), rejecting, notes, size, workers)
        file = File(str(path), path.stat().st_size)
        self.rows: list[Row] = []
        self.aside: dict[int, str] = {}
        self.reasons: list[str] = []
        for batch in reader.read(file, "\t" if path.suffix == ".tsv" else ","):
            self._take(batch)
        rejecting.close()
        self.notes = notes.lines()

    def _take(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            number = row.pop(SOURCE_ROW, None)
            if REJECTED in batch.schema.metadata:
                self.aside[number] = row["_line"]
                self.reasons.append(row["_lakeload_reason"])
            else:
                self.rows.append(row)


@pytest.fixture
def csv(tmp_path: Path) -> Any:
    def read(content: str | bytes, name: str = "x.csv", **options: Any) -> Read:
        return Read(tmp_path / name, content, **options)

    return read


def values(found: Read) -> list[list[str | None]]:
    return [list(row.values()) for row in found.rows]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('a,b\n24" pipe,1\nx,2\n', [['24" pipe', "1"], ["x", "2"]]),
        ('a,b\n1,"x\ny\n\nz"\n2,w\n', [["1", "x\ny\n\nz"], ["2", "w"]]),
        ('a,b\n"","x ""y"""\n,\n', [["", 'x "y"'], [None, None]]),
        ('id,width 5",n\n1,2,a\n3,4,b\n', [["1", "2", "a"], ["3", "4", "b"]]),
        ("a,b\n1,2\n4,x", [["1", "2"], ["4", "x"]]),
        ('a,b\n1,2\n4,"x"', [["1", "2"], ["4", "x"]]),
        ("a,b\r1,x\r2,y\r", [["1", "x"], ["2", "y"]]),
        ("a,b\r\n1,x\r\n\r\n2,y\r\n", [["1", "x"], ["2", "y"]]),
        ("a,b\n1,x\n\n\n", [["1", "x"]]),
        ("a\n1\n\n2\n", [["1"], [None], ["2"]]),
        ("\n\na,b\n1,2\n", [["1", "2"]]),
        ("a,b\n,x\n 1 ,\ty\n", [[None, "x"], [" 1 ", "\ty"]]),
        ("a,b\n007,1.10\n32E0134,1e400\n", [["007", "1.10"], ["32E0134", "1e400"]]),
        (f"a,{'b' * 130_000}\n1,2\n", [["1", "2"]]),
        ('a,b\n1,"x\r\ny"\n', [["1", "x\r\ny"]]),
        ('a,b\n1,x"y"z\n', [["1", 'x"y"z']]),
    ],
)
def test_rows_are_read_as_written_wherever_the_file_is_cut(csv: Any, text: str, rows: list[Any]) -> None:
    assert values(csv(text)) == rows
    assert values(csv(text, size=3)) == rows


@pytest.mark.parametrize(
    ("text", "rows", "aside"),
    [
        # A quote too many: the lines behind it are rows by themselves.
        ('a,b,c\n1,2,"x\n3,4,"y"\n5,6,7\n', [["3", "4", "y"], ["5", "6", "7"]], {1: '1,2,"x'}),
        ('a,b,c\n1,"2,x,"y",\n5,6,7\n', [["5", "6", "7"]], {1: '1,"2,x,"y",'}),
        ('a,b,c\n1,2,""x"\n5,6,7\n', [["5", "6", "7"]], {1: '1,2,""x"'}),
        ('a,b,c\n1,2,"x\n3,4,5\n5,6,7\n', [["3", "4", "5"], ["5", "6", "7"]], {1: '1,2,"x'}),
        # The inside of a text never becomes a row.
        ('a,b,c\n0,0,0\n1,"x\ny,"z" w,9",2\n5,6,7\n', [["0", "0", "0"], ["5", "6", "7"]], {2: '1,"x\ny,"z" w,9",2'}),
        ("a,b,c\n1,2,3\n1,2\n1,2,3,4\n1,2,3,\n", [["1", "2", "3"], ["1", "2", None], ["1", "2", "3"]], {3: "1,2,3,4"}),
    ],
)  # fmt: skip
def test_what_is_no_row_is_put_aside_alone(
    csv: Any, text: str, rows: list[Any], aside: dict[int, str]
) -> None:
    for size in (1 << 20, 5):
        found = csv(text, size=size)
        assert (values(found), found.aside) == (rows, aside)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a,b\n1,2\n1,"x\n', "not closed in line 3"),
        ('a,b\n1,2\n1,"x', "incomplete"),
        ('a,b\n"x"y,3\n', "1 of 1 rows cannot be read"),
        ('a,b\n"1"x,2\n"3"y,4\n5,6\n', "2 of 3 rows cannot be read"),
        (b"a,b\nx,y\n\xe9,z\n", "not UTF-8 in line 3"),
        (b"a,\xff\nx,y\n", "header is not UTF-8"),
        ('"a"b"c,d\n"x,y\n', "quote in the header"),
    ],
)
def test_what_speaks_against_a_file_is_refused(csv: Any, text: str | bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as caught:
        csv(text)
    assert str(caught.value.place).endswith("x.csv")


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n3,4,5\n", 'a,b\n1,2\n3,"4"x\n', b"a,b\n1,2\n3,\xff\n", 'a,b\n1,2\n3,"4\n']
)
def test_the_user_says_what_becomes_of_what_cannot_be_read(csv: Any, text: str | bytes) -> None:
    with pytest.raises(SourceError) as caught:
        csv(text, policy=ErrorPolicy("stop"))
    assert caught.value.row == 2
    found = csv(text, policy=ErrorPolicy("quarantine"))
    assert (values(found), list(found.aside)) == ([["1", "2"]], [2])
    assert "line 3 of" in found.reasons[0]
    for most in (0, 0.4):
        with pytest.raises(SourceError, match="more than max_errors"):
            csv(text, policy=ErrorPolicy("quarantine", most))
    assert len(csv(text, policy=ErrorPolicy("quarantine", 1)).aside) == 1


@pytest.mark.parametrize(
    ("text", "ragged", "rows", "aside"),
    [
        ("a,b\n1\n1,2,\n", "pad", [["1", None], ["1", "2"]], []),
        ("a,b\n1\n1,2,\n1,2\n1,2\n", "quarantine", [["1", "2"], ["1", "2"]], [1, 2]),
    ],
)
def test_ragged_rows_are_padded_or_put_aside(
    csv: Any, text: str, ragged: str, rows: list[Any], aside: list[int]
) -> None:
    found = csv(text, ragged=ragged)
    assert (values(found), list(found.aside)) == (rows, aside)
    assert len(found.notes) == (2 if ragged == "pad" else 0)
    with pytest.raises(SourceError, match="value"):
        csv(text, ragged="stop")


@pytest.mark.parametrize(
    ("text", "note", "rows"),
    [
        ("id;name\n1;Ada\n", "separator ';'", [["1", "Ada"]]),
        ("id;price\n1;2,50\n2;3,70\n", "separator ';'", [["1", "2,50"], ["2", "3,70"]]),
        ("sep=;\nid;name\n1;A,B\n", "separator ';', 1 line above the header skipped", [["1", "A,B"]]),
        ("id|name\n1|A,B\n", "separator '|'", [["1", "A,B"]]),
        ("id\tname\n1\tA,B\n", r"separator '\t'", [["1", "A,B"]]),
        ("id, name\n1, Ada\n2, Bob\n", "blanks behind separators skipped", [["1", "Ada"], ["2", "Bob"]]),
        ('id, name\n1, "A, B"\n2, C\n', "blanks behind separators skipped", [["1", "A, B"], ["2", "C"]]),
        ("id,name\n1,'A, B'\n2,C\n", 'quote "\'"', [["1", "A, B"], ["2", "C"]]),
        ('id,say,n\n1,"he said \\"hi\\"",5\n', r"escape '\\'", [["1", 'he said "hi"', "5"]]),
        ('id,say,n\n1,"a \\"b\\", C:\\t \\\\",5\n', r"escape '\\'", [["1", 'a "b", C:\\t \\', "5"]]),
        ("# made by x\nid,name\n1,Ada\n", "1 line above the header skipped", [["1", "Ada"]]),
        ("Report\n\nid,name\n1,Ada\n2,Bob\n", "2 lines above", [["1", "Ada"], ["2", "Bob"]]),
        ("1,Ada\n2,Bob\n", "no header", [["1", "Ada"], ["2", "Bob"]]),
        ("2024-01-01,x\n2024-01-02,y\n", "no header", [["2024-01-01", "x"], ["2024-01-02", "y"]]),
        ("größe;n\nß;1\n".encode("utf-16"), "encoding utf-16", [["ß", "1"]]),
        ("größe;n\nß;1\n".encode("utf-16-le"), "encoding utf-16-le", [["ß", "1"]]),
        ("größe,n\nmaß,1\n".encode("latin-1"), "encoding windows-1252", [["maß", "1"]]),
        ("größe,n\nmaß,1\n".encode("utf-8-sig"), "", [["maß", "1"]]),
    ],
)
def test_the_dialect_is_found_and_told(csv: Any, text: str | bytes, note: str, rows: list[Any]) -> None:
    for size in (1 << 20, 2):
        found = csv(text, size=size)
        assert values(found) == rows
        assert note in "".join(found.notes)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name,2019,2020\nx,1,2\ny,3,4\n", ["name", "2019", "2020"]),
        (",0,1\n0,5,6\n1,7,8\n", ["column_1", "0", "1"]),
        ("a,b,a,\n1,2,3,4\n", ["a", "b", "a_1", "column_4"]),
        ("a,a_1,a\n1,2,3\n", ["a", "a_1", "a_2"]),
        ("a,b\n1,2,3\n4,5,6\n", ["a", "b", "column_3"]),
        ("a,b\n1,2,\n4,5,\n", ["a", "b"]),
        ("#a\tb\n1\t2\n", ["#a", "b"]),
        ("names\nAda Lovelace\nAlan Turing\n", ["names"]),
        ("text\nhello; you\nworld\n", ["text"]),
        ('"a\nb","c,d"\r\n1,2\r\n', ["a\nb", "c,d"]),
    ],
)
def test_columns_are_called_as_the_header_says(csv: Any, text: str, names: list[str]) -> None:
    assert list(csv(text).rows[0]) == names


@pytest.mark.parametrize(
    ("text", "options", "rows"),
    [
        ("a::b\n1,0::2\n", {"separator": "::"}, [["1,0", "2"]]),
        ("a¦b\n1¦2\n", {"separator": "¦"}, [["1", "2"]]),
        ("a,b\n'1,0',2\n", {"quote": "'"}, [["1,0", "2"]]),
        ('a,b\n"1,2"\n', {"quote": ""}, [['"1', '2"']]),
        ('a,b\n"1^"",2\n', {"escape": "^"}, [['1"', "2"]]),
        ("a,b\n1,2\n", {"header": False}, [["a", "b"], ["1", "2"]]),
        ("1,2\n3,4\n", {"header": True}, [["3", "4"]]),
        ("1,2\n3,4\n", {"header": ["x", "y"]}, [["1", "2"], ["3", "4"]]),
        ("x\ny,z\na,b\n1,2\n", {"skip_rows": 2}, [["1", "2"]]),
        ("a;b,c\n1;2,3\n", {"separator": ","}, [["1;2", "3"]]),
        ("größe,n\nж,1\n".encode("cp1251", "replace"), {"encoding": "cp1251"}, [["ж", "1"]]),
    ],
)  # fmt: skip
def test_what_the_user_says_of_the_dialect_holds(
    csv: Any, text: str | bytes, options: Row, rows: list[Any]
) -> None:
    assert values(csv(text, **options)) == rows


@pytest.mark.parametrize(
    "options",
    [
        {"separator": ""},
        {"separator": 1},
        {"quote": "ab"},
        {"escape": "\n"},
        {"separator": "'", "quote": "'"},
        {"encoding": "utf-9"},
        {"header": "a,b"},
        {"header": []},
        {"skip_rows": -1},
        {"skip_rows": True},
        {"ragged": "drop"},
    ],
)
def test_options_that_cannot_be_are_refused(options: Row) -> None:
    with pytest.raises(ConfigError):
        CsvOptions(**options)


def test_an_encoding_that_is_not_the_one_said_is_refused(csv: Any) -> None:
    with pytest.raises(LakeloadError, match=r"not written in ascii|not UTF-8"):
        csv("a,b\nö,1\n".encode("latin-1"), encoding="ascii")
    with pytest.raises(LakeloadError, match="not written in utf-16"):
        csv("a,b\nö,1\n".encode("utf-16")[:-1], encoding="utf-16")


def test_a_row_without_end_is_refused_or_left_alone() -> None:
    grammar = Grammar(Marks())
    with pytest.raises(SourceError, match="no row ends"):
        list(blocks_of([b"x" * 100, b"y" * 100], grammar, width=2, line=1, longest=50))
    blocks = list(blocks_of([b'1,"x\n', b"2,3\n" * 100], grammar, width=2, line=1, longest=50))
    assert b"".join(block.data for block in blocks) == b"2,3\n" * 100
    assert [broken.text for block in blocks for broken in block.broken] == [b'1,"x\n']


def test_a_file_that_shrank_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,2\n")
    reader = CsvReader(CsvOptions(), Rejecting(ErrorPolicy()), Notes(), 1 << 20)
    with pytest.raises(SourceError, match="shrank"):
        list(reader.read(File(str(path), 100), ","))


def table_of(found: list[pa.RecordBatch]) -> tuple[list[Row], list[Row]]:
    """Rows that were read, and rows that were not, each with its number."""
    rows: list[Row] = []
    aside: list[Row] = []
    before = 0
    for batch in found:
        rejected = REJECTED in (batch.schema.metadata or {})
        for place, row in enumerate(batch.to_pylist(), before + 1):
            (aside if rejected else rows).append({SOURCE_ROW: place, **row})
        before += batch.num_rows
    return sorted(rows, key=lambda row: row[SOURCE_ROW]), aside


LINES = st.lists(
    st.sampled_from(
        ["1,a,x", '2,"b",y', '3,"c\nd",z', '4,"e"f,w', "5,g", '6,24" h,v', "7,i,u,t", '8,"j', ""]
    ),
    max_size=12,
)
END = st.sampled_from(["\n", "\r\n", ""])


@settings(max_examples=30, deadline=None)
@given(lines=LINES, end=END, size=st.integers(1, 60), workers=st.sampled_from([1, 4]))
def test_neither_blocks_nor_threads_change_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], end: str, size: int, workers: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_text("\n".join(["id,b,c", *lines]) + end, newline="")
    csv = CsvOptions(separator=",", header=True)

    def read_by(size: int, workers: int) -> object:
        options = ReadOptions(csv=csv, on_error="quarantine", batch_bytes=size)
        notes = Notes()
        return table_of(list(read(str(path), options=options, workers=workers, notes=notes))), notes.lines()

    assert read_by(size, workers) == read_by(1 << 20, 1)


@settings(max_examples=20, deadline=None)
@given(
    lines=st.lists(st.sampled_from(['{"a":1}', '{"a":"x"}', '{"a":', "[1]", "", '{"a":null,"b":2}']), max_size=9),
    size=st.integers(1, 40),
    workers=st.sampled_from([1, 4]),
)  # fmt: skip
def test_lines_of_json_that_are_no_records_are_put_aside_wherever_blocks_end(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], size: int, workers: int
) -> None:
    path = tmp_path_factory.mktemp("json") / "x.jsonl"
    path.write_text("\n".join(lines) + "\n")
    options = ReadOptions(on_error="quarantine", batch_bytes=size)
    rows, aside = table_of(list(read(str(path), options=options, workers=workers)))
    numbered = list(enumerate((line for line in lines if line), 1))
    assert [row[SOURCE_ROW] for row in rows] == [n for n, line in numbered if line.endswith("}")]
    assert [(row[SOURCE_ROW], row["_line"]) for row in aside] == [
        (n, line) for n, line in numbered if not line.endswith("}")
    ]
    for row in aside:
        line = int(row["_lakeload_reason"].split("(line ")[1].split(" ")[0])
        assert lines[line - 1] == row["_line"]
