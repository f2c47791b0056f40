"""Maintenance windows: when of the week charge points may be switched, in local time. Pure: the zone is an argument."""

import datetime
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

__all__ = ["DAYS", "Window", "closed_until", "is_open", "parse_window"]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_OF_DAY: Final = 24 * 60
_DAYS_AHEAD: Final = 9
"""So far ahead every window has opened once: one that is over today opens in a week."""
_NEVER_S: Final = 86_400.0
_SYNTAX: Final = re.compile(r"(?:([a-z,\-]+) )?(\d{2}):(\d{2})-(\d{2}):(\d{2})", re.ASCII)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From a minute of the day to another one, which is not part of it; it may reach over midnight."""

    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    """On which it begins; 0 is Monday."""
    from_minute: int
    to_minute: int
    """At most 24 * 60. Not after `from_minute`: of the next day."""

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in self.days)
        return f"{days} {_clock(self.from_minute)}-{_clock(self.to_minute)}"


def parse_window(text: str) -> Window:
    """`22:00-05:00`, `mon-fri 22:00-05:00`, `sat,sun 00:00-24:00`. Raises ValueError that says what is wrong."""
    found = _SYNTAX.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"'{text}' is no window: write it like 'mon-fri 22:00-05:00'")
    days, *numbers = found.groups()
    from_hour, from_minute, to_hour, to_minute = map(int, numbers)
    begins, ends = from_hour * 60 + from_minute, to_hour * 60 + to_minute
    if begins >= _MINUTES_OF_DAY or ends > _MINUTES_OF_DAY or max(from_minute, to_minute) > 59:  # noqa: PLR2004
        raise ValueError(f"'{text}' is no window: a day has 00:00 to 24:00")
    if begins == ends:
        raise ValueError(f"'{text}' is empty: the whole day is 00:00-24:00")
    return Window(days=_days(days) if days else (0, 1, 2, 3, 4, 5, 6), from_minute=begins, to_minute=ends)


def is_open(windows: Iterable[Window], now: float, zone: datetime.tzinfo) -> bool:
    """True if one of them is open at this time (seconds since the epoch); without any there is no restriction.

    By the wall clock of the zone: an hour that a change to summer time leaves out is not made up for.
    """
    all_of_them = tuple(windows)
    local = datetime.datetime.fromtimestamp(now, zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    return not all_of_them or any(_covers(window, day, minute) for window in all_of_them)


def closed_until(windows: Iterable[Window], now: float, zone: datetime.tzinfo) -> float:
    """When the next one opens, in seconds since the epoch; 0.0 while one is open."""
    all_of_them = tuple(windows)
    if is_open(all_of_them, now, zone):
        return 0.0
    today = datetime.datetime.fromtimestamp(now, zone).date()
    days = [today + datetime.timedelta(days=ahead) for ahead in range(_DAYS_AHEAD)]
    opens = (_opens_at(window, day, zone) for window in all_of_them for day in days if day.weekday() in window.days)
    return min((at for at in opens if at > now), default=now + _NEVER_S)


def _opens_at(window: Window, day: datetime.date, zone: datetime.tzinfo) -> float:
    hour, minute = divmod(window.from_minute, 60)
    return datetime.datetime.combine(day, datetime.time(hour, minute, tzinfo=zone)).timestamp()


def _covers(window: Window, day: int, minute: int) -> bool:
    if window.from_minute < window.to_minute:
        return day in window.days and window.from_minute <= minute < window.to_minute
    since_yesterday = (day - 1) % 7 in window.days and minute < window.to_minute
    return since_yesterday or (day in window.days and minute >= window.from_minute)


def _days(text: str) -> tuple[int, ...]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin, end = _day(first), _day(last if dash else first)
        found.update(_circle(begin, end))
    return tuple(sorted(found))


def _circle(begin: int, end: int) -> Sequence[int]:
    return range(begin, end + 1) if begin <= end else (*range(begin, 7), *range(end + 1))


def _day(name: str) -> int:
    if name not in DAYS:
        raise ValueError(f"'{name}' is no day: {', '.join(DAYS)}")
    return DAYS.index(name)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
