"""Days as records write them, and the bars of a chart over them."""

import re
from collections import Counter
from datetime import date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=100_000)
def read_day(value: Any) -> date | None:
    """The calendar day of a date as written in a record, None where it can't be read."""
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    text = str(value or "").strip()
    # The tail takes 2024-03-26T10:00, and the bare digits of 20240326 and 20240326101500, but no Unix time.
    if match := re.match(r"(\d{4})[-/.]?(\d{2})[-/.]?(\d{2})(?=\D|\d{6}$|$)", text):
        try:
            return date(*map(int, match.groups()))
        except ValueError:
            return None
    for form in ("%d %B %Y", "%B %d, %Y", "%d %b %Y", "%b %d, %Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    try:
        return parsedate_to_datetime(text).date()
    except (ValueError, TypeError, IndexError):
        return None


def bar_starts(days: list[date]) -> tuple[str, list[date]]:
    """The finest unit that keeps the charts to about a hundred bars, and the first day of every bar, empty ones too."""
    if not days:
        return "day", []
    span = (days[-1] - days[0]).days
    unit = next((name for name, longest in (("day", 100), ("week", 730), ("month", 3650)) if span <= longest), "year")
    starts = [_floor(days[0], unit)]
    last = _floor(days[-1], unit)
    while starts[-1] < last:
        starts.append(_floor(starts[-1] + timedelta({"day": 1, "week": 7, "month": 31, "year": 366}[unit]), unit))
    return unit, starts


def bars(days: Counter[date], unit: str, starts: list[date]) -> dict[str, Any]:
    """A chart's bars, in a box 1000 wide and 100 high; each bar's title says what it stands for."""
    heights: Counter[date] = Counter()
    for day, count in days.items():
        heights[_floor(day, unit)] += count
    peak = max(heights.values(), default=0)
    step = 1000 / max(len(starts), 12)  # a run of one day is a bar, not a wall
    found = [
        {"x": round(i * step, 2), "h": round(100 * heights[start] / peak, 2), "title": _bar_name(start, unit, heights[start])}
        for i, start in enumerate(starts)
        if heights[start]
    ]
    return {
        "bars": found,
        "width": round(step * 0.78, 2),
        "highest": peak,
        "peak": _bar_name(max(starts, key=lambda start: heights[start]), unit, peak) if found else "",
    }


def _floor(day: date, unit: str) -> date:
    if unit == "week":
        return day - timedelta(min(day.weekday(), day.toordinal() - 1))
    return {"day": day, "month": day.replace(day=1), "year": day.replace(month=1, day=1)}[unit]


def _bar_name(start: date, unit: str, count: int) -> str:
    day = long_day(start)
    month, year = f"{start:%B} {start.year}", start.year
    when = {"day": f"on {day}", "week": f"in the week of {day}", "month": f"in {month}", "year": f"in {year}"}
    return f"{count:,} {when[unit]}"


def long_day(day: date) -> str:
    """5 March 2024, unbroken between day and month."""
    return f"{day.day}\N{NO-BREAK SPACE}{day:%B} {day.year}"


def short_day(day: date, unit: str) -> str:
    """A day as the axis of a chart with bars of that unit writes it: 5 Mar, Mar 2024 or 2024."""
    return {"year": str(day.year), "month": f"{day:%b} {day.year}"}.get(unit, f"{day.day} {day:%b}")
