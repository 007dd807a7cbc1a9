"""Where the quotations and brackets of a piece of text are, so that no sentence ends inside one.

Offsets are relative to the piece. News copy has straight quotes, doubled ones (`""so""`) and marks left open.
"""

import re
from bisect import bisect_left

MAX_QUOTE = 500
"""A quotation of several sentences stays whole, with the words that say whose it is, up to this many characters."""

OPENERS = "\"'“‘«„([`"

_MARK = re.compile(r"[\"“”„«»()\[\]`'](?:(?<=\")\"{0,2}|(?<=`)`|(?<=')'|)")
_CLOSERS = re.compile(r"(?:[”’»)\]]|'{1,2})+")
_STRAY_STOP = re.compile(r"\s*[.?!…]+(?=\s)")


class Enclosed:
    """The quotations and brackets of a piece, found by pairing marks; a mark without a partner encloses nothing.

    Attributes:
        long: insides of the quotations that are too long to stay whole.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.long: list[tuple[int, int]] = []
        self._closing: dict[int, int] = {}
        whole: list[tuple[int, int]] = []
        quote: re.Match[str] | None = None
        bracket = -1
        for mark in _MARK.finditer(text):
            sign = mark[0]
            if sign in "([":
                bracket = mark.start()
            elif sign in ")]":
                if bracket >= 0 and mark.end() - bracket <= MAX_QUOTE:
                    whole.append((bracket, mark.end()))
                bracket = -1
            elif sign in "`'":
                continue  # an apostrophe
            elif not self._closes(mark, quote):
                quote = mark
            elif quote:
                self._closing[mark.start()] = mark.end()
                if mark.start() - quote.end() <= MAX_QUOTE:
                    whole.append((quote.start(), mark.end()))
                else:
                    self.long.append((quote.end(), mark.start()))
                quote = None
        # Those that overlap are made one, so that only the nearest before a cut can hold it.
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, stop in sorted(whole):
            if self._ends and start < self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], stop)
            else:
                self._starts.append(start)
                self._ends.append(stop)

    def _closes(self, mark: re.Match[str], opened: re.Match[str] | None) -> bool:
        sign = mark[0]
        if sign[0] != '"':
            return sign in ("”", "»", "''") or (sign == "“" and opened is not None and opened[0] == "„")
        before = self.text[mark.start() - 1 : mark.start()]
        after = self.text[mark.end() : mark.end() + 1]
        opens_left = not before or before.isspace() or before in "([—–-"
        opens_right = bool(after) and not after.isspace()
        if opens_left == opens_right:
            return not opens_left
        return opened is not None and opened[0][0] == '"'

    def holds(self, cut: int) -> bool:
        """Whether a cut here would part a quotation or brackets."""
        i = bisect_left(self._starts, cut) - 1
        return i >= 0 and cut < self._ends[i]

    def leave(self, cut: int) -> int:
        """The cut moved behind quotation marks and brackets that close at it, and behind white space."""
        text = self.text
        while cut > 1 and text[cut - 1] in OPENERS and text[cut - 2].isspace():
            cut -= 1  # a mark that opens the next sentence was left at the end of this one
        if cut and not text[cut - 1].isspace():
            if found := _CLOSERS.match(text, cut):
                cut = found.end()
            cut = self._closing.get(cut, cut)
        if found := _STRAY_STOP.match(text, cut):
            cut = found.end()
        while cut < len(text) and text[cut].isspace():
            cut += 1
        return cut
