"""What sessions judge, handed to control: all of it, in order, numbered, sent again to the next control, and never in the way."""

from typing import cast

from gateway.audit.relayed import Levels
from gateway.edge.control_link import ControlLink
from gateway.edge.events import Counts
from gateway.edge.frame_log import UNTOLD, FrameLog
from gateway.link.messages import AuditSettings, EdgeMessage
from gateway.link.relayed import FrameSource, FramesRecorded, RelayedFrame, RelayedFrames
from gateway.ocpp.vocabulary import Origin
from gateway.policy.rules import Effect, Rule
from gateway.policy.rules import Match as RuleMatches
from gateway.relay.effects import FORWARD, AskFleet, Effects, Forward, Reply, ReportEvent
from tests.support.sessions import make_session

HEARTBEAT = b'[2,"%d","Heartbeat",{}]'
BIG = b'[2,"x","DataTransfer",{"vendorId":"v","data":"' + b"x" * 200_000 + b'"}]'


class Link:
    """Control's end: takes what it is sent, or nothing."""

    def __init__(self) -> None:
        self.connected, self.reads = True, True
        self.batches: list[RelayedFrames] = []

    def send(self, message: EdgeMessage) -> bool:
        assert isinstance(message, RelayedFrames)
        if self.reads:
            self.batches.append(message)
        return self.reads

    @property
    def frames(self) -> list[RelayedFrame]:
        return [frame for batch in self.batches for frame in batch.frames]


class Site:
    def __init__(self) -> None:
        self.link, self.counts, self.now = Link(), Counts(), 50.0
        self.log = FrameLog(cast("ControlLink", self.link), self.counts, lambda: "r" * 64, lambda: 1000.0, "b1")
        self.bridge = make_session()
        for leg in (self.bridge.charge_point, self.bridge.csms):
            leg.judge = self.log.around(leg, leg.judge)

    def say(self, text: bytes, origin: Origin = Origin.CHARGE_POINT) -> Effects:
        leg = self.bridge.charge_point if origin is Origin.CHARGE_POINT else self.bridge.csms
        return leg.judge(text, self.now)

    def decided(self, effects: Effects, text: bytes = HEARTBEAT % 1) -> None:
        leg = self.bridge.csms
        self.log.around(leg, lambda *_: effects)(text, self.now)

    def flush(self) -> None:
        while self.log.flush():
            pass


def rule() -> Rule:
    return Rule(
        id="p/r",
        title="t",
        level=0,
        severity="high",
        mode="monitor",
        match=RuleMatches(),
        effect=Effect.DENY,
        event="policy.x",
    )


def test_both_directions_are_told_in_order_as_they_came_and_with_nothing_to_say() -> None:
    site = Site()
    assert site.say(HEARTBEAT % 1) is FORWARD
    site.say(b'[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]', Origin.CSMS)
    site.flush()
    assert [(f.number, f.from_csms, f.data[:5]) for f in site.link.frames] == [
        (1, False, b'[2,"1'),
        (2, True, b'[3,"1'),
    ]
    assert site.link.frames[0].note is None
    assert site.link.frames[0].source.charge_point_id == site.bridge.admission.charge_point_id
    assert [(batch.boot, batch.revision) for batch in site.link.batches] == [("b1", "r" * 12)]


def test_what_a_rule_said_travels_with_the_frame_enforced_or_not() -> None:
    site = Site()
    watched = ReportEvent("policy.x", "high", "would:deny", "p/r: CP-1 said 04AABB", rule=rule())
    site.decided((watched, Forward()))
    site.decided((ReportEvent("rpc.direction", "high", "callerror", "Heartbeat is not for this sender"), Reply(b"")))
    site.flush()
    first, second = (frame.note for frame in site.link.frames)
    assert first is not None
    assert (first.decision, first.matches[0].rule, first.matches[0].would, first.matches[0].effect) == (
        "forward",
        "p/r",
        "deny",
        "",
    )
    assert first.matches[0].detail == ""  # a rule's words may repeat the message's
    assert second is not None
    assert (second.decision, second.matches[0].effect, second.matches[0].detail) == (
        "refuse",
        "callerror",
        "Heartbeat is not for this sender",
    )


def test_what_finds_no_room_is_missing_by_its_number_and_nothing_else_is() -> None:
    site = Site()
    for _ in range(60):
        site.say(BIG)
    site.flush()
    site.say(HEARTBEAT % 2)
    site.flush()
    told = len(site.link.frames) - 1
    assert 0 < told < 60
    assert [f.number for f in site.link.frames] == [*range(1, told + 1), 61]
    assert site.counts.values[UNTOLD] == 60 - told


def test_a_control_that_does_not_read_gets_it_later_once() -> None:
    site = Site()
    site.link.reads = False
    site.say(HEARTBEAT % 1)
    assert site.log.flush() is False
    site.link.reads = True
    site.flush()
    assert [f.number for f in site.link.frames] == [1]
    site.flush()
    assert len(site.link.frames) == 1


def test_the_next_control_gets_what_the_one_before_has_not_acknowledged_and_no_more() -> None:
    site = Site()
    for number in (1, 2):
        site.say(HEARTBEAT % number)
        site.flush()
    site.log.told(FramesRecorded("b1", 1))
    site.log.told(FramesRecorded("another run of the edge", 2))
    site.link.batches.clear()
    site.log.again()
    site.flush()
    assert [f.number for f in site.link.frames] == [2]


def test_without_control_frames_wait() -> None:
    site = Site()
    site.link.connected = False
    site.say(HEARTBEAT % 1)
    assert site.log.flush() is False
    site.link.connected = True
    site.flush()
    assert [f.number for f in site.link.frames] == [1]


def test_a_frame_that_waits_for_a_budget_is_told_with_what_became_of_it() -> None:
    site = Site()
    site.decided((AskFleet(7, ()),))
    site.flush()
    assert site.link.frames == []
    site.log.settled(site.bridge.csms, 7, (Forward(),))
    site.flush()
    assert [frame.note for frame in site.link.frames] == [None]


def test_a_frame_whose_session_ended_while_it_waited_is_told_all_the_same() -> None:
    site = Site()
    site.decided((AskFleet(7, ()),))
    site.log.give_up(site.now + 4.9)
    site.flush()
    assert site.link.frames == []
    site.log.give_up(site.now + 5.0)
    site.flush()
    (frame,) = site.link.frames
    assert frame.note is not None
    assert frame.note.decision == "ask"


RESULT = b'[3,"%d",{"currentTime":"2026-01-01T00:00:00Z"}]'
COUNTING = AuditSettings(levels=Levels(default="meta", counted=frozenset({"Heartbeat"})))


def register(site: Site) -> None:
    """The first answer says that the charge point is registered: it does more than going on."""
    site.say(HEARTBEAT % 0)
    site.say(RESULT % 0, Origin.CSMS)
    site.flush()
    site.link.batches.clear()


def counts(site: Site) -> list[tuple[FrameSource, dict[str, int], int]]:
    return [(each.source, each.counts, each.size) for batch in site.link.batches for each in batch.counted]


def test_what_an_edge_has_read_of_a_frame_travels_with_it() -> None:
    site = Site()
    site.say(HEARTBEAT % 1)
    site.now += 0.25
    site.say(RESULT % 1, Origin.CSMS)
    site.say(b'[2,"2","my secret",{}]')
    site.say(b'[4,"2","NotImplemented","",{}]', Origin.CSMS)
    site.say(b'[3,"nobody asked",{}]', Origin.CSMS)
    site.say(b"[2,")
    site.flush()
    assert [(f.head.kind, f.head.message_id, f.head.action, f.action, f.after_ms) for f in site.link.frames] == [
        ("call", "1", "Heartbeat", "Heartbeat", None),
        ("result", "1", "", "Heartbeat", 250),
        ("call", "2", "*", "*", None),
        ("error", "2", "NotImplemented", "*", 0),
        ("result", "nobody asked", "", "", None),
        ("malformed", "", "", "", None),
    ]


def test_a_session_keeps_nothing_of_its_last_message() -> None:
    site = Site()
    for text, origin in ((HEARTBEAT % 1, Origin.CHARGE_POINT), (RESULT % 1, Origin.CSMS), (BIG, Origin.CHARGE_POINT)):
        site.say(text, origin)
        assert (site.bridge.relay.judged, site.bridge.relay.asked) == (None, None)


def test_of_what_is_only_counted_a_number_travels_and_answers_count_with_their_calls() -> None:
    site = Site()
    register(site)
    site.log.use(COUNTING)
    for number in (1, 2):
        site.say(HEARTBEAT % number)
        site.say(RESULT % number, Origin.CSMS)
    site.say(b'[2,"3","StatusNotification",{}]')
    site.say(b'[3,"3",{}]', Origin.CSMS)
    site.flush()
    site.say(HEARTBEAT % 4)
    site.flush()
    assert len(counts(site)) == 1  # told once a second, and at the end
    site.log.flush_all(site.now)
    assert [f.action for f in site.link.frames] == ["StatusNotification"] * 2
    source = site.link.frames[0].source
    size = 2 * len(HEARTBEAT % 1) + 2 * len(RESULT % 1)
    assert counts(site) == [(source, {"Heartbeat": 4}, size), (source, {"Heartbeat": 1}, len(HEARTBEAT % 4))]
    assert [(batch.batch, batch.counted_so_far) for batch in site.link.batches] == [(2, 4), (3, 5)]


def test_what_did_not_simply_go_on_is_never_only_counted() -> None:
    site = Site()
    site.log.use(COUNTING)
    site.decided((ReportEvent("policy.x", "low", "would:deny", rule=rule()), Forward()))
    site.say(b'[3,"nobody asked",{}]', Origin.CSMS)
    site.say(b"[2,")
    site.flush()
    assert (len(site.link.frames), counts(site)) == (3, [])


def test_a_reload_decides_what_is_counted_from_now_on() -> None:
    site = Site()
    site.log.use(COUNTING)
    site.say(HEARTBEAT % 1)
    site.flush()
    site.log.use(AuditSettings(levels=Levels(default="meta")))
    site.say(HEARTBEAT % 2)
    site.flush()
    assert len(counts(site)) == len(site.link.frames) == 1


def test_names_that_a_peer_invents_are_counted_in_bounds_and_not_repeated() -> None:
    site = Site()
    site.log.use(AuditSettings(levels=Levels(default="count")))
    for number in range(250):
        site.say(b'[2,"%d","%s",{}]' % (number, b"Made" + bytes([65 + number // 26, 65 + number % 26])))
        site.say(b'[3,"%d",{}]' % number, Origin.CSMS)
    site.say(b'[2,"z","my secret",{}]')
    site.flush()
    ((_, found, _),) = counts(site)
    assert (len(found), found["others"], sum(found.values())) == (201, 101, 501 - 1)  # the first answer registered it
    assert "my secret" not in found


def test_counts_are_sent_again_to_the_next_control_until_they_are_acknowledged() -> None:
    site = Site()
    register(site)
    site.log.use(COUNTING)
    for number in (1, 2):
        site.say(HEARTBEAT % number)
        site.say(RESULT % number, Origin.CSMS)
        site.log.flush_all(site.now)
    site.log.told(FramesRecorded("b1", 2))
    site.link.batches.clear()
    site.log.again()
    site.flush()
    assert [(batch.batch, batch.counted_so_far) for batch in site.link.batches] == [(3, 4)]


def test_one_batch_is_a_limited_piece_of_work() -> None:
    site = Site()
    for _ in range(3):
        site.say(BIG)
    assert site.log.flush() is True
    assert len(site.link.frames) == 1


def test_what_is_kept_for_the_next_control_is_bounded() -> None:
    site = Site()
    for _ in range(120):
        site.say(BIG)
        site.flush()
    site.log.again()
    site.link.batches.clear()
    site.flush()
    again = [f.number for f in site.link.frames]
    assert 30 < len(again) < 45
    assert again[-1] == 120
