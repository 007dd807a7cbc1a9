"""Labelled sentences → Parquet, JSONL or CSV, row by row or in groups, in one piece or not at all."""

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from .columns import COLUMNS, OVERFLOW, PassedFields, column_kinds, finite, fit, to_json
from .output_file import STDOUT, OutputFile, named_errors, output_kind
from .records import Labelled, Sentence

GROUP_ROWS = 50_000
GROUP_CHARS = 128 * 2**20


class Row(NamedTuple):
    """One line of output: a sentence, what the model says of it, and what its article brought along."""

    sentence: Sentence
    labelled: Labelled
    article_date: str
    extra: Mapping[str, Any]


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
    target = OutputFile(path, compression)
    if kind == "jsonl":
        return _JsonlWriter(target, label_names)
    return _CsvWriter(target, label_names) if kind == "csv" else _ParquetWriter(target, label_names, metadata or {})


class Writer(ABC):
    """Writes rows to one output. Use it in a `with` block: only the end of the block puts the output in place.

    Attributes:
        rows: how many rows were written so far.
    """

    def __init__(self, target: OutputFile, label_names: Sequence[str]) -> None:
        self.rows = 0
        self._target = target
        self._labels = tuple(label_names)
        self._passed = PassedFields(self._labels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                with named_errors(self._target.path):
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
        with named_errors(self._target.path):
            self._add(rows)
        self.rows += len(rows)

    @abstractmethod
    def _add(self, rows: Sequence[Row]) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    def _abort(self) -> None:
        self._target.abort()


class _JsonlWriter(Writer):
    def _add(self, rows: Sequence[Row]) -> None:
        lines = []
        for row in rows:
            scores = map(_rounded, _scores(row.labelled, self._labels))
            ours = (*_left(row), list(row.labelled.labels), row.labelled.primary, _rounded(row.labelled.confidence))
            values = (*ours, dict(zip(self._labels, scores, strict=True)), *_right(row))
            lines.append(to_json(dict(zip(COLUMNS, values, strict=True)) | finite(self._passed.of(row.extra)[0])) + "\n")
        self._target.file.write("".join(lines).encode("utf-8"))
        if self._target.path == STDOUT:
            self._target.file.flush()

    def _finish(self) -> None: ...


class _TableWriter(Writer):
    """Rows in groups of GROUP_ROWS, or fewer where they are large; the first group settles the columns."""

    def __init__(self, target: OutputFile, label_names: Sequence[str]) -> None:
        super().__init__(target, label_names)
        self._group: list[Row] = []
        self._group_extras: list[dict[str, Any]] = []
        self._chars = 0
        self._kinds: dict[str, str] | None = None

    def _add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            passed, chars = self._passed.of(row.extra)
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
    def __init__(self, target: OutputFile, label_names: Sequence[str], metadata: Mapping[str, str]) -> None:
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
