"""A source as a stream of decompressed bytes, which says where its data is damaged."""

import errno
import gzip
import io
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import zstandard

from .errors import CORRUPT_FILE, UNREADABLE_FILE, FileError, InputError
from .sources import STDIN, Source

CHUNK = 1 << 16
# A zstd block can unpack to thirty thousand times its size, and its decompressor hands back all that a piece of input
# holds; small pieces keep even a hostile file within some 100 MB.
ZSTD_CHUNK = 1 << 12


class _Chunks(io.RawIOBase):
    """A raw stream over chunks of bytes: an error comes out only after every byte before it."""

    def __init__(self, chunks: Iterator[bytes], close: Callable[[], object]) -> None:
        self._chunks, self._close = chunks, close
        self._pending = memoryview(b"")
        self._error: FileError | None = None

    def readable(self) -> bool:
        return True

    def _next(self) -> bytes:
        try:
            return b"" if self._error else next(self._chunks, b"")
        except FileError as error:
            self._error = error
            return b""

    def head(self, size: int) -> bytes:
        while len(self._pending) < size and (chunk := self._next()):
            self._pending = memoryview(bytes(self._pending) + chunk)
        return bytes(self._pending[:size])

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # the buffer protocol has no name before 3.12
        if not self._pending:
            self._pending = memoryview(self._next())
            if not self._pending and self._error:
                raise self._error
        size = min(len(buffer), len(self._pending))
        buffer[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()


class ByteStream(io.BufferedReader):
    """A binary stream that can show its beginning. Reading raises FileError where the data is damaged."""

    def __init__(self, raw: _Chunks) -> None:
        super().__init__(raw, CHUNK)
        self._chunks = raw

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all where there are fewer, without taking them. Only before the first read."""
        return self._chunks.head(size)


def open_bytes(source: Source) -> ByteStream:
    """The decompressed bytes of a source; close it when done (standard input is left open).

    Raises:
        FileError: here if the file can't be opened, and from any later read that meets damaged data.
    """
    file = sys.stdin.buffer if source.path == STDIN else _open(source)
    chunks = {"": _plain, "gzip": _gunzip, "zstd": _unzstd}[source.compression](file)
    close = file.close if source.path != STDIN else lambda: None
    return ByteStream(_Chunks(_named_errors(chunks, source.name), close))


def open_seekable(source: Source) -> IO[bytes]:
    """Like open_bytes, but seekable: a compressed source or standard input is first unpacked into a temporary file.

    Raises:
        FileError: the source can't be read to its end.
        InputError: no room for the temporary file.
    """
    if source.path != STDIN and not source.compression:
        return _open(source)
    spool = tempfile.TemporaryFile()  # noqa: SIM115  # handed to the caller
    try:
        with open_bytes(source) as stream:
            shutil.copyfileobj(stream, spool, CHUNK)
        spool.seek(0)
    except BaseException as error:
        spool.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            where = tempfile.gettempdir()
            raise InputError(f"{source.name}: no space to unpack it in {where}; set TMPDIR to a larger disk") from None
        raise
    return spool


def _open(source: Source) -> IO[bytes]:
    try:
        return Path(source.path).open("rb")
    except OSError as error:
        message = f"{source.name}: cannot be opened: {error.strerror}"
        raise FileError(message, reason=UNREADABLE_FILE, where=source.name) from error


def _named_errors(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from chunks
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        message = f"{name}: damaged compressed data ({error}); fetch or compress the file again"
        raise FileError(message, reason=CORRUPT_FILE, where=name) from error
    except OSError as error:
        raise FileError(f"{name}: cannot be read: {error}", reason=UNREADABLE_FILE, where=name) from error


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read1(CHUNK):  # type: ignore[attr-defined]
        yield chunk


def _gunzip(file: IO[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=file) as unpacked:
        # read1 gives what is already unpacked before it meets the damage further on; read would lose it.
        while chunk := unpacked.read1(CHUNK):
            yield chunk


def _unzstd(file: IO[bytes]) -> Iterator[bytes]:
    frame = None
    while data := file.read(ZSTD_CHUNK):
        while data:
            frame = frame or zstandard.ZstdDecompressor().decompressobj()
            if unpacked := frame.decompress(data):
                yield unpacked
            data, frame = (frame.unused_data, None) if frame.eof else (b"", frame)
    # zstandard's own stream reader takes a file that was cut short for a whole one.
    if frame is not None:
        raise zstandard.ZstdError("the file ends in the middle of a frame")
