"""One self-contained HTML page from a labelling run: charts, sources, the clearest sentences, the marked articles.

Charts and tables are drawn here; the articles travel as a JSON block that the page's own script renders fifty at a time.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from ..data.codebook import Codebook
from ..data.errors import InputError
from ..data.records import TITLE

REQUIRED = ("doc_id", "sentence_id", "part", "start", "end", "text", "labels", "primary", "confidence", "scores", "abstained")
OPTIONAL = ("date", "source")
EMBEDDED = 150_000
"""The page takes in articles until it has so many sentences; charts and tables count every one."""
TOP = 5
"""How many sentences are quoted for each label."""
SHOWN_SCORES, MIN_SCORE = 6, 0.02
"""A sentence's tooltip lists at most so many labels, and none less likely than this."""
HUES = 8
"""Group colours in the template; a codebook with more groups uses them again."""
JOIN_NONE, JOIN_SPACE, JOIN_PARAGRAPH, JOIN_TITLE = range(4)
"""How a sentence follows the one before it in the article; the template's script knows the same numbers."""

Row = Mapping[str, Any]


def write_corpus_page(labels_path: str | Path, out_path: str | Path, *, codebook: Codebook, title: str | None = None) -> None:
    """Write the page for a Parquet file of labelled sentences, replacing `out_path` in one step.

    Columns are those of `REQUIRED`, and `date` and `source` where the file has them; `labels` has the primary label first.
    Raises InputError where the file is missing, not Parquet, lacks a column, or has a label that the codebook lacks.
    """
    path, out = Path(labels_path), Path(out_path)
    corpus = _Corpus(codebook)
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
        "day": _long_day,
        "short": _short,
        "label": _spaced,
    }
    page = env.from_string(template.read_text(encoding="utf-8"))
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.part")
    heading = title or f"Conflict events in {path.name}"
    part.write_text(page.render(title=heading, file=path.name, hues=HUES, **corpus.view()), encoding="utf-8")
    part.replace(out)


@dataclass(slots=True)
class _Tally:
    """What is counted of the whole file, and of each source."""

    articles: int = 0
    sentences: int = 0
    eventful: int = 0
    abstained: int = 0
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, new: bool) -> None:
        self.articles += new
        self.sentences += 1
        self.eventful += bool(row["labels"])
        self.abstained += bool(row["abstained"])
        self.labels.update(row["labels"] or ())


class _Corpus:
    """Counts over every sentence, and the articles that the page embeds."""

    def __init__(self, codebook: Codebook) -> None:
        self.codebook = codebook
        self.place = {name: place for place, name in enumerate(codebook.names)}
        self.all = _Tally()
        self.sources: dict[str, _Tally] = defaultdict(_Tally)
        self.undated = self.embedded = 0
        self.dates: set[date] = set()
        self.days: dict[str, Counter[date]] = defaultdict(Counter)
        self.top: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.docs: dict[str, int | None] = {}  # place of each article in `articles`, None where it is not embedded
        self.articles: list[tuple[list[str], list[tuple[Any, ...]]]] = []

    def add(self, row: Row) -> None:
        """Count one sentence. Raises KeyError for a label that the codebook lacks."""
        places = [self.place[label] for label in row["labels"] or ()]
        scores = {name: score for name, score in (row["scores"] or {}).items() if score and score == score}
        day, written, source = _day(row["date"]), str(row["date"] or ""), str(row["source"] or "")
        new = row["doc_id"] not in self.docs
        if new and self.embedded < EMBEDDED:
            self.docs[row["doc_id"]] = len(self.articles)
            self.articles.append(([row["doc_id"], written, source], []))
        doc = self.docs.setdefault(row["doc_id"], None)
        self.all.add(row, new)
        if source:
            self.sources[source].add(row, new)
        if day:
            self.dates.add(day)
        else:
            self.undated += 1
        for label in row["labels"] or ():
            if day:
                self.days[label][day] += 1
            quote = {"text": row["text"], "score": scores.get(label, 0.0), "doc": doc, "source": source, "date": written}
            _keep(self.top[label], quote)
        if doc is not None:
            self.embedded += 1
            likely = sorted(((s, name) for name, s in scores.items() if s >= MIN_SCORE and name in self.place), reverse=True)
            pairs = [value for score, name in likely[:SHOWN_SCORES] for value in (self.place[name], round(score, 3))]
            found = [row["text"], places, _rounded(row["confidence"]), int(bool(row["abstained"])), pairs]
            self.articles[doc][1].append((row["sentence_id"], row["part"], row["start"], row["end"], found))

    def view(self) -> dict[str, Any]:
        """Everything that the template prints."""
        dated = sorted(self.dates)
        unit, bins = _bins(dated)
        groups: list[dict[str, Any]] = []
        hues: dict[str, int] = {}
        for number, (name, heading) in enumerate(self._groups()):
            labels = [label for label in self.codebook.names if self.codebook.group_of(label) == name]
            hues |= dict.fromkeys(labels, number % HUES)
            if charts := [self._chart(label, unit, bins) for label in labels if self.all.labels[label]]:
                groups.append({"hue": number % HUES, "title": heading, "labels": charts})
        return {
            "all": self.all,
            "undated": self.undated,
            "embedded": len(self.articles),
            "types": len(self.codebook.names),
            "largest": max(self.all.labels.values(), default=0),
            "groups": groups,
            "sources": [self._source(*each, groups) for each in sorted(self.sources.items(), key=_busiest)],
            "unit": unit,
            "first": dated[0] if dated else None,
            "last": dated[-1] if dated else None,
            "data": _script_json(
                {
                    "labels": [[_spaced(name), hues[name]] for name in self.codebook.names],
                    "docs": [[*head, _follow(rows)] for head, rows in self.articles],
                }
            ),
        }

    def _source(self, name: str, tally: _Tally, groups: list[dict[str, Any]]) -> dict[str, Any]:
        counts = [(group, sum(tally.labels[chart["name"]] for chart in group["labels"])) for group in groups]
        mix = [{"hue": group["hue"], "title": group["title"], "count": count} for group, count in counts if count]
        return {"name": name, "count": tally, "mix": mix, "top": [label for label, _ in tally.labels.most_common(3)]}

    def _groups(self) -> Iterator[tuple[str, str]]:
        for group in self.codebook.groups:
            yield group.name, group.title or _spaced(group.name).capitalize()
        yield "", "Other types" if self.codebook.groups else "Event types"

    def _chart(self, label: str, unit: str, bins: list[date]) -> dict[str, Any]:
        """Bars of one label, in a box 1000 wide and 100 high; each bar's title says what it stands for."""
        heights: Counter[date] = Counter()
        for day, count in self.days.get(label, Counter()).items():
            heights[_floor(day, unit)] += count
        peak = max(heights.values(), default=0)
        step = 1000 / max(len(bins), 12)  # a run of one day is a bar, not a wall
        bars = [
            {"x": round(i * step, 2), "h": round(100 * heights[start] / peak, 2), "title": _bin_name(start, unit, heights[start])}
            for i, start in enumerate(bins)
            if heights[start]
        ]
        return {
            "name": label,
            "place": self.place[label],
            "total": self.all.labels[label],
            "quotes": self.top[label],
            "bars": bars,
            "width": round(step * 0.78, 2),
            "highest": peak,
            "peak": _bin_name(max(bins, key=lambda start: heights[start]), unit, peak) if bars else "",
        }


def _keep(best: list[dict[str, Any]], quote: dict[str, Any]) -> None:
    full = len(best) == TOP and quote["score"] <= best[-1]["score"]
    if not full and all(quote["text"] != other["text"] for other in best):
        best.append(quote)
        best.sort(key=lambda each: -each["score"])
        del best[TOP:]


def _busiest(source: tuple[str, _Tally]) -> tuple[int, str]:
    return -source[1].sentences, source[0]


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


def _follow(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    """Sentences in reading order, each with how it joins the one before: the file has offsets, not the space between."""
    found, before = [], None
    for _, part, start, end, sentence in sorted(rows, key=lambda row: row[0]):
        join = JOIN_SPACE
        if part == TITLE:
            join = JOIN_TITLE
        else:
            if before is None or start - before > 1:  # a blank line or a bullet is two characters or more
                join = JOIN_PARAGRAPH
            elif start == before:
                join = JOIN_NONE
            before = end
        found.append([join, *sentence])
    return found


@lru_cache(maxsize=100_000)
def _day(value: Any) -> date | None:
    """The calendar day of a date as written in a record, None where it can't be read."""
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    text = str(value or "").strip()
    # The tail takes 2024-03-26T10:00, and the bare digits of 20240326 and 20240326101500, but no Unix time.
    if match := re.match(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?=\D|\d{6}$|$)", text):
        try:
            return date(*map(int, match.groups()))
        except ValueError:
            return None
    for form in ("%d %B %Y", "%B %d, %Y", "%d %b %Y", "%b %d, %Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text).date()
    except (ValueError, TypeError, IndexError):
        return None


def _bins(days: list[date]) -> tuple[str, list[date]]:
    """The finest unit that keeps the charts to about a hundred bars, and the first day of every bar, empty ones too."""
    if not days:
        return "day", []
    span = (days[-1] - days[0]).days
    unit = next((name for name, longest in (("day", 100), ("week", 730), ("month", 3650)) if span <= longest), "year")
    bins = [_floor(days[0], unit)]
    last = _floor(days[-1], unit)
    while bins[-1] < last:
        bins.append(_floor(bins[-1] + timedelta({"day": 1, "week": 7, "month": 31, "year": 366}[unit]), unit))
    return unit, bins


def _floor(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(min(day.weekday(), day.toordinal() - 1))
    return {"day": day, "month": day.replace(day=1), "year": day.replace(month=1, day=1)}[unit]


def _bin_name(start: date, unit: str, count: int) -> str:
    day = _long_day(start)
    month, year = f"{start:%B} {start.year}", start.year
    when = {"day": f"on {day}", "week": f"in the week of {day}", "month": f"in {month}", "year": f"in {year}"}
    return f"{count:,} {when[unit]}"


def _long_day(day: date) -> str:
    return f"{day.day}\N{NO-BREAK SPACE}{day:%B} {day.year}"


def _short(day: date, unit: str) -> str:
    return {"year": str(day.year), "month": f"{day:%b} {day.year}"}.get(unit, f"{day.day} {day:%b}")


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 3)  # NaN would not be JSON


def _script_json(data: Any) -> Markup:
    """JSON that is safe inside a script element: no character of it can end the element or open a comment."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)
