"""Records for people: one line each, or everything about one."""

import datetime
import re
from typing import Any

import click

from gateway.audit.record import part
from gateway.cli.output import shown

__all__ = ["line_of", "moment", "moment_us", "place_of", "stamp_us"]

_RELATIVE = re.compile(r"(\d{1,6})(s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def stamp_us(ts_us: Any) -> str:
    """A time of a record, UTC, in milliseconds."""
    try:
        moment = datetime.datetime.fromtimestamp(ts_us / 1_000_000, datetime.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def place_of(shard: str, index: int) -> str:
    """How commands name a record."""
    return f"{shard}/{index}"


def line_of(shard: str, index: int, record: dict[str, Any]) -> str:
    """The gist of a record."""
    decision = part(record, "dec")
    parts = [
        place_of(shard, index),
        stamp_us(record.get("ts")),
        record.get("sev") or "-",
        record.get("type") or "?",
        record.get("cp") or "-",
        part(record, "ocpp").get("action") or "",
        decision.get("verdict") or decision.get("act") or "",
        decision.get("rule") or decision.get("reason") or "",
        f"x{record['n']}" if record.get("n") else "",
        record.get("text") or "",
        _rests_on(part(record, "ref").get("records")),
    ]
    return "  ".join(shown(part) for part in parts if part)


def _rests_on(places: Any) -> str:
    return f"[{', '.join(map(str, places))}]" if isinstance(places, list) and places else ""


def moment_us(text: str, now_us: int) -> int:
    """A time that somebody typed: ISO 8601 (UTC where it names no zone), or how long ago. Raises ValueError."""
    if match := _RELATIVE.fullmatch(text):
        return now_us - int(match[1]) * _SECONDS[match[2]] * 1_000_000
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1_000_000)


def moment(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Callback of options that take a time."""
    import time

    try:
        return moment_us(value, time.time_ns() // 1000) if value is not None else None
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"{value!r} is neither a time such as 2026-11-27T21:00:00Z nor how long ago, such as 90min, 12h or 7d"
        ) from error
