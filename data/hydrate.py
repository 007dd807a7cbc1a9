"""Join stand-off labels, keyed by the hash of a sentence's text, with a local copy of the text."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from .codebook import Codebook, load_codebook
from .errors import InputError
from .normalise import text_hash
from .output_file import named_errors
from .readers import read_articles
from .records import Reject
from .sources import expand


@dataclass(frozen=True, slots=True)
class StandOff:
    """The labels of one sentence without its text.

    Attributes:
        id: `normalise.text_hash` of the text.
        labels: primary first; empty for none.
        drawn: why it was chosen for annotation: `random`, `uncertain` (to a baseline) or `rare` (a type it lacked).
    """

    id: str
    labels: tuple[str, ...]
    source: str
    drawn: str = ""


@dataclass(frozen=True, slots=True)
class Hydrated:
    """How a join went: sentences found and written, and labels whose text was not in the pool, by source."""

    found: int
    missing: dict[str, int]


def read_stand_off(folder: str | Path | None = None, codebook: Codebook | None = None) -> list[StandOff]:
    """All labels in a folder of stand-off files; None for the shipped ones.

    Raises:
        InputError: a line is damaged, or an id stands twice.
        CodebookError: a label is not in the codebook.
    """
    folder = Path(folder) if folder else Path(str(resources.files(__package__))) / "annotations"
    codebook = codebook or load_codebook()
    records: dict[str, StandOff] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            where = f"{path}:{number}"
            try:
                row = json.loads(line)
                record = StandOff(row["id"], tuple(row["labels"]), row["source"], row.get("drawn", ""))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{where}: not a stand-off annotation ({error}); restore the file") from None
            if record.id in records:
                raise InputError(f"{where}: the sentence {record.id} is annotated twice; delete one of the lines")
            codebook.check(record.labels, where)
            records[record.id] = record
    if not records:
        raise InputError(f"{folder}: no annotations (*.jsonl) in it")
    return list(records.values())


def hydrate(annotations: Iterable[StandOff], pool: Iterable[str], out: str | Path) -> Hydrated:
    """Write every annotated sentence whose text is in the pool, as JSON lines that `sitrep train --data` reads.

    A sentence is found by the hash of its own text, whatever id the pool gives it. The fields `outlet` and `date` come from
    the pool; they keep an outlet's day together when the data is split.

    Args:
        pool: files, folders or globs of records with `text`.

    Raises:
        InputError: the pool or `out` can't be used.
    """
    wanted = {record.id: record for record in annotations}
    out = Path(out)
    found = 0
    with named_errors(str(out)):
        out.parent.mkdir(parents=True, exist_ok=True)
        partial = out.with_name(f".{out.name}.partial")
        with partial.open("w", encoding="utf-8") as stream:
            for text, extra in _texts(pool):
                record = wanted.pop(text_hash(text), None)
                if record is not None:
                    row = {"id": record.id, "text": text, "labels": record.labels, "source": record.source, **extra}
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                    found += 1
        partial.replace(out)
    missing: dict[str, int] = {}
    for record in wanted.values():
        missing[record.source] = missing.get(record.source, 0) + 1
    return Hydrated(found, missing)


def _texts(pool: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    def ignore(reject: Reject) -> None:
        """A record of the pool that can't be read is a sentence not found, and is counted as that."""

    for source in expand(list(pool)):
        for article in read_articles(source, on_reject=ignore):
            yield article.text, {"outlet": str(article.extra.get("outlet") or ""), "date": article.date}
