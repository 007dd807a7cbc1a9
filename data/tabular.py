"""The rows of tables, numbered: CSV and TSV by the csv module, Parquet by small batches."""

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .errors import (
    BAD_CSV,
    BAD_VALUE,
    CORRUPT_FILE,
    EMPTY_FILE,
    INVALID_UTF8,
    LINE_TOO_LONG,
    WRONG_COLUMN_COUNT,
    FileError,
    InputError,
    missing_field,
)
from .lines import MAX_LINE_BYTES, LineReader, RecordLines, TooLong
from .records import Reject
from .sources import Source
from .streams import ByteStream, open_seekable

DELIMITERS = ",;\t|"
BATCH_ROWS = 256
OnReject = Callable[[Reject], None]


def csv_rows(
    stream: ByteStream, name: str, *, delimiters: str, text_field: str, on_reject: OnReject
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line on which the row starts, column → cell) for each row under a header line.

    Of `delimiters` the one is taken under which the header has `text_field`, else the one that gives most columns.
    Quoting is strict: a row with a stray quote is set aside, and reading goes on with the line after it. In a TSV,
    where quotes are often plain text, such a row is cut at its tabs instead if that gives the right number of cells.

    Raises:
        InputError: the header has no `text_field`.
        FileError: the header can't be read, or the data is damaged.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_LINE_BYTES))
    lines = RecordLines(LineReader(stream, name))
    delimiter, header = _header(lines, name, delimiters, text_field)
    if text_field not in header:
        raise missing_field(name, text_field, header)

    def reject(reason: str, detail: str) -> None:
        on_reject(Reject(f"{name}:{lines.taken[0][0]}", reason, detail))

    while True:
        lines.start()
        problem: Exception | None = None
        row: list[str] = []
        try:
            row = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except (csv.Error, TooLong) as error:
            problem = error
        # In a TSV a quotation that begins in one row and ends in the next looks like a quoted cell of two lines.
        unsure = problem or (len(lines.taken) > 1 and len(header) > 1)
        if delimiter == "\t" and unsure and (cells := lines.split(len(header), among=1 if problem else None)):
            row, problem = cells, None
            lines.rewind()
        if isinstance(problem, TooLong) and len(lines.taken) == 1:
            reject(LINE_TOO_LONG, f"over {MAX_LINE_BYTES} bytes")
        elif problem:
            last = lines.taken[-1][0]
            lines.rewind()
            reject(BAD_CSV, str(problem) or f"a quoted field runs on to line {last}: is a quote left open?")
        elif not b"".join(raw or b"" for _, raw in lines.taken).strip():
            continue
        elif lines.bad_utf8:
            reject(INVALID_UTF8, "convert the file to UTF-8")
        elif len(row) != len(header):
            reject(WRONG_COLUMN_COUNT, f"{len(row)} fields; the header has {len(header)}")
        else:
            yield lines.taken[0][0], dict(zip(header, row, strict=True))


def _header(lines: RecordLines, name: str, delimiters: str, text_field: str) -> tuple[str, list[str]]:
    """The delimiter and the column names, made unique."""
    try:
        while not (first := next(lines)).strip():
            lines.start()
        best = max(delimiters, key=lambda mark: _header_rank(first, mark, text_field))
        lines.rewind(keep=0)
        lines.start()
        cells = next(csv.reader(lines, delimiter=best, strict=True))
    except StopIteration:
        raise FileError(f"{name}: no header line", reason=EMPTY_FILE, where=name) from None
    except TooLong:
        raise FileError(f"{name}: the header is too long", reason=LINE_TOO_LONG, where=f"{name}:1") from None
    except csv.Error as error:
        raise FileError(f"{name}: the header can't be read: {error}", reason=BAD_CSV, where=f"{name}:1") from error
    if lines.bad_utf8:
        message = f"{name}: the header is not UTF-8; convert the file"
        raise FileError(message, reason=INVALID_UTF8, where=f"{name}:1")
    return best, unique_names(cells)


def _header_rank(line: str, delimiter: str, text_field: str) -> tuple[bool, int]:
    try:
        cells = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:
        return (False, 0)
    return (text_field in cells, len(cells))


def unique_names(names: Sequence[str]) -> list[str]:
    """Column names of which none is empty or repeated: `column_N` for an empty one, `NAME_2` for a second NAME."""
    unique: list[str] = []
    for position, name in enumerate(names, start=1):
        base = candidate = name.strip() or f"column_{position}"
        count = 1
        while candidate in unique or (candidate != base and candidate in names):
            count += 1
            candidate = f"{base}_{count}"
        unique.append(candidate)
    return unique


def parquet_rows(source: Source, *, text_field: str, on_reject: OnReject) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the row from 1, column → value) for each row, read in small batches.

    Raises:
        InputError: not a Parquet file, no column `text_field`, or one that does not hold strings.
        FileError: the file is empty or can't be opened, or its pages are damaged.
    """
    import pyarrow as pa  # takes a good part of a second, and only Parquet needs it
    import pyarrow.parquet as pq

    with open_seekable(source) as file:
        if not file.seek(0, 2):
            raise FileError(f"{source.name}: no bytes", reason=EMPTY_FILE, where=source.name)
        file.seek(0)
        try:
            # Without pre_buffer, whole row groups are not fetched ahead.
            table = pq.ParquetFile(file, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{source.name}: not a readable Parquet file ({error}); write it again") from error
        names = unique_names(table.schema_arrow.names)
        if text_field not in names:
            raise missing_field(source.name, text_field, names)
        kind = table.schema_arrow.types[names.index(text_field)]
        value_type = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not any(check(value_type) for check in (pa.types.is_string, pa.types.is_large_string, _is_string_view)):
            raise InputError(f"{source.name}: column {text_field!r} holds {kind}, not strings; cast it to string")

        row = 0
        batches = table.iter_batches(batch_size=BATCH_ROWS, use_threads=False)
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                where = f"{source.name}:{row + 1}"
                message = f"{where}: damaged Parquet data ({error})"
                raise FileError(message, reason=CORRUPT_FILE, where=where) from error
            if batch is None:
                return
            for values in zip(*map(_cells, batch.columns), strict=True):
                row += 1
                bad = [(column, value) for column, value in zip(names, values, strict=True) if type(value) is _Bad]
                if bad:
                    column, value = bad[0]
                    on_reject(Reject(f"{source.name}:{row}", value.reason, f"column {column!r}: {value}"))
                else:
                    yield row, dict(zip(names, values, strict=True))


class _Bad(str):
    """What is wrong with a value that Python can't hold."""

    reason = BAD_VALUE


def _is_string_view(kind: Any) -> bool:
    return str(kind) == "string_view"


def _cells(column: Any) -> list[Any]:
    """The values of an Arrow column; a _Bad in place of each that can't be converted."""
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return [_cell(scalar) for scalar in column]


def _cell(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        bad = _Bad("not UTF-8")
        bad.reason = INVALID_UTF8
        return bad
    except (ValueError, OverflowError) as error:
        try:
            # Times finer than a microsecond and years beyond 9999 have a spelling, if no Python object.
            return scalar.cast("string").as_py()
        except (ValueError, NotImplementedError):
            return _Bad(error)
