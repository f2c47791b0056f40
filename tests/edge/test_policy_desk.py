"""Questions to control about budgets, over a real socket with a control that takes its time."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from gateway.edge.control_link import ControlLink
from gateway.edge.policy_desk import PolicyDesk
from gateway.edge.pump import Bridge
from gateway.identity.evidence import Admission
from gateway.link.messages import BudgetAnswer, BudgetRequest, ControlMessage, Hello, PolicySettings, QuarantineChanged
from gateway.link.policy_counts import CountersKept, PolicyTallies
from gateway.ocpp.codec import decode_message
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, Origin
from gateway.policy.site import GroupPolicy, SitePolicy
from gateway.policy.tallies import RuleTally
from gateway.relay.effects import FORWARD
from gateway.relay.judge import Judge
from tests.policy.build import pack_of
from tests.relay.scenario import make_admission
from tests.support.link_control import LinkControl
from tests.support.sessions import make_session


@asynccontextmanager
async def _linked(path: Path) -> AsyncIterator[tuple[LinkControl, PolicyDesk, asyncio.Queue[BudgetAnswer]]]:
    """A control, and the desk of an edge whose link to it is up."""
    control, told = LinkControl(), asyncio.Queue[BudgetAnswer]()
    server = await asyncio.start_unix_server(control.serve, str(path))

    def hear(message: ControlMessage) -> None:
        assert isinstance(message, BudgetAnswer)
        desk.told(message)
        told.put_nowait(message)

    link = ControlLink(str(path), hello=lambda: Hello(0, 1), on_message=hear)
    desk = PolicyDesk(link, _unasked)
    running = asyncio.create_task(link.run())
    assert isinstance(await control.hear(), Hello)
    try:
        yield control, desk, told
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await link.close(1.0)
        server.close()


def _unasked(leg: object, ticket: int, effects: object) -> None:
    raise AssertionError((leg, ticket, effects))


def _end(bridge: Bridge) -> None:
    for leg in (bridge.charge_point, bridge.csms):
        leg.transport.close()
        leg.connection_lost(None)


async def test_an_answer_for_a_session_that_has_ended_does_not_break_the_link(tmp_path: Path) -> None:
    async with _linked(tmp_path / "control.sock") as (control, desk, told):
        bridge = make_session()
        desk.ask(bridge.charge_point, 1, (), b"")
        asked = await control.hear()
        assert isinstance(asked, BudgetRequest)

        _end(bridge)
        control.say(BudgetAnswer(asked.request_id, {}))
        control.say(BudgetAnswer(asked.request_id + 1, {}))  # what comes behind it is heard as well

        assert [await asyncio.wait_for(told.get(), 5.0) for _ in range(2)]
        assert control.links == 1


def test_the_end_of_a_maintenance_window_is_heard_by_sessions_that_began_in_it(tmp_path: Path) -> None:
    desk = PolicyDesk(ControlLink(str(tmp_path / "none.sock"), hello=lambda: Hello(0, 1), on_message=print), _unasked)
    pack = pack_of({"match": {"action": "Reset", "direction": "to_station"}, "unless": "session.in_maintenance"})

    def use(revision: str, *groups: str) -> None:
        desk.use(PolicySettings(revision, (pack,), SitePolicy(maintenance_groups=groups)))

    def passes(judge: Judge) -> bool:
        data = b'[2,"1","Reset",{"type":"Hard"}]'
        reset, payload = decode_message(data, OCPPVersion.V1_6)
        assert isinstance(reset, Call)
        return FORWARD[0] in judge.call(reset, payload, Origin.CSMS, data, 1.0).effects

    use("one", "")  # the group of the admission
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    assert passes(judge)

    use("two")
    assert not passes(judge)

    use("three", "")
    assert passes(judge)


@pytest.mark.parametrize(
    ("rules", "site", "is_over"),
    [
        (1, SitePolicy(), False),
        (0, SitePolicy(), True),
        (1, SitePolicy(everyone=GroupPolicy(modes={"t/0": "monitor"})), True),
        (1, SitePolicy(everyone=GroupPolicy(mode="monitor"), groups={"north": GroupPolicy(mode="enforce")}), False),
    ],
)
def test_a_quarantine_ends_with_its_rule(tmp_path: Path, rules: int, site: SitePolicy, is_over: bool) -> None:
    desk = PolicyDesk(ControlLink(str(tmp_path / "none.sock"), hello=lambda: Hello(0, 1), on_message=print), _unasked)
    pack = pack_of({"match": {"action": "Heartbeat"}, "action": "quarantine"})
    desk.use(PolicySettings("one", (pack,), SitePolicy()))
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None

    def command() -> bool:
        data = b'[2,"1","Reset",{"type":"Hard"}]'
        reset, payload = decode_message(data, OCPPVersion.V1_6)
        assert isinstance(reset, Call)
        return FORWARD[0] in judge.call(reset, payload, Origin.CSMS, data, 1.0).effects

    assert command()
    assert not _heartbeat(judge)
    assert not command()
    desk.use(PolicySettings("two", (pack,) * rules, site))
    assert command() is is_over


class _Control:
    """What an edge's link says to it."""

    connected = True

    def __init__(self) -> None:
        self.told: list[Any] = []

    def send(self, message: Any) -> bool:
        self.told.append(message)
        return True

    def news(self, desk: PolicyDesk) -> list[Any]:
        self.told.clear()
        desk.tell()
        return list(self.told)


QUARANTINE = {"match": {"action": "Heartbeat"}, "action": "quarantine"}
CP = ChargePointId("CP-1")


def _desk() -> tuple[_Control, PolicyDesk]:
    control = _Control()
    return control, PolicyDesk(cast("ControlLink", control), _unasked)


def _command_passes(desk: PolicyDesk) -> bool:
    """In a session that begins now: wherever the charge point has been before."""
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    data = b'[2,"1","Reset",{"type":"Hard"}]'
    reset, payload = decode_message(data, OCPPVersion.V1_6)
    assert isinstance(reset, Call)
    return FORWARD[0] in judge.call(reset, payload, Origin.CSMS, data, 1.0).effects


def test_a_quarantine_is_told_once_and_again_to_another_control_and_its_end_too() -> None:
    control, desk = _desk()
    pack = pack_of(QUARANTINE)
    desk.use(PolicySettings("one", (pack,), SitePolicy()))
    assert control.news(desk) == []
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    assert not _heartbeat(judge)
    assert control.news(desk) == [QuarantineChanged(CP, "t/0")]
    assert control.news(desk) == []
    desk.tell_again()
    assert control.news(desk) == [QuarantineChanged(CP, "t/0")]
    desk.use(PolicySettings("two", (), SitePolicy()))
    desk.tell_again()
    assert control.news(desk) == [QuarantineChanged(CP, "")], "also to a control that was not there when it ended"
    assert control.news(desk) == []


def test_a_quarantine_of_another_worker_holds_here_until_that_says_it_is_over() -> None:
    control, desk = _desk()
    desk.use(PolicySettings("one", (pack_of(QUARANTINE),), SitePolicy()))
    assert _command_passes(desk)
    desk.told(QuarantineChanged(CP, "t/0"))
    assert not _command_passes(desk)
    assert control.news(desk) == [], "it is not passed back"
    desk.told(QuarantineChanged(CP, ""))
    assert _command_passes(desk)
    assert control.news(desk) == []


def test_one_that_comes_before_its_rule_is_in_force_waits_for_it() -> None:
    """A worker that has just started hears of quarantines before it has its policy."""
    control, desk = _desk()
    desk.told(QuarantineChanged(CP, "t/0"))
    desk.use(PolicySettings("one", (), SitePolicy()))
    assert _command_passes(desk)
    desk.use(PolicySettings("two", (pack_of(QUARANTINE),), SitePolicy()))
    assert not _command_passes(desk)
    assert control.news(desk) == []


def test_one_that_is_over_before_its_rule_is_in_force_never_begins() -> None:
    _, desk = _desk()
    desk.told(QuarantineChanged(CP, "t/0"))
    desk.told(QuarantineChanged(CP, ""))
    desk.use(PolicySettings("one", (pack_of(QUARANTINE),), SitePolicy()))
    assert _command_passes(desk)


def _heartbeat(judge: Judge) -> bool:
    """Whether one passes."""
    data = b'[2,"1","Heartbeat",{}]'
    call, payload = decode_message(data, OCPPVersion.V1_6)
    assert isinstance(call, Call)
    return judge.call(call, payload, Origin.CHARGE_POINT, data, 1.0).effects is FORWARD


@pytest.mark.parametrize(
    ("rule", "registered"),
    [
        ({"match": {"action": "Heartbeat", "vendor": "V"}}, {"vendor": "V"}),
        ({"match": {"action": "Heartbeat", "model": "M"}}, {"model": "M"}),
        ({"match": {"action": "Heartbeat"}, "when": 'session.firmware == "1.2"'}, {"firmware": "1.2"}),
        ({"match": {"action": "Heartbeat"}, "when": 'session.serial == "SN-1"'}, {"serial_number": "SN-1"}),
    ],
)
def test_what_the_registry_knows_counts_from_the_first_message_on(
    tmp_path: Path, rule: dict[str, Any], registered: dict[str, str]
) -> None:
    """A charge point that merely reconnects need not boot: its vendor's rules hold for it all the same."""
    desk = PolicyDesk(ControlLink(str(tmp_path / "none.sock"), hello=lambda: Hello(0, 1), on_message=print), _unasked)
    desk.use(PolicySettings("one", (pack_of(rule),), SitePolicy()))

    def passes(admission: Admission) -> bool:
        judge = desk.judge(admission, OCPPVersion.V1_6, "192.0.2.1", 1.0)
        assert judge is not None
        return _heartbeat(judge)

    assert not passes(msgspec.structs.replace(make_admission(), **registered))
    assert passes(msgspec.structs.replace(make_admission(), **dict.fromkeys(registered, "another")))


@pytest.fixture
def nothing_to_collect() -> Iterator[None]:
    """As in an edge, where what is there for long is out of the collector's way."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("nothing_to_collect")
async def test_a_change_of_many_rules_is_prepared_while_messages_go_on_and_comes_into_force_at_once(
    tmp_path: Path,
) -> None:
    def settings(revision: str, size: int) -> PolicySettings:
        """Rules of which each session needs many; the last one refuses messages longer than `size`."""
        conditions = [f"msg.size > {9_000 + number}" for number in range(200)] + [f"msg.size > {size}"]
        pack = pack_of(
            *({"match": {"action": "Heartbeat", "direction": "to_csms"}, "when": each} for each in conditions)
        )
        return PolicySettings(revision, (pack,), SitePolicy())

    desk = PolicyDesk(ControlLink(str(tmp_path / "none.sock"), hello=lambda: Hello(0, 1), on_message=print), _unasked)
    first, second = settings("one", 1_000), settings("two", 1)
    desk.use(first, await desk.prepare(first))
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    _heartbeat(judge)

    preparing = asyncio.create_task(desk.prepare(second))
    turns, longest_s = 0, 0.0
    while not preparing.done():
        began = time.thread_time()
        await asyncio.sleep(0)
        longest_s = max(longest_s, time.thread_time() - began)
        turns += 1
        assert (_heartbeat(judge), judge.revision) == (True, "one")
    assert turns > 20
    assert longest_s < 0.02

    desk.use(second, preparing.result())
    began = time.thread_time()
    assert (_heartbeat(judge), judge.revision) == (False, "two")
    assert time.thread_time() - began < 0.02, "nothing was left to compile: 201 rules take longer"
    assert await desk.prepare(second) is None


async def test_a_session_that_opens_meanwhile_is_judged_by_what_is_in_force(tmp_path: Path) -> None:
    desk = PolicyDesk(ControlLink(str(tmp_path / "none.sock"), hello=lambda: Hello(0, 1), on_message=print), _unasked)
    refusing = PolicySettings("two", (pack_of({"match": {"action": "Heartbeat"}}),), SitePolicy())
    desk.use(PolicySettings("one", (pack_of({"match": {"action": "Reset"}}),), SitePolicy()))
    prepared = await desk.prepare(refusing)
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    _heartbeat(judge)
    desk.use(refusing, prepared)
    assert not _heartbeat(judge)


def _tallies(control: _Control, desk: PolicyDesk) -> list[PolicyTallies]:
    """What is told in the time of several looks."""
    told = [news for _ in range(40) for news in control.news(desk)]
    return [each for each in told if isinstance(each, PolicyTallies)]


def test_what_rules_are_asked_and_cannot_say_is_told_once() -> None:
    control, desk = _desk()
    erring = {"match": {"action": "Heartbeat"}, "when": "facts.expiry > now", "action": "alert"}
    desk.use(PolicySettings("one", (pack_of(erring),), SitePolicy()))
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    _heartbeat(judge)
    assert _tallies(control, desk) == [PolicyTallies("one", (RuleTally("t/0", 1, 1),))]
    assert _tallies(control, desk) == []
    control.connected = False
    _heartbeat(judge)
    assert _tallies(control, desk) == []
    control.connected = True
    desk.use(PolicySettings("two", (), SitePolicy()))
    assert control.told == [PolicyTallies("one", (RuleTally("t/0", 1, 1),))], "what the old one had counted"
    assert _tallies(control, desk) == []


def test_a_charge_point_with_too_many_keys_is_named() -> None:
    control, desk = _desk()
    limited = {"match": {"action": "StatusNotification"}, "rate": {"key": ["facts.connector"], "limit": "1/1m"}}
    desk.use(PolicySettings("one", (pack_of(limited),), SitePolicy()))
    judge = desk.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0)
    assert judge is not None
    passed = 0
    for number in range(1_000):
        text = '[2,"%d","StatusNotification",{"connectorId":%d,"errorCode":"NoError","status":"Available"}]'
        data = (text % (number, number)).encode()
        status, payload = decode_message(data, OCPPVersion.V1_6)
        assert isinstance(status, Call)
        passed += FORWARD[0] in judge.call(status, payload, Origin.CHARGE_POINT, data, 1.0).effects
    assert passed == 256 + 1
    (told,) = _tallies(control, desk)
    assert told.rules == (RuleTally("t/0", 1_000, 0, 744, CP),)


def test_what_is_counted_in_a_session_goes_to_the_worker_of_the_next_one() -> None:
    limited = {"match": {"action": "Heartbeat"}, "rate": {"key": ["session.identity"], "limit": "1/1h"}}
    (control, desk), (_, other) = _desk(), _desk()
    for each in (desk, other):
        each.use(PolicySettings("one", (pack_of(limited),), SitePolicy()))
    judges = [each.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0) for each in (desk, other)]
    data = b'[2,"1","Heartbeat",{}]'
    call, payload = decode_message(data, OCPPVersion.V1_6)
    assert isinstance(call, Call)

    def passes(judge: Judge | None) -> bool:
        assert judge is not None
        return FORWARD[0] in judge.call(call, payload, Origin.CHARGE_POINT, data, time.time()).effects

    assert passes(judges[0])
    desk.hand_over(ChargePointId("CP-2"))
    assert control.told == [CountersKept(ChargePointId("CP-2"), 0.0, b"")], "that nothing is left is news, too"
    desk.hand_over(CP)
    message = control.told[-1]
    assert passes(judges[1])  # that is the other worker's first; the one above is in the message
    _, third = _desk()
    third.use(PolicySettings("one", (pack_of(limited),), SitePolicy()))
    third.told(message)
    assert not passes(third.judge(make_admission(), OCPPVersion.V1_6, "192.0.2.1", 1.0))
