"""TOML that people write by hand, read strictly: what is unknown, missing or of the wrong type is refused by name.

Nothing here knows what the file is about or where it lies: messages say which table and key, the caller adds the file.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Kinds = Mapping[str, str]
"""What a table may hold: by key, one of the words of `_KINDS`."""

_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("a string", lambda value: isinstance(value, str)),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "texts": ("a list of strings", lambda value: isinstance(value, list) and all(isinstance(x, str) for x in value)),
    "table": ("a table", lambda value: isinstance(value, dict)),
    "tables": ("a list of tables", lambda value: isinstance(value, list) and all(isinstance(x, dict) for x in value)),
}


class StrictError(ValueError):
    """Text that is not TOML, or a table that does not hold what it should; one line says which and what."""


def kinds(**keys: str) -> Kinds:
    """What a table may hold, written by kind: `kinds(text="name title", flag="secondary")`."""
    return {key: kind for kind, names in keys.items() for key in names.split()}


def parse(raw: bytes) -> dict[str, Any]:
    """The file's tables. Raises StrictError, with the line, where it is not UTF-8 or not TOML."""
    try:
        text = raw.decode("utf-8-sig")  # some Windows editors write a byte order mark, which TOML refuses
    except UnicodeDecodeError as err:
        line = err.object.count(b"\n", 0, err.start) + 1
        raise StrictError(f"line {line} is not UTF-8; save the file as UTF-8") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        end = f"line {text.rstrip().count(chr(10)) + 1}, the end of the file"
        raise StrictError(f"not valid TOML: {str(err).replace('end of document', end)}") from None


def expect(table: Mapping[str, Any], allowed: Kinds, required: Iterable[str], where: str) -> None:
    """Refuse a key that is not in `allowed`, a value of another kind, and a required key that is missing or empty."""
    for key, value in table.items():
        if key not in allowed:
            raise StrictError(f"{where}: unknown key {key!r}; {nearest(key, allowed)}")
        phrase, fits = _KINDS[allowed[key]]
        if not fits(value):
            raise StrictError(f"{where}: {key!r} must be {phrase}, not {value!r}")
    for key in required:
        if not table.get(key):
            raise StrictError(f"{where}: {key!r} is missing or empty; add it")


def items(
    tables: Iterable[Mapping[str, Any]], allowed: Kinds, required: Iterable[str], what: str
) -> list[tuple[dict[str, Any], str]]:
    """Each table of a list, checked as by `expect`, beside what messages call it: its name, its text or its number."""
    found = []
    for number, table in enumerate(tables, 1):
        called = table.get("name", table.get("text"))
        where = f"{what} {called!r}" if isinstance(called, str) else f"{what} number {number}"
        expect(table, allowed, required, where)
        found.append((dict(table), where))
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known one that is spelled most like it, whatever the case."""
    spelled = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), spelled, n=1, cutoff=0.0)
    return f"the nearest known is {spelled[close[0]]!r}" if close else "none is known"
