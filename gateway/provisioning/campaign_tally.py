"""How many of a campaign are where, kept up to date, and when the numbers of a stratum say halt. Pure."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from gateway.provisioning.campaign import Member, Progress
from gateway.provisioning.campaign_plan import HaltRules
from gateway.provisioning.campaign_states import MemberState

__all__ = ["Count", "Tally", "WaveCounts", "halt_reason"]

_FAILED = (MemberState.FELL_BACK, MemberState.LOST)
_ENDED = (MemberState.COMMITTED, *_FAILED)
_TOLD = tuple(state for state in MemberState if state.is_underway)


class WaveCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Of the wave in which a stratum is; `lost` of the whole stratum."""

    admitted: int
    ended: int
    failed: int
    lost: int


class Count(msgspec.Struct):
    """Of who is offline in a stratum, over as many ticks as it takes."""

    asked: int = 0
    """How many of the stratum so far."""
    quiet: int = 0
    """Those of them that have no reason to be offline."""
    offline: int = 0
    """Those of these that are."""


class Tally:
    """Counts by stratum, wave and state."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._by_wave: Counter[tuple[int, int, MemberState]] = Counter()
        self._by_stratum: Counter[tuple[int, MemberState]] = Counter()
        self._in_all: Counter[MemberState] = Counter()
        self._admitted: Counter[tuple[int, int]] = Counter()
        for member in members:
            self._count(member, 1)

    def moved(self, before: Member, after: Member) -> None:
        """A member has changed."""
        self._count(before, -1)
        self._count(after, 1)

    def _count(self, member: Member, step: int) -> None:
        self._by_wave[member.stratum, member.wave, member.state] += step
        self._by_stratum[member.stratum, member.state] += step
        self._in_all[member.state] += step
        if member.wave >= 0:
            self._admitted[member.stratum, member.wave] += step

    def of_wave(self, stratum: int, wave: int) -> WaveCounts:
        """The numbers of this wave."""
        return WaveCounts(
            admitted=self._admitted[stratum, wave],
            ended=sum(self._by_wave[stratum, wave, state] for state in _ENDED),
            failed=sum(self._by_wave[stratum, wave, state] for state in _FAILED),
            lost=self._by_stratum[stratum, MemberState.LOST],
        )

    def of_stratum(self, stratum: int, *states: MemberState) -> int:
        """How many of a stratum are in one of these states."""
        return sum(self._by_stratum[stratum, state] for state in states)

    def in_all(self, *states: MemberState) -> int:
        """How many of the campaign are in one of these states."""
        return sum(self._in_all[state] for state in states)

    def underway(self, stratum: int | None = None) -> int:
        """How many are between the old and the new."""
        return self.in_all(*_TOLD) if stratum is None else self.of_stratum(stratum, *_TOLD)


def halt_reason(rules: HaltRules, progress: Progress, counts: WaveCounts, *, is_done: bool) -> str:
    """Why this stratum has to halt, in words; empty if it may go on.

    `is_done`: everybody of the wave has come to an end, so that the share says what it can.
    """
    lost = counts.lost - progress.forgiven_lost
    failed = counts.failed - progress.forgiven_failed
    ended = counts.ended - progress.forgiven_ended
    if progress.wave == 0 and lost > 0:
        return f"{lost} lost in the first wave"
    if lost > rules.max_lost:
        return f"{lost} lost, and {rules.max_lost} may be"
    if ended > 0 and (is_done or ended >= rules.min_ended) and failed / ended > rules.max_failure_share:
        return f"{failed} of {ended} of wave {progress.wave + 1} lost or fallen back, which is above the failure share"
    return ""
