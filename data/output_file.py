"""One output file: its format by its name, its bytes in one piece or not at all, the system's refusals in plain words."""

import errno
import gzip
import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import zstandard

from .errors import InputError

STDOUT = "-"
KNOWN = "known: .parquet, .jsonl and .csv, the last two also with .gz or .zst"


def output_kind(path: str, format: str | None = None) -> tuple[str, str]:
    """(`parquet`, `jsonl` or `csv`; `gz`, `zst` or empty) of an output path, or of the `format` given instead.

    Raises:
        InputError: an unknown extension or format, or compression on top of Parquet's own.
    """
    if path == STDOUT and not format:
        return "jsonl", ""
    match = re.search(r"\.(parquet|jsonl|ndjson|csv)(?:\.(gz|zst))?$", f".{format.lstrip('.')}" if format else path.lower())
    if not match:
        raise InputError(f"{path}: unknown output format{f' {format!r}' if format else ''}; {KNOWN}")
    kind, compression = match[1].replace("ndjson", "jsonl"), match[2] or ""
    if kind == "parquet" and (compression or path == STDOUT):
        raise InputError(f"{path}: Parquet is compressed within and needs a file: end the path with .parquet alone")
    return kind, compression


@contextmanager
def named_errors(path: str) -> Iterator[None]:
    """Turns the system's refusals into an InputError that says what to do; a closed pipe stays a BrokenPipeError."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "no space left on the disk; free some or write elsewhere. Nothing was written under this name"
        else:
            message = f"cannot be written: {error.strerror or error}; choose another place or change its permissions"
        raise InputError(f"{path}: {message}") from error


class OutputFile:
    """Bytes on their way to a file: written beside it under a hidden name, then moved into place, or removed.

    Attributes:
        path: as the user gave it; `-` for standard output.
        file: takes the bytes, and compresses them on the way.
    """

    def __init__(self, path: str, compression: str) -> None:
        self.path = path
        self._final: Path | None = None
        if path == STDOUT:
            self._raw: IO[bytes] = sys.stdout.buffer
        else:
            # Through a link, the file it points to is replaced, not the link.
            self._final = final = Path(os.path.realpath(path))
            with named_errors(path):
                if final.is_dir():
                    raise InputError(f"{path}: is a folder; name a file in it")
                if not final.parent.is_dir():
                    raise InputError(f"{path}: there is no folder {final.parent}; make it first")
                if final.exists() and not final.is_file():
                    raise InputError(f"{path}: not an ordinary file; use - for standard output")
                if final.exists() and not os.access(final, os.W_OK):
                    raise InputError(f"{path}: no permission to replace it; change its mode or choose another name")
                # Process ids repeat across containers that share a folder, hence the random part.
                self._partial = final.parent / f".{final.name}.partial-{os.getpid()}-{secrets.token_hex(4)}"
                self._raw = _create(self._partial)
        self.file: Any = self._raw
        if compression == "gz":
            self.file = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        elif compression == "zst":
            self.file = zstandard.ZstdCompressor().stream_writer(self._raw, closefd=False)

    def commit(self) -> None:
        """Puts the file in its place, on disk to the last byte. Raises OSError where the system refuses."""
        if self.file is not self._raw:
            self.file.close()
        self._raw.flush()
        if self._final is None:
            return
        os.fsync(self._raw.fileno())
        self._raw.close()
        self._partial.replace(self._final)
        # Makes the new name last through a power cut; some file systems can't do it, and the data is safe without.
        with suppress(OSError):
            folder = os.open(self._final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def abort(self) -> None:
        """Leaves what was there, and nothing of this file."""
        for close in (self.file.close, self._raw.close) if self._final else (self._raw.flush,):
            with suppress(Exception):
                close()
        if self._final:
            self._partial.unlink(missing_ok=True)


def _create(path: Path) -> IO[bytes]:
    return path.open("xb")
