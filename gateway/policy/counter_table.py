"""Where counters are kept: one bounded table per rule, in which every charge point has its share. Pure: time is an argument.

Keys come from messages (`key: [session.identity, facts.connector]`), so whoever sends them can make ever new ones. Three bounds
keep that from costing memory, from switching a limit off, and from locking anybody else out:

1. A rule has a table of its own. What fills one leaves the limits of all other rules as they are, and as its windows are
   equally long, they end in the order in which they were last drawn on: if the first one is not over, none is.
2. A charge point may have `max_share` keys in a table. Its further ones share one spare window of its own, so that it goes on
   to be limited, as one key would be, and nobody else notices. As long as anything in it counts, all its new keys go there.
3. Behind a full table new keys share the spare window of their charge point as well. With one key per charge point, which is
   the usual case, that is exactly what its own window would be.

Nothing that still counts is ever pushed out. Only where there are more charge points than `max_keys` windows and as many spare ones
do those beyond share one: there a limit refuses too much rather than too little.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec

__all__ = ["CounterKey", "CounterTables", "KeptWindow", "Overflow", "Window", "add_overflows"]

_T = TypeVar("_T")
_E = TypeVar("_E")
_EXPIRED_AT_ONCE: Final = 64
_TABLES_BEFORE_LOOKING: Final = 64
_ANYBODY: Final = ""


class CounterKey(NamedTuple):
    """What is counted separately."""

    table: str
    """The rule's id, ``#`` and what it is made of: a reload that does not touch a limit does not reset it."""
    owner: str
    """The charge point that draws on it."""
    text: str
    """What the rule's `key` says; shared by all owners."""


class Overflow(NamedTuple):
    """How often a key had to share a spare window, and whose it was the last time."""

    times: int
    owner: str


class KeptWindow(msgspec.Struct, Generic[_E], frozen=True, array_like=True):
    """A window on its way to another edge worker."""

    table: str
    text: str | None
    """None: the spare one of its owner."""
    ends: float
    entries: tuple[_E, ...]


class Window(Generic[_T]):
    """What one key has used up; `ends` is when nothing of it counts any more."""

    __slots__ = ("content", "ends", "owner")

    def __init__(self, content: _T, owner: str) -> None:
        self.content = content
        self.owner = owner
        self.ends = 0.0


class _Table(Generic[_T]):
    """The windows of one rule: by key, and spare ones by owner. The one that was drawn on longest ago comes first."""

    __slots__ = ("keys_of", "spare", "windows")

    def __init__(self) -> None:
        self.windows: OrderedDict[str, Window[_T]] = OrderedDict()
        self.spare: OrderedDict[str, Window[_T]] = OrderedDict()
        self.keys_of: dict[str, tuple[str, ...]] = {}
        """Mostly one."""

    def expire(self, now: float) -> None:
        """Let go of windows that are over; of a bounded number, but more than can be added meanwhile."""
        for _ in range(_EXPIRED_AT_ONCE):
            if not self.windows:
                break
            text, window = next(iter(self.windows.items()))
            if window.ends > now:
                break
            del self.windows[text]
            self._disown(window.owner, text)
        for _ in range(_EXPIRED_AT_ONCE):
            if not self.spare or next(iter(self.spare.values())).ends > now:
                break
            self.spare.popitem(last=False)

    def _disown(self, owner: str, text: str) -> None:
        left = tuple([key for key in self.keys_of.get(owner, ()) if key != text])
        if left:
            self.keys_of[owner] = left
        else:
            self.keys_of.pop(owner, None)

    def is_over(self, now: float) -> bool:
        """True if nothing in it counts any more."""
        # Of all: the one drawn on last need not end last, as windows that other workers hand over end when they did there.
        return not any(window.ends > now for each in (self.windows, self.spare) for window in reversed(each.values()))


class CounterTables(Generic[_T]):
    """The tables of all rules with one kind of counter."""

    __slots__ = ("_empty", "_max_keys", "_max_share", "_overflows", "_tables")

    def __init__(self, empty: Callable[[], _T], max_keys: int, max_share: int) -> None:
        """`empty` makes the content of a window that nothing has been drawn on."""
        self._empty = empty
        self._max_keys = max_keys
        self._max_share = max_share
        self._tables: dict[str, _Table[_T]] = {}
        self._overflows: dict[str, Overflow] = {}

    def find(self, key: CounterKey) -> Window[_T] | None:
        """The window that a key would draw on, None if nothing has been drawn on it. Touches nothing."""
        table = self._tables.get(key.table)
        if table is None:
            return None
        found = table.windows.get(key.text) or table.spare.get(key.owner)
        if found is None and self._is_full(table, key.owner) and self._is_spent(table):
            return table.spare.get(_ANYBODY)
        return found

    def open(self, key: CounterKey, now: float) -> Window[_T]:
        """The window that a key draws on, made if need be."""
        table = self._tables.get(key.table) or self._add(key.table, now)
        found = table.windows.get(key.text)
        if found is not None:
            return found
        table.expire(now)
        spare = table.spare.get(key.owner)
        if self._is_full(table, key.owner) or (spare is not None and spare.ends > now):
            return self._open_spare(table, key)
        table.keys_of[key.owner] = (*table.keys_of.get(key.owner, ()), key.text)
        found = table.windows[key.text] = Window(self._empty(), key.owner)
        return found

    def drawn(self, key: CounterKey, window: Window[_T], ends: float) -> None:
        """Something has been drawn on the window of a key, that counts until `ends`."""
        window.ends = ends
        table = self._tables[key.table]
        if table.windows.get(key.text) is window:
            table.windows.move_to_end(key.text)
        elif table.spare.get(window.owner) is window:
            table.spare.move_to_end(window.owner)

    def of_owner(self, owner: str, now: float) -> Iterator[tuple[str, str | None, Window[_T]]]:
        """(table, text, window) of what still counts for an owner; the tables in which it has fewest keys come first."""
        found = [(len(table.keys_of.get(owner, ())), name, table) for name, table in self._tables.items()]
        for _, name, table in sorted(found, key=lambda each: each[:2]):
            spare = table.spare.get(owner)
            if spare is not None and spare.ends > now:
                yield name, None, spare
            for text in table.keys_of.get(owner, ()):
                window = table.windows[text]
                if window.ends > now:
                    yield name, text, window

    def take_in(self, owner: str, kept: KeptWindow[_E], now: float, add: Callable[[_T, tuple[_E, ...]], None]) -> None:
        """Remember a window of another worker; `add` puts what it holds beside what is here. One that is over is left out."""
        if kept.ends <= now:
            return
        key = CounterKey(kept.table, owner, kept.text or "")
        if kept.text is None:
            table = self._tables.get(kept.table) or self._add(kept.table, now)
            window = self._spare(table, owner)
        else:
            window = self.open(key, now)
        add(window.content, kept.entries)
        self.drawn(key, window, max(window.ends, kept.ends))

    def take_overflows(self) -> dict[str, Overflow]:
        """By table, since the last time."""
        found, self._overflows = self._overflows, {}
        return found

    def _is_full(self, table: _Table[_T], owner: str) -> bool:
        return len(table.windows) >= self._max_keys or len(table.keys_of.get(owner, ())) >= self._max_share

    def _is_spent(self, table: _Table[_T]) -> bool:
        return len(table.spare) >= self._max_keys

    def _open_spare(self, table: _Table[_T], key: CounterKey) -> Window[_T]:
        before = self._overflows.get(key.table)
        self._overflows[key.table] = Overflow(1 + (before.times if before else 0), key.owner)
        return self._spare(table, key.owner)

    def _spare(self, table: _Table[_T], owner: str) -> Window[_T]:
        found = table.spare.get(owner)
        if found is not None:
            return found
        owner = _ANYBODY if self._is_spent(table) else owner
        found = table.spare.get(owner)
        if found is None:
            found = table.spare[owner] = Window(self._empty(), owner)
        return found

    def _add(self, name: str, now: float) -> _Table[_T]:
        """Rules come and go with reloads: what is over of those that went is forgotten with the next one that comes."""
        if len(self._tables) >= _TABLES_BEFORE_LOOKING:
            self._tables = {known: table for known, table in self._tables.items() if not table.is_over(now)}
        table = self._tables[name] = _Table()
        return table


def add_overflows(by_rule: dict[str, Overflow], by_table: dict[str, Overflow]) -> None:
    """Add what has been counted by table to what is known by rule."""
    for table, overflow in by_table.items():
        rule = table.partition("#")[0]
        before = by_rule.get(rule)
        by_rule[rule] = Overflow(overflow.times + (before.times if before else 0), overflow.owner)
