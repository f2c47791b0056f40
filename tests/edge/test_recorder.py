"""What sessions relay, gathered for a recording: bounded, without delaying anything, and what is missing is said."""

import json
from typing import Any

from gateway.edge.events import Counts
from gateway.edge.recorder import LOST, Recorder
from gateway.link.messages import EdgeMessage, RecordedLines, RecordingSettings
from gateway.ocpp.vocabulary import Origin
from gateway.relay.effects import AskFleet, Forward
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
        self.link, self.counts, self.now = Link(), Counts(), 1000.0
        self.recorder = Recorder(self.link, self.counts, lambda: "r" * 64, lambda: self.now)  # type: ignore[arg-type]
        self.bridge = make_session()
        self.settings = RecordingSettings(KEY, groups)
        self.recorder.use(self.settings, [self.bridge])

    def say(self, text: bytes, origin: Origin = Origin.CHARGE_POINT) -> None:
        leg = self.bridge.charge_point if origin is Origin.CHARGE_POINT else self.bridge.csms
        leg.judge(text, self.now)


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
    site.recorder._judged(leg, lambda *_: (AskFleet(7, ()),), HEARTBEAT % 1, 1.0)
    site.recorder.flush()
    assert site.link.frames == []
    site.recorder.settled(leg, 7, (Forward(),))
    site.recorder.flush()
    assert [frame["decision"] for frame in site.link.frames] == ["forward"]


def test_a_session_that_ends_while_it_waits_leaves_its_frame() -> None:
    site = Site()
    site.recorder._judged(site.bridge.csms, lambda *_: (AskFleet(7, ()),), HEARTBEAT % 1, 1.0)
    site.now += 6
    site.recorder.flush()
    assert [frame["decision"] for frame in site.link.frames] == ["ask"]


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
