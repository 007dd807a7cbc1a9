"""Where articles come from: the files, folders, globs and standard input that a command line names."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import NoReturn

from .errors import InputError

FORMATS = {".txt": "txt", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet"}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
KNOWN = f"known: {' '.join(FORMATS)}, each also with {' or '.join(COMPRESSIONS)}"
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One input.

    Attributes:
        path: as the user gave it, or as found in a folder; `-` for standard input.
        format: a value of FORMATS; empty for standard input that is to be told by its first byte.
        compression: a value of COMPRESSIONS, or empty.
    """

    path: str
    format: str
    compression: str = ""

    @property
    def name(self) -> str:
        """The path as it goes into ids and messages: always valid Unicode, `stdin` for standard input."""
        return "stdin" if self.path == STDIN else os.fsencode(self.path).decode("utf-8", "replace")


def classify(path: str) -> tuple[str, str] | None:
    """(format, compression) by the path's extensions, whatever their case; None where they are not known."""
    name = PurePath(path.lower())
    compression = COMPRESSIONS.get(name.suffix, "")
    suffix = PurePath(name.stem).suffix if compression else name.suffix
    return (FORMATS[suffix], compression) if suffix in FORMATS else None


def expand(inputs: Sequence[str], *, stdin_format: str | None = None) -> list[Source]:
    """The sources that `inputs` name, in the order given; folders and globs sorted; the same file only once.

    A folder is walked to the bottom; it and a glob give their files with a known extension and leave out hidden ones.
    `stdin_format` says what `-` holds: `jsonl`, `csv.gz`, …

    Raises:
        InputError: nothing given, a path that is missing or unreadable, an unknown extension, a folder or glob with no
            file to read, an unknown `stdin_format`.
    """
    chosen: dict[str, Source] = {}
    for item in [inputs] if isinstance(inputs, str) else inputs:
        item = os.fspath(item)
        try:
            found = _stdin(stdin_format) if item == STDIN else _expand_one(item)
        except OSError as error:
            _refuse(item, f"cannot be reached: {error.strerror}")
        for source in found:
            chosen.setdefault(STDIN if source.path == STDIN else os.path.realpath(source.path), source)
    if not chosen:
        raise InputError("no input: give files, folders, globs, or - for standard input")
    return list(chosen.values())


def _stdin(stdin_format: str | None) -> list[Source]:
    kind = classify("stdin." + stdin_format.lstrip(".")) if stdin_format else ("", "")
    if kind is None:
        raise InputError(f"unknown format {stdin_format!r} for standard input; {KNOWN}")
    return [Source(STDIN, *kind)]


def _expand_one(item: str) -> list[Source]:
    if item and Path(item).is_dir():
        return _known(_walk(item)) or _refuse(item, f"no file in this folder has a known extension; {KNOWN}")
    if item and Path(item).exists():
        if not os.access(item, os.R_OK):
            _refuse(item, "no permission to read it; change its mode or run as its owner")
        return _known([item]) or _refuse(item, f"unknown extension; {KNOWN}")
    if not glob.has_magic(item):
        _refuse(
            item, "a link to nothing" if Path(item).is_symlink() else "no such file or folder; check the path, or use - for stdin"
        )
    matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not matches:
        _refuse(item, "no file matches this pattern")
    found = [path for match in matches for path in (_walk(match) if Path(match).is_dir() else [match])]
    return _known(found) or _refuse(item, f"no file that matches has a known extension; {KNOWN}")


def _refuse(item: str, problem: str) -> NoReturn:
    raise InputError(f"{Source(item, '').name or repr(item)}: {problem}")


def _known(paths: Sequence[str]) -> list[Source]:
    return [Source(path, *kind) for path in paths if (kind := classify(path))]


def _walk(folder: str) -> list[str]:
    def fail(error: OSError) -> NoReturn:
        _refuse(str(error.filename), f"the folder cannot be listed: {error.strerror}")

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in files if not name.startswith(".")]
    return sorted(str(path) for path in found if path.is_file())
