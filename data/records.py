"""The records that flow through sitrep: an article, its sentences, their labels, and what was set aside."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NONE = "none"
"""How the empty label set is written, as a primary label and in CSV output."""

TITLE = "title"
TEXT = "text"


@dataclass(frozen=True, slots=True)
class Article:
    """One document as it was read.

    Attributes:
        doc_id: the record's own id, or `FILE:LINE` where it has none.
        text: the body, exactly as in the file. Never empty or blank unless there is a title.
        title: the headline, or an empty string.
        date: the date as written in the record, or an empty string.
        extra: every other field of the record, passed through to the output untouched.
    """

    doc_id: str
    text: str
    title: str = ""
    date: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.doc_id:
            raise ValueError("an article needs a non-empty doc_id")
        if not (self.text.strip() or self.title.strip()):
            raise ValueError(f"article {self.doc_id!r} has neither text nor title")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A slice of an article: `getattr(article, part)[start:end] == text`, offsets in characters.

    Attributes:
        doc_id: the article it comes from.
        sentence_id: 0 for the title, then 1, 2, … through the body.
        part: which field was sliced, `title` or `text`.
    """

    doc_id: str
    sentence_id: int
    start: int
    end: int
    text: str
    part: str = TEXT

    def __post_init__(self) -> None:
        if self.end - self.start != len(self.text):
            raise ValueError(f"sentence {self.doc_id!r}/{self.sentence_id}: {self.start}:{self.end} does not span its text")
        if self.part not in (TITLE, TEXT):
            raise ValueError(f"sentence {self.doc_id!r}/{self.sentence_id}: part is {self.part!r}, not title or text")


@dataclass(frozen=True, slots=True)
class Labelled:
    """What the model says of one sentence.

    Attributes:
        labels: the labels whose probability passes their threshold, primary first; empty for none.
        primary: the label of the main clause's event, one of `labels`, or `none`.
        scores: calibrated probability of every label of the codebook, in its order, rounded to 4 digits.
        confidence: calibrated probability of `primary` among all labels and none.
        abstained: True where confidence is below the minimum that was asked for.
        windows: into how many overlapping windows an over-long sentence was cut; 1 for nearly all.
    """

    labels: tuple[str, ...]
    primary: str
    scores: Mapping[str, float]
    confidence: float
    abstained: bool = False
    windows: int = 1

    def __post_init__(self) -> None:
        if self.primary != (self.labels[0] if self.labels else NONE):
            raise ValueError(f"primary {self.primary!r} is not the first of labels {self.labels!r}")


@dataclass(frozen=True, slots=True)
class Reject:
    """An input record that was set aside, and why. `where` is `FILE:LINE` or `FILE`."""

    where: str
    reason: str
    detail: str = ""
