"""Which stretches of a text may hold sentences: paragraphs, headings, list items, hard-wrapped lines put together.

A blank line always ends a paragraph. A single line break is a guess: it ends the sentence in copy that has one
paragraph, heading or headline a line, and means a space where a mail client or a wire folded the text at some width.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from .segment_quotes import OPENERS
from .segment_repair import TITLES

WRAP_WIDTH = 100
"""Text with a line longer than this was not folded, so its line breaks are meant."""

INVISIBLE = "\u200b\u2060\ufeff"
_BLANK = rf"[\s{INVISIBLE}]"
_LINE_BREAK = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_BULLETS = "•▪●◦‣■►"
_BULLET = re.compile(rf"{_BLANK}*(?:[{_BULLETS}]+{_BLANK}*|(?:[*·]+|[-–—]{{1,3}}){_BLANK}+)+")
_INLINE_BULLET = re.compile(rf"[{_BULLETS}](?<=\s.)\s+")
_RULE = re.compile(rf"(?:{_BLANK}|[*_=~#·{_BULLETS}\-–—])*")
_ENDED = re.compile(r"[.!?…。！？][\"”’»')\]]*\Z")
_UNFINISHED = re.compile(
    r"(?:[,(\[–—-]|\b(?:the|an?|of|and|or|to|from|by|than|into|between|against|during|its|his|her|their|our|Mr|Mrs|Ms|Dr))\Z"
)
_LAST_WORD = re.compile(r"(\w+)\.\Z")
_FIRST_WORD = re.compile(r"\S*")

Span = tuple[int, int]


def trim(text: str, start: int, end: int) -> Span:
    """The span without the white space, zero-width ones included, at its ends; `(end, end)` where nothing is left."""
    while start < end and (text[start].isspace() or text[start] in INVISIBLE):
        start += 1
    while start < end and (text[end - 1].isspace() or text[end - 1] in INVISIBLE):
        end -= 1
    return start, end


def pieces(text: str) -> Iterator[Span]:
    """Trimmed spans, in order, that no sentence crosses; bullets and rules of dashes or stars lie between them."""
    block: list[Span] = []
    for start, end in _lines(text):
        if not _RULE.fullmatch(text, start, end):
            block.append((start, end))
            continue
        yield from _block(text, block)
        block = []
    yield from _block(text, block)


def _lines(text: str) -> Iterator[Span]:
    start = 0
    for found in _LINE_BREAK.finditer(text):
        yield trim(text, start, found.start())
        start = found.end()
    yield trim(text, start, len(text))


def _block(text: str, lines: list[Span]) -> Iterator[Span]:
    """The pieces of lines that follow each other without a blank one."""
    width = _wrap_width(text, lines)
    first = 0
    for i in range(1, len(lines) + 1):
        if i == len(lines) or not _joins(text, lines[i - 1], lines[i], width):
            yield from _items(text, lines[first][0], lines[i - 1][1])
            first = i


def _items(text: str, start: int, end: int) -> Iterator[Span]:
    """The piece without its bullet, cut at bullets inside it."""
    if bullet := _BULLET.match(text, start, end):
        start = bullet.end()
    for found in _INLINE_BULLET.finditer(text, start, end):
        yield from _unless_empty(trim(text, start, found.start()))
        start = found.end()
    yield from _unless_empty(trim(text, start, end))


def _unless_empty(span: Span) -> Iterator[Span]:
    if span[0] < span[1]:
        yield span


def _wrap_width(text: str, lines: list[Span]) -> int:
    """The width at which the lines were folded, or 0 where nothing shows that they were."""
    width = max((end - start for start, end in lines), default=0)
    if width > WRAP_WIDTH:
        return 0
    folded = any(_starts_lower(text, b) and not _ENDED.search(text[max(a[0], a[1] - 4) : a[1]]) for a, b in pairwise(lines))
    return width if folded else 0


def _joins(text: str, a: Span, b: Span, width: int) -> bool:
    """Whether the break between the lines `a` and `b` is only a space."""
    if _BULLET.match(text, *b):
        return False
    tail = text[max(a[0], a[1] - 40) : a[1]]
    if _starts_lower(text, b):
        return True  # after a full stop too: what follows may still be the same sentence ("approx.", "p.m.")
    word = _LAST_WORD.search(tail)
    if word and word[1] in TITLES:
        return True
    ended = _ENDED.search(tail)
    if not ended and _UNFINISHED.search(tail):
        return True
    # Folded on purpose or not? A break is forced where the next word had no room left on the line.
    next_word = _FIRST_WORD.match(text, *b)
    return bool(width and next_word and a[1] - a[0] + 1 + len(next_word[0]) > width)


def _starts_lower(text: str, line: Span) -> bool:
    at = line[0]
    while at < line[1] and text[at] in OPENERS:
        at += 1
    return at < line[1] and text[at].islower()
