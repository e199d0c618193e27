import gzip
import json
from pathlib import Path

import botocore
import msgspec
import pyarrow as pa
import pytest

from lakeload.errors import SourceError
from lakeload.model.nesting import Nesting
from lakeload.model.text import text_of
from lakeload.sources.decode import jsonl
from lakeload.sources.decode.documents import JsonReader
from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.read import ReadOptions, read


def rows(data, expectation=None, **options):
    batches = read(data, expectation=expectation, options=ReadOptions(**options), workers=2)
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def decoded(monkeypatch):
    """Counts the records that are decoded into Python objects."""
    count = [0]

    class Counting:
        def decode(self, record):
            count[0] += 1
            return original.decode(record)

    original = jsonl._DECODER
    monkeypatch.setattr(jsonl, "_DECODER", Counting())

    def refuse(*_args, **_kwargs):
        raise AssertionError("a value was decoded into Python objects")

    monkeypatch.setattr(json, "loads", refuse)
    monkeypatch.setattr(json.JSONDecoder, "decode", refuse)
    plain = msgspec.json.decode

    def only_raw(data, *, type=object, **options):  # noqa: A002 - the name msgspec gives it
        assert "Raw" in str(type)
        return plain(data, type=type, **options)

    monkeypatch.setattr(msgspec.json, "decode", only_raw)
    return count


PAGE = b'{"next":2,"data":{"items":[%s]}}' % b",".join(
    b'{"id":%d,"who":{"name":"n%d"},"tags":["a",null],"score":%d.5}' % (i, i, i) for i in range(50_000)
)


def test_records_of_a_page_become_arrow_without_python_objects_but_for_the_first(decoded):
    reader = JsonReader(Expectation(), ReadOptions(record_path="data.items"))

    assert sum(batch.num_rows for batch in reader.read(PAGE)) == 50_000
    first = decoded[0]
    assert 0 < first < 25_000

    assert sum(batch.num_rows for batch in reader.read(PAGE)) == 50_000
    assert decoded[0] == first


def test_a_second_run_decodes_no_record_into_python_objects(decoded):
    options = ReadOptions(record_path="data.items")
    batch = next(JsonReader(Expectation(), options).read(PAGE))
    decoded[0] = 0

    reader = JsonReader(Expectation(known=batch.schema), options)

    assert sum(batch.num_rows for batch in reader.read(PAGE)) == 50_000
    assert decoded[0] == 0


def test_pages_of_a_generator_share_what_was_learned(decoded):
    pages = (PAGE for _ in range(3))

    batches = list(read(pages, options=ReadOptions(record_path="data.items")))

    assert sum(batch.num_rows for batch in batches) == 150_000
    assert decoded[0] < 25_000
    assert len({batch.schema for batch in batches}) == 1


def test_pages_may_be_empty():
    pages = [b'{"d":[]}', b'{"d":[{"a":1}]}', b"", b'{"d":null}', b'{"d":{"a":2}}']

    assert rows(pages, record_path="d") == [{"a": 1}, {"a": 2}]


def test_rows_and_pages_may_alternate():
    assert rows([{"a": 1}, b'{"d":[{"a":2}]}', {"a": 3}], record_path="d") == [{"a": 1}, {"a": 2}, {"a": 3}]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: pa.compress(data, "zstd", asbytes=True)])
@pytest.mark.parametrize(
    "text",
    [
        b'[{"a":1},{"a":2}]',
        b'{"a":1}\n{"a":2}\n',
        b'{"a":1}{"a":2}',
        b'{\n  "a": 1\n}\n{\n  "a": 2\n}\n',
        b'{"a":1}\n{\n"a":2\n}\n',
        b'\xef\xbb\xbf[{"a":1},\n{"a":2}]\n',
        b'\xef\xbb\xbf{"a":1}\r\n{"a":2}\r\n',
    ],
)
def test_every_form_of_records_is_read_from_files(tmp_path, text, pack):
    ending = {bytes: "json", gzip.compress: "json.gz"}.get(pack, "json.zst")
    path = tmp_path / f"x.{ending}"
    path.write_bytes(pack(text))

    assert rows(path) == [{"a": 1}, {"a": 2}]
    assert rows(path, input_format="json") == [{"a": 1}, {"a": 2}]


def dictionary(count: int, **more: object) -> bytes:
    return json.dumps({f"é{i}": {"id": i, **more} for i in range(count)}).encode()


@pytest.mark.parametrize("data", [dictionary(300), b'{"x":' + dictionary(300) + b"}"])
def test_a_dictionary_of_records_is_a_row_for_each_with_its_key_first(data):
    found = rows(data, record_path="x" if data.startswith(b'{"x"') else None)

    assert found[7] == {"_key": "é7", "id": 7}
    assert (len(found), list(found[0])) == (300, ["_key", "id"])


def test_the_key_of_a_record_steps_aside_for_a_member_of_its_name():
    assert rows(dictionary(300, _key="mine"), input_format="json")[1] == {
        "_key_": "é1",
        "id": 1,
        "_key": "mine",
    }


def test_a_dictionary_of_few_records_is_one_row():
    (row,) = rows(dictionary(256), input_format="json")

    assert len(row) == 256


def test_how_many_keys_make_a_dictionary_of_records_can_be_said():
    expectation = Expectation(nesting=Nesting(map_keys=2))

    assert len(rows(dictionary(3), expectation, input_format="json")) == 3


def test_an_object_whose_members_are_not_all_objects_is_one_row():
    data = json.dumps({**{f"k{i}": {} for i in range(300)}, "n": 1}).encode()

    assert rows(data)[0]["n"] == 1


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        (b'{"a":[]}', "b", "no 'b' on the record path b"),
        (b'{"a":3}', "a.b", "no object"),
        (b'{"a":3}', "a", "expected JSON records, found '3'"),
        (b'{"a":[3]}', "a", "expected a JSON object, found 3"),
        (b'{"a":[{}]} {}', "a", "trailing characters"),
    ],
)
def test_a_record_path_that_leads_nowhere_is_refused(document, path, message):
    with pytest.raises(SourceError, match=message):
        rows(document, record_path=path)


def test_a_line_cut_off_among_lines_is_refused_with_its_row():
    with pytest.raises(SourceError, match="ends within the object") as caught:
        rows(b'{"a":1}\n{"a":\n{"a":3}\n')

    assert caught.value.row == 2


def test_descriptions_of_services_come_back_equal_under_defaults():
    folder = Path(botocore.__file__).parent / "data"
    files = sorted(folder.glob("**/service-2.json.gz"))[::12]
    assert len(files) > 20

    found = rows([str(path) for path in files])

    assert len(found) == len(files)
    for path, row in zip(files, found, strict=True):
        assert same(json.loads(gzip.decompress(path.read_bytes())), row), path


def same(given: object, found: object) -> bool:
    """Equal, but for nulls and empty values; maps come as pairs, mixed values as text."""
    if given in (None, {}, []) and found in (None, {}, []):
        return True
    if isinstance(given, dict) and isinstance(found, list):
        found = dict(found)
    if isinstance(given, dict) and isinstance(found, dict):
        return all(same(given.get(name), found.get(name)) for name in {*given, *found})
    if isinstance(given, list) and isinstance(found, list):
        return len(given) == len(found) and all(map(same, given, found))
    return found == (text_of(given) if isinstance(found, str) else given)


def test_small_documents_share_a_batch_and_errors_name_their_file_and_row(tmp_path):
    for name, text in (("a", '[{"a": 1}, {"b": 2}]'), ("b", "[]"), ("c", '{\n"a": 3}'), ("d", '[{"c": 4}]')):
        (tmp_path / f"{name}.json").write_text(text)
    batches = list(read(str(tmp_path / "*.json")))
    assert [batch.num_rows for batch in batches] == [4]
    assert batches[0].column("a").to_pylist() == [1, None, 3, None]
    (tmp_path / "c.json").write_text('[{"a": 3}, 5]')
    for size in (1, 12, 1 << 20):
        with pytest.raises(SourceError, match="expected a JSON object, found 5") as caught:
            list(read(str(tmp_path / "*.json"), options=ReadOptions(batch_bytes=size)))
        assert (caught.value.place, caught.value.row) == (str(tmp_path / "c.json"), 2)
    (tmp_path / "c.json").write_text('[{"a": 3}, {')
    with pytest.raises(SourceError, match="malformed") as caught:
        list(read(str(tmp_path / "*.json")))
    assert caught.value.place == str(tmp_path / "c.json")
