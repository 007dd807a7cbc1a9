"""One self-contained HTML page from a labelling run: charts, sources, the clearest sentences, the marked articles.

Charts and tables come drawn; the articles travel as a JSON block that the page's own script renders fifty at a time.
"""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..data.codebook import Codebook
from ..data.errors import InputError
from .corpus_counts import HUES, Corpus, Row, spaced
from .timeline import long_day, short_day

REQUIRED = ("doc_id", "sentence_id", "part", "start", "end", "text", "labels", "primary", "confidence", "scores", "abstained")
OPTIONAL = ("date", "source")


def write_corpus_page(labels_path: str | Path, out_path: str | Path, *, codebook: Codebook, title: str | None = None) -> None:
    """Write the page for a Parquet file of labelled sentences, replacing `out_path` in one step.

    Columns are those of `REQUIRED`, and `date` and `source` where the file has them; `labels` has the primary label first.
    Raises InputError where the file is missing, not Parquet, lacks a column, or has a label that the codebook lacks.
    """
    path, out = Path(labels_path), Path(out_path)
    corpus = Corpus(codebook)
    for row in _rows(path):
        try:
            corpus.add(row)
        except KeyError as error:
            raise InputError(
                f"{path}: sentence {row['doc_id']}/{row['sentence_id']} has the label {error.args[0]!r}, which the codebook "
                f"{codebook.name!r} lacks; give the codebook of the model that labelled the file"
            ) from None
    template = resources.files(__package__) / "templates" / "corpus_page.html.j2"
    env = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    env.filters |= {
        "n": "{:,}".format,
        "pct": "{:.0%}".format,
        "p": "{:.2f}".format,
        "day": long_day,
        "short": short_day,
        "label": spaced,
    }
    page = env.from_string(template.read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    view = corpus.view()
    view["data"] = _script_json(view["data"])
    heading = title or f"Conflict events in {path.name}"
    part.write_text(page.render(title=heading, file=path.name, hues=HUES, **view), encoding="utf-8")
    part.replace(out)


def _rows(path: Path) -> Iterator[Row]:
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; give the Parquet file that a labelling run wrote")
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}); label to .parquet first") from None
    with file:
        names = file.schema_arrow.names
        missing = [name for name in REQUIRED if name not in names]
        if missing:
            raise InputError(f"{path}: lacks {', '.join(missing)}; give the Parquet file that a labelling run wrote")
        absent = dict.fromkeys(name for name in OPTIONAL if name not in names)
        for batch in file.iter_batches(8192, columns=[*REQUIRED, *(name for name in OPTIONAL if name in names)]):
            for row in batch.to_pylist():
                yield row | absent


def _script_json(data: Any) -> Markup:
    """JSON that is safe inside a script element: no character of it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)
