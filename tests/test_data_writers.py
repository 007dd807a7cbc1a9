"""Output arrives whole or not at all, with the same columns in every row and nothing lost that the input carried."""

import csv
import gzip
import io
import json
import os
import re
import stat
import sys
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sitrep.data import columns, output_file, writers
from sitrep.data.columns import COLUMNS, column_kinds, fit
from sitrep.data.errors import InputError
from sitrep.data.readers import read_articles
from sitrep.data.records import Labelled, Reject, Sentence
from sitrep.data.rejects import RejectsWriter
from sitrep.data.sources import expand
from sitrep.data.writers import Row, open_writer

LABELS = ("rain", "snow")


def row(number=1, labels=("snow",), extra=None, text="It snowed."):
    sentence = Sentence("d1", number, 3, 3 + len(text), text)
    labelled = Labelled(tuple(labels), labels[0] if labels else "none", {"snow": 0.98764, "rain": 0.1}, 0.91239, bool(number % 2))
    return Row(sentence, labelled, "2024-01-02", extra or {})


def save(path: Path, *batches, **options):
    with open_writer(str(path), label_names=LABELS, **options) as writer:
        for batch in batches:
            writer.write(batch)
    assert writer.rows == sum(map(len, batches))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return path


def unpacked(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data.decode("utf-8")


def csv_records(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(unpacked(path), newline="")))


# --- the three formats ---


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_jsonl(tmp_path, suffix):
    rows = [row(1, ("snow", "rain"), {"url": "é", "n": [1]}), row(2, (), text="A\u2028B\nC")]
    text = unpacked(save(tmp_path / f"o.jsonl{suffix}", rows[:1], rows[1:]))
    assert '"url": "é"' in text
    assert text.endswith("\n")
    first, second = map(json.loads, text[:-1].split("\n"))
    assert tuple(first) == (*COLUMNS, "url", "n")
    assert first == {
        "doc_id": "d1",
        "sentence_id": 1,
        "part": "text",
        "start": 3,
        "end": 13,
        "text": "It snowed.",
        "labels": ["snow", "rain"],
        "primary": "snow",
        "confidence": 0.9124,
        "scores": {"rain": 0.1, "snow": 0.9876},
        "abstained": True,
        "windows": 1,
        "date": "2024-01-02",
        "url": "é",
        "n": [1],
    }
    assert (second["labels"], second["primary"], second["text"]) == ([], "none", "A\u2028B\nC")


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_csv(tmp_path, suffix):
    texts = ['A "quoted", text', "two\nlines", "a\rreturn", "é"]
    rows = [row(1, ("snow", "rain"), {"n": 5, "ok": True}, texts[0]), *(row(2, (), {}, text) for text in texts[1:])]
    records = csv_records(save(tmp_path / f"o.csv{suffix}", rows))
    assert list(records[0]) == [
        *("doc_id", "sentence_id", "part", "start", "end", "text", "labels", "primary", "confidence"),
        *("score_rain", "score_snow", "abstained", "windows", "date", "n", "ok", "extra"),
    ]
    assert [r["text"] for r in records] == texts
    assert (records[0]["labels"], records[0]["primary"]) == ("snow|rain", "snow")
    assert (records[1]["labels"], records[1]["primary"]) == ("", "none")
    assert [records[0][name] for name in ("score_rain", "score_snow", "confidence", "abstained", "n", "ok", "extra")] == [
        *("0.1", "0.9876", "0.9124", "true", "5", "true", "")
    ]
    assert [records[1][name] for name in ("abstained", "n", "ok")] == ["false", "", ""]


def test_parquet(tmp_path):
    rows = [row(1, ("snow", "rain"), {"n": 5, "w": 0.5, "ok": True, "s": "é", "tags": ["x"]}), row(2, ())]
    path = save(tmp_path / "o.parquet", rows[:1], rows[1:], metadata={"model": "m1"})
    file = pq.ParquetFile(path)
    assert file.schema_arrow.names == [*COLUMNS, "n", "w", "ok", "s", "tags", "extra"]
    types = dict(zip(file.schema_arrow.names, map(str, file.schema_arrow.types), strict=True))
    assert types["labels"].startswith("list<") and "string" in types["labels"]
    assert types["scores"] == "struct<rain: float, snow: float>"
    assert [types[name] for name in ("n", "w", "ok", "s", "tags", "extra")] == [
        *("int64", "double", "bool", "string", "string", "string")
    ]
    assert file.schema_arrow.metadata[b"model"] == b"m1"
    assert file.metadata.metadata[b"model"] == b"m1"
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    first, second = file.read().to_pylist()
    assert first["labels"] == ["snow", "rain"]
    assert first["scores"] == pytest.approx({"rain": 0.1, "snow": 0.9876})
    assert (first["text"], first["start"], first["end"], first["abstained"]) == ("It snowed.", 3, 13, True)
    assert (first["n"], first["w"], first["ok"], first["s"], first["tags"], first["extra"]) == (5, 0.5, True, "é", '["x"]', None)
    assert (second["labels"], second["primary"], second["n"]) == ([], "none", None)


def test_pandas_opens_it(tmp_path):
    save(tmp_path / "o.parquet", [row(n) for n in range(3)])
    frame = pd.read_parquet(tmp_path / "o.parquet")
    assert list(frame["sentence_id"]) == [0, 1, 2]
    assert frame["labels"].map(list).tolist() == [["snow"]] * 3


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.parquet"])
def test_output_can_be_read_again(tmp_path, name):
    save(tmp_path / name, [row(1, extra={"lang": "en"}), row(2)])
    articles = list(read_articles(expand([str(tmp_path / name)])[0], id_field="doc_id", on_reject=pytest.fail))
    assert [(a.doc_id, a.text, a.date) for a in articles] == [("d1", "It snowed.", "2024-01-02")] * 2
    assert articles[0].extra["lang"] == "en"


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.parquet", "o.csv.zst", "o.jsonl.gz"])
def test_no_rows_at_all_still_make_a_file(tmp_path, name):
    path = save(tmp_path / name)
    if name.endswith("parquet"):
        assert pq.read_table(path).schema.names == [*COLUMNS, "extra"]
    else:
        assert unpacked(path).startswith("doc_id,sentence_id" if "csv" in name else "")
        assert unpacked(path).count("\n") == ("csv" in name)


def test_gzip_output_holds_no_time_and_no_name(tmp_path):
    data = save(tmp_path / "o.jsonl.gz", [row()]).read_bytes()
    assert data[3:8] == b"\0" * 5


@pytest.mark.parametrize("name", ["o.csv", "o.parquet"])
def test_columns_do_not_depend_on_how_rows_are_handed_over(tmp_path, name):
    rows = [row(1, extra={"a": 1}), row(2, extra={"a": 0.5, "b": "x"}), row(3, extra={"a": None})]
    (tmp_path / "one").mkdir()
    (tmp_path / "each").mkdir()
    whole = save(tmp_path / "one" / name, rows)
    parts = save(tmp_path / "each" / name, *([r] for r in rows))
    assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize(("limit", "value"), [("GROUP_ROWS", 4), ("GROUP_CHARS", 4 * len("It snowed.{}"))])
def test_parquet_row_groups(tmp_path, monkeypatch, limit, value):
    monkeypatch.setattr(writers, limit, value)
    path = save(tmp_path / "o.parquet", [row(n) for n in range(10)])
    meta = pq.ParquetFile(path).metadata
    assert [meta.row_group(n).num_rows for n in range(meta.num_row_groups)] == [4, 4, 2]
    assert pq.read_table(path)["sentence_id"].to_pylist() == list(range(10))


def test_scores_must_be_those_of_the_codebook(tmp_path):
    wrong = pytest.raises(ValueError, match="scores and label_names differ in: hail, snow")
    with wrong, open_writer(str(tmp_path / "o.jsonl"), label_names=("rain", "hail")) as writer:
        writer.write([row()])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="label_names is empty"):
        open_writer(str(tmp_path / "o.jsonl"), label_names=())


# --- passed-through fields ---


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.parquet"])
def test_names_that_collide_get_a_prefix(tmp_path, name):
    extra = {"text": "t", "in_text": "it", "extra": "e", "score_snow": "s", "title": "plain", "textual": "free"}
    path = save(tmp_path / name, [row(extra=extra)])
    expected = {"in_text": "t", "in_in_text": "it", "in_extra": "e", "in_score_snow": "s", "title": "plain", "textual": "free"}
    [record] = {
        "o.jsonl": lambda: [json.loads(unpacked(path))],
        "o.csv": lambda: csv_records(path),
        "o.parquet": lambda: pq.read_table(path).to_pylist(),
    }[name]()
    assert {key: record[key] for key in expected} == expected
    assert record["text"] == "It snowed."


@pytest.mark.parametrize("name", ["o.csv", "o.parquet"])
def test_what_fits_no_column_goes_to_the_last_one(tmp_path, monkeypatch, name):
    monkeypatch.setattr(writers, "GROUP_ROWS", 2)
    first = [row(1, extra={"n": 1, "s": "x"}), row(2, extra={"n": None, "ok": False})]
    later = [row(3, extra={"n": "many", "s": "y", "new": [1]}), row(4, extra={"n": 2, "ok": True, "s": 5})]
    path = save(tmp_path / name, first, later)
    if name == "o.csv":
        records = csv_records(path)
        assert [r["n"] for r in records] == ["1", "", "", "2"]
    else:
        records = pq.read_table(path).to_pylist()
        assert [r["n"] for r in records] == [1, None, None, 2]
        assert [r["ok"] for r in records] == [None, False, None, True]
    assert list(records[0])[-4:] == ["n", "s", "ok", "extra"]
    assert [json.loads(r["extra"]) if r["extra"] else None for r in records] == [
        None,
        None,
        {"n": "many", "new": [1]},
        {"s": 5},
    ]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, None, False], "bool"),
        ([1, -(2**63), 2**63 - 1], "int"),
        ([1, 0.5, None], "float"),
        ([float("nan")], "float"),
        (["a", None], "string"),
        ([None, None], "string"),
        ([1, "a"], "json"),
        ([True, 1], "json"),
        ([2**63], "json"),
        ([2**53 + 1, 0.5], "json"),
        ([[1]], "json"),
        ([{"a": 1}, None], "json"),
    ],
)
def test_column_kinds(values, kind):
    kinds = column_kinds([{"f": value} for value in values])
    assert kinds == {"f": kind}
    for value in values:
        cell, overflow = fit({"f": value}, kinds)
        assert overflow is None
        assert value is None or cell is value or json.loads(cell) == value


def test_values_json_does_not_know(tmp_path):
    extra = {
        "day": date(2024, 1, 2),
        "at": [datetime(2024, 1, 2, 3, 4)],
        "price": Decimal("1.10"),
        "raw": b"\x00\xff",
        "gap": float("nan"),
        "deep": {1: (float("inf"), {"x"})},
    }
    record = json.loads(unpacked(save(tmp_path / "o.jsonl", [row(extra=extra)])))
    assert [record[name] for name in extra] == [
        *("2024-01-02", ["2024-01-02T03:04:00"], "1.10", "AP8=", None),
        {"1": [None, ["x"]]},
    ]
    (tmp_path / "o.jsonl").unlink()
    [record] = pq.read_table(save(tmp_path / "o.parquet", [row(extra=extra)])).to_pylist()
    assert (record["day"], record["price"], json.loads(record["deep"])) == ("2024-01-02", "1.10", {"1": [None, ["x"]]})
    assert record["gap"] != record["gap"]


def test_fields_of_one_article_are_converted_once(tmp_path, monkeypatch):
    calls = []
    plain = columns._plain
    monkeypatch.setattr(columns, "_plain", lambda value: calls.append(value) or plain(value))
    extra = {"a": 1, "b": "x"}
    save(tmp_path / "o.csv", [row(n, extra=extra) for n in range(50)])
    assert calls == [1, "x"]


# --- whole or not at all ---


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.parquet", "o.jsonl.gz", "o.csv.zst"])
@pytest.mark.parametrize("earlier", [True, False])
def test_an_exception_leaves_what_was_there(tmp_path, name, earlier):
    path = tmp_path / name
    if earlier:
        path.write_text("earlier")
    with pytest.raises(KeyboardInterrupt), open_writer(str(path), label_names=LABELS) as writer:
        writer.write([row()])
        assert len(list(tmp_path.iterdir())) == 1 + earlier
        raise KeyboardInterrupt
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == ([(name, "earlier")] if earlier else [])


def test_nothing_is_seen_under_the_name_until_the_end(tmp_path):
    path = tmp_path / "o.jsonl"
    path.write_text("earlier")
    with open_writer(str(path), label_names=LABELS) as writer:
        writer.write([row()])
        assert path.read_text() == "earlier"
        [partial] = [p.name for p in tmp_path.iterdir() if p != path]
        assert re.fullmatch(rf"\.o\.jsonl\.partial-{os.getpid()}-[0-9a-f]{{8}}", partial)
        # Nor is the partial taken for input by a run over this folder.
        assert [s.path for s in expand([str(tmp_path)])] == [str(path)]
    assert json.loads(path.read_text())["doc_id"] == "d1"


def test_data_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    path = tmp_path / "o.jsonl"
    seen = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append((stat.S_ISDIR(os.fstat(fd).st_mode), path.exists())) or fsync(fd))
    save(path, [row()])
    assert seen == [(False, False), (True, True)]


def test_two_writers_of_one_name_do_not_mix(tmp_path):
    path = str(tmp_path / "o.jsonl")
    with open_writer(path, label_names=LABELS) as one, open_writer(path, label_names=LABELS) as two:
        one.write([row(1)])
        two.write([row(2)])
    assert [json.loads(line)["sentence_id"] for line in Path(path).read_text().splitlines()] == [1]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "o.jsonl"
    link.symlink_to("real/target.jsonl")
    with open_writer(str(link), label_names=LABELS) as writer:
        writer.write([row()])
    assert link.is_symlink()
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["target.jsonl"]


class FullDisk(io.FileIO):
    """A file that takes so many bytes and no more."""

    room = 300

    def write(self, data):
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.parquet", "o.jsonl.gz", "o.csv.zst"])
def test_a_full_disk_is_told_with_its_remedy(tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.write_text("earlier")
    monkeypatch.setattr(output_file, "_create", lambda partial: FullDisk(partial, "xb"))
    with pytest.raises(InputError) as caught, open_writer(str(path), label_names=LABELS) as writer:
        writer.write([row(n, text=os.urandom(300).hex()) for n in range(20)])
    assert str(caught.value).startswith(f"{path}: no space left on the disk; free some")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [(name, "earlier")]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_at_the_last_step_leaves_nothing_behind(tmp_path, monkeypatch, step):
    def refuse(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os if step == "fsync" else Path, step, refuse)
    refused = pytest.raises(InputError, match=r"o\.jsonl: cannot be written: Input/output error")
    with refused, open_writer(str(tmp_path / "o.jsonl"), label_names=LABELS) as writer:
        writer.write([row()])
    assert list(tmp_path.iterdir()) == []


# --- refused before any work ---


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("o.xml", {}, "unknown output format; known: .parquet, .jsonl and .csv"),
        ("o.tsv", {}, "unknown output format"),
        ("o", {}, "unknown output format"),
        ("o.jsonl", {"format": "xml"}, "unknown output format 'xml'"),
        ("o.parquet.gz", {}, "Parquet is compressed within"),
        ("none/o.csv", {}, "there is no folder"),
        ("folder.csv", {}, "is a folder"),
        ("file.txt/o.csv", {}, "there is no folder"),
        ("pipe.csv", {}, "not an ordinary file"),
        ("x" * 250 + ".csv", {}, "cannot be written: File name too long"),
    ],
)
def test_refusals(tmp_path, name, options, problem):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file.txt").touch()
    os.mkfifo(tmp_path / "pipe.csv")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        open_writer(str(tmp_path / name), label_names=LABELS, **options)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")
    assert problem in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_no_permission(tmp_path, monkeypatch):
    path = tmp_path / "o.csv"

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(output_file, "_create", refuse)
        with pytest.raises(InputError, match="cannot be written: Permission denied; choose another place"):
            open_writer(str(path), label_names=LABELS)
    path.touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="no permission to replace it"):
        open_writer(str(path), label_names=LABELS)


def test_parquet_needs_a_file():
    with pytest.raises(InputError, match="needs a file"):
        open_writer("-", label_names=LABELS, format="parquet")


def test_format_overrides_the_extension(tmp_path):
    path = save(tmp_path / "o.dat", [row()], format="csv.gz")
    assert gzip.decompress(path.read_bytes()).startswith(b"doc_id,")


# --- standard output ---


def test_stdout_is_jsonl_as_it_comes(capfdbinary):
    with open_writer("-", label_names=LABELS) as writer:
        writer.write([row(1, text="é")])
        first = capfdbinary.readouterr().out
        assert json.loads(first)["text"] == "é"
        writer.write([row(2)])
    assert json.loads(capfdbinary.readouterr().out)["sentence_id"] == 2
    assert not sys.stdout.closed


def test_what_is_written_to_stdout_leaves_at_once(monkeypatch):
    reader, pipe = os.pipe()
    with io.FileIO(reader) as out, io.BufferedWriter(io.FileIO(pipe, "wb")) as buffer:
        monkeypatch.setattr(sys, "stdout", type("Out", (), {"buffer": buffer}))
        os.set_blocking(reader, False)
        with open_writer("-", label_names=LABELS) as writer:
            writer.write([row()])
            assert json.loads(out.read(4096) or b"null")["doc_id"] == "d1"


def test_stdout_in_another_format(capfdbinary):
    with open_writer("-", label_names=LABELS, format="csv") as writer:
        writer.write([row(1)])
    assert capfdbinary.readouterr().out.startswith(b"doc_id,sentence_id")


def test_a_closed_pipe_stays_a_broken_pipe(monkeypatch):
    reader, pipe = os.pipe()
    os.close(reader)
    with io.FileIO(pipe, "wb") as raw:
        monkeypatch.setattr(sys, "stdout", type("Out", (), {"buffer": raw}))
        with pytest.raises(BrokenPipeError), open_writer("-", label_names=LABELS) as writer:
            writer.write([row()])


# --- rejects ---


def test_rejects_are_counted_and_listed_as_they_come(tmp_path):
    path = tmp_path / "rejects.jsonl"
    with RejectsWriter(str(path)) as rejects:
        assert not path.exists()
        rejects(Reject("a.jsonl:3", "bad_json", "café \udcff"))
        assert len(path.read_text().splitlines()) == 1
        rejects(Reject("a.jsonl:9", "bad_json"))
        rejects(Reject("b.txt", "empty_file"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert records[0] == {"where": "a.jsonl:3", "reason": "bad_json", "detail": "café \udcff"}
    assert records[2] == {"where": "b.txt", "reason": "empty_file", "detail": ""}
    assert rejects.counts == {"bad_json": 2, "empty_file": 1}


def test_no_rejects_no_file(tmp_path):
    with RejectsWriter(str(tmp_path / "rejects.jsonl")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_rejects_without_a_path_are_counted(tmp_path):
    with RejectsWriter(None) as rejects:
        rejects(Reject("a", "empty_file"))
    assert rejects.counts == {"empty_file": 1}


def test_rejects_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"rejects\.jsonl: cannot be written: No such file or directory"):
        RejectsWriter(str(tmp_path / "none/rejects.jsonl"))(Reject("a", "empty_file"))


def test_reader_hands_its_rejects_over(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "A."}\nnot json\n')
    with RejectsWriter(str(tmp_path / "rejects.jsonl")) as rejects:
        [article] = read_articles(expand([str(tmp_path / "a.jsonl")])[0], on_reject=rejects)
    assert article.text == "A."
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["where"] == f"{tmp_path / 'a.jsonl'}:2"


def test_arrow_types_match_the_values(tmp_path):
    path = save(tmp_path / "o.parquet", [row(1)])
    schema = pq.read_schema(path)
    assert schema.field("confidence").type == pa.float32()
    assert schema.field("start").type == pa.int32()
    assert schema.field("abstained").type == pa.bool_()
