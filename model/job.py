"""A labelling run: articles in, sentences cut, labelled in blocks, rows out; what can't be used is set aside and counted."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from ..data.records import TEXT, TITLE, Article, Reject, Sentence
from ..data.segment import sentences
from ..data.writers import Row
from .classifier import Classifier

BLOCK = 2048
"""Sentences labelled together: enough to sort by length, few enough that memory stays flat."""
MAX_CHARACTERS = 20_000
"""A "sentence" longer than this is no sentence (a table, an encoded file) and is set aside."""
SENTENCE_TOO_LONG = "sentence_too_long"


class RowSink(Protocol):
    """Takes rows: a writer, or something that passes them on to one."""

    def write(self, rows: Sequence[Row]) -> None:
        """Take some rows."""
        ...


@dataclass(slots=True)
class Summary:
    """What a run did."""

    articles: int = 0
    sentences: int = 0
    windowed: int = 0
    abstained: int = 0
    primary: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def cut(article: Article, split: bool) -> Iterator[Sentence]:
    """The sentences of an article; with `split` off, its title and its text are one sentence each."""
    if split:
        yield from sentences(article)
        return
    for number, (part, text) in enumerate(((TITLE, article.title), (TEXT, article.text))):
        inner = text.strip()
        if inner:
            start = text.index(inner)
            yield Sentence(article.doc_id, number, start, start + len(inner), inner, part)


def label(
    articles: Iterable[Article],
    classifier: Classifier,
    writer: RowSink,
    on_reject: Callable[[Reject], None],
    *,
    split: bool = True,
    on_progress: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Label every sentence of the articles and write them, in order.

    Args:
        split: cut texts into sentences; off where each text already is one.
        on_progress: called after each block.
    """
    summary = Summary()
    started = time.monotonic()

    def usable() -> Iterator[tuple[Article, Sentence]]:
        for article in articles:
            summary.articles += 1
            for sentence in cut(article, split):
                if len(sentence.text) > MAX_CHARACTERS:
                    where = f"{article.doc_id} characters {sentence.start}-{sentence.end}"
                    detail = f"{len(sentence.text)} characters without a sentence end, {MAX_CHARACTERS} allowed"
                    on_reject(Reject(where, SENTENCE_TOO_LONG, detail))
                else:
                    yield article, sentence

    stream = usable()
    while block := list(islice(stream, BLOCK)):
        # Wire copy repeats itself: a text is scored once a block.
        texts = list(dict.fromkeys(sentence.text for _, sentence in block))
        found = dict(zip(texts, classifier.predict(texts), strict=True))
        rows = [Row(sentence, found[sentence.text], article.date, article.extra) for article, sentence in block]
        writer.write(rows)
        summary.sentences += len(rows)
        summary.primary.update(row.labelled.primary for row in rows)
        summary.windowed += sum(row.labelled.windows > 1 for row in rows)
        summary.abstained += sum(row.labelled.abstained for row in rows)
        summary.seconds = time.monotonic() - started
        on_progress(summary)
    summary.seconds = time.monotonic() - started
    return summary
