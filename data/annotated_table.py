"""CSV and TSV of annotated sentences, with or without a header."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from .errors import InputError

_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def read_table(path: Path, wanted: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[dict], list[int]]:
    """Read the whole table.

    A first row is taken for a header where it holds a wanted or a well-known column name, or where its cells look unlike
    the column below them. Without a header the columns are named `column_1`, `column_2`, …

    Returns:
        Column names, rows as dicts, and the line on which each row ends.

    Raises:
        InputError: can't be opened, not UTF-8, a quote is left open, or a row has another number of cells than the first.
    """
    csv.field_size_limit(2**31 - 1)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: not valid UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from None
    delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(text)
    # A TSV often comes from tools that don't quote; there a stray quote must not swallow the rows after it.
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" and not _is_quoted(text) else csv.QUOTE_MINIMAL
    cells, lines = [], []
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, quoting=quoting, strict=True)
    ended = 0
    try:
        for row in reader:
            ended = reader.line_num
            if any(cell.strip() for cell in row):
                cells.append(row)
                lines.append(ended)
    except csv.Error as error:
        raise InputError(f"{path}:{ended + 1}: {error}; is a quote left open, or one within a cell not doubled?") from None
    if not cells:
        return [], [], []
    width = len(cells[0])
    for row, line in zip(cells, lines, strict=True):
        if len(row) != width:
            raise InputError(
                f"{path}:{line}: {len(row)} cells where the first row has {width}; quote cells that hold the delimiter"
            )
    header = _has_header(cells, {*wanted, *known})
    names = [name.strip() for name in cells[0]] if header else [f"column_{i}" for i in range(1, width + 1)]
    if len(set(names)) < width:
        raise InputError(f"{path}:{lines[0]}: two columns of the same name in the header: {', '.join(names)}")
    skip = 1 if header else 0
    return names, [dict(zip(names, row, strict=True)) for row in cells[skip:]], lines[skip:]


def _delimiter(text: str) -> str:
    head = text.split("\n", 1)[0]
    counts = {mark: head.count(mark) for mark in ",;\t|"}
    return max(counts, key=counts.__getitem__)


def _is_quoted(text: str) -> bool:
    """Whether quotes around cells belong to the format: each cell that begins with one is quoted whole."""
    rows = [line.split("\t") for line in text.split("\n") if line.strip()]
    if len({len(row) for row in rows}) > 1:
        return True  # only a quoted cell can hold a tab or a line end
    return all(_QUOTED.fullmatch(cell) for row in rows for cell in row if cell.startswith('"'))


def _has_header(cells: list[list[str]], names: set[str]) -> bool:
    first = [cell.strip() for cell in cells[0]]
    if any(cell in names or cell.lower() in names for cell in first):
        return True
    if len(set(first)) < len(first) or any(_is_number(cell) or not cell for cell in first):
        return False
    # A header's cells are short and none of them turns up as a value further down.
    values = [{row[i].strip() for row in cells[1:]} for i in range(len(first))]
    return all(len(cell) <= 40 and cell not in column for cell, column in zip(first, values, strict=True))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
