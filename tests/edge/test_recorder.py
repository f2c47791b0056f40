"""What sessions relay, gathered for a recording: bounded, without delaying anything, and what is missing is said."""

import json
import tracemalloc
import weakref
from typing import Any

import structlog

from gateway.edge.events import Counts
from gateway.edge.recorder import LOST, Recorder
from gateway.link.messages import EdgeMessage, RecordedLines, RecordingSettings
from gateway.ocpp.vocabulary import Origin
from gateway.relay.effects import FORWARD, AskFleet, Forward
from tests.support.sessions import make_session

KEY = bytes(32)
HEARTBEAT = b'[2,"%d","Heartbeat",{}]'


class Link:
    """Control's end: takes what it is sent, or nothing."""

    def __init__(self) -> None:
        self.reads = True
        self.frames: list[dict[str, Any]] = []

    def send(self, message: EdgeMessage) -> bool:
        assert isinstance(message, RecordedLines)
        if self.reads:
            self.frames += [json.loads(line) for line in message.lines.splitlines()]
        return self.reads


class Site:
    def __init__(self, groups: tuple[str, ...] = ()) -> None:
        self.link, self.counts, self.now, self.up = Link(), Counts(), 1000.0, 50.0
        self.recorder = Recorder(self.link, self.counts, lambda: "r" * 64, lambda: self.now, lambda: self.up)  # type: ignore[arg-type]
        self.bridge = make_session()
        self.settings = RecordingSettings(KEY, groups)
        self.recorder.use(self.settings, [self.bridge])

    def say(self, text: bytes, origin: Origin = Origin.CHARGE_POINT) -> None:
        leg = self.bridge.charge_point if origin is Origin.CHARGE_POINT else self.bridge.csms
        leg.judge(text, self.up)


def test_both_directions_are_recorded_in_order_and_batches_end() -> None:
    site = Site()
    site.say(HEARTBEAT % 1)
    site.say(b'[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]', Origin.CSMS)
    assert site.recorder.flush() is False
    assert [frame["origin"] for frame in site.link.frames] == ["charge-point", "csms"]
    assert site.link.frames[0]["size"] == len(HEARTBEAT % 1)
    assert site.recorder.flush() is False
    assert len(site.link.frames) == 2


def test_what_comes_faster_than_it_can_be_recorded_is_counted_in_the_line_behind_the_gap() -> None:
    site = Site()
    big = b'[2,"x","DataTransfer",{"vendorId":"v","data":"' + b"x" * 200_000 + b'"}]'
    for _ in range(60):
        site.say(big)
    site.recorder.flush_all()
    assert 0 < len(site.link.frames) < 60
    assert site.counts.values[LOST] == 60 - len(site.link.frames)
    assert site.link.frames[0]["lost"] == 60 - len(site.link.frames)
    site.say(HEARTBEAT % 2)
    site.recorder.flush_all()
    assert "lost" not in site.link.frames[-1]


def test_what_control_does_not_take_is_lost_and_said_later() -> None:
    site = Site()
    site.link.reads = False
    site.say(HEARTBEAT % 1)
    site.recorder.flush()
    site.link.reads = True
    site.say(HEARTBEAT % 2)
    site.recorder.flush()
    assert [frame["lost"] for frame in site.link.frames] == [1]


def test_one_batch_is_a_limited_piece_of_work() -> None:
    site = Site()
    big = b'[2,"x","DataTransfer",{"vendorId":"v","data":"' + b"x" * 200_000 + b'"}]'
    for _ in range(20):
        site.say(big)
    assert site.recorder.flush() is True
    assert 0 < len(site.link.frames) < 20


def test_a_frame_that_waits_for_control_is_written_with_what_became_of_it() -> None:
    site = Site()
    leg = site.bridge.csms
    site.recorder._judged(leg, lambda *_: (AskFleet(7, ()),), HEARTBEAT % 1, site.up)
    site.recorder.flush()
    assert site.link.frames == []
    site.recorder.settled(leg, 7, (Forward(),))
    site.recorder.flush()
    assert [frame["decision"] for frame in site.link.frames] == ["forward"]


def test_frames_behind_one_that_waits_for_control_keep_their_order() -> None:
    site = Site()
    leg = site.bridge.csms
    site.recorder._judged(leg, lambda *_: (AskFleet(7, ()), Forward()), b'[3,"1",{}]', site.up)
    site.say(HEARTBEAT % 2)
    assert site.recorder.flush() is False
    assert site.link.frames == []
    site.recorder.settled(leg, 7, ())
    assert site.recorder.flush() is False
    assert [(json.loads(frame["text"])[1], frame["decision"]) for frame in site.link.frames] == [
        ("1", "forward"),
        ("2", "forward"),
    ]


def test_nothing_decided_is_not_the_same_as_a_place_in_the_lane() -> None:
    site = Site()
    leg = site.bridge.csms
    for ticket, effects in ((7, None), (8, ())):
        site.recorder._judged(leg, lambda *_, t=ticket: (AskFleet(t, ()),), HEARTBEAT % ticket, site.up)
        site.recorder.settled(leg, ticket, effects)
    site.recorder.flush()
    assert [frame["decision"] for frame in site.link.frames] == ["ask", "queue"]


def test_a_session_that_ends_while_it_waits_leaves_its_frame_whatever_the_clock_on_the_wall_says() -> None:
    site = Site()
    site.recorder._judged(site.bridge.csms, lambda *_: (AskFleet(7, ()),), HEARTBEAT % 1, site.up)
    site.say(HEARTBEAT % 2)
    site.now -= 3600
    site.up += 4.9
    site.recorder.flush()
    assert site.link.frames == []
    site.up += 0.2
    site.recorder.flush()
    assert [frame["decision"] for frame in site.link.frames] == ["ask", "forward"]


def test_at_the_end_nobody_waits_for_control() -> None:
    site = Site()
    site.recorder._judged(site.bridge.csms, lambda *_: (AskFleet(7, ()),), HEARTBEAT % 1, site.up)
    site.recorder.flush_all()
    assert [frame["decision"] for frame in site.link.frames] == ["ask"]


def test_many_small_frames_are_bounded_by_what_they_cost() -> None:
    site = Site()
    leg = site.bridge.charge_point
    for _ in range(3):
        site.recorder._judged(leg, lambda *_: FORWARD, HEARTBEAT % 1, site.up)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        taken = 0
        while LOST not in site.counts.values:
            site.recorder._judged(leg, lambda *_: FORWARD, HEARTBEAT % taken, site.up)
            taken += 1
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 8 * 1024 * 1024


def test_what_waits_does_not_keep_the_session() -> None:
    site = Site()
    site.say(HEARTBEAT % 1)
    gone = weakref.ref(site.bridge)
    for leg in (site.bridge.charge_point, site.bridge.csms):
        leg.connection_lost(None)
    del site.bridge, leg
    assert gone() is None
    site.recorder.flush()
    assert [frame["identity"] for frame in site.link.frames] == ["CP-1"]


def test_a_frame_that_cannot_be_made_into_a_line_is_missing_and_the_next_is_not(monkeypatch) -> None:
    site = Site()
    whole = Recorder._line
    monkeypatch.setattr(Recorder, "_line", lambda self, taken: 1 // 0 if b'"1"' in taken.data else whole(self, taken))
    site.say(HEARTBEAT % 1)
    site.say(HEARTBEAT % 2)
    with structlog.testing.capture_logs() as logs:
        site.recorder.flush()
    assert [(json.loads(frame["text"])[1], frame["lost"]) for frame in site.link.frames] == [("2", 1)]
    assert [entry["event"] for entry in logs] == ["frame_not_recorded"]
    assert site.counts.values[LOST] == 1


def test_what_waits_when_it_is_switched_off_was_asked_for() -> None:
    site = Site()
    site.say(HEARTBEAT % 1)
    site.recorder.use(None, [site.bridge])
    assert [json.loads(frame["text"])[1] for frame in site.link.frames] == ["1"]


def test_switched_off_the_relay_is_called_directly() -> None:
    site = Site()
    recording = site.bridge.charge_point.judge
    site.recorder.use(None, [site.bridge])
    assert site.bridge.charge_point.judge == site.bridge.relay.from_charge_point
    assert recording != site.bridge.charge_point.judge
    site.say(HEARTBEAT % 1)
    site.recorder.flush()
    assert site.link.frames == []


def test_other_groups_are_left_alone() -> None:
    site = Site(groups=("depot",))
    assert site.bridge.charge_point.judge == site.bridge.relay.from_charge_point
