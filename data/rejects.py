"""What a run set aside, listed with its reasons as it comes."""

import json
from collections import Counter
from pathlib import Path
from typing import IO, Self

from .output_file import named_errors
from .records import Reject


class RejectsWriter:
    """Lists what was set aside, as JSONL with `where`, `reason` and `detail`; hand it to a reader as `on_reject`.

    The file is made when the first reject arrives, replaces an older one, and grows as they come, so that it can be
    read while the run goes on or after it broke off. Without a path the rejects are only counted.

    Attributes:
        counts: how many per reason.
    """

    def __init__(self, path: str | None) -> None:
        self.counts: Counter[str] = Counter()
        self._path = path
        self._file: IO[str] | None = None

    def __call__(self, reject: Reject) -> None:
        """Raises InputError if the file can't be written."""
        self.counts[reject.reason] += 1
        if self._path is None:
            return
        with named_errors(self._path):
            if self._file is None:
                self._file = Path(self._path).open("w", 1, "utf-8", "backslashreplace")  # noqa: SIM115
            record = {"where": reject.where, "reason": reject.reason, "detail": reject.detail}
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            with named_errors(str(self._path)):
                self._file.close()
