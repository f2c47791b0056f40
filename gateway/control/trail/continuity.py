"""Numbers and clocks of records: a number that is missing is a record that is missing, a clock that jumps is told."""

from collections.abc import Callable
from typing import Any, TypeGuard

__all__ = ["Continuity"]

_JUMP_US = 2_000_000
"""How far two clocks may come apart between neighbouring records. Slewing a clock takes longer."""
_MOST_NOTES = 20


class Continuity:
    """Watches the records of a log in order."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, int, int]] = {}
        """By run and worker: number, wall clock (us), monotonic clock (us)."""
        self._missing: list[tuple[int, str, int]] = []
        self._announced = 0
        self._jumps: list[str] = []

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
            self._missing.append((index, who[1], seq - before[0] - 1))
        if before is not None and who[1] == "audit":
            # The log's own records are stamped when they are made, so both clocks were read at the same moment.
            apart = (ts - before[1]) - (mono // 1000 - before[2])
            if abs(apart) > _JUMP_US:
                self._jumps.append(f"record {index}: the clock of the gateway jumped by {apart / 1e6:+.1f} s")
        self._last[who] = (seq, ts, mono // 1000)

    def finish(self, find: Callable[[Any, str, str], None], notes: list[str]) -> None:
        """Tell what was found: missing numbers that no ``audit.gap`` accounts for are findings."""
        missing = sum(count for _, _, count in self._missing if count > 0)
        out_of_order = [(index, worker) for index, worker, count in self._missing if count < 0]
        for index, worker in out_of_order:
            find("record-lost", f"record {index}", f"the numbers of worker {worker} go back")
        if missing > self._announced:
            index, worker, count = next(each for each in self._missing if each[2] > 0)
            why = f"{missing} numbers are missing, {self._announced} announced as lost; the first: {count} of {worker}"
            find("record-lost", f"record {index}", why)
        elif self._announced:
            notes.append(f"{self._announced} records are announced as lost (audit.gap)")
        notes += self._jumps[:_MOST_NOTES]


def _is_number(value: Any) -> TypeGuard[int]:
    return type(value) is int


def _announced(log: Any) -> int:
    """How many records an ``audit.gap`` says were lost; what is no number says nothing."""
    count = log.get("count") if isinstance(log, dict) else None
    return max(0, count) if _is_number(count) else 0
