"""One call at a time in each direction: what waits, what follows, what is given up, and what is never held back."""

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec import Raw

from gateway.ocpp.codec import decode
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.relay.effects import FORWARD, NOTHING, Answered, CloseBoth, Deliver, Effects, Forward, Reply, ReportEvent
from gateway.relay.lanes import Entry, Lane, LaneLimits
from gateway.relay.open_calls import OpenCall
from gateway.relay.relay import RelayLimits
from tests.relay.scenario import CSMS, ChargePoint, Scenario, Wait, report

CALLS = LaneLimits(max_waiting=3, max_waiting_bytes=200, call_timeout_s=30.0)
LIMITS = RelayLimits(messages_per_s=100.0, messages_burst=1_000, flood_grace_s=5.0, calls=CALLS)
MAX_OWN = 4
TOO_MANY = report("rpc.too_many_pending", "medium", "callerror")


def scenario(version: OCPPVersion = OCPPVersion.V2_0_1) -> Scenario:
    return Scenario(version, limits=LIMITS)


def up(number: object, action: str = "Heartbeat") -> ChargePoint:
    return ChargePoint(f'[2,"{number}","{action}",{{}}]')


def down(number: object, action: str = "Reset") -> CSMS:
    return CSMS(f'[2,"{number}","{action}",{{}}]')


def test_what_one_session_has_asked_is_open_in_no_other_one() -> None:
    with scenario() as one, scenario() as other:
        one >> down(1) << FORWARD >> up(2) << FORWARD
        other >> down(1) << FORWARD >> up(2) << FORWARD
        one >> ChargePoint('[3,"1",{}]') << FORWARD >> CSMS('[3,"2",{}]') << FORWARD >> down(3) << FORWARD
        other >> ChargePoint('[3,"3",{}]') << report("rpc.unsolicited_result", "high", "drop")


def test_the_second_command_goes_when_the_first_is_answered() -> None:
    with scenario() as script:
        script >> down(1) << FORWARD >> down(2) << NOTHING >> down(3) << NOTHING
        script >> ChargePoint('[3,"1",{}]') << (Forward(), Reply(down(2).encode()))
        script >> ChargePoint('[4,"2","InternalError","",{}]') << (Forward(), Reply(down(3).encode()))
        script >> ChargePoint('[3,"3",{}]') << FORWARD


def test_so_it_is_for_charge_points() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD >> up(2, "MeterValues") << NOTHING
        script >> CSMS('[3,"1",{}]') << (Forward(), Reply(up(2, "MeterValues").encode()))


def test_the_directions_do_not_wait_for_each_other_also_under_equal_ids() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD >> down(1) << FORWARD
        script >> CSMS('[3,"1",{}]') << FORWARD >> ChargePoint('[3,"1",{}]') << FORWARD


def test_an_answer_to_nothing_lets_nothing_go() -> None:
    unsolicited = report("rpc.unsolicited_result", "high", "drop")
    with scenario() as script:
        script >> down(1) << FORWARD >> down(2) << NOTHING
        script >> ChargePoint('[3,"2",{}]') << unsolicited >> ChargePoint('[3,"9",{}]') << unsolicited


def test_a_malformed_answer_is_one() -> None:
    with scenario() as script:
        script >> down(1) << FORWARD >> down(2) << NOTHING >> ChargePoint('[3,"1",{"a":1,"a":1}]')
        effects = script.effects()
    assert Reply(down(2).encode()) in effects
    assert isinstance(effects[1], Deliver)


def test_a_retry_under_the_same_id_does_not_wait() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD >> up(1) << FORWARD


def test_a_call_that_has_timed_out_makes_way() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD >> up(2) << NOTHING >> Wait(29.9) << NOTHING
        assert script.relay.tick(script.now) == []
        script >> Wait(0.1) << NOTHING
        assert script.relay.tick(script.now) == [(Origin.CHARGE_POINT, (Deliver(up(2).encode()),))]
        assert script.relay.tick(script.now + 100) == []
        script >> CSMS('[3,"1",{}]') << FORWARD >> CSMS('[3,"2",{}]') << FORWARD


def test_a_command_that_has_waited_too_long_is_not_sent_late() -> None:
    with scenario() as script:
        script >> down(1) << FORWARD >> down(2) << NOTHING >> Wait(15) << NOTHING >> down(3) << NOTHING
        script >> Wait(15) << NOTHING
        timeout = report("rpc.call_timeout", "low", "callerror", "Reset")
        given_up = Reply(b'[4,"2","GenericError","no answer in time",{}]')
        assert script.relay.tick(script.now) == [(Origin.CSMS, (timeout, given_up, Deliver(down(3).encode())))]


def test_what_a_charge_point_says_is_sent_however_late() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD >> up(2, "StopTransaction") << NOTHING >> up(3, "MeterValues") << NOTHING
        sent = []
        for _ in range(3):
            script >> Wait(31) << NOTHING
            sent += [effect for _, effects in script.relay.tick(script.now) for effect in effects]
    assert sent == [Deliver(up(2, "StopTransaction").encode()), Deliver(up(3, "MeterValues").encode())]


def test_a_full_lane_refuses_but_never_what_carries_billing_data() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD
        for number in (2, 3, 4):
            script >> up(number) << NOTHING
        script >> up(5) << (TOO_MANY, Reply(b'[4,"5","GenericError","too many open calls",{}]'))
        (
            script
            >> up(6, "TransactionEvent")
            << (
                report("rpc.too_many_pending", "medium", "ws_close", "TransactionEvent"),
                CloseBoth(1008, "too many open calls"),
            )
        )


def test_long_calls_fill_a_lane_sooner() -> None:
    long = CSMS('[2,"2","DataTransfer",{"vendorId":"' + "x" * 120 + '"}]')
    with scenario() as script:
        script >> down(1) << FORWARD >> long << NOTHING
        (
            script
            >> CSMS(long.replace('"2"', '"3"'))
            << (TOO_MANY, Reply(b'[4,"3","GenericError","too many open calls",{}]'))
        )
        script >> down(4) << NOTHING


def test_a_send_never_waits() -> None:
    with scenario(OCPPVersion.V2_1) as script:
        script >> up(1) << FORWARD >> ChargePoint('[6,"s","NotifyPeriodicEventStream",{"id":1}]') << FORWARD


def test_the_same_id_again_for_something_else_waits_and_is_then_no_ambiguity() -> None:
    with scenario() as script:
        script >> up(1) << FORWARD >> up(2) << NOTHING >> up(2, "MeterValues") << NOTHING
        script >> CSMS('[3,"1",{}]') << (Forward(), Reply(up(2).encode()))
        script >> CSMS('[3,"2",{}]') << (Forward(), Reply(up(2, "MeterValues").encode()))
        script >> CSMS('[3,"2",{}]') << FORWARD


def test_more_at_once_where_the_operator_says_so() -> None:
    limits = RelayLimits(
        messages_per_s=100.0, messages_burst=1_000, flood_grace_s=5.0, calls=LaneLimits(max_open=2, max_waiting=3)
    )
    with Scenario(OCPPVersion.V1_6, limits=limits) as script:
        script >> down(1) << FORWARD >> down(2) << FORWARD >> down(3) << NOTHING
        script >> ChargePoint('[3,"2",{}]') << (Forward(), Reply(down(3).encode()))


def is_full(script: Scenario) -> bool:
    return script.relay.is_full_for_charge_point


TAKEN = report("rpc.id_reused", "high", "callerror", "the id of a call of the gateway")


class TestOwnCalls:
    """Calls of the gateway: in turn with those of the CSMS, which hears of neither call nor answer."""

    def test_it_waits_its_turn_and_its_answer_is_the_gateways(self) -> None:
        with scenario() as script:
            script >> down(1) << FORWARD
            assert script.relay.ask("own", "GetLog", {"a": 1}, script.now) == NOTHING
            script >> down(2) << NOTHING
            script >> ChargePoint('[3,"1",{}]') << (Forward(), Reply(b'[2,"own","GetLog",{"a":1}]'))
            script >> ChargePoint('[3,"own",{"b":2}]') << (Answered("own", {"b": 2}), Reply(down(2).encode()))
            script >> ChargePoint('[3,"2",{}]') << FORWARD

    @pytest.mark.parametrize(
        ("first", "commands", "own", "order"),
        [
            ("1", 3, 3, ["own0", "2", "own1", "3", "own2", "4"]),
            ("own", 3, 3, ["2", "own0", "3", "own1", "4", "own2"]),
            ("1", 1, 4, ["own0", "2", "own1", "own2", "own3"]),
            ("own", 1, 4, ["2", "own0", "own1", "own2", "own3"]),
            ("1", 3, 1, ["own0", "2", "3", "4"]),
        ],
    )
    def test_where_both_wait_they_take_turns_and_each_side_keeps_its_order(
        self, first: str, commands: int, own: int, order: list[str]
    ) -> None:
        with scenario() as script:
            if first == "own":
                script.relay.ask(first, "GetLog", {}, script.now)
            else:
                script >> down(first) << FORWARD
            for number in range(own):
                script.relay.ask(f"own{number}", "GetLog", {}, script.now)
            for number in range(commands):
                script >> down(number + 2) << NOTHING
            found = [first]
            while sent := self.answered(script, found[-1]):
                found += sent
        assert found == [first, *order]

    @staticmethod
    def answered(script: Scenario, message_id: str) -> list[str]:
        """Ids of the calls that an answer lets go."""
        effects = script.feed(ChargePoint(f'[3,"{message_id}",{{}}]'))
        return [decode(each.text, OCPPVersion.V1_6).message_id for each in effects if isinstance(each, Reply)]

    def test_a_csms_that_never_pauses_does_not_keep_the_gateway_out(self) -> None:
        """It always has two commands more than have been answered."""
        with scenario() as script:
            script >> down(1) << FORWARD >> down(2) << NOTHING
            script.relay.ask("own", "GetLog", {}, script.now)
            script >> down(3) << NOTHING
            assert self.answered(script, "1") == ["own"]

    def test_one_that_was_not_answered_gives_the_csms_its_next_turns_until_it_has_timed_out(self) -> None:
        with scenario() as script:
            for number in range(3):
                script.relay.ask(f"own{number}", "GetLog", {}, script.now)
            script >> down(1) << NOTHING >> Wait(15) << NOTHING
            assert script.relay.tick(script.now) == [(Origin.CSMS, (Deliver(down(1).encode()),))]
            for number in (2, 3, 4):
                script >> down(number) << NOTHING
            assert self.answered(script, "1") == ["2"]
            script >> Wait(14.9) << NOTHING
            assert self.answered(script, "2") == ["3"]
            script >> Wait(0.1) << NOTHING
            assert self.answered(script, "3") == ["own1"]

    def test_answered_late_it_stands_in_the_way_of_the_next_one_no_longer(self) -> None:
        with scenario() as script:
            for number in range(2):
                script.relay.ask(f"own{number}", "GetLog", {}, script.now)
            script >> down(1) << NOTHING >> Wait(15) << NOTHING
            script.relay.tick(script.now)
            script >> down(2) << NOTHING >> ChargePoint('[3,"own0",{}]') << Answered("own0", {})
            assert self.answered(script, "1") == ["own1"]

    def test_it_goes_at_once_where_nothing_is_on_the_way_and_is_then_waited_for(self) -> None:
        with scenario() as script:
            assert script.relay.ask("own", "GetLog", {}, script.now) == (Deliver(b'[2,"own","GetLog",{}]'),)
            (
                script
                >> down(1)
                << NOTHING
                >> ChargePoint('[3,"own",{}]')
                << (Answered("own", {}), Reply(down(1).encode()))
            )

    def test_an_error_is_an_answer(self) -> None:
        with scenario() as script:
            script.relay.ask("own", "GetLog", {}, script.now)
            error = Answered("own", {"x": 1}, "NotSupported", "no such log")
            script >> ChargePoint('[4,"own","NotSupported","no such log",{"x":1}]') << error

    def test_so_is_one_that_cannot_be_read_and_the_csms_hears_nothing(self) -> None:
        with scenario() as script:
            script.relay.ask("own", "GetLog", {}, script.now)
            script >> ChargePoint('[3,"own",{"a":1,"a":1}]')
            effects = script.effects()
        assert Answered("own", error="malformed answer") in effects
        assert not any(isinstance(effect, Deliver | Forward) for effect in effects)

    def test_a_second_answer_is_unsolicited(self) -> None:
        with scenario() as script:
            script.relay.ask("own", "GetLog", {}, script.now)
            script >> ChargePoint('[3,"own",{}]') << Answered("own", {})
            script >> ChargePoint('[3,"own",{}]') << report("rpc.unsolicited_result", "high", "drop")

    def test_how_long_it_waits_is_not_for_the_lane_to_say(self) -> None:
        with scenario() as script:
            script >> down(1) << FORWARD
            script.relay.ask("own", "GetLog", {}, script.now)
            script >> Wait(31) << NOTHING
            assert script.relay.tick(script.now) == [(Origin.CSMS, (Deliver(b'[2,"own","GetLog",{}]'),))]

    def test_the_commands_of_the_csms_have_their_places_to_themselves(self) -> None:
        big = {"vendorId": "v", "data": "x" * 600}
        with scenario() as script:
            script >> down(1) << FORWARD
            for number in range(4):
                assert script.relay.ask(f"own{number}", "DataTransfer", big, script.now) == NOTHING
            for number in (2, 3, 4):
                script >> down(number) << NOTHING
            assert not is_full(script)
            script >> down(5) << (TOO_MANY, Reply(b'[4,"5","GenericError","too many open calls",{}]'))
            assert is_full(script)
            assert script.relay.withdraw("own3")
            assert is_full(script), "that has made no room for a command"

    def test_a_few_may_wait_and_the_next_hears_so_at_once(self) -> None:
        with scenario() as script:
            script >> down(1) << FORWARD
            for number in range(4):
                assert script.relay.ask(f"own{number}", "GetLog", {}, script.now) == NOTHING
            enough = Answered("own4", error="enough calls of the gateway wait already", is_sent=False)
            assert script.relay.ask("own4", "GetLog", {}, script.now) == (enough,)
            assert script.relay.withdraw("own2")
            assert script.relay.ask("own5", "GetLog", {}, script.now) == NOTHING

    def test_unanswered_it_makes_way_before_the_csms_gives_up_on_a_command_behind_it(self) -> None:
        with scenario() as script:
            script.relay.ask("own", "GetLog", {}, script.now)
            script >> down(1) << NOTHING >> Wait(14.9) << NOTHING
            assert script.relay.tick(script.now) == []
            script >> Wait(0.1) << NOTHING
            assert script.relay.tick(script.now) == [(Origin.CSMS, (Deliver(down(1).encode()),))]
            script >> ChargePoint('[3,"own",{}]') << Answered("own", {})
            script >> ChargePoint('[3,"1",{}]') << FORWARD

    def test_withdrawn_it_is_not_sent_and_one_on_its_way_cannot_be(self) -> None:
        with scenario() as script:
            script >> down(1) << FORWARD
            script.relay.ask("own", "GetLog", {}, script.now)
            assert script.relay.withdraw("own") is True
            assert script.relay.withdraw("own") is False
            assert script.relay.withdraw("1") is False
            script >> ChargePoint('[3,"1",{}]') << FORWARD
            script.relay.ask("own", "GetLog", {}, script.now)
            assert script.relay.withdraw("own") is False

    @pytest.mark.parametrize("waits", [False, True])
    def test_the_csms_cannot_take_its_id_and_with_it_its_answer(self, waits: bool) -> None:
        with scenario() as script:
            if waits:
                script >> down(1) << FORWARD
            script.relay.ask("own", "Reset", {}, script.now)
            script >> down("own") << (TAKEN, Reply(b'[4,"own","GenericError","message id in use",{}]'))
            script >> down("other") << NOTHING

    def test_a_call_that_waits_of_the_charge_point_is_another_matter(self) -> None:
        with scenario() as script:
            script.relay.ask("own", "Reset", {}, script.now)
            script >> up("own") << FORWARD >> CSMS('[3,"own",{}]') << FORWARD

    def test_it_is_no_answer_that_a_result_error_could_be_about(self) -> None:
        with scenario(OCPPVersion.V2_1) as script:
            script.relay.ask("own", "GetLog", {}, script.now)
            script >> ChargePoint('[3,"own",{}]') << Answered("own", {})
            script >> CSMS('[5,"own","InternalError","",{}]') << report("rpc.unsolicited_result", "high", "drop")


class AnyInterleaving(RuleBasedStateMachine):
    """What is on the way is counted by what each side has really been sent."""

    def __init__(self) -> None:
        super().__init__()
        self.script = scenario()
        self.numbers = itertools.count()
        self.open: dict[Origin, dict[str, float]] = {Origin.CHARGE_POINT: {}, Origin.CSMS: {}}
        """By who asked: what the other side has been sent and has not answered, and when."""
        self.asked: dict[Origin, list[str]] = {Origin.CHARGE_POINT: [], Origin.CSMS: []}
        """In order, what is neither sent nor answered."""
        self.asked_for_us: list[str] = []
        """Likewise."""
        self.last_was_ours = False
        self.closed = False

    @initialize(version=st.sampled_from(list(OCPPVersion)))
    def start(self, version: OCPPVersion) -> None:
        self.script = scenario(version)

    def heard(self, leg: Origin, effects: Effects, text: str) -> None:
        """Effects on one leg become what the peers see."""
        other = Origin.CSMS if leg is Origin.CHARGE_POINT else Origin.CHARGE_POINT
        for effect in effects:
            if isinstance(effect, Forward):
                self.reaches(other, text.encode())
            elif isinstance(effect, Deliver):
                self.reaches(other, effect.text)
            elif isinstance(effect, Reply):
                self.reaches(leg, effect.text)
            elif isinstance(effect, CloseBoth):
                self.closed = True
            elif isinstance(effect, Answered):
                assert effect.message_id.startswith("own"), "answers of the CSMS are not ours"
                self.open[Origin.CSMS].pop(effect.message_id, None)
                if effect.message_id in self.asked_for_us:
                    assert not effect.is_sent
                    assert len(self.asked_for_us) > MAX_OWN
                    self.asked_for_us.remove(effect.message_id)

    def reaches(self, peer: Origin, text: bytes) -> None:
        frame = decode(text, OCPPVersion.V2_1)
        assert peer is Origin.CHARGE_POINT or not frame.message_id.startswith("own"), "the CSMS never hears of it"
        asker = Origin.CSMS if peer is Origin.CHARGE_POINT else Origin.CHARGE_POINT
        if isinstance(frame, Call):
            ours = frame.message_id.startswith("own")
            if asker is Origin.CSMS:
                if self.asked[asker] and self.asked_for_us:
                    assert ours is not (self.last_was_ours or self._leaves_ours_unanswered()), "by turns"
                self.last_was_ours = ours
            queue = self.asked_for_us if ours else self.asked[asker]
            assert queue.pop(0) == frame.message_id, "calls keep their order"
            assert not self._on_the_way(asker), "one at a time"
            now = self.script.now
            self.open[asker][frame.message_id] = now
        else:
            self.open[peer].pop(frame.message_id, None)
            if frame.message_id in self.asked[peer]:
                self.asked[peer].remove(frame.message_id)

    def _on_the_way(self, asker: Origin) -> bool:
        """True while the other side may still be working on a call."""
        now = self.script.now
        return any(now - since < (15.0 if key.startswith("own") else 30.0) for key, since in self.open[asker].items())

    def _leaves_ours_unanswered(self) -> bool:
        """True if a call of the gateway has not been answered, and has not timed out."""
        since = self.script.now - CALLS.call_timeout_s
        return any(key.startswith("own") and sent_at > since for key, sent_at in self.open[Origin.CSMS].items())

    @rule(origin=st.sampled_from(list(Origin)[:2]), heavy=st.booleans())
    def ask(self, origin: Origin, heavy: bool) -> None:
        if self.closed:
            return
        number = str(next(self.numbers))
        self.asked[origin].append(number)
        if origin is Origin.CHARGE_POINT:
            text = up(number, "MeterValues" if heavy else "Heartbeat")
            self.heard(origin, self.script.feed(text), text)
        else:
            command = down(number)
            self.heard(origin, self.script.feed(command), command)

    @rule()
    def ask_something_of_our_own(self) -> None:
        if not self.closed:
            number = f"own{next(self.numbers)}"
            self.asked_for_us.append(number)
            effects = self.script.relay.ask(number, "Reset", {}, self.script.now)
            self.heard(Origin.CSMS, effects, "")

    @rule(which=st.integers(0, 3))
    def the_csms_takes_our_id(self, which: int) -> None:
        now = self.script.now
        fresh = [key for key, since in self.open[Origin.CSMS].items() if now - since <= CALLS.pending_expiry_s]
        ours = [key for key in (*fresh, *self.asked_for_us) if key.startswith("own")]
        if self.closed or len(ours) <= which:
            return
        effects = self.script.feed(down(ours[which]))
        assert [type(effect) for effect in effects] == [ReportEvent, Reply]

    @rule(
        origin=st.sampled_from(list(Origin)[:2]),
        which=st.integers(0, 3),
        kind=st.sampled_from(["[3,{},{{}}]", '[4,{},"InternalError","",{{}}]']),
    )
    def answer(self, origin: Origin, which: int, kind: str) -> None:
        """`origin`: who had asked."""
        if self.closed or len(self.open[origin]) <= which:
            return
        number = list(self.open[origin])[which]
        text = kind.format(f'"{number}"')
        if origin is Origin.CSMS:
            effects, leg = self.script.feed(ChargePoint(text)), Origin.CHARGE_POINT
        else:
            effects, leg = self.script.feed(CSMS(text)), Origin.CSMS
        if self.script.now - self.open[origin][number] > CALLS.pending_expiry_s:
            assert Forward() not in effects
            del self.open[origin][number]
        self.heard(leg, effects, text)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 30.0, 601.0]))
    def wait(self, seconds: float) -> None:
        self.script.feed(Wait(seconds))
        if not self.closed:
            for leg, effects in self.script.relay.tick(self.script.now):
                self.heard(leg, effects, "")

    @invariant()
    def nothing_waits_for_nothing(self) -> None:
        """Whatever is neither sent nor refused waits because something is on the way."""
        if self.closed:
            return
        for origin, waiting in self.asked.items():
            if waiting or (origin is Origin.CSMS and self.asked_for_us):
                assert self._on_the_way(origin)


TestAnyInterleaving = AnyInterleaving.TestCase


def test_the_machine_would_notice_who_is_kept_out() -> None:
    machine = AnyInterleaving()
    machine.asked[Origin.CSMS] += ["1", "2", "3"]
    machine.asked_for_us.append("own")
    machine.last_was_ours = True
    machine.heard(Origin.CSMS, (Forward(),), down(1))
    machine.open[Origin.CSMS].clear()
    with pytest.raises(AssertionError, match="by turns"):
        machine.heard(Origin.CSMS, (Forward(),), down(2))


@pytest.mark.parametrize("effects", [(), (ReportEvent("x", "low", "drop"),)])
def test_the_machine_would_notice(effects: Effects) -> None:
    """A model that cannot fail proves nothing: two calls on the way are an error."""
    machine = AnyInterleaving()
    machine.asked[Origin.CSMS] += ["1", "2"]
    machine.heard(Origin.CSMS, (*effects, Forward()), down(1))
    with pytest.raises(AssertionError, match="one at a time"):
        machine.heard(Origin.CSMS, (*effects, Forward()), down(2))


def test_updates_held_one_after_the_other_and_never_sent_do_not_keep_the_gateway_out() -> None:
    lane, limits = Lane(), LaneLimits()

    def of(action: str, *, own: bool = False) -> OpenCall:
        return OpenCall(action, action, {}, OCPPVersion.V2_0_1, 0.0, own=own)

    lane.enter(Call("h1", "UpdateFirmware", Raw(b"{}")), of("UpdateFirmware"), b"", limits, 0.0, ticket=1)
    lane.enter(Call("own", "CertificateSigned", Raw(b"{}")), of("CertificateSigned", own=True), b"", limits, 0.0)
    lane.enter(Call("h2", "UpdateFirmware", Raw(b"{}")), of("UpdateFirmware"), b"", limits, 12.0, ticket=2)
    assert lane.next(limits, 12.0) == [], "the update was there first"
    assert lane.drop(1) is not None
    ((sent, entry),) = lane.next(limits, 24.0)
    assert (sent.call.message_id, entry) == ("own", Entry.SENT)
