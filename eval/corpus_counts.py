"""What the page of a labelling run tells: counts of every sentence, the clearest of each label, the marked articles."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ..data.codebook import Codebook
from ..data.records import TITLE
from .timeline import bar_starts, bars, read_day

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


@dataclass(slots=True)
class Tally:
    """What is counted of the whole file, and of each source."""

    articles: int = 0
    sentences: int = 0
    eventful: int = 0
    abstained: int = 0
    labels: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, new: bool) -> None:
        """Count one sentence; `new` where its article was not seen before."""
        self.articles += new
        self.sentences += 1
        self.eventful += bool(row["labels"])
        self.abstained += bool(row["abstained"])
        self.labels.update(row["labels"] or ())


class Corpus:
    """Counts over every sentence, and the articles that the page embeds."""

    def __init__(self, codebook: Codebook) -> None:
        self.codebook = codebook
        self.place = {name: place for place, name in enumerate(codebook.names)}
        self.all = Tally()
        self.sources: dict[str, Tally] = defaultdict(Tally)
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
        day, written, source = read_day(row["date"]), str(row["date"] or ""), str(row["source"] or "")
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
        """Everything that the template prints; `data` is what its script reads."""
        dated = sorted(self.dates)
        unit, starts = bar_starts(dated)
        groups: list[dict[str, Any]] = []
        hues: dict[str, int] = {}
        for number, (name, heading) in enumerate(self._groups()):
            labels = [label for label in self.codebook.names if self.codebook.group_of(label) == name]
            hues |= dict.fromkeys(labels, number % HUES)
            if charts := [self._chart(label, unit, starts) for label in labels if self.all.labels[label]]:
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
            "data": {
                "labels": [[spaced(name), hues[name]] for name in self.codebook.names],
                "docs": [[*head, _follow(rows)] for head, rows in self.articles],
            },
        }

    def _source(self, name: str, tally: Tally, groups: list[dict[str, Any]]) -> dict[str, Any]:
        counts = [(group, sum(tally.labels[chart["name"]] for chart in group["labels"])) for group in groups]
        mix = [{"hue": group["hue"], "title": group["title"], "count": count} for group, count in counts if count]
        return {"name": name, "count": tally, "mix": mix, "top": [label for label, _ in tally.labels.most_common(3)]}

    def _groups(self) -> Iterator[tuple[str, str]]:
        for group in self.codebook.groups:
            yield group.name, group.title or spaced(group.name).capitalize()
        yield "", "Other types" if self.codebook.groups else "Event types"

    def _chart(self, label: str, unit: str, starts: list[date]) -> dict[str, Any]:
        return {
            "name": label,
            "place": self.place[label],
            "total": self.all.labels[label],
            "quotes": self.top[label],
            **bars(self.days.get(label, Counter()), unit, starts),
        }


def _keep(best: list[dict[str, Any]], quote: dict[str, Any]) -> None:
    full = len(best) == TOP and quote["score"] <= best[-1]["score"]
    if not full and all(quote["text"] != other["text"] for other in best):
        best.append(quote)
        best.sort(key=lambda each: -each["score"])
        del best[TOP:]


def _busiest(source: tuple[str, Tally]) -> tuple[int, str]:
    return -source[1].sentences, source[0]


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


def spaced(name: str) -> str:
    """A label as the page writes it: `heavy rain` for `heavy_rain`."""
    return name.replace("_", " ")


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(value, 3)  # NaN would not be JSON
