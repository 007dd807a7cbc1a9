"""What can go wrong with input and output: errors that end a run, and reasons for which a record is set aside."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import MappingProxyType


class InputError(ValueError):
    """Something is wrong with the command itself: a path, an extension, a column, an output that can't be written.

    The message is one line for the user and says what to do; the command line prints `error: MESSAGE` and exits with 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split("\n")))


class FileError(InputError):
    """One file can't be read, or not to its end. Readers turn it into a Reject, so that the other files are still read.

    Attributes:
        reason: one of REASONS.
        where: `FILE`, or `FILE:LINE` of the first line that could not be read.
    """

    def __init__(self, message: str, *, reason: str, where: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.where = where


BAD_JSON = "bad_json"
NOT_AN_OBJECT = "not_an_object"
NO_TEXT = "no_text"
NULL_TEXT = "null_text"
TEXT_NOT_STRING = "text_not_string"
BLANK_TEXT = "blank_text"
INVALID_UTF8 = "invalid_utf8"
INVALID_UNICODE = "invalid_unicode"
NUL_BYTE = "nul_byte"
LINE_TOO_LONG = "line_too_long"
BAD_CSV = "bad_csv"
WRONG_COLUMN_COUNT = "wrong_column_count"
BAD_VALUE = "bad_value"
EMPTY_FILE = "empty_file"
BINARY_FILE = "binary_file"
CORRUPT_FILE = "corrupt_file"
UNREADABLE_FILE = "unreadable_file"

REASONS: Mapping[str, str] = MappingProxyType(
    {
        BAD_JSON: "the line is not JSON",
        NOT_AN_OBJECT: "the line is JSON, but not an object",
        NO_TEXT: "the record has no text field, nor a title",
        NULL_TEXT: "the text is null, and there is no title",
        TEXT_NOT_STRING: "the text is a number, a list or an object",
        BLANK_TEXT: "the text is empty or blank, and there is no title",
        INVALID_UTF8: "the bytes are not UTF-8",
        INVALID_UNICODE: "a JSON string holds half of a surrogate pair, which no encoding can write",
        NUL_BYTE: "the text or title holds a NUL character",
        LINE_TOO_LONG: "the line, row or text is longer than the limit",
        BAD_CSV: "quotes or line ends of the row are wrong",
        WRONG_COLUMN_COUNT: "the row has more or fewer fields than the header",
        BAD_VALUE: "a Parquet value can't be represented",
        EMPTY_FILE: "the file has no bytes",
        BINARY_FILE: "the file is not text",
        CORRUPT_FILE: "the compressed or Parquet data is damaged or cut short; what came before was read",
        UNREADABLE_FILE: "the file can't be opened or read",
    }
)
"""Every reason for which a reader sets a record or a file aside, with its meaning."""


def missing_field(name: str, wanted: str, seen: Iterable[str]) -> InputError:
    """The error for a file `name` whose columns or fields `seen` don't include `wanted`, with the nearest of them."""
    seen = list(dict.fromkeys(seen))
    by_folded = {column.strip().casefold(): column for column in reversed(seen)}
    near = get_close_matches(wanted.casefold(), by_folded, n=1)
    hint = f"did you mean --text-field {by_folded[near[0]]!r}?" if near else "name the one to read with --text-field"
    listed = ", ".join(seen[:20]) + (", …" if len(seen) > 20 else "")
    return InputError(f"{name}: no field {wanted!r}; it has: {listed or 'none'}; {hint}")
