"""Refusals on record, in plain words with their remedy."""

import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli.output import console, shown

if TYPE_CHECKING:
    from gateway.store.refusals import RefusalEntry

__all__ = ["explained", "print_refusals", "stamp"]


def explained(entry: "RefusalEntry") -> dict[str, Any]:
    """The entry with stage, meaning and remedy; as it is if this release does not know its reason."""
    from gateway.identity.refusal import Reason

    plain: dict[str, Any] = msgspec.to_builtins(entry)
    try:
        reason = Reason.from_code(entry.reason)
    except KeyError:
        return plain
    return {**plain, "stage": reason.stage.value, "meaning": reason.meaning, "remedy": reason.remedy}


def stamp(seconds: float) -> str:
    """A moment in local time; ``never`` for 0."""
    if not seconds:
        return "never"
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s after 1970"  # a row that somebody has edited
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def print_refusals(entries: list[dict[str, Any]]) -> None:
    """Newest first, as they come."""
    from rich.text import Text

    out = console()
    for entry in entries:
        times = f", {entry['count']} times" if entry["count"] > 1 else ""
        who = f" as {shown(entry['charge_point_id'])}" if entry["charge_point_id"] else ""
        place = f" from {shown(entry['address'])} on listener {shown(entry['listener'] or '?')}{who}{times}: "
        out.print(Text("\n").append(stamp(entry["time"]), "bold").append(place).append(shown(entry["reason"])))
        for label, key in (("", "meaning"), ("Detail: ", "detail"), ("What to do: ", "remedy")):
            if entry.get(key):
                out.print(f"  {label}{shown(entry[key])}")
