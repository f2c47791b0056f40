"""The numbers of a wave, and what they say: at the limit it goes on, above it it halts."""

import msgspec
import pytest

from gateway.provisioning.campaign import Member, Progress
from gateway.provisioning.campaign_plan import HaltRules, Stratum
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.campaign_tally import Tally, WaveCounts, halt_reason
from tests.provisioning.campaigning import campaign_of, plan

LATER = Progress(stratum=Stratum("V", "M", "1"), wave=2)


def counts(ended: int, failed: int, lost: int = 0) -> WaveCounts:
    return WaveCounts(admitted=ended, ended=ended, failed=failed, lost=lost)


@pytest.mark.parametrize(
    ("found", "is_done", "halts"),
    [
        (counts(10, 2), False, False),  # as many as may fail
        (counts(10, 3), False, True),
        (counts(1, 1), True, True),  # one alone, and the wave is over
        (counts(1, 1), False, False),
        (counts(5, 2), False, True),  # as many as say something
        (counts(4, 2), False, False),
        (counts(0, 0), True, False),
        (counts(9, 0, lost=3), False, False),  # as many as may be lost
        (counts(9, 0, lost=4), False, True),
    ],
)
def test_at_the_limit_it_goes_on_and_above_it_halts(found: WaveCounts, is_done: bool, halts: bool) -> None:
    rules = HaltRules(max_failure_share=0.2, min_ended=5, max_lost=3)
    assert bool(halt_reason(rules, LATER, found, is_done=is_done)) is halts


def test_when_all_that_has_ended_was_forgiven_there_is_no_share() -> None:
    forgiven = msgspec.structs.replace(LATER, forgiven_ended=3, forgiven_failed=3)
    assert halt_reason(HaltRules(), forgiven, counts(3, 3), is_done=True) == ""


def test_members_as_they_are_read_and_as_they_move_count_once() -> None:
    _, members = campaign_of((3,), plan())
    rows = [msgspec.structs.replace(each, state=MemberState.WAITING, wave=0) for each in members]
    tally = Tally(rows)
    assert (tally.underway(), tally.underway(0), tally.in_all(MemberState.WAITING)) == (3, 3, 3)
    assert tally.of_wave(0, 0) == WaveCounts(admitted=3, ended=0, failed=0, lost=0)
    for row, state in zip(rows, (MemberState.LOST, MemberState.FELL_BACK, MemberState.VERIFIED), strict=True):
        after: Member = msgspec.structs.replace(row, state=state)
        tally.moved(row, after)
    assert tally.of_wave(0, 0) == WaveCounts(admitted=3, ended=2, failed=2, lost=1)
    assert (tally.underway(), tally.of_stratum(0, MemberState.VERIFIED)) == (0, 1)
