"""The lines of a stream, numbered, those over a limit skipped unheld; and those of one CSV record, to read again."""

from collections import deque
from collections.abc import Iterator

from .errors import FileError
from .streams import ByteStream

MAX_LINE_BYTES = 32 * 2**20


class LineReader:
    """The lines of a stream, each with its line end; None for a line over MAX_LINE_BYTES, which is skipped unheld.

    Attributes:
        line: number of the line given last, from 1.
    """

    def __init__(self, stream: ByteStream, name: str) -> None:
        self.line = 0
        self._stream, self._name = stream, name

    def __iter__(self) -> Iterator[bytes | None]:
        return self

    def __next__(self) -> bytes | None:
        """Raises FileError, with `where` at this line, if the data is damaged."""
        try:
            raw: bytes | None = self._stream.readline(MAX_LINE_BYTES + 1)
            if raw and len(raw) > MAX_LINE_BYTES:
                while not raw.endswith(b"\n") and (more := self._stream.readline(1 << 16)):
                    raw = more
                raw = None
        except FileError as error:
            error.where = f"{self._name}:{self.line + 1}"
            raise
        if raw == b"":
            raise StopIteration
        self.line += 1
        return raw


class TooLong(Exception):
    """A physical line, or a record of many, is over the limit."""


class RecordLines:
    """Feeds lines to csv.reader and keeps those of the record in progress, so that they can be read again."""

    def __init__(self, lines: LineReader) -> None:
        self._lines = lines
        self._again: deque[tuple[int, bytes | None]] = deque()
        self.start()

    def start(self) -> None:
        """Forget the last record: the next line begins a new one."""
        self.taken: list[tuple[int, bytes | None]] = []
        self._not_utf8: set[int] = set()
        self._size = 0

    @property
    def bad_utf8(self) -> bool:
        """Whether a line of this record is not UTF-8."""
        return any(number in self._not_utf8 for number, _ in self.taken)

    def rewind(self, keep: int = 1) -> None:
        """Give all but the first `keep` lines of this record again."""
        self._again.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._again:
            number, raw = self._again.popleft()
        else:
            raw = next(self._lines)
            number = self._lines.line
        self.taken.append((number, raw))
        self._size += len(raw or b"")
        if raw is None or self._size > MAX_LINE_BYTES:
            raise TooLong
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self._not_utf8.add(number)
            return raw.decode("utf-8", "replace")

    def split(self, width: int, *, among: int | None) -> list[str] | None:
        """The first line cut at tabs, if that gives `width` cells in each of the first `among` lines of the record."""
        if any(raw is None or raw.count(b"\t") != width - 1 for _, raw in self.taken[:among]):
            return None
        return (self.taken[0][1] or b"").decode("utf-8", "replace").rstrip("\r\n").split("\t")
