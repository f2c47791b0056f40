"""Frames of edges become records: by action in full, in short or counted, numbered, and what is missing is said."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.record import RecordClass
from gateway.audit.relayed import Levels, head_of
from gateway.control.frame_bodies import MARKS, FrameBodies, names_nobody
from gateway.control.relayed_log import RelayedLog
from gateway.control.trail.continuity import Continuity
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys
from gateway.link.messages import ControlMessage
from gateway.link.relayed import CountedFrames, FrameNote, FrameSource, FramesRecorded, RelayedFrame, RelayedFrames
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.frames import Frame
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.policy.recording import Match

SOURCE = FrameSource("s1", ChargePointId("CP-1"), OCPPVersion.V1_6)
TOKEN = "04AABBCCDD"
LEVELS = Levels(default="meta", full=frozenset({"Reset", "ChangeConfiguration"}), counted=frozenset({"Heartbeat"}))


class Edge:
    slot = 1

    def __init__(self) -> None:
        self.answers: list[ControlMessage] = []

    def send(self, message: ControlMessage) -> None:
        self.answers.append(message)


class Site:
    """A log that keeps what it gets; `durable` is called when the test says so."""

    def __init__(self, place: Path) -> None:
        self.records: list[dict[str, Any]] = []
        self.done: list[Callable[[int | None], None]] = []
        self.keys = PseudonymKeys(place / "pseudonyms")
        self.payloads = PayloadStore(place / "payload", place / "payload-keys")
        self.log = RelayedLog(self, "c", FrameBodies(self.keys, self.payloads))
        self.log.levels = LEVELS
        self.edge = Edge()
        self.number = self.batch = self.counted = 0
        self.asked: dict[str, tuple[str, float]] = {}
        self.works = True

    def append(
        self,
        record_class: RecordClass,
        record: bytes,
        when_done: Callable[[int | None], None] | None = None,
        *,
        keep: bool = False,
    ) -> bool:
        self.records.append(json.loads(record))
        if record_class is RecordClass.SYNC and when_done is not None:
            when_done(len(self.records) if self.works else None)
            return self.works
        if when_done is not None:
            assert keep
            self.done.append(when_done)
        return True

    def append_all(self, records: Sequence[bytes], when_done: Callable[[int | None], None]) -> None:
        self.records += map(json.loads, records)
        self.done.append(when_done)

    def frame(
        self,
        text: str,
        *,
        from_csms: bool = False,
        note: FrameNote | None = None,
        time: float = 1000.0,
        answer: bool = False,
    ) -> RelayedFrame:
        """As an edge has it that has judged it."""
        self.number += 1
        frame: Frame | None = None
        with contextlib.suppress(MalformedFrame):
            frame, _ = decode_message(text.encode(), SOURCE.version)
        head, action, after_ms = head_of(frame), "", None
        if head.kind == "call":
            action = head.action
            self.asked[head.message_id] = (action, time)
        elif head.message_id in self.asked:
            action, since = self.asked.pop(head.message_id)
            after_ms = round((time - since) * 1000)
        return RelayedFrame(self.number, SOURCE, from_csms, time, text.encode(), head, action, after_ms, note, answer)

    def text(self, record: dict[str, Any]) -> Any:
        """The text that a record commits to."""
        return json.loads(self.payloads.of(record["body"]["day"]).text(record["body"]["commit"]))

    async def take(self, *frames: RelayedFrame, boot: str = "e", counted: tuple[CountedFrames, ...] = ()) -> None:
        self.batch += 1
        self.counted += sum(sum(each.counts.values()) for each in counted)
        await self.send(RelayedFrames(boot, self.batch, "rev", frames, counted, self.counted))

    async def send(self, message: RelayedFrames) -> None:
        self.log.take(self.edge, message)
        await self.log.tick()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def test_a_message_in_short_says_what_it_was_and_whose_and_nothing_of_its_text(site: Site) -> None:
    await site.take(
        site.frame(json.dumps([2, "a", "Authorize", {"idTag": TOKEN}])),
        site.frame('[3,"a",{"idTagInfo":{"status":"Accepted"}}]', from_csms=True, time=1000.25),
    )
    call, answer = site.records
    assert (call["type"], call["cp"], call["sess"], call["worker"], call["seq"]) == (
        "ocpp.message",
        "CP-1",
        "s1",
        "edge-1",
        1,
    )
    assert (answer["ocpp"]["action"], answer["ocpp"]["after_ms"], answer["seq"]) == ("Authorize", 250, 2)
    assert "body" not in call
    assert call["subj"] == site.keys.all_of(TOKEN)
    assert site.keys.all_of(TOKEN.lower() + " ") == site.keys.all_of(TOKEN)
    assert TOKEN not in str(site.records)


@pytest.mark.parametrize("mark", MARKS)
def test_no_frame_in_which_a_driver_could_be_named_passes_as_one_that_names_nobody(mark: bytes) -> None:
    assert not names_nobody(b'[2,"a","DataTransfer",{' + mark + b':"x"}]')
    assert names_nobody(b'[2,"a","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]')


async def test_levels_of_a_reload_hold_for_messages_that_were_in_short_before(site: Site) -> None:
    def status(number: int) -> RelayedFrame:
        return site.frame(json.dumps([2, f"m{number}", "StatusNotification", {"connectorId": number}]))

    await site.take(status(1), status(2), status(3))
    site.log.levels = Levels(default="full")
    await site.take(status(4))
    site.log.levels = Levels(default="count")
    await site.take(status(5))
    site.log.levels = LEVELS
    await site.take(status(6), status(7))
    assert [(each["edge"]["frame"], "body" in each) for each in site.records] == [
        (1, False), (2, False), (3, False), (4, True), (6, False), (7, False),
    ]  # fmt: skip
    assert [each["seq"] for each in site.records] == [1, 2, 3, 4, 5, 6]


async def test_what_is_made_in_one_step_or_step_by_step_looks_the_same_and_misses_no_number(site: Site) -> None:
    def status(name: str) -> RelayedFrame:
        return site.frame(json.dumps([2, name, "StatusNotification", {"connectorId": 1}]))

    first, plain, odd = status("a"), status("b"), status("a b")
    site.number += 1
    await site.take(first, plain, odd, status("c"), status("d"))
    told = [each for each in site.records if each["type"] == "ocpp.message"]
    assert [each["ocpp"]["id"] for each in told] == ["a", "b", "a b", "c", "d"]
    assert len({json.dumps(sorted(each)) + json.dumps(sorted(each["ocpp"])) for each in told}) == 1
    (gap,) = [each["log"] for each in site.records if each["type"] == "audit.gap"]
    assert (gap["from"], gap["to"]) == (4, 4)


async def test_what_is_kept_in_full_holds_no_secret_and_its_answer_goes_with_it(site: Site) -> None:
    secret = {"key": "AuthorizationKey", "value": "Marked-S3cret"}
    await site.take(
        site.frame(json.dumps([2, "k", "ChangeConfiguration", secret]), from_csms=True),
        site.frame('[3,"k",{"status":"Accepted"}]'),
    )
    call, answer = map(site.text, site.records)
    assert call == [2, "k", "ChangeConfiguration", {"key": "AuthorizationKey", "value": "*" * 13}]
    assert answer == [3, "k", {"status": "Accepted"}]
    assert "Marked" not in str(site.records)


async def test_what_does_not_parse_leaves_nothing_of_its_text(site: Site) -> None:
    refused = FrameNote("refuse", (Match(event="rpc.malformed", severity="medium", effect="callerror"),))
    await site.take(site.frame('[2,"x","ChangeConfiguration",{"value":"Marked-S3cret"', note=refused))
    (record,) = site.records
    assert (record["ocpp"]["kind"], record["dec"]["act"], record["body"]) == (
        "malformed",
        "refuse",
        {"omitted": "not a message"},
    )
    assert "Marked" not in str(record)


async def test_heartbeats_are_counted_and_said_when_the_session_is_over_but_one_that_a_rule_matches_stands_alone(
    site: Site,
) -> None:
    match = FrameNote("forward", (Match(event="policy.x", rule="p/r", severity="low", would="deny"),))
    await site.take(
        site.frame('[2,"1","Heartbeat",{}]'),
        site.frame('[3,"1",{"currentTime":"2026-01-01T00:00:00Z"}]', from_csms=True),
        site.frame('[2,"2","Heartbeat",{}]', note=match),
    )
    assert [record["type"] for record in site.records] == ["ocpp.message"]
    assert site.records[0]["rules"][0]["would"] == "deny"
    site.log.close()
    assert site.records[-1]["type"] == "ocpp.counted"
    assert site.records[-1]["counts"] == {"Heartbeat": 2}


async def test_frames_are_acknowledged_when_their_records_are_durable_and_counted_ones_at_once(site: Site) -> None:
    await site.take(site.frame('[2,"1","StatusNotification",{}]'), site.frame('[2,"2","StatusNotification",{}]'))
    assert site.edge.answers == []
    assert len(site.done) == 1
    site.done[0](17)
    await site.take(site.frame('[2,"3","Heartbeat",{}]'))
    assert site.edge.answers == [FramesRecorded("e", 1), FramesRecorded("e", 2)]


async def test_missing_numbers_are_told_and_verify_accepts_them(site: Site) -> None:
    await site.take(site.frame('[2,"1","StatusNotification",{}]'))
    site.number += 4
    await site.take(site.frame('[2,"2","StatusNotification",{}]'))
    assert [record["type"] for record in site.records] == ["ocpp.message", "audit.gap", "ocpp.message"]
    assert {name: site.records[1]["log"][name] for name in ("from", "to", "count", "edge")} == {
        "from": 2,
        "to": 5,
        "count": 4,
        "edge": "e",
    }
    watch, found = Continuity(), list[object]()
    watch.begin(lambda *finding: found.append(finding))
    for index, record in enumerate(site.records):
        watch.add(index, record)
    watch.finish([])
    assert found == []


async def test_what_is_sent_again_is_recorded_once_and_another_run_of_the_edge_counts_from_one(site: Site) -> None:
    frame = site.frame('[2,"1","StatusNotification",{}]')
    for boot in ("e", "e", "another"):
        await site.send(RelayedFrames(boot, 1, "rev", (frame,)))
    assert [record["edge"]["boot"] for record in site.records] == ["e", "another"]
    assert site.edge.answers[0] == FramesRecorded("e", 1)


async def test_a_frame_of_which_no_record_can_be_made_is_told_as_lost_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "pseudonyms").write_bytes(b"not a directory")
    site = Site(tmp_path)
    await site.take(
        site.frame('[2,"1","Reset",{"type":"Soft"}]', from_csms=True), site.frame('[2,"2","StatusNotification",{}]')
    )
    assert [record["type"] for record in site.records] == ["audit.gap", "ocpp.message"]
    assert site.records[0]["log"]["count"] == 1
    site.done[0](1)
    await site.log.tick()
    assert site.edge.answers == [FramesRecorded("e", 1)]


RESET = '[2,"r","Reset",{"type":"Soft"}]'


async def test_who_waits_for_a_record_is_answered_when_it_is_durable(site: Site) -> None:
    await site.take(site.frame(RESET, from_csms=True, answer=True))
    assert site.edge.answers == [FramesRecorded("e", 0, {1: True}), FramesRecorded("e", 1)]


@pytest.mark.parametrize("mode_is_open", [False, True])
async def test_without_a_disk_the_failure_mode_answers_and_the_record_is_kept(
    site: Site, *, mode_is_open: bool
) -> None:
    site.works, site.log.goes_on_without = False, mode_is_open
    await site.take(site.frame(RESET, from_csms=True, answer=True))
    assert site.edge.answers == [FramesRecorded("e", 0, {1: mode_is_open})]
    assert len(site.records) == 2  # refused, and taken without anybody waiting for it
    site.done[0](7)
    await site.log.tick()
    assert site.edge.answers[1:] == [FramesRecorded("e", 1)]


async def test_nothing_happens_of_which_no_record_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "pseudonyms").write_bytes(b"not a directory")
    site = Site(tmp_path)
    await site.take(site.frame(RESET, from_csms=True, answer=True))
    assert site.edge.answers == [FramesRecorded("e", 0, {1: False})]


async def test_texts_that_cannot_be_written_are_told_and_cost_no_record(tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(b"not a directory")
    site = Site(tmp_path)
    await site.take(site.frame(RESET, from_csms=True))
    assert [record["type"] for record in site.records] == ["audit.payloads_lost", "ocpp.message"]


TAMPERED = '[2,"e","SecurityEventNotification",{"type":"%s","timestamp":"2026-01-01T00:00:00Z","techInfo":"Marked"}]'


@pytest.mark.parametrize(
    ("kind", "shown", "severity"),
    [
        ("TamperDetectionActivated", "TamperDetectionActivated", "high"),
        ("FirmwareUpdated", "FirmwareUpdated", "medium"),
        ("my secret", "*", "medium"),
    ],
)
async def test_what_a_charge_point_reports_of_itself_is_a_record_of_its_own(
    site: Site, kind: str, shown: str, severity: str
) -> None:
    await site.take(site.frame(TAMPERED % kind))
    message, event = site.records
    assert message["ocpp"]["action"] == "SecurityEventNotification"
    assert (event["type"], event["sev"], event["ocpp"]["event"], event["occurred"], event["cp"]) == (
        "charger.security_event",
        severity,
        shown,
        "2026-01-01T00:00:00Z",
        "CP-1",
    )
    assert "Marked" not in str(site.records)
    site.done[0](3)
    await site.log.tick()
    assert site.edge.answers == [FramesRecorded("e", 1)]


async def test_also_where_it_is_spelt_with_escapes_and_only_from_a_charge_point(site: Site) -> None:
    await site.take(site.frame((TAMPERED % "FirmwareUpdated").replace("Security", r"\u0053ecurity", 1)))
    await site.take(site.frame(TAMPERED % "FirmwareUpdated", from_csms=True))
    await site.take(site.frame('[2,"d","DataTransfer",{"vendorId":"SecurityEventNotification"}]'))
    assert [record["type"] for record in site.records].count("charger.security_event") == 1


async def test_who_listens_hears_once_what_a_charge_point_reports(site: Site) -> None:
    heard: list[tuple[str, str]] = []
    site.log.on_report = lambda source, event: heard.append((source.session, event.kind))
    frame = site.frame(TAMPERED % "DiscardedRenewedClientCertificate")
    await site.take(frame)
    await site.take(frame)  # sent again to a log that has it
    await site.take(site.frame(TAMPERED % "FirmwareUpdated", from_csms=True))
    await site.log.tick()
    assert heard == [("s1", "DiscardedRenewedClientCertificate")]


async def test_what_comes_when_the_log_is_closed_ends_nothing(site: Site) -> None:
    site.log.close()
    site.log.take(site.edge, RelayedFrames("e", 1, "rev", (site.frame('[2,"1","Heartbeat",{}]'),)))
    site.log.ended("s1")
    assert site.records == []


def test_a_frame_is_not_shown_by_accident() -> None:
    frame = RelayedFrame(1, SOURCE, True, 1.0, b"Marked-S3cret", head_of(None))
    assert "Marked" not in repr(frame) + repr(RelayedFrames("e", 1, "r", (frame,)))


def counted(**counts: int) -> CountedFrames:
    return CountedFrames(SOURCE, 1000.0, counts, 100)


def gaps(site: Site) -> list[dict[str, Any]]:
    return [record["log"] for record in site.records if record["type"] == "audit.gap"]


async def test_counts_of_an_edge_add_up_with_what_is_counted_here_and_are_acknowledged_at_once(site: Site) -> None:
    await site.take(counted=(counted(Heartbeat=4, MeterValues=2),))
    await site.take(site.frame('[2,"1","Heartbeat",{}]'), counted=(counted(Heartbeat=1),))
    assert site.edge.answers == [FramesRecorded("e", 1), FramesRecorded("e", 2)]
    site.log.close()
    (record,) = site.records
    assert (record["type"], record["counts"]) == ("ocpp.counted", {"Heartbeat": 6, "MeterValues": 2})
    assert (record["n"], record["since"], record["bytes"]) == (8, 1_000_000_000, 222)


async def test_counts_that_are_sent_again_count_once(site: Site) -> None:
    message = RelayedFrames("e", 1, "rev", (), (counted(Heartbeat=4),), 4)
    await site.send(message)
    await site.send(message)
    assert site.edge.answers == [FramesRecorded("e", 1), FramesRecorded("e", 1)]
    site.log.close()
    assert site.records[-1]["counts"] == {"Heartbeat": 4}


async def test_counts_that_are_missing_are_told_and_those_before_the_first_batch_are_another_control_s(
    site: Site,
) -> None:
    await site.send(RelayedFrames("e", 7, "rev", (), (counted(Heartbeat=1),), 40))
    assert gaps(site) == []
    await site.send(RelayedFrames("e", 9, "rev", (), (counted(Heartbeat=1),), 44))
    assert gaps(site) == [{"edge": "e", "count": 3, "by_class": {"group": 3}}]
    await site.send(RelayedFrames("e", 10, "rev", (), (counted(Heartbeat=1),), 45))
    assert len(gaps(site)) == 1


async def test_what_is_refused_over_and_over_is_counted_and_one_refused_for_another_reason_stands_alone(
    site: Site,
) -> None:
    def refused(why: str) -> FrameNote:
        return FrameNote("refuse", (Match(event="rpc.direction", severity="high", effect="callerror", detail=why),))

    for _ in range(30):
        await site.take(site.frame('[2,"r","Reset",{"type":"Hard"}]', note=refused("not from a charge point")))
    await site.take(site.frame('[2,"r","Reset",{"type":"Hard"}]', note=refused("another reason")))
    assert len(site.records) == 13
    assert site.records[-1]["rules"][0]["why"] == "another reason"
    site.log.close()
    counted = site.records[-1]
    assert (counted["type"], counted["counts"]) == ("ocpp.counted", {"Reset: refuse": 18})


async def test_a_command_that_waits_for_its_record_is_never_only_counted(site: Site) -> None:
    note = FrameNote("refuse", (Match(event="policy.denied", severity="high", effect="callerror"),))
    for _ in range(30):
        await site.take(site.frame('[2,"r","Reset",{"type":"Hard"}]', from_csms=True, note=note, answer=True))
    assert len(site.records) == 30


async def test_actions_that_a_peer_invents_do_not_make_a_record_long(site: Site) -> None:
    site.log.levels = Levels(default="count")
    for number in range(300):
        await site.take(
            site.frame(
                f'[2,"{number}","Made{"abcdefghij"[number // 100]}{"abcdefghij"[number // 10 % 10]}{"abcdefghij"[number % 10]}",{{}}]'
            )
        )
    site.log.close()
    (counted,) = site.records
    assert len(counted["counts"]) == 201
    assert (counted["counts"]["others"], counted["n"]) == (100, 300)
