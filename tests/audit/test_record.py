"""Envelopes: canonical, without what is empty, with everything an event says."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.canonical import NotCanonical, canonical
from gateway.audit.event import Actor, SecurityEvent
from gateway.audit.record import RecordClass, Stamp, class_of_event, envelope, envelope_of_event, uuid7

STAMP = Stamp(id="0", ts_us=1_800_000_000_000_001, mono_ns=5, node="n", boot="b", worker="w", seq=7)


def test_everything_an_event_says_is_in_its_record() -> None:
    event = SecurityEvent(
        event="firmware.host",
        time=1.0,
        severity="high",
        stage="relay",
        ocpp_event="InvalidFirmwareSignature",
        reason="why-not",
        decision="callerror",
        charge_point_id="CP-1",
        verified=True,
        peer="192.0.2.1",
        peer_port=4711,
        listener="tls",
        connection="c-1",
        security_profile=3,
        http_status=403,
        tls_version="TLSv1.3",
        tls_offered=("TLSv1.3", "TLSv1.2"),
        server_name="gw.example",
        certificate_sha256="ab",
        count=3,
        policy_revision="abc",
        detail="firmware/host: an unknown host",
        actor=Actor(name="root (login alice)", known_by="socket", user="root", uid=0, pid=7, login="alice"),
    )
    record = json.loads(envelope_of_event(event, STAMP))
    assert record == {
        "v": 1,
        "type": "firmware.host",
        "id": "0",
        "ts": 1_800_000_000_000_001,
        "mono": 5,
        "node": "n",
        "boot": "b",
        "worker": "w",
        "seq": 7,
        "sev": "high",
        "cp": "CP-1",
        "proven": True,
        "sess": "c-1",
        "peer": {
            "ip": "192.0.2.1",
            "port": 4711,
            "listener": "tls",
            "sni": "gw.example",
            "tls": "TLSv1.3",
            "offered": ["TLSv1.3", "TLSv1.2"],
            "cert": "ab",
        },
        "auth": {"profile": 3},
        "ocpp": {"event": "InvalidFirmwareSignature"},
        "dec": {
            "act": "callerror",
            "reason": "why-not",
            "stage": "relay",
            "rule": "firmware/host",
            "policy": "abc",
            "status": 403,
        },
        "n": 3,
        "text": "firmware/host: an unknown host",
        "actor": {
            "name": "root (login alice)",
            "known_by": "socket",
            "user": "root",
            "uid": 0,
            "pid": 7,
            "login": "alice",
        },
    }
    assert len(event.__struct_fields__) == 25, "a new field of the event belongs into the envelope"


def test_what_is_empty_is_left_out() -> None:
    record = json.loads(envelope_of_event(SecurityEvent(event="net.reset", time=1.0), STAMP))
    assert set(record) == {"v", "type", "id", "ts", "mono", "node", "boot", "worker", "seq", "sev"}


@pytest.mark.parametrize("stage", ["relay", "authenticate"])
def test_a_rule_is_named_only_by_events_of_the_relay(stage: str) -> None:
    event = SecurityEvent(event="x", time=1.0, stage=stage, detail="a/b: c")
    assert json.loads(envelope_of_event(event, STAMP))["dec"].get("rule") == ("a/b" if stage == "relay" else None)


def test_a_claimed_identity_is_not_proven() -> None:
    event = SecurityEvent(event="x", time=1.0, charge_point_id="CP-1")
    assert json.loads(envelope_of_event(event, STAMP))["proven"] is False


def test_an_envelope_is_canonical() -> None:
    data = envelope("x", STAMP, zebra=1, apple={"b": 1, "a": [1]})
    assert data == canonical(json.loads(data))
    with pytest.raises(NotCanonical):
        envelope("x", STAMP, number=0.5)


@pytest.mark.parametrize(
    ("event", "decision", "expected"),
    [
        ("config.reloaded", "allow", RecordClass.SYNC),
        ("policy.reload_failed", "keep_last_good", RecordClass.SYNC),
        ("profile.upgraded", "allow_alert", RecordClass.SYNC),
        ("profile.proven", "allow_alert", RecordClass.SYNC),
        ("profile.taken", "allow_alert", RecordClass.SYNC),
        ("certificate.requested", "allow", RecordClass.SYNC),
        ("password.wanted", "allow", RecordClass.SYNC),
        ("certificate.rejected_by_station", "allow_alert", RecordClass.SYNC),
        ("certificate.rejected", "deny", RecordClass.GROUP),
        ("passwords.wanted", "allow", RecordClass.GROUP),
        ("auth.failed", "http_reject", RecordClass.GROUP),
        ("policy.denied", "callerror", RecordClass.GROUP),
        ("profile.mismatch", "http_reject", RecordClass.GROUP),
        ("auth.failed", "rate_limit", RecordClass.LOSSY),
        ("configured", "allow", RecordClass.GROUP),
    ],
)
def test_how_durable_an_event_has_to_be(event: str, decision: str, expected: RecordClass) -> None:
    assert class_of_event(SecurityEvent(event=event, time=1.0, decision=decision)) is expected


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_ids_are_uuids_of_version_7_that_sort_by_time(time_ms: int, random: bytes) -> None:
    made = uuid.UUID(uuid7(time_ms, random))
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, time_ms)
    with pytest.raises(ValueError, match="10 random"):
        uuid7(time_ms, random[1:])
