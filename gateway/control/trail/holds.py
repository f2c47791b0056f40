"""Legal holds: days whose texts nobody destroys, by name, until somebody lifts the hold."""

import datetime
from pathlib import Path

import msgspec

from gateway.control.trail.disk import Disk

__all__ = ["Hold", "HoldRefused", "Holds", "is_day"]


def is_day(text: str) -> bool:
    """True for ``YYYY-MM-DD`` alone. Days are compared as texts, and other spellings of ISO 8601 would sort elsewhere."""
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


class HoldRefused(Exception):  # noqa: N818  a state
    """It cannot be done, and why."""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Days from `since` to `until`, both included, as ``YYYY-MM-DD``; an empty `until` is all days to come."""

    name: str
    since: str
    until: str = ""
    reason: str = ""

    def covers(self, day: str) -> bool:
        """True if the texts of a day are held."""
        return self.since <= day and (not self.until or day <= self.until)


class Holds:
    """A small file beside the keys."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk = disk or Disk()

    def all(self) -> list[Hold]:
        """Raises OSError, HoldRefused for a file that cannot be read: then nothing may be destroyed."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Hold])
        except FileNotFoundError:
            return []
        except msgspec.MsgspecError as error:
            raise HoldRefused(
                f"{self._path} cannot be read ({error}): restore it, nothing is destroyed without it"
            ) from error

    def over(self, day: str) -> list[str]:
        """Names of the holds over a day. Raises OSError, HoldRefused."""
        return [hold.name for hold in self.all() if hold.covers(day)]

    def add(self, hold: Hold) -> None:
        """Raises OSError, HoldRefused."""
        for day in filter(None, (hold.since, hold.until)):
            if not is_day(day):
                raise HoldRefused(f"{day} is no day: YYYY-MM-DD")
        if hold.until and hold.until < hold.since:
            raise HoldRefused(f"it would end on {hold.until}, before it begins on {hold.since}")
        known = self.all()
        if any(each.name == hold.name for each in known):
            raise HoldRefused(f"there is a hold {hold.name} already")
        self._write([*known, hold])

    def lift(self, name: str) -> None:
        """Raises OSError, HoldRefused."""
        known = self.all()
        left = [each for each in known if each.name != name]
        if left == known:
            raise HoldRefused(f"there is no hold {name}")
        self._write(left)

    def _write(self, holds: list[Hold]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._disk.replace(self._path, msgspec.json.encode(holds), durable=True)
