"""Files of annotated sentences, ours or a user's own: what is the text, what are the labels, which task is it."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .annotated_table import read_table
from .codebook import Codebook
from .errors import InputError
from .normalise import text_hash
from .records import NONE

TEXT_NAMES = ("text", "sentence", "content", "body", "headline", "title", "tweet", "notes", "description")
LABEL_NAMES = ("labels", "label", "class", "category", "event_type", "target", "y")
SEPARATORS = re.compile(r"\s*[|;]\s*")
FALSE, TRUE = {"0", "0.0", "false", "no", ""}, {"1", "1.0", "true", "yes"}

SINGLE, MULTI = "single_label", "multi_label"


@dataclass(frozen=True, slots=True)
class Annotated:
    """A sentence with its gold labels.

    Attributes:
        labels: primary first where the file says so; empty for none.
        group: sentences of one group (an article, an outlet's day) never part between splits.
        where: `FILE:LINE`, for error messages.
    """

    text: str
    labels: tuple[str, ...]
    group: str
    where: str
    source: str = ""

    @property
    def id(self) -> str:
        """The hash of the normalised text."""
        return text_hash(self.text)

    @property
    def primary(self) -> str:
        """The first label, or `none`."""
        return self.labels[0] if self.labels else NONE


@dataclass(frozen=True, slots=True)
class AnnotatedFile:
    """All annotated sentences of a file and what the file itself says of its task.

    Attributes:
        task: `single_label` where every row has exactly one label out of one column, else `multi_label`.
        ordered: whether the order of a row's labels carries the primary label.
        names: the labels in order: of the label columns, else sorted.
    """

    rows: tuple[Annotated, ...]
    task: str
    ordered: bool
    names: tuple[str, ...]


def read_annotated(
    path: str | Path, *, text_column: str | None = None, label_columns: Sequence[str] = (), task: str | None = None
) -> AnnotatedFile:
    """Read a CSV, TSV, JSONL or Parquet file of annotated sentences.

    The text column is the one asked for, or the first of the usual names, or the column with the longest values. The
    labels are the columns asked for; or one column of the usual names (a string, an `a|b` string, or a list); or all
    columns that hold nothing but 0 and 1. A table without a header is recognised by its first row.

    Raises:
        InputError: the file can't be read, or the text or the labels can't be told; the message says how to name them.
    """
    path = Path(path)
    columns, rows, lines = _load(path, wanted=[c for c in (text_column, *label_columns) if c])
    if not rows:
        raise InputError(f"{path}: no rows; expected one annotated sentence a row")
    text = _text_column(path, columns, rows, text_column, label_columns)
    chosen = _label_columns(path, columns, rows, text, label_columns)
    if len(chosen) > 1 or (task == MULTI and _is_binary(rows, chosen[0]) and chosen[0] not in LABEL_NAMES):
        found, kind, ordered = _from_flags(path, rows, chosen, lines), MULTI, False
        names = tuple(chosen)
    else:
        found, kind, ordered = _from_lists(rows, chosen[0], task)
        names = tuple(sorted({label for labels in found for label in labels}))
    if task is not None and task not in (SINGLE, MULTI):
        raise InputError(f"task {task!r} is unknown; use {SINGLE} or {MULTI}")
    if task == SINGLE and any(len(labels) != 1 for labels in found):
        line = next(line for line, labels in zip(lines, found, strict=True) if len(labels) != 1)
        raise InputError(f"{path}:{line}: single_label needs exactly one label a row; use --task multi_label")
    annotated = []
    for line, row, labels in zip(lines, rows, found, strict=True):
        value = row.get(text)
        if not isinstance(value, str) or not value.strip():
            continue
        annotated.append(Annotated(value, labels, _group(row), f"{path}:{line}", str(row.get("source") or "")))
    return AnnotatedFile(tuple(annotated), task or kind, ordered, names)


def check_labels(rows: Iterable[Annotated], codebook: Codebook) -> None:
    """Raise CodebookError, naming file and line, for the first label that is not in the codebook."""
    for row in rows:
        codebook.check(row.labels, row.where)


def _load(path: Path, wanted: Sequence[str]) -> tuple[list[str], list[dict], list[int]]:
    """Columns in order, rows as dicts, and the line number of each row."""
    suffix = path.suffix.lower()
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        if suffix in (".jsonl", ".ndjson"):
            rows, lines = [], []
            for number, line in enumerate(path.read_bytes().splitlines(), 1):
                if line.strip():
                    try:
                        row = json.loads(line)
                    except ValueError as error:
                        raise InputError(f"{path}:{number}: not valid JSON ({error}); mend or delete the line") from None
                    if not isinstance(row, dict):
                        raise InputError(f"{path}:{number}: not a JSON object; write one object a line")
                    rows.append(row)
                    lines.append(number)
            return list(dict.fromkeys(key for row in rows for key in row)), rows, lines
        if suffix == ".parquet":
            table = pq.read_table(path)
            return table.column_names, table.to_pylist(), list(range(1, table.num_rows + 1))
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read ({error})") from None
    if suffix in (".csv", ".tsv"):
        return read_table(path, wanted, known=(*TEXT_NAMES, *LABEL_NAMES))
    raise InputError(f"{path}: unknown extension {suffix!r}; annotated sentences come as .csv, .tsv, .jsonl or .parquet")


def _text_column(path: Path, columns: list[str], rows: list[dict], asked: str | None, labels: Sequence[str]) -> str:
    for name in [asked, *labels]:
        if name and name not in columns:
            raise InputError(f"{path}: no column {name!r}; it has {', '.join(map(repr, columns))}")
    if asked:
        return asked
    lower = {name.lower(): name for name in reversed(columns)}
    for name in TEXT_NAMES:
        if name in lower and lower[name] not in labels:
            return lower[name]
    taken = {*labels, *(name for name in columns if name.lower() in LABEL_NAMES)}
    length = {c: sum(len(r[c]) for r in rows[:500] if isinstance(r.get(c), str)) for c in columns if c not in taken}
    best = max(length, key=length.__getitem__, default="")
    if not best or not length[best]:
        raise InputError(f"{path}: no column of text; name it with --text-column (columns: {', '.join(map(repr, columns))})")
    return best


def _label_columns(path: Path, columns: list[str], rows: list[dict], text: str, asked: Sequence[str]) -> list[str]:
    if asked:
        return list(asked)
    lower = {name.lower(): name for name in reversed(columns)}
    for name in LABEL_NAMES:
        if name in lower and lower[name] != text:
            return [lower[name]]
    flags = [c for c in columns if c != text and _is_binary(rows, c)]
    if flags:
        return flags
    rest = [c for c in columns if c != text]
    if len(rest) == 1:
        return rest
    raise InputError(
        f"{path}: can't tell which columns hold the labels; name them with --label-column "
        f"(columns: {', '.join(map(repr, columns))})"
    )


def _is_binary(rows: list[dict], column: str) -> bool:
    values = {_flag(row, column) for row in rows}
    return values <= (FALSE | TRUE) and bool(values & TRUE or values & FALSE - {""})


def _flag(row: dict, column: str) -> str:
    return "" if row.get(column) is None else str(row[column]).strip().lower()


def _from_flags(path: Path, rows: list[dict], chosen: list[str], lines: list[int]) -> list[tuple[str, ...]]:
    found = []
    for number, row in zip(lines, rows, strict=True):
        labels = []
        for column in chosen:
            value = _flag(row, column)
            if value in TRUE:
                labels.append(column)
            elif value not in FALSE:
                raise InputError(f"{path}:{number}: column {column!r} holds {value!r}; label columns hold 0 or 1")
        found.append(tuple(labels))
    return found


def _from_lists(rows: list[dict], column: str, task: str | None) -> tuple[list[tuple[str, ...]], str, bool]:
    values = [row.get(column) for row in rows]
    as_list = any(isinstance(value, list) for value in values)
    found = []
    for value in values:
        if isinstance(value, list):
            parts = [str(part).strip() for part in value]
        else:
            text = "" if value is None else str(value).strip()
            if text.startswith("[") and text.endswith("]"):
                parts, as_list = [part.strip(" '\"") for part in text[1:-1].split(",")], True
            else:
                parts = SEPARATORS.split(text)
        found.append(tuple(dict.fromkeys(part for part in parts if part and (part.lower() != NONE or not as_list))))
    single = task != MULTI and not as_list and all(len(labels) == 1 for labels in found)
    if not single:
        found = [tuple(label for label in labels if label.lower() != NONE) for labels in found]
    return found, SINGLE if single else MULTI, not single


def _group(row: dict) -> str:
    for key in ("group", "doc_id", "article_id", "document", "pair"):
        if row.get(key):
            return f"{key}:{row[key]}"
    if row.get("date") and (row.get("outlet") or row.get("source")):
        return f"{row.get('source')}|{row.get('outlet')}|{row['date']}"
    return ""
