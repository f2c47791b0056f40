"""Numbers and clocks of records: a number that is missing is a record that is missing, a clock that jumps is told."""

from collections.abc import Callable
from typing import Any, TypeGuard

__all__ = ["Continuity"]

_JUMP_US = 2_000_000
"""How far two clocks may come apart between neighbouring records. Slewing a clock takes longer."""
_MOST_NOTES = 20


Find = Callable[[Any, str, str], None]


class Continuity:
    """Watches the records of a log in order, shard after shard."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, int, int]] = {}
        """By run and worker: number, wall clock (us), monotonic clock (us)."""
        self._missing: list[tuple[Find, int, str, int]] = []
        self._announced = 0
        self._jumps: list[str] = []
        self._find: Find = _tell_nobody
        self._has_hole = False

    def begin(self, find: Find) -> None:
        """A shard begins. `find`: whom to tell what is found in it."""
        self._find = find

    def leave_out(self) -> None:
        """A shard is not here any more: what comes next does not go on from what was before."""
        self._has_hole = self._has_hole or bool(self._last)
        self._last.clear()

    def add(self, index: int, record: dict[str, Any]) -> None:
        """One record; those without a number count for nothing."""
        if record.get("type") == "audit.gap":
            self._announced += _announced(record.get("log"))
        who = (str(record.get("boot", "")), str(record.get("worker", "")))
        seq, ts, mono = record.get("seq"), record.get("ts"), record.get("mono")
        if not (_is_number(seq) and _is_number(ts) and _is_number(mono)):
            return
        before = self._last.get(who)
        if before is not None and seq != before[0] + 1:
            self._missing.append((self._find, index, who[1], seq - before[0] - 1))
        if before is not None and who[1] == "audit":
            # The log's own records are stamped when they are made, so both clocks were read at the same moment.
            apart = (ts - before[1]) - (mono // 1000 - before[2])
            if abs(apart) > _JUMP_US:
                self._jumps.append(f"record {index}: the clock of the gateway jumped by {apart / 1e6:+.1f} s")
        self._last[who] = (seq, ts, mono // 1000)

    def jumps(self) -> list[str]:
        """Jumps of the clock since the last call, the first of them."""
        found, self._jumps = self._jumps[:_MOST_NOTES], []
        return found

    def finish(self, notes: list[str]) -> None:
        """Tell what was found: missing numbers that no ``audit.gap`` accounts for are findings."""
        missing = sum(count for *_, count in self._missing if count > 0)
        for find, index, worker, count in self._missing:
            if count < 0:
                find("record-lost", f"record {index}", f"the numbers of worker {worker} go back")
        if missing > self._announced and self._has_hole:
            notes.append(
                f"{missing} numbers are missing, {self._announced} announced as lost: the others may have been announced "
                f"in a shard that is not here"
            )
        elif missing > self._announced:
            find, index, worker, count = next(each for each in self._missing if each[3] > 0)
            why = f"{missing} numbers are missing, {self._announced} announced as lost; the first: {count} of {worker}"
            find("record-lost", f"record {index}", why)
        elif self._announced:
            notes.append(f"{self._announced} records are announced as lost (audit.gap)")


def _tell_nobody(state: Any, where: str, detail: str) -> None:
    """Before the first shard nothing is found."""


def _is_number(value: Any) -> TypeGuard[int]:
    return type(value) is int


def _announced(log: Any) -> int:
    """How many records an ``audit.gap`` says were lost; what is no number says nothing."""
    count = log.get("count") if isinstance(log, dict) else None
    return max(0, count) if _is_number(count) else 0
