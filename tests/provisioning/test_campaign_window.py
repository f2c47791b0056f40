"""Maintenance windows: how they are written, and when they are open by the wall clock of a place."""

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.provisioning.campaign_window import Window, closed_until, is_open, parse_window

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("22:00-05:00", "mon,tue,wed,thu,fri,sat,sun 22:00-05:00"),
        ("mon-fri 22:00-05:00", "mon,tue,wed,thu,fri 22:00-05:00"),
        ("Sat,Sun 00:00-24:00", "sat,sun 00:00-24:00"),
        ("fri-mon 10:30-11:00", "mon,fri,sat,sun 10:30-11:00"),
    ],
)
def test_written_and_shown(text: str, shown: str) -> None:
    assert str(parse_window(text)) == shown
    assert parse_window(shown) == parse_window(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "22-5",
        "22:00",
        "24:00-05:00",
        "10:00-24:01",
        "10:60-11:00",
        "10:00-10:00",
        "xyz 10:00-11:00",
        "mon- 10:00-11:00",
    ],
)
def test_what_is_no_window_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no window|is empty|is no day"):
        parse_window(text)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-27T21:59", False),  # a Friday
        ("2026-11-27T22:00", True),
        ("2026-11-28T04:59", True),
        ("2026-11-28T05:00", False),
        ("2026-11-28T23:00", False),  # a Saturday
        ("2026-11-30T04:00", False),  # Monday morning belongs to Sunday's window
        ("2026-12-01T04:00", True),
    ],
)
def test_over_midnight_it_belongs_to_the_day_on_which_it_begins(time: str, expected: bool) -> None:
    assert is_open([parse_window("mon-fri 22:00-05:00")], at(time), BERLIN) is expected


def test_summer_time_follows_the_wall_clock() -> None:
    window = [Window(from_minute=60, to_minute=120)]
    assert is_open(window, at("2026-07-01T01:30"), BERLIN)
    assert is_open(window, at("2026-01-01T01:30"), BERLIN)
    assert not is_open(window, at("2026-07-01T01:30"), datetime.UTC)  # 23:30 there


def test_without_a_window_it_is_always_open_and_one_of_several_is_enough() -> None:
    assert is_open([], 0.0, datetime.UTC)
    windows = [parse_window("01:00-02:00"), parse_window("03:00-04:00")]
    assert [is_open(windows, hour * 3600.0, datetime.UTC) for hour in range(5)] == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("windows", "time", "opens"),
    [
        (["22:00-05:00"], "2026-11-27T12:00", "2026-11-27T22:00"),
        (["22:00-05:00"], "2026-11-27T05:00", "2026-11-27T22:00"),
        (["22:00-05:00"], "2026-11-27T04:59", ""),
        (["mon-fri 22:00-05:00"], "2026-11-28T05:00", "2026-11-30T22:00"),  # a Saturday
        (["mon 01:00-02:00"], "2026-11-30T02:00", "2026-12-07T01:00"),  # it has just been, and comes in a week
        (["mon 01:00-02:00", "sat 03:00-04:00"], "2026-11-27T12:00", "2026-11-28T03:00"),
        (["02:00-03:00"], "2026-10-24T12:00", "2026-10-25T02:00"),  # in the night in which the clock goes back
        ([], "2026-11-27T12:00", ""),
    ],
)
def test_when_the_next_one_opens(windows: list[str], time: str, opens: str) -> None:
    found = closed_until(map(parse_window, windows), at(time), BERLIN)
    assert found == (at(opens) if opens else 0.0)


@given(st.integers(0, 6), st.integers(0, 1_439), st.integers(1, 1_440), st.integers(0, 20_000))
def test_it_is_closed_until_then_and_open_then(day: int, begins: int, ends: int, minutes: int) -> None:
    windows = [Window(days=(day,), from_minute=begins, to_minute=ends if ends != begins else 1_440)]
    now = at("2026-11-23T00:00") + 60.0 * minutes  # a fortnight without a change of the clock
    opens = closed_until(windows, now, BERLIN)
    if not opens:
        assert is_open(windows, now, BERLIN)
        return
    assert opens > now
    assert is_open(windows, opens, BERLIN)
    assert not is_open(windows, opens - 60.0, BERLIN)
    assert not any(is_open(windows, now + share * (opens - now), BERLIN) for share in (0.0, 0.3, 0.7))
