"""Sources → articles, lazily and in constant memory; what can't be used is set aside with a reason (errors.REASONS)."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isnan
from typing import Any

from .errors import (
    BAD_JSON,
    BINARY_FILE,
    BLANK_TEXT,
    EMPTY_FILE,
    INVALID_UNICODE,
    INVALID_UTF8,
    LINE_TOO_LONG,
    NO_TEXT,
    NOT_AN_OBJECT,
    NUL_BYTE,
    NULL_TEXT,
    TEXT_NOT_STRING,
    FileError,
    missing_field,
)
from .lines import MAX_LINE_BYTES, LineReader
from .records import Article, Reject
from .sources import STDIN, Source
from .streams import ByteStream, open_bytes
from .tabular import DELIMITERS, OnReject, csv_rows, parquet_rows

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 8192
FIRST_RECORDS = 20


@dataclass(frozen=True, slots=True)
class _Fields:
    """The names under which a record keeps what an article needs."""

    text: str
    title: str
    id: str
    date: str


def read_articles(
    source: Source,
    *,
    text_field: str = "text",
    title_field: str = "title",
    id_field: str = "id",
    date_field: str = "date",
    lines: bool = False,
    on_reject: OnReject,
) -> Iterator[Article]:
    """The articles of one source; each record that can't be used goes to `on_reject` instead.

    A record needs text, or a title in its place. Its id is that of its id field, else `FILE:LINE` (`FILE:ROW` for
    Parquet); every field that is not text, title, id or date is passed through in `extra`.
    A text file is one article named by its path; one over MAX_LINE_BYTES is cut at blank lines into `PATH#1`, `PATH#2`
    and so on. With `lines`, each of its non-blank lines is one record `PATH:LINE`.

    Raises:
        InputError: the text field is in no column, or in none of the first 20 JSON objects; or a Parquet file that is
            none. Everything else that is wrong with a file or record is a reject.
    """
    fields = _Fields(text_field, title_field, id_field, date_field)
    try:
        if source.format == "parquet":
            rows = parquet_rows(source, text_field=text_field, on_reject=on_reject)
            yield from _usable((_article(row, source.name, n, fields) for n, row in rows), on_reject)
            return
        with open_bytes(source) as stream:
            kind = _check_head(source, stream)
            if kind == "jsonl":
                yield from _jsonl(stream, source.name, fields, on_reject)
            elif kind == "txt":
                read = _text_lines if lines else _text_blocks
                yield from _usable(read(stream, source.name), on_reject)
            else:
                marks = DELIMITERS if kind == "csv" else "\t"
                table = csv_rows(stream, source.name, delimiters=marks, text_field=text_field, on_reject=on_reject)
                yield from _usable((_article(row, source.name, n, fields) for n, row in table), on_reject)
    except FileError as error:
        on_reject(Reject(error.where, error.reason, str(error).removeprefix(f"{source.name}: ")))


def _check_head(source: Source, stream: ByteStream) -> str:
    """The format, told by the first byte where it is not known. Skips a byte order mark.

    Raises:
        FileError: nothing in the file, or something that is not UTF-8 text.
    """
    head = stream.head(HEAD_BYTES)
    if not head:
        stream.read(1)  # raises what kept the stream from giving anything, if that is why
    if not head.removeprefix(BOM):
        raise FileError(f"{source.name}: no bytes", reason=EMPTY_FILE, where=source.name)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = f"{source.name}: UTF-16; convert it with iconv -f UTF-16 -t UTF-8"
        raise FileError(message, reason=BINARY_FILE, where=source.name)
    if b"\0" in head:
        hint = "; say with --format what it is" if source.path == STDIN else ""
        raise FileError(f"{source.name}: binary data, not text{hint}", reason=BINARY_FILE, where=source.name)
    if head.startswith(BOM):
        stream.read(len(BOM))
    return source.format or ("jsonl" if head.removeprefix(BOM).lstrip().startswith(b"{") else "txt")


def _usable(results: Iterable[Article | Reject], on_reject: OnReject) -> Iterator[Article]:
    for result in results:
        if isinstance(result, Reject):
            on_reject(result)
        else:
            yield result


def _jsonl(stream: ByteStream, name: str, fields: _Fields, on_reject: OnReject) -> Iterator[Article]:
    # Articles are held back until one record has the text field: if the first 20 have none, its name is wrong, and
    # their titles must not be labelled as if they were all there is.
    held: list[Article] = []
    seen: dict[str, None] = {}
    lacking = 0
    settled = False
    lines = LineReader(stream, name)
    try:
        for raw in lines:
            record = _json_object(raw, f"{name}:{lines.line}")
            if record is None:
                continue
            if isinstance(record, Reject):
                on_reject(record)
                continue
            if not settled and fields.text in record:
                settled = True
                yield from held
                held.clear()
            elif not settled:
                lacking += 1
                seen |= dict.fromkeys(record)
                if lacking == FIRST_RECORDS:
                    raise missing_field(name, fields.text, seen)
            result = _article(record, name, lines.line, fields)
            if isinstance(result, Reject):
                on_reject(result)
            elif settled:
                yield result
            else:
                held.append(result)
    except FileError:
        yield from held
        raise
    yield from held


def _json_object(raw: bytes | None, where: str) -> dict[str, Any] | Reject | None:
    """The object on a line; None for a blank line."""
    if raw is None:
        return Reject(where, LINE_TOO_LONG, f"over {MAX_LINE_BYTES} bytes")
    if not (raw := raw.removeprefix(BOM)).strip():
        return None
    if b"\0" in raw:
        return Reject(where, NUL_BYTE, "in the line")
    try:
        # NaN is not JSON, but much of what Python writes has it; null is what it means.
        record = json.loads(raw.decode("utf-8"), parse_constant=lambda _: None)
    except UnicodeDecodeError as error:
        return Reject(where, INVALID_UTF8, f"byte {error.start + 1} of the line: {error.reason}")
    except (ValueError, RecursionError) as error:
        return Reject(where, BAD_JSON, str(error))
    if not isinstance(record, dict):
        return Reject(where, NOT_AN_OBJECT, f"a {type(record).__name__}")
    if b"\\u" in raw:
        try:
            json.dumps(record, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            return Reject(where, INVALID_UNICODE, "an unpaired \\ud800 to \\udfff escape")
    return record


def _text_lines(stream: ByteStream, name: str) -> Iterator[Article | Reject]:
    lines = LineReader(stream, name)
    for raw in lines:
        where = f"{name}:{lines.line}"
        if raw is None:
            yield Reject(where, LINE_TOO_LONG, f"over {MAX_LINE_BYTES} bytes")
        elif raw.strip():
            yield _text_article(raw.rstrip(b"\r\n"), where)


def _text_blocks(stream: ByteStream, name: str) -> Iterator[Article | Reject]:
    limit = MAX_LINE_BYTES
    rest, number = b"", 0
    while block := rest + stream.read(limit + 1 - len(rest)):
        cut = len(block) if len(block) <= limit else _block_end(block[:limit])
        block, rest = block[:cut], block[cut:]
        number += 1
        yield _text_article(block, f"{name}#{number}" if rest or number > 1 else name)


def _block_end(block: bytes) -> int:
    """Where to cut: behind the last blank line, else behind the last line, else before the last character."""
    for gaps in ((b"\n\n", b"\n\r\n"), (b"\n",)):
        if end := max(block.rfind(gap) + len(gap) if gap in block else 0 for gap in gaps):
            return end
    end = len(block) - 1
    while end > len(block) - 4 and block[end] & 0xC0 == 0x80:
        end -= 1
    return max(end, 1)


def _text_article(raw: bytes, where: str) -> Article | Reject:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Reject(where, INVALID_UTF8, f"line {line}, byte {error.start + 1}: {error.reason}; convert it to UTF-8")
    problem = _text_problem(text)
    return Reject(where, *problem) if problem else Article(where, text)


def _article(record: Mapping[str, Any], name: str, line: int, fields: _Fields) -> Article | Reject:
    """The article in a record: what is not used for its text, title, id and date is passed through."""
    where = f"{name}:{line}"
    extra = dict(record)
    missing = fields.text not in extra
    text = extra.pop(fields.text, None)
    title, doc_id, day = (_take(extra, field) for field in (fields.title, fields.id, fields.date))
    if text is not None and not isinstance(text, str):
        return Reject(where, TEXT_NOT_STRING, f"field {fields.text!r} is a {type(text).__name__}")
    if missing and not title.strip():
        return Reject(where, NO_TEXT, f"no field {fields.text!r}; it has: {', '.join(list(record)[:20]) or 'none'}")
    if text is None and not title.strip():
        return Reject(where, NULL_TEXT, f"field {fields.text!r} is null")
    problem = _text_problem(text or "", title)
    return Reject(where, *problem) if problem else Article(doc_id.strip() or where, text or "", title, day, extra)


def _text_problem(text: str, title: str = "") -> tuple[str, str] | None:
    if not (text.strip() or title.strip()):
        return BLANK_TEXT, "nothing but white space"
    if "\0" in text or "\0" in title:
        return NUL_BYTE, "in the text" if "\0" in text else "in the title"
    if len(text) > MAX_LINE_BYTES:
        return LINE_TOO_LONG, f"over {MAX_LINE_BYTES} characters"
    return None


def _take(record: dict[str, Any], field: str) -> str:
    """Takes a field out of a record as a string; leaves a value there that has no plain spelling, such as a list."""
    value = record.get(field)
    if isinstance(value, float):
        value = None if isnan(value) else int(value) if value.is_integer() else value
    if isinstance(value, bool) or not isinstance(value, str | int | float | date | Decimal | None):
        return ""
    record.pop(field, None)
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
