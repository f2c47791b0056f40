"""Records on their way to the log: in order, of bounded size, what matters least given up first."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from gateway.audit.record import RecordClass

__all__ = ["AuditQueue", "Gap", "Pending"]

_MOST_RECORDS: Final = 1000
_GROUP_S: Final = 0.02
"""How long a batch waits for more, unless somebody waits for it."""
_REFUSED: Final = "refused"
"""In a gap, beside the classes: nothing was lost, but numbers were given."""
_OVERHEAD_BYTES: Final = 128
"""What a waiting record takes beside its own bytes."""


class Pending(msgspec.Struct, frozen=True):
    """One record that waits."""

    record_class: RecordClass
    envelope: bytes
    when_done: Callable[[int | None], None] | None
    """Told the record's index once it is durable, None if it is given up. Called in the writer's thread."""
    keep: bool = False
    """Nothing waits for it although somebody wants to be told: it is kept as long as there is room, as others are."""

    @property
    def is_awaited(self) -> bool:
        """True if what it is the record of does not happen without it."""
        return self.when_done is not None and not self.keep


class Gap(msgspec.Struct, kw_only=True):
    """Records that are not in the log and never will be."""

    from_us: int
    to_us: int
    by_class: dict[str, int]

    @property
    def count(self) -> int:
        """All of them."""
        return sum(self.by_class.values())


class AuditQueue:
    """For any number of threads that put, and one that takes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._items: deque[Pending] = deque()
        self._bytes = 0
        self._urgent = 0
        self._changed = threading.Condition()
        self._closed = False
        self._refusing = False
        self._gap: Gap | None = None
        self.lost: dict[str, int] = {each.name.lower(): 0 for each in RecordClass}

    def __len__(self) -> int:
        return len(self._items)

    @property
    def size_bytes(self) -> int:
        """Memory taken, roughly."""
        return self._bytes

    def has_room(self, record_class: RecordClass) -> bool:
        """Aggregates leave half of it to others, and ordinary records an eighth to those somebody waits for."""
        share = {RecordClass.LOSSY: 4, RecordClass.GROUP: 7, RecordClass.SYNC: 8}[record_class]
        return self._bytes < self._max_bytes * share // 8

    def put(self, pending: Pending, now_us: int) -> bool:
        """Add a record; False if there is no room for it or the queue is closed. Then it is counted as lost."""
        with self._changed:
            return self._put(pending, now_us)

    def put_all(self, items: Sequence[Pending], now_us: int) -> list[Pending]:
        """Add records in one step; returns those that there was no room for, each of which is counted as lost."""
        with self._changed:
            return [each for each in items if not self._put(each, now_us)]

    def _put(self, pending: Pending, now_us: int) -> bool:
        if pending.is_awaited and (self._refusing or not self.has_room(pending.record_class)):
            if pending.envelope:
                self._announce(_REFUSED, now_us)
            return False  # no loss: what it would be the record of does not happen
        if self._closed or not self.has_room(pending.record_class):
            self._lose(pending, now_us)
            return False
        self._items.append(pending)
        self._bytes += len(pending.envelope) + _OVERHEAD_BYTES
        self._urgent += pending.record_class is RecordClass.SYNC
        # Waking somebody costs more than all the rest; in between, the writer's own clock is enough.
        if len(self._items) == 1 or pending.record_class is RecordClass.SYNC or len(self._items) == _MOST_RECORDS:
            self._changed.notify()
        return True

    def take(self, timeout_s: float) -> list[Pending]:
        """The next batch, in order; empty after `timeout_s` without any, or when the queue is closed and empty."""
        with self._changed:
            if not self._items and not self._closed:
                self._changed.wait(timeout_s)
            if self._items and not self._closed and not self._urgent and len(self._items) < _MOST_RECORDS:
                self._changed.wait_for(
                    lambda: self._urgent or self._closed or len(self._items) >= _MOST_RECORDS, _GROUP_S
                )
            batch = [self._items.popleft() for _ in range(min(len(self._items), _MOST_RECORDS))]
            for pending in batch:
                self._bytes -= len(pending.envelope) + _OVERHEAD_BYTES
                self._urgent -= pending.record_class is RecordClass.SYNC
            return batch

    def put_back(self, batch: list[Pending]) -> None:
        """What could not be written waits at the front."""
        with self._changed:
            self._items.extendleft(reversed(batch))
            for pending in batch:
                self._bytes += len(pending.envelope) + _OVERHEAD_BYTES
                self._urgent += pending.record_class is RecordClass.SYNC

    def refuse_waiting(self, now_us: int) -> list[Pending]:
        """From now on take no record that somebody waits for; returns those that are here."""
        with self._changed:
            self._refusing = True
            items = list(self._items)
            self._items = deque(each for each in items if not each.is_awaited)
            refused = [each for each in items if each.is_awaited]
            for each in refused:
                self._bytes -= len(each.envelope) + _OVERHEAD_BYTES
                if each.envelope:
                    self._announce(_REFUSED, now_us)
            self._urgent = sum(each.record_class is RecordClass.SYNC for each in self._items)
            return refused

    def accept_waiting(self) -> None:
        """Take them again."""
        with self._changed:
            self._refusing = False

    def _lose(self, pending: Pending, now_us: int) -> None:
        name = pending.record_class.name.lower()
        self.lost[name] += 1
        self._announce(name, now_us)

    def _announce(self, name: str, now_us: int) -> None:
        """The number of this record will be missing; the log says why before somebody asks."""
        if self._gap is None:
            self._gap = Gap(from_us=now_us, to_us=now_us, by_class={})
        self._gap.to_us = now_us
        self._gap.by_class[name] = self._gap.by_class.get(name, 0) + 1

    def take_gap(self) -> Gap | None:
        """What was lost since the last call."""
        with self._changed:
            gap, self._gap = self._gap, None
            return gap

    def return_gap(self, gap: Gap) -> None:
        """It could not be told; it is told together with what has been lost since."""
        with self._changed:
            newer, self._gap = self._gap, gap
            if newer is not None:
                gap.to_us = newer.to_us
                for name, count in newer.by_class.items():
                    gap.by_class[name] = gap.by_class.get(name, 0) + count

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self._closed = self._refusing = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True after `close`."""
        return self._closed
