"""Article → sentences, with the exact offsets of each in the original text.

The splitting is sentencex's; `segment_lines` decides first where a sentence cannot reach across, `segment_repair` mends
afterwards what news copy needs mended.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from sentencex import get_sentence_boundaries

from .records import TEXT, TITLE, Article, Sentence
from .segment_lines import INVISIBLE, pieces, trim
from .segment_quotes import Enclosed
from .segment_repair import repair

WINDOW = 4000
"""Characters handed to sentencex at a time: its cost grows with the square of a paragraph's length."""

_UNREADABLE = re.compile(f"([{INVISIBLE}])|[\ud800-\udfff]")


def split(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of `text`: in order, apart, without white space at their ends.

    Together they hold every visible character except list bullets and rules (`----`, `* * *`).
    """
    spans: list[tuple[int, int]] = []
    for start, end in pieces(text):
        # An unpaired surrogate cannot cross into the library, a zero-width space hides a boundary from it; a stand-in
        # of the same length keeps the offsets.
        piece = _UNREADABLE.sub(lambda found: " " if found[1] else "\ufffd", text[start:end])
        enclosed = Enclosed(piece)
        cuts = [0, *repair(piece, _engine_cuts(piece, enclosed.long), enclosed), len(piece)]
        spans.extend(trim(text, start + a, start + b) for a, b in pairwise(cuts))
    return spans


def sentences(article: Article) -> Iterator[Sentence]:
    """The title, whole, as sentence 0 where there is one, then the sentences of the text from 1."""
    start, end = trim(article.title, 0, len(article.title))
    if start < end:
        yield Sentence(article.doc_id, 0, start, end, article.title[start:end], part=TITLE)
    for number, (start, end) in enumerate(split(article.text), 1):
        yield Sentence(article.doc_id, number, start, end, article.text[start:end], part=TEXT)


def _engine_cuts(piece: str, inside: list[tuple[int, int]]) -> list[int]:
    """Where sentencex would cut the piece and, on their own, the quotations `inside` it, which it keeps whole."""
    cuts = list(_windowed(piece))
    for start, end in inside:
        cuts.extend(start + cut for cut in _windowed(piece[start:end]))
    return cuts


def _windowed(piece: str) -> Iterator[int]:
    at = 0
    while True:
        window = piece[at : at + WINDOW]
        found = [boundary["end_index"] for boundary in get_sentence_boundaries("en", window)][:-1]
        yield from (at + cut for cut in found)
        if at + len(window) >= len(piece):
            return
        # Go on from the last sentence that was seen whole, but always by enough to stay linear.
        at += max(found[-1] if found else WINDOW, WINDOW // 2)
