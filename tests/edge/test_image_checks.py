"""Questions about images, from live sessions to control: asked again of the next one, and never open for ever."""

from typing import Any, cast

import msgspec
import pytest

from gateway.edge import image_checks
from gateway.edge.control_link import ControlLink
from gateway.edge.image_checks import ImageChecks
from gateway.edge.pump import Leg
from gateway.link.images import ImageAsked, ImageChecked
from gateway.ocpp.vocabulary import ChargePointId
from gateway.policy.firmware_image import ImageClaim, ImageVerdict
from gateway.relay.effects import CheckImage, Effects
from tests.relay.scenario import make_admission
from tests.support.fleet import until

CLAIM = ImageClaim("https://user:secret@fw.example/i", "PEM", "c2ln")
VERIFIED = ImageVerdict("verified", "sha256 00")


class Link:
    def __init__(self) -> None:
        self.sent: list[ImageAsked] = []

    def send(self, message: Any) -> bool:
        self.sent.append(message)
        return False  # control is away


class Session:
    """A leg, its bridge and its relay, as far as a question goes through them."""

    lost = close_sent = False

    def __init__(self, session: str = "s-1") -> None:
        self.admission = msgspec.structs.replace(make_admission(), session=session)
        self.bridge = self.relay = self
        self.heard: list[tuple[int, ImageVerdict]] = []

    def image_checked(self, ticket: int, verdict: ImageVerdict, now: float) -> Effects:
        del now
        self.heard.append((ticket, verdict))
        return ()

    def perform(self, leg: object, effects: Effects, wire: bytes) -> None:
        assert (leg, effects, wire) == (self, (), b"")


class Desk(ImageChecks):
    def __init__(self) -> None:
        self.link, self.session = Link(), Session()
        super().__init__(cast("ControlLink", self.link))

    def held(self, ticket: int, session: Session | None = None) -> None:
        self.ask(cast("Leg", session or self.session), CheckImage(ticket, CLAIM))


async def test_the_session_hears_what_control_has_found_out_and_once() -> None:
    desk = Desk()
    desk.held(5)
    desk.again()
    asked = ImageAsked(1, ChargePointId("CP-1"), CLAIM.location, "PEM", "c2ln", True)
    assert desk.link.sent == [asked, asked]
    assert "secret" not in repr(asked)
    for _ in range(2):
        desk.told(ImageChecked(1, VERIFIED))
    desk.again()
    assert desk.session.heard == [(5, VERIFIED)]
    assert len(desk.link.sent) == 2


async def test_a_session_that_has_ended_wants_to_know_nothing() -> None:
    desk = Desk()
    desk.held(1)
    desk.ended("another")
    desk.told(ImageChecked(1, VERIFIED))
    desk.held(2)
    desk.ended("s-1")
    desk.told(ImageChecked(2, VERIFIED))
    desk.held(3)
    desk.session.close_sent = True
    desk.told(ImageChecked(3, VERIFIED))
    assert desk.session.heard == [(1, VERIFIED)]


async def test_without_an_answer_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_checks, "_PATIENCE_S", 0.0)
    desk = Desk()
    desk.held(0)
    desk.held(1)
    assert [each.holds for each in desk.link.sent] == [False, True]
    await until(lambda: desk.session.heard, "it gives up")
    ((ticket, verdict),) = desk.session.heard
    assert ticket == 1, "where nothing is held there is no hurry"
    assert (verdict.outcome, "control" in verdict.detail) == ("unknown", True)


async def test_so_many_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_checks, "_MAX_OPEN", 1)
    desk = Desk()
    desk.held(1)
    desk.held(2)
    await until(lambda: desk.session.heard, "the second is told")
    ((ticket, verdict),) = desk.session.heard
    assert (ticket, verdict.outcome, len(desk.link.sent)) == (2, "unknown", 1)


async def test_a_session_has_few_questions_open_where_nothing_is_held_and_as_many_updates_held_as_it_likes() -> None:
    desk, other = Desk(), Session("s-2")
    for _ in range(4):
        desk.held(0)
    desk.held(0)
    await until(lambda: desk.session.heard, "the fifth is told")
    assert [verdict.outcome for _, verdict in desk.session.heard] == ["unknown"]
    desk.held(0, other)
    for ticket in range(1, 9):
        desk.held(ticket)
    assert len(desk.link.sent) == 4 + 1 + 8
    desk.told(ImageChecked(1, VERIFIED))
    desk.held(0)
    assert len(desk.link.sent) == 4 + 1 + 8 + 1, "one is answered: there is room for the next"


async def test_those_that_only_watch_leave_room_for_updates_that_are_held() -> None:
    desk = Desk()
    for number in range(1_100):
        desk.held(0, Session(f"s-{number}"))
    assert len(desk.link.sent) == 500
    for ticket in range(1, 602):
        desk.held(ticket)
    assert len(desk.link.sent) == 1_000, "the rest is for these, and there is an end to it"
    desk.again()
    assert len(desk.link.sent) == 2_000, "what was never asked is not asked again"
    await until(lambda: len(desk.session.heard) == 101, "those too many are told")
