"""A profile that a charge point has taken is told until control has it, whichever control process that is."""

from typing import Any, cast

from gateway.edge.control_link import ControlLink
from gateway.edge.taken_profiles import TakenProfiles
from gateway.link.messages import ProfileNoted, ProfileSeen
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from tests.relay.scenario import make_admission

P1, P2, P3 = (SecurityProfile(number) for number in (1, 2, 3))
CP = ChargePointId("CP-1")


class Link:
    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, message: Any) -> bool:
        self.sent.append(message)
        return False  # control is away


def test_it_is_told_again_until_control_has_it() -> None:
    link = Link()
    profiles = TakenProfiles(cast("ControlLink", link))
    profiles.taken(make_admission(), P3)
    profiles.again()
    assert link.sent == [ProfileSeen(1, "s-1", CP, P3)] * 2
    profiles.told(ProfileNoted(1))
    profiles.told(ProfileNoted(1))
    profiles.again()
    assert len(link.sent) == 2


def test_what_is_not_higher_than_what_the_session_uses_is_nothing_to_tell() -> None:
    link = Link()
    profiles = TakenProfiles(cast("ControlLink", link))
    for profile in (P1, P2):
        profiles.taken(make_admission(), profile)
    assert link.sent == []


def test_what_waits_for_control_is_bounded() -> None:
    link = Link()
    profiles = TakenProfiles(cast("ControlLink", link))
    for _ in range(10_001):
        profiles.taken(make_admission(), P3)
    link.sent.clear()
    profiles.again()
    assert (len(link.sent), link.sent[0].request_id) == (10_000, 2)
