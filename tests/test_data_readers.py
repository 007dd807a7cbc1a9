"""Inputs are found, opened and read lazily; whatever can't be used is refused or set aside with its place and reason."""

import gzip
import io
import json
import os
import sys
import tracemalloc
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from sitrep.data import errors, lines, readers, streams, tabular
from sitrep.data.errors import FileError, InputError
from sitrep.data.readers import read_articles
from sitrep.data.sources import Source, expand
from sitrep.data.streams import open_bytes, open_seekable

LINE = b'{"text": "A bridge fell."}\n'


def write(path: Path, data: bytes | str) -> Path:
    """Writes `data`, compressed as the name says."""
    data = data.encode() if isinstance(data, str) else data
    if path.suffix == ".gz":
        data = gzip.compress(data)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


def read(path: Path, **options):
    """(articles, rejects) of one file."""
    rejects = []
    [source] = expand([str(path)])
    return list(read_articles(source, on_reject=rejects.append, **options)), rejects


def rejected(path: Path, **options):
    """The one reject of a file, as (place after the path, reason, detail)."""
    _, [reject] = read(path, **options)
    assert reject.where.startswith(str(path))
    assert reject.reason in errors.REASONS
    return reject.where.removeprefix(str(path)), reject.reason, reject.detail


def refusal(inputs, **options) -> str:
    with pytest.raises(InputError) as caught:
        expand(inputs, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def limit_lines(monkeypatch, size: int) -> None:
    for module in (lines, readers, tabular):
        monkeypatch.setattr(module, "MAX_LINE_BYTES", size)


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


# --- sources: what a command line names ---


def test_extensions_tell_format_and_compression(tmp_path):
    expected = {
        "a.txt": ("txt", ""),
        "b.ndjson": ("jsonl", ""),
        "c.JSONL.GZ": ("jsonl", "gzip"),
        "d.csv.zst": ("csv", "zstd"),
        "e.tsv": ("tsv", ""),
        "f.parquet.gz": ("parquet", "gzip"),
    }
    for name in expected:
        (tmp_path / name).touch()
    found = {Path(s.path).name: (s.format, s.compression) for s in expand([str(tmp_path)])}
    assert found == expected


def test_folder_is_walked_sorted_without_hidden_or_unknown_files(tmp_path):
    for name in ("b/2.jsonl", "b/1.txt", "a.csv", ".hidden.txt", ".git/x.txt", "notes.md", "z.partial"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = [str(Path(s.path).relative_to(tmp_path)) for s in expand([str(tmp_path)])]
    assert names == ["a.csv", "b/1.txt", "b/2.jsonl"]


def test_order_given_is_kept_and_a_file_named_twice_is_read_once(tmp_path):
    first, second = write(tmp_path / "z.txt", "z"), write(tmp_path / "a.txt", "a")
    (tmp_path / "link.txt").symlink_to(first)
    twisted = f"{tmp_path}/./z.txt"
    found = expand([str(first), "-", str(second), str(tmp_path), "-", twisted, str(tmp_path / "link.txt")])
    assert [s.path for s in found] == [str(first), "-", str(second)]


def test_glob_the_shell_left_alone(tmp_path, monkeypatch):
    for name in ("b.jsonl", "a.jsonl", "c.md", "sub/d.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert [s.path for s in expand(["*.jsonl"])] == ["a.jsonl", "b.jsonl"]
    assert [s.path for s in expand(["*"])] == ["a.jsonl", "b.jsonl", "sub/d.jsonl"]
    assert [s.path for s in expand(["**/*.jsonl"])] == ["a.jsonl", "b.jsonl", "sub/d.jsonl"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path):
    odd, other = write(tmp_path / "a[1].txt", "odd"), write(tmp_path / "a1.txt", "other")
    assert [s.path for s in expand([str(odd)])] == [str(odd)]
    assert other.exists()


def test_a_single_string_is_one_input(tmp_path):
    path = write(tmp_path / "a.txt", "x")
    assert [s.path for s in expand(str(path))] == [str(path)]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("missing.jsonl", "no such file or folder"),
        ("", "no such file or folder"),
        ("*.jsonl", "no file matches"),
        ("*.md", "no file that matches has a known extension; known: .txt .jsonl .ndjson .csv .tsv .parquet"),
        ("notes.md", "unknown extension; known: .txt .jsonl .ndjson .csv .tsv .parquet, each also with .gz or .zst"),
        ("plain.gz", "unknown extension"),
        ("empty", "no file in this folder has a known extension; known: .txt"),
        ("dangling.txt", "a link to nothing"),
        ("x" * 300, "cannot be reached"),
    ],
)
def test_refusals_name_the_path_and_the_way_out(tmp_path, monkeypatch, name, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for file in ("notes.md", "plain.gz", "empty/x.pdf"):
        (tmp_path / file).touch()
    (tmp_path / "dangling.txt").symlink_to("nowhere.txt")
    message = refusal([name])
    assert message.startswith(f"{name or repr(name)}: ")
    assert problem in message


def test_nothing_given_is_refused():
    assert "no input" in refusal([])


def test_unreadable_file_and_folder_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", "x")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "no permission" in refusal([str(path)])

    def closed(folder, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder)))

    monkeypatch.setattr(os, "walk", closed)
    assert "cannot be listed: Permission denied" in refusal([str(tmp_path)])


def test_stdin_format_is_checked():
    assert expand(["-"], stdin_format="csv.gz") == [Source("-", "csv", "gzip")]
    assert expand(["-"], stdin_format=".ndjson") == [Source("-", "jsonl")]
    assert "unknown format 'xml'" in refusal(["-"], stdin_format="xml")


def test_a_path_that_is_not_unicode_still_gives_writable_ids(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")
    try:
        Path(path).write_text("A bridge fell.")
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    [article] = read_articles(expand([path])[0], on_reject=pytest.fail)
    assert article.doc_id.encode("utf-8").endswith("/\ufffd.txt".encode())


# --- streams ---


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_bytes_come_back_whole_whatever_the_compression(tmp_path, suffix):
    data = os.urandom(3000) * 200
    path = write(tmp_path / f"a.txt{suffix}", data)
    with open_bytes(expand([str(path)])[0]) as stream:
        assert stream.head(10) == data[:10]
        assert stream.read() == data


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_files_of_several_frames_are_read_to_the_end(tmp_path, compress):
    path = tmp_path / ("a.txt.gz" if compress is gzip.compress else "a.txt.zst")
    path.write_bytes(compress(b"one ") + compress(b"") + compress(b"two"))
    with open_bytes(expand([str(path)])[0]) as stream:
        assert stream.read() == b"one two"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", [lambda d: d[:-6], lambda d: b"not compressed at all", lambda d: d + b"garbage"])
def test_damaged_compression_is_named(tmp_path, suffix, damage):
    path = write(tmp_path / f"a.txt{suffix}", os.urandom(5000))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileError, match="damaged compressed data") as caught, open_bytes(expand([str(path)])[0]) as stream:
        stream.read()
    assert isinstance(caught.value, InputError)
    assert str(path) in str(caught.value)


def test_zstd_output_does_not_pile_up(tmp_path):
    path = write(tmp_path / "a.txt.zst", b"\n" * 2**24)
    with open_bytes(expand([str(path)])[0]) as stream:
        assert sum(len(chunk) for chunk in iter(lambda: stream.read(1 << 16), b"")) == 2**24


def test_seekable_unpacks_and_stops_with_a_remedy_on_a_full_disk(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet.gz", b"0123456789")
    with open_seekable(expand([str(path)])[0]) as file:
        file.seek(5)
        assert file.read() == b"56789"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streams.shutil, "copyfileobj", full)
    with pytest.raises(InputError, match="set TMPDIR"):
        open_seekable(expand([str(path)])[0])


# --- text files ---


def test_a_text_file_is_one_article_exactly_as_it_is(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfFirst.\r\n\r\n  Second\xe2\x80\xa6\n")
    [article], rejects = read(path)
    assert (article.doc_id, article.text, article.title, dict(article.extra)) == (
        str(path),
        "First.\r\n\r\n  Second…\n",
        "",
        {},
    )
    assert rejects == []


def test_lines_of_a_text_file_are_records_with_no_split(tmp_path):
    # A NUL within the first 8 KiB would make the whole file binary.
    data = b"\xef\xbb\xbfone\r\n\n \ntwo \xff\n" + b"\n" * 9000 + b"three\x00\nfour"
    path = write(tmp_path / "a.txt", data)
    articles, rejects = read(path, lines=True)
    assert [(a.doc_id, a.text) for a in articles] == [(f"{path}:1", "one"), (f"{path}:9006", "four")]
    assert [(r.where, r.reason) for r in rejects] == [
        (f"{path}:4", errors.INVALID_UTF8),
        (f"{path}:9005", errors.NUL_BYTE),
    ]


def test_a_text_file_over_the_limit_is_cut_at_blank_lines(tmp_path, monkeypatch):
    limit_lines(monkeypatch, 21)
    parts = ["One. Two.\r\n\r\n", "Three. Four.\n\n", "Five.\n\n"]
    path = write(tmp_path / "a.txt", "".join(parts))
    articles, rejects = read(path)
    assert [a.doc_id for a in articles] == [f"{path}#1", f"{path}#2"]
    assert [a.text for a in articles] == [parts[0], parts[1] + parts[2]]
    assert rejects == []


@pytest.mark.parametrize("text", ["a line\n" * 10, "é" * 50, "x" * 99, "€" * 33, "😀" * 30])
def test_a_long_text_without_blank_lines_loses_nothing(tmp_path, monkeypatch, text):
    limit_lines(monkeypatch, 21)
    articles, rejects = read(write(tmp_path / "a.txt", text))
    assert "".join(a.text for a in articles) == text
    assert len(articles) > 3
    assert all(len(a.text.encode()) <= 21 for a in articles)
    assert rejects == []


def test_text_that_is_not_utf8_is_set_aside_with_its_line(tmp_path):
    place, reason, detail = rejected(write(tmp_path / "a.txt", b"fine\ncaf\xe9\n"))
    assert (place, reason) == ("", errors.INVALID_UTF8)
    assert "line 2, byte 9" in detail


def test_blank_text(tmp_path):
    assert rejected(write(tmp_path / "a.txt", " \n\t\n"))[:2] == ("", errors.BLANK_TEXT)


def test_nul_behind_the_head_of_a_text(tmp_path):
    assert rejected(write(tmp_path / "a.txt", b"x" * 9000 + b"\0"))[:2] == ("", errors.NUL_BYTE)


# --- whole files that can't be used ---


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.jsonl.gz", "a.csv.zst", "a.parquet.gz"])
def test_an_empty_file_is_set_aside(tmp_path, name):
    assert rejected(write(tmp_path / name, b""))[:2] == ("", errors.EMPTY_FILE)


def test_files_that_are_empty_but_for_a_mark_blank_lines_or_compression(tmp_path):
    assert rejected(write(tmp_path / "a.txt", b"\xef\xbb\xbf"))[1] == errors.EMPTY_FILE
    assert rejected(write(tmp_path / "a.csv", b"\n\n"))[1] == errors.EMPTY_FILE
    (tmp_path / "a.jsonl.gz").touch()
    assert rejected(tmp_path / "a.jsonl.gz")[1] == errors.EMPTY_FILE


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_binary_file_is_set_aside(tmp_path, name):
    assert rejected(write(tmp_path / name, b"\x7fELF" + b"\0" * 50 + LINE))[:2] == ("", errors.BINARY_FILE)


def test_utf16_is_named_with_its_remedy(tmp_path):
    _, reason, detail = rejected(write(tmp_path / "a.txt", "A bridge fell.".encode("utf-16")))
    assert reason == errors.BINARY_FILE
    assert "iconv" in detail


def test_a_file_that_vanishes_is_set_aside(tmp_path):
    path = write(tmp_path / "a.txt", "x")
    [source] = expand([str(path)])
    path.unlink()
    rejects = []
    assert list(read_articles(source, on_reject=rejects.append)) == []
    assert [(r.where, r.reason) for r in rejects] == [(str(path), errors.UNREADABLE_FILE)]


def test_an_error_of_the_disk_while_reading_is_set_aside(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", LINE)

    class Failing(io.BytesIO):
        def read1(self, size=-1):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(streams, "_open", lambda source: Failing())
    assert rejected(path)[:2] == ("", errors.UNREADABLE_FILE)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("rows", [3, 12_000])
def test_a_file_cut_short_gives_its_good_records_and_the_place_behind_them(tmp_path, suffix, rows):
    # Random ids keep the compressed size up, so that half of the bytes hold about half of the records.
    lines = b"".join(json.dumps({"id": os.urandom(8).hex(), "text": f"Sentence {n}."}).encode() + b"\n" for n in range(rows))
    path = write(tmp_path / f"a.jsonl{suffix}", lines)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if rows > 3 else whole[:-9])
    articles, [reject] = read(path)
    assert reject.reason == errors.CORRUPT_FILE
    assert reject.where == (f"{path}:{len(articles) + 1}" if articles else str(path))
    assert [a.text for a in articles] == [f"Sentence {n}." for n in range(len(articles))]
    if rows > 3:
        assert 0 < len(articles) < rows


def test_what_is_no_gzip_at_all_is_a_reject_too(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(LINE)
    assert rejected(path)[1] == errors.CORRUPT_FILE
    (tmp_path / "a.parquet.gz").write_bytes(LINE)
    assert rejected(tmp_path / "a.parquet.gz")[:2] == ("", errors.CORRUPT_FILE)


# --- JSONL ---


def test_jsonl_fields(tmp_path):
    record = {"b": [1, {"c": None}], "id": "x1", "title": "T", "text": " A. ", "date": "2024-01-02", "a": 1.5}
    path = write(tmp_path / "a.jsonl", json.dumps(record))
    [article], rejects = read(path)
    assert (article.doc_id, article.title, article.text, article.date) == ("x1", "T", " A. ", "2024-01-02")
    assert list(article.extra.items()) == [("b", [1, {"c": None}]), ("a", 1.5)]
    assert rejects == []


def test_other_field_names(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"body": "B", "head": "H", "key": 7, "day": 20240102, "text": "other", "id": "i"}')
    [article], _ = read(path, text_field="body", title_field="head", id_field="key", date_field="day")
    assert (article.text, article.title, article.doc_id, article.date) == ("B", "H", "7", "20240102")
    assert article.extra == {"text": "other", "id": "i"}


def test_one_field_may_not_serve_twice(tmp_path):
    [article], _ = read(write(tmp_path / "a.jsonl", '{"title": "H"}'), text_field="title")
    assert (article.text, article.title) == ("H", "")


@pytest.mark.parametrize(
    ("value", "doc_id"), [('"a b"', "a b"), ("12", "12"), ("3.0", "3"), ("1.5", "1.5"), ('" "', None), ("null", None)]
)
def test_ids(tmp_path, value, doc_id):
    path = write(tmp_path / "a.jsonl", f'\n{{"id": {value}, "text": "A."}}\n')
    [article], _ = read(path)
    assert article.doc_id == (doc_id or f"{path}:2")
    assert article.extra == {}


def test_an_id_or_date_that_is_a_list_or_truth_value_is_passed_through(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"id": true, "date": {"$date": 1}, "title": ["x"], "text": "A."}')
    [article], _ = read(path)
    assert (article.doc_id, article.date, article.title) == (f"{path}:1", "", "")
    assert article.extra == {"id": True, "date": {"$date": 1}, "title": ["x"]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "A."', errors.BAD_JSON),
        (b'{"text": "tab\there"}', errors.BAD_JSON),
        (b"[" * 100_000, errors.BAD_JSON),
        (b'{"text": "A.", "n": ' + b"9" * 5000 + b"}", errors.BAD_JSON),
        (b'["text"]', errors.NOT_AN_OBJECT),
        (b'"text"', errors.NOT_AN_OBJECT),
        (b'{"body": "A.", "lang": "en"}', errors.NO_TEXT),
        (b"{}", errors.NO_TEXT),
        (b'{"text": null}', errors.NULL_TEXT),
        (b'{"text": NaN}', errors.NULL_TEXT),
        (b'{"text": 5}', errors.TEXT_NOT_STRING),
        (b'{"text": ["A."], "title": "T"}', errors.TEXT_NOT_STRING),
        (b'{"text": " \\n"}', errors.BLANK_TEXT),
        (b'{"text": "", "title": " "}', errors.BLANK_TEXT),
        (b'{"text": "caf\xe9"}', errors.INVALID_UTF8),
        (b'{"text": "A\\u0000B"}', errors.NUL_BYTE),
        (b'{"text": "A", "title": "A\\u0000B"}', errors.NUL_BYTE),
        (b'{"text": "A\\ud800B"}', errors.INVALID_UNICODE),
        (b'{"text": "A", "note": ["\\uDC00"]}', errors.INVALID_UNICODE),
    ],
)
def test_jsonl_rejects_and_goes_on(tmp_path, line, reason):
    path = write(tmp_path / "a.jsonl", LINE + b"\r\n" + line + b"\n" + LINE)
    articles, [reject] = read(path)
    assert [a.doc_id for a in articles] == [f"{path}:1", f"{path}:4"]
    assert (reject.where, reject.reason) == (f"{path}:3", reason)
    assert reject.detail


def test_raw_nul_behind_the_head(tmp_path):
    path = write(tmp_path / "a.jsonl", LINE * 400 + b'{"text": "\0"}\n')
    articles, [reject] = read(path)
    assert (len(articles), reject.where, reject.reason) == (400, f"{path}:401", errors.NUL_BYTE)


def test_no_text_lists_what_is_there(tmp_path):
    path = write(tmp_path / "a.jsonl", LINE + b'{"body": "A.", "lang": "en"}')
    assert rejected(path)[2] == "no field 'text'; it has: body, lang"


def test_a_title_can_stand_for_the_text(tmp_path):
    lines = ['{"text": "A."}', '{"title": "T"}', '{"title": "T", "text": null}', '{"title": "T", "text": ""}']
    articles, rejects = read(write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert [(a.title, a.text) for a in articles] == [("", "A."), ("T", ""), ("T", ""), ("T", "")]
    assert rejects == []


def test_paired_surrogate_escapes_and_marks_between_lines_are_fine(tmp_path):
    data = b'\xef\xbb\xbf{"text": "\\ud83d\\ude00"}\r\n\xef\xbb\xbf{"text": "B"}'
    articles, rejects = read(write(tmp_path / "a.jsonl", data))
    assert [a.text for a in articles] == ["😀", "B"]
    assert rejects == []


def test_nan_elsewhere_becomes_null(tmp_path):
    [article], _ = read(write(tmp_path / "a.jsonl", '{"text": "A.", "score": NaN}'))
    assert article.extra == {"score": None}


@pytest.mark.parametrize("titled", [False, True])
def test_the_wrong_field_name_is_refused_after_twenty_records(tmp_path, titled):
    line = json.dumps({"Text": "A.", "lang": "en"} | ({"title": "T"} if titled else {})) + "\n"
    path = write(tmp_path / "a.jsonl", "\n" + line * 25 + LINE.decode())
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: no field 'text'; it has: Text, lang")
    assert "did you mean --text-field 'Text'?" in message


def test_nineteen_records_without_text_are_only_set_aside(tmp_path):
    lines = '{"title": "T"}\n' + '{"lang": "en"}\n' * 18
    articles, rejects = read(write(tmp_path / "a.jsonl", lines + LINE.decode()))
    assert [a.title or a.text for a in articles] == ["T", "A bridge fell."]
    assert [r.reason for r in rejects] == [errors.NO_TEXT] * 18
    # The same where the file ends, or breaks off, before a text turns up.
    assert len(read(write(tmp_path / "b.jsonl", lines))[0]) == 1
    cut = write(tmp_path / "c.jsonl.gz", lines)
    cut.write_bytes(cut.read_bytes()[:-4])
    articles, rejects = read(cut)
    assert [a.title for a in articles] == ["T"]
    assert rejects[-1].reason == errors.CORRUPT_FILE


def test_a_long_line_is_set_aside_without_being_held(tmp_path, monkeypatch):
    limit_lines(monkeypatch, 1 << 16)
    long = b'{"text": "' + b"x" * 2**23 + b'"}\n'
    path = write(tmp_path / "a.jsonl.gz", LINE + long + LINE + long[:-1])
    [source] = expand([str(path)])
    rejects = []
    tracemalloc.start()
    articles = list(read_articles(source, on_reject=rejects.append))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [a.doc_id for a in articles] == [f"{path}:1", f"{path}:3"]
    assert [(r.where, r.reason) for r in rejects] == [
        (f"{path}:2", errors.LINE_TOO_LONG),
        (f"{path}:4", errors.LINE_TOO_LONG),
    ]
    assert peak < 2**21


def test_a_line_of_just_the_limit_is_read(tmp_path, monkeypatch):
    limit_lines(monkeypatch, len(LINE))
    articles, rejects = read(write(tmp_path / "a.jsonl", LINE + LINE))
    assert (len(articles), rejects) == (2, [])


def test_reading_is_lazy(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", LINE * 100_000)
    taken = []
    plain = streams._plain

    def counted(file):
        for chunk in plain(file):
            taken.append(len(chunk))
            yield chunk

    monkeypatch.setattr(streams, "_plain", counted)
    articles = read_articles(expand([str(path)])[0], on_reject=pytest.fail)
    assert taken == []
    next(articles)
    assert sum(taken) <= 3 * streams.CHUNK < path.stat().st_size


# --- standard input ---


def test_stdin_is_told_by_its_first_byte(monkeypatch):
    feed(monkeypatch, b"\xef\xbb\xbf \n" + LINE)
    [article] = read_articles(Source("-", ""), on_reject=pytest.fail)
    assert (article.doc_id, article.text) == ("stdin:2", "A bridge fell.")
    feed(monkeypatch, b"A bridge {fell}.")
    [article] = read_articles(Source("-", ""), on_reject=pytest.fail)
    assert (article.doc_id, article.text) == ("stdin", "A bridge {fell}.")
    assert not sys.stdin.buffer.closed


def test_stdin_that_comes_byte_by_byte(monkeypatch):
    class Trickle(io.BytesIO):
        def read1(self, size=-1):
            return super().read1(1)

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Trickle(b" \n" + LINE + LINE)))
    articles = list(read_articles(Source("-", ""), on_reject=pytest.fail))
    assert [a.doc_id for a in articles] == ["stdin:2", "stdin:3"]


def test_stdin_in_a_given_format(monkeypatch, tmp_path):
    feed(monkeypatch, gzip.compress(b"text;n\nA.;1\n"))
    [source] = expand(["-"], stdin_format="csv.gz")
    [article] = read_articles(source, on_reject=pytest.fail)
    assert (article.doc_id, article.text, article.extra) == ("stdin:2", "A.", {"n": "1"})
    pq.write_table(pa.table({"text": ["A."]}), tmp_path / "a.parquet")
    feed(monkeypatch, (tmp_path / "a.parquet").read_bytes())
    [source] = expand(["-"], stdin_format="parquet")
    assert [a.text for a in read_articles(source, on_reject=pytest.fail)] == ["A."]


def test_binary_stdin_says_how_to_name_it(monkeypatch):
    feed(monkeypatch, gzip.compress(LINE, mtime=0))
    rejects = []
    assert list(read_articles(Source("-", ""), on_reject=rejects.append)) == []
    assert (rejects[0].where, rejects[0].reason) == ("stdin", errors.BINARY_FILE)
    assert "--format" in rejects[0].detail


# --- CSV and TSV ---


def test_csv_rows_keep_the_line_on_which_they_start(tmp_path):
    data = b'\xef\xbb\xbfid,text,tag\r\n,"one\r\ntwo, ""three""",x\r\n\r\n,four,\r\n'
    path = write(tmp_path / "a.csv", data)
    articles, rejects = read(path)
    assert [(a.doc_id, a.text, dict(a.extra)) for a in articles] == [
        (f"{path}:2", 'one\r\ntwo, "three"', {"tag": "x"}),
        (f"{path}:5", "four", {"tag": ""}),
    ]
    assert rejects == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_delimiter_is_sniffed(tmp_path, delimiter):
    rows = [["n", "text", "a,b;c|d"], ["1", "A, b; c|d", "x"]]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    [article], _ = read(write(tmp_path / "a.csv", text))
    assert (article.text, article.extra) == ("A, b; c|d", {"n": "1", "a,b;c|d": "x"})


def test_a_lone_text_column_is_not_cut_at_other_marks(tmp_path):
    articles, rejects = read(write(tmp_path / "a.csv", "text\nA; b | c\n"))
    assert [a.text for a in articles] == ["A; b | c"]
    assert rejects == []


def test_csv_rejects_and_goes_on(tmp_path):
    path = tmp_path / "a.csv"
    rows = [
        b"id,text",
        b"1,good",
        b"2",
        b"3,a,b",
        b"4,caf\xe9",
        b'5,"open " quote"',
        b"6, ",
        b"7,nul" + b"\0",
        b'8,"two\nlines"',
        b'9,"never closed',
        b"10,last",
    ]
    # Behind the head, where a NUL does not yet make the file binary.
    articles, rejects = read(write(path, b"\n".join([rows[0], b"x," + b"y" * 9000, *rows[1:]])))
    assert [a.doc_id for a in articles] == ["x", "1", "8", "10"]
    assert articles[2].text == "two\nlines"
    assert [(r.where.removeprefix(str(path)), r.reason) for r in rejects] == [
        (":4", errors.WRONG_COLUMN_COUNT),
        (":5", errors.WRONG_COLUMN_COUNT),
        (":6", errors.INVALID_UTF8),
        (":7", errors.BAD_CSV),
        (":8", errors.BLANK_TEXT),
        (":9", errors.NUL_BYTE),
        (":12", errors.BAD_CSV),
    ]
    assert rejects[1].detail == "3 fields; the header has 2"


def test_csv_lines_and_fields_without_end(tmp_path, monkeypatch):
    limit_lines(monkeypatch, 1000)
    rows = ["id,text", "1," + "x" * 2000, '2,"open', *["3,fine"] * 300, '4,"open', "5," + "x" * 2000, "6,good"]
    articles, rejects = read(write(tmp_path / "a.csv", "\n".join(rows)))
    assert [a.doc_id for a in articles] == ["3"] * 300 + ["6"]
    assert [(int(r.where.rpartition(":")[2]), r.reason) for r in rejects] == [
        (2, errors.LINE_TOO_LONG),
        (3, errors.BAD_CSV),
        (304, errors.BAD_CSV),
        (305, errors.LINE_TOO_LONG),
    ]
    assert "is a quote left open?" in rejects[1].detail


def test_a_field_longer_than_the_csv_modules_own_limit(tmp_path):
    [article], rejects = read(write(tmp_path / "a.csv", "text\n" + "x" * 200_000))
    assert (len(article.text), rejects) == (200_000, [])


@pytest.mark.parametrize(
    ("header", "seen", "hint"),
    [
        ("id,Text,lang", "id, Text, lang", "did you mean --text-field 'Text'?"),
        ("id,texts,lang", "id, texts, lang", "did you mean --text-field 'texts'?"),
        ("id,body", "id, body", "name the one to read with --text-field"),
        ("id,title", "id, title", "--text-field"),
    ],
)
def test_a_csv_without_the_column_is_refused_at_once(tmp_path, header, seen, hint):
    path = write(tmp_path / "a.csv", header + "\n1,2,3\n")
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: no field 'text'; it has: {seen}; ")
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"text,caf\xe9\nA,b\n", errors.INVALID_UTF8),
        (b'text,"never closed\nA,b\n', errors.BAD_CSV),
        (b"text,n\rA,b\r", errors.BAD_CSV),
        (b"text," + b"x" * 2000 + b"\n", errors.LINE_TOO_LONG),
    ],
)
def test_a_header_that_cannot_be_read_sets_the_file_aside(tmp_path, monkeypatch, data, reason):
    limit_lines(monkeypatch, 1000)
    assert rejected(write(tmp_path / "a.csv", data))[:2] == (":1", reason)


def test_empty_and_repeated_column_names_lose_nothing(tmp_path):
    [article], _ = read(write(tmp_path / "a.csv", ",text,x,x,x_2,text\n0,A.,1,2,3,4\n"))
    assert article.text == "A."
    assert article.extra == {"column_1": "0", "x": "1", "x_3": "2", "x_2": "3", "text_2": "4"}


def test_tsv_takes_quotes_both_ways(tmp_path):
    rows = [
        "id\ttext\tn",
        '1\t"quoted ""cell"""\t0',
        '2\t"We will fight," he said.\t0',
        '3\t"We will fight.\t0',
        '4\tWe will win."\t0',
        '5\t"one\ntwo"\t0',
        "6\t5\" shell, it's\t0",
        '7\t"open to the end\t0',
        "8\tlast\t0",
        '9\t"two',
        "10\tmore\t0",
    ]
    path = write(tmp_path / "a.tsv", "\n".join(rows))
    articles, [reject] = read(path)
    assert [(a.doc_id, a.text) for a in articles] == [
        ("1", 'quoted "cell"'),
        ("2", '"We will fight," he said.'),
        ("3", '"We will fight.'),
        ("4", 'We will win."'),
        ("5", "one\ntwo"),
        ("6", "5\" shell, it's"),
        ("7", '"open to the end'),
        ("8", "last"),
        ("10", "more"),
    ]
    assert (reject.where, reject.reason) == (f"{path}:11", errors.BAD_CSV)


def test_tsv_has_no_other_delimiter(tmp_path):
    with pytest.raises(InputError, match="no field 'text'"):
        read(write(tmp_path / "a.tsv", "id,text\n1,A.\n"))


def test_csv_cut_short_ends_with_its_last_whole_row(tmp_path):
    path = write(tmp_path / "a.csv.gz", 'id,text\n1,good\n2,"begins\nand')
    path.write_bytes(path.read_bytes()[:-8])
    articles, [reject] = read(path)
    assert [a.doc_id for a in articles] == ["1"]
    assert (reject.where, reject.reason) == (f"{path}:4", errors.CORRUPT_FILE)


# --- Parquet ---


def test_parquet_values_and_row_numbers(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "id": pa.array([1.0, None, None]),
            "date": pa.array([date(2024, 1, 2), None, date(2024, 1, 3)]),
            "text": pa.array(["A.", None, "C."]).dictionary_encode(),
            "seen": pa.array([datetime(2024, 1, 2, 3, 4)] * 3),
            "tags": [["x"], [], None],
            "tags ": [1, 2, 3],
        }
    )
    pq.write_table(table, path)
    articles, [reject] = read(path)
    assert [(a.doc_id, a.date, a.text) for a in articles] == [("1", "2024-01-02", "A."), (f"{path}:3", "2024-01-03", "C.")]
    assert articles[0].extra == {"seen": datetime(2024, 1, 2, 3, 4), "tags": ["x"], "tags_2": 1}
    assert (reject.where, reject.reason) == (f"{path}:2", errors.NULL_TEXT)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_parquet_compressed_around(tmp_path, suffix):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": pa.array([f"S{n}." for n in range(1000)], pa.large_string())}), buffer)
    articles, rejects = read(write(tmp_path / f"a.parquet{suffix}", buffer.getvalue()))
    assert [a.text for a in articles] == [f"S{n}." for n in range(1000)]
    assert rejects == []


def test_parquet_is_read_by_batches(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"S{n}." for n in range(5000)]}), path)
    sizes = []
    cells = tabular._cells
    monkeypatch.setattr(tabular, "_cells", lambda column: sizes.append(len(column)) or cells(column))
    articles = read_articles(expand([str(path)])[0], on_reject=pytest.fail)
    next(articles)
    assert sizes == [tabular.BATCH_ROWS]
    assert len(list(articles)) == 4999


def test_parquet_refusals(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"Text": ["A."], "n": [1]}), path)
    with pytest.raises(InputError, match="no field 'text'; it has: Text, n; did you mean --text-field 'Text'"):
        read(path)
    with pytest.raises(InputError, match="column 'n' holds int64, not strings"):
        read(path, text_field="n")
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(InputError, match="not a readable Parquet file") as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_damaged_parquet_pages_are_set_aside(tmp_path):
    path = tmp_path / "a.parquet"
    texts = [f"Sentence {n}." for n in range(2000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=500, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(2).column(0).data_page_offset
    data[start : start + 200] = b"\xff" * 200
    path.write_bytes(data)
    articles, [reject] = read(path)
    assert reject.reason == errors.CORRUPT_FILE
    assert [a.text for a in articles] == texts[: len(articles)]
    assert reject.where == f"{path}:{len(articles) + 1}"
    assert 0 < len(articles) <= 1000


def test_parquet_values_python_cannot_hold(tmp_path):
    path = tmp_path / "a.parquet"
    texts = pa.array([b"good", b"caf\xe9", b"late", b"deep", b"tag"], pa.binary()).view(pa.string())
    far = pa.array([0, 0, 10**15, 0, 0], pa.int64()).view(pa.timestamp("s"))
    deep = pa.ListArray.from_arrays([0, 0, 0, 0, 1, 1], far.slice(2, 1))
    tags = pa.ListArray.from_arrays([0, 0, 0, 0, 0, 1], texts.slice(1, 1))
    pq.write_table(pa.table({"text": texts, "when": far, "deep": deep, "tags": tags}), path)
    articles, rejects = read(path)
    assert [a.text for a in articles] == ["good", "late"]
    # The number of a year beyond Python's calendar is kept in Arrow's words.
    assert str(10**15) in articles[1].extra["when"]
    assert [(r.where, r.reason) for r in rejects] == [
        (f"{path}:2", errors.INVALID_UTF8),
        (f"{path}:4", errors.BAD_VALUE),
        (f"{path}:5", errors.INVALID_UTF8),
    ]
    assert rejects[1].detail.startswith("column 'deep': ")


def test_a_parquet_text_over_the_limit(tmp_path, monkeypatch):
    limit_lines(monkeypatch, 1000)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x" * 1001, "y"]}), path)
    assert rejected(path)[:2] == (":1", errors.LINE_TOO_LONG)


def test_every_reason_is_explained_once():
    constants = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, str)}
    assert constants == set(errors.REASONS)
