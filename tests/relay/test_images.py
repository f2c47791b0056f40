"""Updates that wait until somebody has looked at their image: held in their place, let go, refused; and what is not held."""

import base64
import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.firmware_image import ImageClaim, ImageOutcome, ImageVerdict
from gateway.policy.site import Gates, GroupPolicy, ImageGateMode, SitePolicy
from gateway.relay.effects import (
    FORWARD,
    NOTHING,
    Answered,
    AwaitRecord,
    CheckImage,
    Deliver,
    Effects,
    Forward,
    NoteRegistered,
    Reply,
    ReportEvent,
)
from gateway.relay.judge import Judge
from gateway.relay.lanes import Entry, Lane, LaneLimits
from gateway.relay.open_calls import OpenCall
from gateway.relay.relay import Relay, RelayLimits
from tests.relay.scenario import CSMS, ChargePoint, Wait, make_admission, report
from tests.relay.test_judged import Judged

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
CLAIM = ImageClaim("https://fw.example/i.bin", "PEM", "c2ln")
VERIFIED = ImageVerdict("verified", "sha256 00")
PASSED = report("firmware.image_verified", "info", "allow", "sha256 00")
UNKNOWN = ImageVerdict("unknown", "HTTP status 404")
OTHER = '[2,"o","ClearCache",{}]'
HEARTBEAT = ChargePoint('[2,"h","Heartbeat",{}]')
SIGNED = {V1_6: "SignedUpdateFirmware", V2_0_1: "UpdateFirmware", V2_1: "UpdateFirmware"}


class Script(Judged):
    """Enforced for the group of the charge point, unless it is said otherwise."""

    def __init__(
        self,
        version: OCPPVersion = V1_6,
        mode: ImageGateMode = "enforce",
        *,
        max_open: int = 1,
        recorded_first: frozenset[str] = frozenset(),
    ) -> None:
        site = SitePolicy(everyone=GroupPolicy(gates=Gates(firmware_image=mode)))
        super().__init__(version, "baseline", site=site)
        calls = LaneLimits(max_open=max_open, max_waiting=3, call_timeout_s=30.0)
        limits = RelayLimits(
            messages_per_s=10.0, messages_burst=100, flood_grace_s=5.0, calls=calls, recorded_first=recorded_first
        )
        self.relay = Relay(make_admission(), version, limits, Judge(self.policy, self.session, boot_state="unknown"))

    def checked(self, ticket: int, verdict: ImageVerdict) -> Effects:
        return self.relay.image_checked(ticket, verdict, self.now)


def update(version: OCPPVersion = V1_6, message_id: str = "f", **changes: Any) -> str:
    firmware = {
        "location": CLAIM.location,
        "retrieveDateTime": "2026-01-01T00:00:00Z",
        "signingCertificate": CLAIM.certificate,
        "signature": CLAIM.signature,
        **changes,
    }
    firmware = {name: value for name, value in firmware.items() if value is not None}
    return json.dumps([2, message_id, SIGNED[version], {"requestId": 1, "firmware": firmware}])


@pytest.mark.requirement("L01.FR.04")
@pytest.mark.parametrize("version", SIGNED)
def test_it_goes_on_to_the_letter_when_its_image_is_the_signed_one(version: OCPPVersion) -> None:
    with Script(version) as s:
        s >> CSMS(update(version)) << CheckImage(1, CLAIM)
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update(version).encode()))
        s >> ChargePoint('[3,"f",{"status":"Accepted"}]') << FORWARD
        assert s.checked(1, VERIFIED) == NOTHING


@pytest.mark.requirement("L01.FR.04")
@pytest.mark.parametrize("version", SIGNED)
@pytest.mark.parametrize(
    ("outcome", "event", "severity", "status", "reason"),
    [
        ("forged", "firmware.image_forged", "critical", "Rejected", "InvalidSignature"),
        ("bad-certificate", "firmware.image_forged", "critical", "InvalidCertificate", "InvalidCertificate"),
        ("unknown", "firmware.image_unknown", "high", "Rejected", "ImageNotChecked"),
    ],
)
def test_it_is_refused_in_its_own_terms_and_never_sent(
    version: OCPPVersion, outcome: ImageOutcome, event: str, severity: str, status: str, reason: str
) -> None:
    with Script(version) as s:
        s >> CSMS(update(version)) << CheckImage(1, CLAIM)
        said, reply = s.checked(1, ImageVerdict(outcome, "why"))
        assert said == report(event, severity, "answer", "why")
        assert isinstance(reply, Reply)
        answer = {"status": status} | ({"statusInfo": {"reasonCode": reason}} if version.is_2x else {})
        assert json.loads(reply.text) == [3, "f", answer]
        assert schema_gate(version).check(SIGNED[version], "result", answer) is None
        s >> ChargePoint('[3,"f",{"status":"Accepted"}]') << report("rpc.unsolicited_result", "high", "drop")


def test_one_that_nobody_can_look_at_goes_on_where_that_is_wanted_and_says_so() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM)
        verdict = ImageVerdict("let-through", "sftp")
        said = report("firmware.image_unknown", "high", "allow_alert", "sftp")
        assert s.checked(1, verdict) == (said, Deliver(update().encode()))


@pytest.mark.parametrize("verdict", [VERIFIED, UNKNOWN])
def test_a_gate_that_watches_holds_nothing(verdict: ImageVerdict) -> None:
    with Script(mode="monitor") as s:
        s >> CSMS(update()) << (Forward(), CheckImage(0, CLAIM))
        would = report("firmware.image_unknown", "high", "would:answer", UNKNOWN.detail)
        assert s.checked(0, verdict) == (PASSED if verdict is VERIFIED else would,)
        s >> ChargePoint('[3,"f",{"status":"Accepted"}]') << FORWARD


@pytest.mark.parametrize("mode", ["off", "enforce"])
def test_what_there_is_nothing_to_hold_against_is_left_to_the_rules(mode: ImageGateMode) -> None:
    unsigned = '[2,"u","UpdateFirmware",{"location":"https://fw.example/i","retrieveDate":"2026-01-01T00:00:00Z"}]'
    for text in (unsigned, update(signature=None), update(signingCertificate=None)):
        with Script(mode=mode) as s:
            s >> CSMS(text)
            assert s.effects()[-1] == Forward()
    with Script(V2_0_1, mode) as s:
        s >> CSMS(update(V2_0_1, signature=None, signingCertificate=None)) << FORWARD
    with Script(mode=mode) as s:
        s >> CSMS(OTHER) << FORWARD


def test_it_is_off_unless_somebody_switches_it_on() -> None:
    with Script(mode="off") as s:
        s >> CSMS(update()) << FORWARD
    assert Gates().firmware_image == "off"


def test_what_is_no_text_is_asked_about_as_nothing() -> None:
    """The schema only watches by default: nothing passes because it is odd."""
    with Script() as s:
        s >> CSMS(update(location=5))
        *_, asked = s.effects()
        assert asked == CheckImage(1, ImageClaim("", CLAIM.certificate, CLAIM.signature))


def test_while_it_is_held_the_charge_point_talks_and_is_answered() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM)
        s >> HEARTBEAT << FORWARD
        s >> CSMS('[3,"h",{"currentTime":"2026-01-01T00:00:00Z"}]') << (Forward(), NoteRegistered())
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update().encode()))


@pytest.mark.parametrize("verdict", [VERIFIED, UNKNOWN])
def test_what_the_csms_says_behind_it_comes_behind_it(verdict: ImageVerdict) -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM) >> CSMS(OTHER) << NOTHING
        assert s.relay.tick(s.now) == []
        effects = s.checked(1, verdict)
        if not verdict.passes:
            assert effects[-1] == Deliver(OTHER.encode())
            return
        assert effects == (PASSED, Deliver(update().encode()))
        s >> ChargePoint('[3,"f",{"status":"Accepted"}]') << (Forward(), Reply(OTHER.encode()))


def test_what_was_on_its_way_before_does_not_wait_for_it() -> None:
    with Script() as s:
        s >> CSMS(OTHER) << FORWARD >> CSMS(update()) << CheckImage(1, CLAIM)
        s >> ChargePoint('[3,"o",{"status":"Accepted"}]') << FORWARD
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update().encode()))


def test_it_waits_for_its_turn_once_it_may_go_on() -> None:
    with Script() as s:
        s >> CSMS(OTHER) << FORWARD >> CSMS(update()) << CheckImage(1, CLAIM)
        assert s.checked(1, VERIFIED) == (PASSED,)
        s >> ChargePoint('[3,"o",{"status":"Accepted"}]') << (Forward(), Reply(update().encode()))


def test_where_several_calls_may_be_on_their_way_only_its_own_place_is_taken() -> None:
    with Script(max_open=2) as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM) >> CSMS(OTHER) << FORWARD
        third = CSMS('[2,"t","ClearCache",{}]')
        s >> third << NOTHING
        s >> ChargePoint('[3,"o",{"status":"Accepted"}]') << (Forward(), Reply(third.encode()))
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update().encode()))


def test_a_call_of_the_gateway_has_its_turn_while_one_is_held_and_does_not_overtake_it_afterwards() -> None:
    with Script() as s:
        s >> CSMS(OTHER) << FORWARD >> CSMS(update()) << CheckImage(1, CLAIM)
        assert s.relay.ask("own1", "GetConfiguration", {}, s.now) == NOTHING
        assert s.relay.ask("own2", "GetConfiguration", {}, s.now) == NOTHING
        s >> ChargePoint('[3,"o",{"status":"Accepted"}]')
        assert s.effects() == (Forward(), Reply(b'[2,"own1","GetConfiguration",{}]'))
        s >> ChargePoint('[3,"own1",{}]') << Answered("own1", {})
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update().encode()))
        s >> ChargePoint('[3,"f",{"status":"Accepted"}]')
        assert s.effects() == (Forward(), Reply(b'[2,"own2","GetConfiguration",{}]'))


def test_one_that_came_when_nothing_was_on_its_way_goes_before_calls_of_the_gateway() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM)
        assert s.relay.ask("own1", "GetConfiguration", {}, s.now) == NOTHING
        assert s.relay.tick(s.now) == []
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update().encode()))


def test_when_it_is_refused_calls_of_the_gateway_go_on() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM)
        assert s.relay.ask("own1", "GetConfiguration", {}, s.now) == NOTHING
        assert s.checked(1, UNKNOWN)[-1] == Deliver(b'[2,"own1","GetConfiguration",{}]')


def test_two_of_them_are_told_apart() -> None:
    with Script(max_open=4) as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM) >> CSMS(update(message_id="g")) << CheckImage(2, CLAIM)
        assert s.checked(2, VERIFIED) == (PASSED, Deliver(update(message_id="g").encode()))
        assert s.checked(1, UNKNOWN)[-1] == Reply(b'[3,"f",{"status":"Rejected"}]')


def test_an_answer_that_comes_before_it_was_sent_is_no_answer() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM)
        s >> ChargePoint('[3,"f",{"status":"Accepted"}]') << report("rpc.unsolicited_result", "high", "drop")
        assert s.checked(1, VERIFIED) == (PASSED, Deliver(update().encode()))


def test_after_the_time_that_a_csms_waits_it_is_not_sent_any_more() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM) >> Wait(31)
        [(_, (said, reply))] = s.relay.tick(s.now)
        assert said == report("rpc.call_timeout", "low", "callerror", SIGNED[V1_6])
        assert isinstance(reply, Reply)
        assert json.loads(reply.text)[:2] == [4, "f"]
        assert s.checked(1, VERIFIED) == NOTHING


def test_what_waits_behind_it_is_bounded() -> None:
    with Script() as s:
        s >> CSMS(update()) << CheckImage(1, CLAIM)
        for number in range(2):
            s >> CSMS(OTHER.replace('"o"', f'"{number}"')) << NOTHING
        s >> CSMS(OTHER)
        assert isinstance(said := s.effects()[0], ReportEvent)
        assert said.event == "rpc.too_many_pending"


def test_its_record_comes_first() -> None:
    with Script(recorded_first=frozenset({SIGNED[V1_6]})) as s:
        s >> CSMS(update()) << AwaitRecord(1, FORWARD)
        assert s.relay.recorded(1, s.now, may_go_on=True) == (CheckImage(2, CLAIM),)
        assert s.checked(2, VERIFIED) == (PASSED, Deliver(update().encode()))


def test_a_signed_message_is_looked_into_and_refused_with_an_error() -> None:
    """Its answer would have to be signed as well."""
    inner = {**json.loads(update(V2_1))[3]}
    payload = base64.urlsafe_b64encode(json.dumps(inner).encode()).rstrip(b"=").decode()
    text = json.dumps([2, "f", "UpdateFirmware-Signed", {"payload": payload, "protected": "e30", "signature": "AA"}])
    with Script(V2_1) as s:
        s >> CSMS(text)
        assert s.effects()[-1] == CheckImage(1, CLAIM)
        reply = s.checked(1, UNKNOWN)[-1]
        assert isinstance(reply, Reply)
        assert json.loads(reply.text)[:3] == [4, "f", "SecurityError"]


def test_what_the_rules_refuse_is_fetched_by_nobody() -> None:
    with Script() as s:
        s.policy.state.quarantined["CP-1"] = "rule"
        s >> CSMS(update())
        assert CheckImage not in {type(effect) for effect in s.effects()}


class AnyHolding(RuleBasedStateMachine):
    """One lane: what is sent keeps its order but for what is held, and no place is given twice."""

    def __init__(self) -> None:
        super().__init__()
        self.lane, self.now = Lane(), 0.0
        self.limits = LaneLimits()
        self.numbers = itertools.count(1)
        self.queued: list[int] = []
        """In order: neither sent nor dropped."""
        self.held: set[int] = set()
        self.open: list[int] = []

    @initialize(places=st.integers(1, 3))
    def start(self, places: int) -> None:
        self.limits = LaneLimits(max_open=places, max_waiting=100, call_timeout_s=1e9)

    @rule(holds=st.booleans())
    def enter(self, holds: bool) -> None:
        number = next(self.numbers)
        call = Call(str(number), "Reset", msgspec.Raw(b"{}"))
        record = OpenCall("Reset", "Reset", {}, V1_6, self.now)
        before_it = len(self.queued) - len(self.held)
        places = self.limits.max_open - len(self.open) - len(self.held)
        entry = self.lane.enter(call, record, b"", self.limits, self.now, ticket=number if holds else 0)
        if entry is Entry.SENT:
            assert not holds
            assert before_it == 0
            assert places > 0
            self.open.append(number)
        else:
            assert entry is Entry.WAITS
            assert holds or before_it or places <= 0
            self.queued.append(number)
            self.held |= {number} if holds else set()

    def turns(self) -> None:
        for each, entry in self.lane.next(self.limits, self.now):
            assert entry is Entry.SENT
            number = int(each.call.message_id)
            place = self.queued.index(number)
            assert set(self.queued[:place]) <= self.held, "only what is held is overtaken"
            assert number not in self.held
            assert len(self.open) + place < self.limits.max_open, "what is held before it keeps its places"
            self.queued.remove(number)
            self.open.append(number)

    @rule(which=st.integers(0, 5))
    def release(self, which: int) -> None:
        if self.held:
            number = sorted(self.held)[which % len(self.held)]
            assert self.lane.release(number)
            self.held.remove(number)
            assert not self.lane.release(number)
            self.turns()

    @rule(which=st.integers(0, 5))
    def drop(self, which: int) -> None:
        if self.held:
            number = sorted(self.held)[which % len(self.held)]
            dropped = self.lane.drop(number)
            assert dropped is not None
            assert dropped.call.message_id == str(number)
            self.held.remove(number)
            self.queued.remove(number)
            self.turns()

    @rule(which=st.integers(0, 5))
    def answer(self, which: int) -> None:
        if self.open:
            number = self.open.pop(which % len(self.open))
            assert self.lane.take(str(number), self.limits, self.now) is not None
            self.turns()

    @invariant()
    def nothing_is_lost_and_nobody_waits_for_nothing(self) -> None:
        waiting = [int(each.call.message_id) for each in self.lane.waiting or ()]
        assert waiting == self.queued
        first = next((place for place, number in enumerate(waiting) if number not in self.held), None)
        assert first is None or len(self.open) + first >= self.limits.max_open


TestAnyHolding = AnyHolding.TestCase
