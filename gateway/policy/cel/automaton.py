"""Patterns as tables: one dict lookup per character, whatever the text. Built when an expression is checked.

Tree to NFA (Thompson), NFA to DFA (subset construction over classes of characters that no part of the pattern tells
apart). A pattern whose table would grow beyond a few hundred states is refused, so matching keeps no state and cannot
be made slow or large by a text.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.policy.cel.operations import OperationError
from gateway.policy.cel.regex import (
    Alternation,
    Anchor,
    Characters,
    Pattern,
    PatternRefused,
    Ranges,
    Repeat,
    Sequence,
    parse_pattern,
)

__all__ = ["MAX_INPUT", "Automaton", "compile_pattern"]

MAX_INPUT: Final = 1024
"""Longest text that is searched, in code points; a longer one is an error."""
_MAX_NODES: Final = 1000
_MAX_STATES: Final = 400
_ASCII: Final = 128


class _State(dict[str, "_State"]):
    """Next state by character. ASCII is filled in; other characters are looked up by their class."""

    __slots__ = ("accepts", "by_class", "ends", "starts")

    def __init__(self, starts: list[int], *, accepts: bool, ends: bool) -> None:
        super().__init__()
        self.starts = starts
        self.by_class: list[_State] = []
        self.accepts = accepts
        self.ends = ends

    def __missing__(self, character: str) -> "_State":
        return self.by_class[bisect_right(self.starts, ord(character)) - 1]


class Automaton:
    """A compiled pattern."""

    __slots__ = ("_start", "pattern")

    def __init__(self, pattern: str, start: _State) -> None:
        self.pattern = pattern
        self._start = start

    def search(self, text: Any) -> bool:
        """True if some part of the text matches. Raises OperationError if it is no string or too long."""
        if type(text) is not str:
            raise OperationError("matches() needs a string")
        if len(text) > MAX_INPUT:
            raise OperationError(f"matches(): text longer than {MAX_INPUT} characters")
        state = self._start
        if state.accepts:
            return True
        for character in text:
            state = state[character]
            if state.accepts:
                return True
        return state.ends


@dataclass(slots=True)
class _NFA:
    """Nodes by number. `moves`: on characters; `jumps`: free; `at_start` and `at_end`: free at that place only."""

    moves: list[tuple[Ranges, int] | None] = field(default_factory=list)
    jumps: list[list[int]] = field(default_factory=list)
    at_start: list[list[int]] = field(default_factory=list)
    at_end: list[list[int]] = field(default_factory=list)

    def node(self) -> int:
        if len(self.moves) >= _MAX_NODES:
            raise PatternRefused("the pattern is too large", 0)
        self.moves.append(None)
        for edges in (self.jumps, self.at_start, self.at_end):
            edges.append([])
        return len(self.moves) - 1

    def add(self, pattern: Pattern, start: int) -> int:
        """Build the pattern behind `start`; the node behind it."""
        match pattern:
            case Characters():
                end = self.node()
                self.moves[start] = (pattern.ranges, end)
                return end
            case Anchor():
                end = self.node()
                (self.at_start if pattern.is_start else self.at_end)[start].append(end)
                return end
            case Sequence():
                for item in pattern.items:
                    start = self.add(item, self._behind(start))
                return start
            case Alternation():
                end = self.node()
                for option in pattern.options:
                    self.jumps[self.add(option, self._behind(start))].append(end)
                return end
            case Repeat():
                return self._repeat(pattern, start)

    def _behind(self, start: int) -> int:
        """A fresh node one jump behind, so that no node gets two moves."""
        fresh = self.node()
        self.jumps[start].append(fresh)
        return fresh

    def _repeat(self, pattern: Repeat, start: int) -> int:
        for _ in range(pattern.least):
            start = self.add(pattern.item, self._behind(start))
        if pattern.most is None:
            loop = self._behind(start)
            self.jumps[self.add(pattern.item, self._behind(loop))].append(loop)
            return loop
        end = self.node()
        for _ in range(pattern.most - pattern.least):
            self.jumps[start].append(end)
            start = self.add(pattern.item, self._behind(start))
        self.jumps[start].append(end)
        return end

    def closure(self, nodes: frozenset[int], *, is_start: bool = False, is_end: bool = False) -> frozenset[int]:
        """All nodes that can be reached for free."""
        seen, waiting = set(nodes), list(nodes)
        while waiting:
            node = waiting.pop()
            reachable = [*self.jumps[node]]
            reachable += self.at_start[node] if is_start else []
            reachable += self.at_end[node] if is_end else []
            for each in reachable:
                if each not in seen:
                    seen.add(each)
                    waiting.append(each)
        return frozenset(seen)


def compile_pattern(pattern: str) -> Automaton:
    """The automaton of a pattern. Raises PatternRefused."""
    nfa = _NFA()
    first = nfa.node()
    last = nfa.add(parse_pattern(pattern), first)
    return Automaton(pattern, _Subsets(nfa, first, last).start)


class _Subsets:
    """Subset construction."""

    def __init__(self, nfa: _NFA, first: int, last: int) -> None:
        self._nfa = nfa
        self._last = last
        self._classes = self._boundaries()
        self._restart = nfa.closure(frozenset({first}))
        self._states: dict[tuple[frozenset[int], bool], _State] = {}
        self._waiting: list[tuple[frozenset[int], _State]] = []
        self.start = self._state(nfa.closure(frozenset({first}), is_start=True), is_first=True)
        while self._waiting:
            self._fill(*self._waiting.pop())

    def _boundaries(self) -> list[int]:
        """First code point of each class of characters that the pattern treats alike."""
        starts = {0}
        for move in self._nfa.moves:
            for first, last in move[0] if move else ():
                starts |= {first, last + 1}
        return sorted(starts)

    def _state(self, nodes: frozenset[int], *, is_first: bool = False) -> _State:
        """The state for a set of nodes. A state that accepts is final, so nothing behind it is built."""
        state = self._states.get((nodes, is_first))
        if state is None:
            if len(self._states) >= _MAX_STATES:
                raise PatternRefused("the pattern is too complex; begin it with ^ or repeat less", 0)
            accepts = self._last in nodes
            at_end = self._nfa.closure(nodes, is_start=is_first, is_end=True)
            state = _State(self._classes, accepts=accepts, ends=self._last in at_end)
            self._states[nodes, is_first] = state
            if not accepts:
                self._waiting.append((nodes, state))
        return state

    def _fill(self, nodes: frozenset[int], state: _State) -> None:
        for code in self._classes:
            targets = frozenset(
                move[1]
                for node in nodes
                if (move := self._nfa.moves[node]) and any(first <= code <= last for first, last in move[0])
            )
            state.by_class.append(self._state(self._nfa.closure(targets) | self._restart))
        for code in range(_ASCII):
            state[chr(code)] = state.by_class[bisect_right(self._classes, code) - 1]
