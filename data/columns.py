"""The columns of the output: ours, and one of a fitting type for each field that an article brought along."""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time
from math import isfinite
from typing import Any

OVERFLOW = "extra"
COLUMNS = (
    *("doc_id", "sentence_id", "part", "start", "end", "text"),
    *("labels", "primary", "confidence", "scores", "abstained", "windows", "date"),
)


class PassedFields:
    """The fields that an article brought along, under their output names and as plain values."""

    def __init__(self, label_names: Sequence[str]) -> None:
        reserved = (*COLUMNS, OVERFLOW, *(f"score_{label}" for label in label_names))
        self._reserved = re.compile(rf"(in_)*({'|'.join(map(re.escape, reserved))})")
        self._last: tuple[Mapping[str, Any], dict[str, Any], int] = ({}, {}, 0)

    def of(self, extra: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """Output name → plain value, and their size in characters."""
        # All sentences of an article share one mapping.
        if self._last[0] is not extra:
            # in_in_text for a field in_text: no two names can meet, whatever the other fields are.
            named = {f"in_{name}" if self._reserved.fullmatch(name) else name: _plain(v) for name, v in extra.items()}
            self._last = (extra, named, len(to_json(finite(named))))
        return self._last[1:]


def column_kinds(extras: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Field name → bool, int, float, string or json: the first that holds all its values; string if all are null."""
    values: dict[str, list[Any]] = {}
    for extra in extras:
        for name, value in extra.items():
            cells = values.setdefault(name, [])
            if value is not None:
                cells.append(value)
    kinds = ("bool", "int", "float", "string", "json")
    return {
        name: next(kind for kind in kinds if all(_fits(value, kind) for value in cells)) if cells else "string"
        for name, cells in values.items()
    }


def fit(extra: Mapping[str, Any], kinds: Mapping[str, str]) -> list[Any]:
    """One row's cells for the columns `kinds`, then the rest: a JSON object of what fits in none of them, or None."""
    rest = {name: v for name, v in extra.items() if name not in kinds or not (v is None or _fits(v, kinds[name]))}
    cells = []
    for name, kind in kinds.items():
        value = None if name in rest else extra.get(name)
        cells.append(to_json(finite(value)) if kind == "json" and value is not None else value)
    return [*cells, to_json(finite(rest)) if rest else None]


def _fits(value: Any, kind: str) -> bool:
    if kind == "json":
        return True
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if kind == "string":
        return isinstance(value, str)
    if kind == "float" and isinstance(value, float):
        return True
    # A float column keeps whole numbers exactly only up to 2⁵³.
    limit = 2**63 if kind == "int" else 2**53
    return isinstance(value, int) and -limit <= value < limit


def _plain(value: Any) -> Any:
    """A value as JSON knows it: dates in ISO form, bytes in base64, anything unknown as its string."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return str(value)


def finite(value: Any) -> Any:
    """The same with null for NaN and the infinities, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def to_json(value: Any) -> str:
    """One line of JSON. Raises ValueError for NaN and the infinities."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
