"""Timestamps and durations as texts, without an oracle."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cel import parse_duration, parse_timestamp
from gateway.policy.cel.functions import to_string
from gateway.policy.cel.times import format_duration, format_timestamp, from_unix, unix_seconds

DAY = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-01T00:00:00Z", DAY),
        ("2026-01-01t00:00:00z", DAY),
        ("2026-01-01T01:30:00+01:30", DAY),
        ("2025-12-31T19:00:00-05:00", DAY),
        ("2026-01-01T00:00:00.5Z", DAY + datetime.timedelta(microseconds=500_000)),
        ("2026-01-01T00:00:00.123456789Z", DAY + datetime.timedelta(microseconds=123_456)),
        ("2025-12-31T23:59:60Z", DAY),
    ],
)
def test_rfc_3339_texts_are_read(text: str, value: datetime.datetime) -> None:
    assert parse_timestamp(text) == value
    assert parse_timestamp(text).utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00Z",
        "2026-01-01 00:00:00Z",
        "2026-1-1T00:00:00Z",
        "20260101T000000Z",
        "2026-W01-1T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00+0100",
        "2026-01-01T00:00:00+25:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:60Z",
        "222222017-10-27T00:00:00Z",
        " 2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z\n",
        "２０２６-01-01T00:00:00Z",
        "2026-01-01T00:00:00." + "1" * 60 + "Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("-1m30s", -90),
        ("1.5h", 5400),
        ("+.5s", 0.5),
        ("250ms", 0.25),
        ("0", 0),
        ("-0", 0),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "1d", "1 s", "s", ".s", "1m-1s", "--1s", "1e3s", "87660001h", "1µs", "١s", "1s" * 40]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@given(st.datetimes(timezones=st.just(datetime.UTC)))
def test_a_timestamp_survives_its_text(value: datetime.datetime) -> None:
    assert parse_timestamp(format_timestamp(value)) == value


@given(st.timedeltas(datetime.timedelta(days=-3_652_500), datetime.timedelta(days=3_652_500)))
def test_a_duration_survives_its_text(value: datetime.timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.integers(-62_135_596_800, 253_402_300_799))
def test_unix_seconds_are_whole(seconds: int) -> None:
    assert unix_seconds(from_unix(seconds)) == seconds


def test_numbers_are_shown_without_needless_digits() -> None:
    assert [to_string(value) for value in (32.0, 0.1, -0.0, 1e21, 16, True)] == [
        "32",
        "0.1",
        "-0",
        "1e+21",
        "16",
        "true",
    ]
