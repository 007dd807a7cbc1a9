"""Labelled sentences → Parquet, JSONL or CSV, in one piece or not at all; and the list of what was set aside."""

import base64
import csv
import errno
import gzip
import io
import json
import os
import re
import secrets
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, time
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import numpy as np
import zstandard

from .errors import InputError
from .records import Labelled, Reject, Sentence

STDOUT = "-"
OVERFLOW = "extra"
COLUMNS = (
    *("doc_id", "sentence_id", "part", "start", "end", "text"),
    *("labels", "primary", "confidence", "scores", "abstained", "windows", "date"),
)
KNOWN = "known: .parquet, .jsonl and .csv, the last two also with .gz or .zst"
GROUP_ROWS = 50_000
GROUP_CHARS = 128 * 2**20


class Row(NamedTuple):
    """One line of output: a sentence, what the model says of it, and what its article brought along."""

    sentence: Sentence
    labelled: Labelled
    article_date: str
    extra: Mapping[str, Any]


def output_kind(path: str, format: str | None = None) -> tuple[str, str]:
    """(`parquet`, `jsonl` or `csv`; `gz`, `zst` or empty) of an output path, or of the `format` given instead.

    Raises:
        InputError: an unknown extension or format, or compression on top of Parquet's own.
    """
    if path == STDOUT and not format:
        return "jsonl", ""
    match = re.search(r"\.(parquet|jsonl|ndjson|csv)(?:\.(gz|zst))?$", f".{format.lstrip('.')}" if format else path.lower())
    if not match:
        raise InputError(f"{path}: unknown output format{f' {format!r}' if format else ''}; {KNOWN}")
    kind, compression = match[1].replace("ndjson", "jsonl"), match[2] or ""
    if kind == "parquet" and (compression or path == STDOUT):
        raise InputError(f"{path}: Parquet is compressed within and needs a file: end the path with .parquet alone")
    return kind, compression


def open_writer(
    path: str,
    *,
    label_names: Sequence[str],
    format: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> "Writer":
    """A writer to `path` (`-`: JSONL to standard output), to be used in a `with` block.

    The output appears under its name only when the block ends without an exception; until then, and after one, what
    was there stays. Columns: COLUMNS (in CSV `score_LABEL` for each label in place of `scores`), then the fields passed
    through. A field with the name of a column of ours is written as `in_NAME`. CSV joins the labels with `|`.
    Parquet and CSV have the same columns in every row, so there the fields and their types (bool, int, float, string,
    else JSON) are those of the first GROUP_ROWS rows; a field that turns up later, or a value that does not fit, goes
    into the last column, `extra`, a JSON object. `metadata` goes into the Parquet file's key-value metadata.

    Raises:
        InputError: the format is unknown, or the file can't be written there.
    """
    if not label_names:
        raise ValueError("label_names is empty")
    kind, compression = output_kind(path, format)
    target = _Target(path, compression)
    if kind == "jsonl":
        return _JsonlWriter(target, label_names)
    return _CsvWriter(target, label_names) if kind == "csv" else _ParquetWriter(target, label_names, metadata or {})


@contextmanager
def _named_errors(path: str) -> Iterator[None]:
    """Turns the system's refusals into an InputError that says what to do; a closed pipe stays a BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "no space left on the disk; free some or write elsewhere. Nothing was written under this name"
        else:
            message = f"cannot be written: {error.strerror or error}; choose another place or change its permissions"
        raise InputError(f"{path}: {message}") from error


class _Target:
    """Bytes on their way to a file: written beside it under a hidden name, then moved into place, or removed."""

    def __init__(self, path: str, compression: str) -> None:
        self.path = path
        self._final: Path | None = None
        if path == STDOUT:
            self._raw: IO[bytes] = sys.stdout.buffer
        else:
            # Through a link, the file it points to is replaced, not the link.
            self._final = final = Path(os.path.realpath(path))
            with _named_errors(path):
                if final.is_dir():
                    raise InputError(f"{path}: is a folder; name a file in it")
                if not final.parent.is_dir():
                    raise InputError(f"{path}: there is no folder {final.parent}; make it first")
                if final.exists() and not final.is_file():
                    raise InputError(f"{path}: not an ordinary file; use - for standard output")
                if final.exists() and not os.access(final, os.W_OK):
                    raise InputError(f"{path}: no permission to replace it; change its mode or choose another name")
                # Process ids repeat across containers that share a folder, hence the random part.
                self._partial = final.parent / f".{final.name}.partial-{os.getpid()}-{secrets.token_hex(4)}"
                self._raw = _create(self._partial)
        self.file: Any = self._raw
        if compression == "gz":
            self.file = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        elif compression == "zst":
            self.file = zstandard.ZstdCompressor().stream_writer(self._raw, closefd=False)

    def commit(self) -> None:
        if self.file is not self._raw:
            self.file.close()
        self._raw.flush()
        if self._final is None:
            return
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._partial.replace(self._final)
        # Makes the new name last through a power cut; some file systems can't do it, and the data is safe without.
        with suppress(OSError):
            folder = os.open(self._final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def abort(self) -> None:
        for close in (self.file.close, self._raw.close) if self._final else (self._raw.flush,):
            with suppress(Exception):
                close()
        if self._final:
            self._partial.unlink(missing_ok=True)


def _create(path: Path) -> IO[bytes]:
    return path.open("xb")


class Writer(ABC):
    """Writes rows to one output. Use it in a `with` block: only the end of the block puts the output in place.

    Attributes:
        rows: how many rows were written so far.
    """

    def __init__(self, target: _Target, label_names: Sequence[str]) -> None:
        self.rows = 0
        self._target = target
        self._labels = tuple(label_names)
        reserved = (*COLUMNS, OVERFLOW, *(f"score_{label}" for label in self._labels))
        self._reserved = re.compile(rf"(in_)*({'|'.join(map(re.escape, reserved))})")
        self._last: tuple[Mapping[str, Any], dict[str, Any], int] = ({}, {}, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                with _named_errors(self._target.path):
                    self._finish()
                    self._target.commit()
        except BaseException:
            self._abort()
            raise
        if kind is not None:
            self._abort()

    def write(self, rows: Sequence[Row]) -> None:
        """Adds rows.

        Raises:
            InputError: no space left, or another refusal of the system.
        """
        with _named_errors(self._target.path):
            self._add(rows)
        self.rows += len(rows)

    @abstractmethod
    def _add(self, rows: Sequence[Row]) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    def _abort(self) -> None:
        self._target.abort()

    def _passed(self, extra: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """The passed-through fields under their output names, as plain values, and their size in characters."""
        # All sentences of an article share one mapping.
        if self._last[0] is not extra:
            # in_in_text for a field in_text: no two names can meet, whatever the other fields are.
            named = {f"in_{name}" if self._reserved.fullmatch(name) else name: _plain(v) for name, v in extra.items()}
            self._last = (extra, named, len(_json(_finite(named))))
        return self._last[1:]


class _JsonlWriter(Writer):
    def _add(self, rows: Sequence[Row]) -> None:
        lines = []
        for row in rows:
            scores = map(_rounded, _scores(row.labelled, self._labels))
            ours = (*_left(row), list(row.labelled.labels), row.labelled.primary, _rounded(row.labelled.confidence))
            values = (*ours, dict(zip(self._labels, scores, strict=True)), *_right(row))
            lines.append(_json(dict(zip(COLUMNS, values, strict=True)) | _finite(self._passed(row.extra)[0])) + "\n")
        self._target.file.write("".join(lines).encode("utf-8"))
        if self._target.path == STDOUT:
            self._target.file.flush()

    def _finish(self) -> None: ...


class _TableWriter(Writer):
    """Rows in groups of GROUP_ROWS, or fewer where they are large; the first group settles the columns."""

    def __init__(self, target: _Target, label_names: Sequence[str]) -> None:
        super().__init__(target, label_names)
        self._group: list[Row] = []
        self._group_extras: list[dict[str, Any]] = []
        self._chars = 0
        self._kinds: dict[str, str] | None = None

    def _add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            passed, chars = self._passed(row.extra)
            self._group.append(row)
            self._group_extras.append(passed)
            self._chars += len(row.sentence.text) + chars
            if len(self._group) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
                self._flush()

    def _finish(self) -> None:
        if self._group or self._kinds is None:
            self._flush()

    def _flush(self) -> None:
        if self._kinds is None:
            self._kinds = column_kinds(self._group_extras)
            self._begin(self._kinds)
        extras = [fit(passed, self._kinds) for passed in self._group_extras]
        self._write_group(self._group, extras)
        self._group, self._group_extras, self._chars = [], [], 0

    @abstractmethod
    def _begin(self, kinds: Mapping[str, str]) -> None: ...

    @abstractmethod
    def _write_group(self, rows: Sequence[Row], extras: Sequence[Sequence[Any]]) -> None: ...


class _CsvWriter(_TableWriter):
    def _begin(self, kinds: Mapping[str, str]) -> None:
        scores = [f"score_{label}" for label in self._labels]
        at = COLUMNS.index("scores")
        self._lines([[*COLUMNS[:at], *scores, *COLUMNS[at + 1 :], *kinds, OVERFLOW]])

    def _write_group(self, rows: Sequence[Row], extras: Sequence[Sequence[Any]]) -> None:
        lines = []
        for row, extra in zip(rows, extras, strict=True):
            said = ("|".join(row.labelled.labels), row.labelled.primary, _rounded(row.labelled.confidence))
            scores = map(_rounded, _scores(row.labelled, self._labels))
            lines.append([*_left(row), *said, *scores, *_right(row), *extra])
        self._lines(lines)

    def _lines(self, lines: Iterable[Sequence[Any]]) -> None:
        # The csv module quotes carriage returns only where they are part of its line end, hence its default, CRLF.
        text = io.StringIO(newline="")
        csv.writer(text).writerows([str(cell).lower() if isinstance(cell, bool) else cell for cell in line] for line in lines)
        self._target.file.write(text.getvalue().encode("utf-8"))


class _ParquetWriter(_TableWriter):
    def __init__(self, target: _Target, label_names: Sequence[str], metadata: Mapping[str, str]) -> None:
        super().__init__(target, label_names)
        self._metadata = dict(metadata)
        self._file: Any = None

    def _begin(self, kinds: Mapping[str, str]) -> None:
        import pyarrow as pa  # takes a good part of a second, and only Parquet needs it
        import pyarrow.parquet as pq

        string, int32, float32 = pa.string(), pa.int32(), pa.float32()
        scores = pa.struct([(label, float32) for label in self._labels])
        ours = [string, int32, string, int32, int32, string, pa.list_(string), string, float32, scores, pa.bool_()]
        types = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
        fields = [*zip(COLUMNS, [*ours, int32, string], strict=True)]
        fields += [(name, types.get(kind, string)) for name, kind in kinds.items()] + [(OVERFLOW, string)]
        self._schema = pa.schema(fields, metadata=self._metadata)
        self._file = pq.ParquetWriter(self._target.file, self._schema, compression="zstd")

    def _write_group(self, rows: Sequence[Row], extras: Sequence[Sequence[Any]]) -> None:
        import pyarrow as pa

        if not rows:
            return
        by_label = np.array([_scores(row.labelled, self._labels) for row in rows]).round(4).astype(np.float32).T
        scores = pa.StructArray.from_arrays([pa.array(cells) for cells in by_label], names=self._labels)
        lines = []
        for row, extra in zip(rows, extras, strict=True):
            said = row.labelled
            lines.append([*_left(row), said.labels, said.primary, _rounded(said.confidence), None, *_right(row), *extra])
        columns: list[Any] = list(zip(*lines, strict=True))
        columns[COLUMNS.index("scores")] = scores
        arrays = [pa.array(cells, kind) for cells, kind in zip(columns, self._schema.types, strict=True)]
        self._file.write_table(pa.Table.from_arrays(arrays, schema=self._schema), row_group_size=len(rows))

    def _finish(self) -> None:
        super()._finish()
        self._file.close()

    def _abort(self) -> None:
        if self._file is not None:
            with suppress(Exception):
                self._file.close()
        super()._abort()


def _left(row: Row) -> tuple[Any, ...]:
    sentence = row.sentence
    return sentence.doc_id, sentence.sentence_id, sentence.part, sentence.start, sentence.end, sentence.text


def _right(row: Row) -> tuple[Any, ...]:
    return row.labelled.abstained, row.labelled.windows, row.article_date


def _scores(labelled: Labelled, label_names: tuple[str, ...]) -> list[float]:
    """The scores in the order of `label_names`."""
    scores = labelled.scores
    if tuple(scores) == label_names:
        return list(scores.values())
    if wrong := scores.keys() ^ set(label_names):
        raise ValueError(f"scores and label_names differ in: {', '.join(sorted(wrong))}")
    return [scores[label] for label in label_names]


def _rounded(value: float) -> float:
    return round(float(value), 4)


def column_kinds(extras: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Field name → bool, int, float, string or json: the first that holds all its values; string if all are null."""
    values: dict[str, list[Any]] = {}
    for extra in extras:
        for name, value in extra.items():
            cells = values.setdefault(name, [])
            if value is not None:
                cells.append(value)
    kinds = ("bool", "int", "float", "string", "json")
    return {
        name: next(kind for kind in kinds if all(_fits(value, kind) for value in cells)) if cells else "string"
        for name, cells in values.items()
    }


def fit(extra: Mapping[str, Any], kinds: Mapping[str, str]) -> list[Any]:
    """One row's cells for the columns `kinds`, then the rest: a JSON object of what fits in none of them, or None."""
    rest = {name: v for name, v in extra.items() if name not in kinds or not (v is None or _fits(v, kinds[name]))}
    cells = []
    for name, kind in kinds.items():
        value = None if name in rest else extra.get(name)
        cells.append(_json(_finite(value)) if kind == "json" and value is not None else value)
    return [*cells, _json(_finite(rest)) if rest else None]


def _fits(value: Any, kind: str) -> bool:
    if kind == "json":
        return True
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if kind == "string":
        return isinstance(value, str)
    if kind == "float" and isinstance(value, float):
        return True
    # A float column keeps whole numbers exactly only up to 2⁵³.
    limit = 2**63 if kind == "int" else 2**53
    return isinstance(value, int) and -limit <= value < limit


def _plain(value: Any) -> Any:
    """A value as JSON knows it: dates in ISO form, bytes in base64, anything unknown as its string."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)


def _finite(value: Any) -> Any:
    """The same with null for NaN and the infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


class RejectsWriter:
    """Lists what was set aside, as JSONL with `where`, `reason` and `detail`; hand it to a reader as `on_reject`.

    The file is made when the first reject arrives, replaces an older one, and grows as they come, so that it can be
    read while the run goes on or after it broke off. Without a path the rejects are only counted.

    Attributes:
        counts: how many per reason.
    """

    def __init__(self, path: str | None) -> None:
        self.counts: Counter[str] = Counter()
        self._path = path
        self._file: IO[str] | None = None

    def __call__(self, reject: Reject) -> None:
        """Raises InputError if the file can't be written."""
        self.counts[reject.reason] += 1
        if self._path is None:
            return
        with _named_errors(self._path):
            if self._file is None:
                self._file = Path(self._path).open("w", 1, "utf-8", "backslashreplace")  # noqa: SIM115
            self._file.write(_json({"where": reject.where, "reason": reject.reason, "detail": reject.detail}) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with _named_errors(str(self._path)):
                self._file.close()
