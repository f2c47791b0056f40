"""Records of frames: what is said of each, how much is kept of which, and nothing of a message where nothing may be."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.canonical import NotCanonical
from gateway.audit.event import printable
from gateway.audit.record import Stamp, envelope
from gateway.audit.relayed import Head, Levels, Message, RuleSaid, counted_record, head_of, message_record
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.vocabulary import OCPPVersion

STAMP = Stamp(id="i", ts_us=1, mono_ns=2, node="n", boot="b", worker="edge-0", seq=3)
V16 = OCPPVersion.V1_6


@pytest.mark.parametrize(
    ("text", "version", "head"),
    [
        (b'[2,"1","Heartbeat",{}]', V16, Head("call", "1", "Heartbeat")),
        (b'[3,"1",{}]', V16, Head("result", "1")),
        (b'[4,"1","GenericError","d",{}]', V16, Head("error", "1", "GenericError")),
        (b'[5,"1","GenericError","d",{}]', OCPPVersion.V2_1, Head("result_error", "1", "GenericError")),
        (b'[6,"1","NotifyPeriodicEventStream",{}]', OCPPVersion.V2_1, Head("send", "1", "NotifyPeriodicEventStream")),
        (b'[6,"1","NotifyPeriodicEventStream",{}]', V16, Head("malformed")),
        (b'[2,"1","my secret",{}]', V16, Head("call", "1", "*")),
        (b'[4,"1","","d",{}]', V16, Head("error", "1", "*")),
        (b'[2,"secret', V16, Head("malformed")),
        (b"\xff", V16, Head("malformed")),
    ],
)
def test_what_a_frame_says_about_itself(text: bytes, version: OCPPVersion, head: Head) -> None:
    try:
        frame, _ = decode_message(text, version)
    except MalformedFrame:
        frame = None
    assert head_of(frame) == head


def test_levels_by_action_and_everything_remarkable_in_full() -> None:
    levels = Levels(default="meta", full=frozenset({"Reset"}), counted=frozenset({"Heartbeat", "Reset"}))
    assert [
        levels.of(each, is_remarkable=False) for each in ("Reset", "Reset-Signed", "Heartbeat", "Authorize", "")
    ] == [
        "full",
        "full",
        "count",
        "meta",
        "meta",
    ]
    assert levels.of("Heartbeat", is_remarkable=True) == "full"


def test_only_a_number_is_wanted_of_what_is_counted_but_never_of_a_security_event() -> None:
    told = ("Heartbeat", "Authorize", "SecurityEventNotification", "SecurityEventNotification-Signed")
    counted = Levels(default="meta", full=frozenset({"Reset"}), counted=frozenset({"Heartbeat", "Reset"}))
    assert [counted.is_told_as_number(each) for each in (*told, "Reset")] == [True, False, False, False, False]
    assert [Levels(default="count").is_told_as_number(each) for each in told] == [True, True, False, False]


def message(**more: object) -> Message:
    said = (
        RuleSaid(event="policy.a", rule="p/a", severity="low", would="deny"),
        RuleSaid(event="policy.b", rule="p/b", severity="high", effect="deny"),
    )
    fields = {
        "head": Head("call", "m1", "Reset"), "action": "Reset", "charge_point_id": "CP-1", "session": "s",
        "version": V16, "from_csms": True, "size": 40, "after_ms": None, "decision": "refuse", "said": said,
        "policy": "0123", "edge_boot": "e", "number": 9, "body": {"text": "[]"}, "subjects": ("2026:AB",),
    }  # fmt: skip
    return Message(**(fields | more))  # type: ignore[arg-type]


def test_a_record_says_what_came_what_was_done_and_every_rule_enforced_or_not() -> None:
    record = json.loads(message_record(STAMP, message()))
    assert record["type"] == "ocpp.message"
    assert (record["worker"], record["seq"], record["sev"]) == ("edge-0", 3, "high")
    assert record["ocpp"] == {
        "version": "1.6",
        "kind": "call",
        "action": "Reset",
        "id": "m1",
        "from": "csms",
        "bytes": 40,
    }
    assert record["dec"] == {"act": "refuse", "rule": "p/b", "policy": "0123"}
    assert record["rules"] == [
        {"event": "policy.a", "rule": "p/a", "sev": "low", "would": "deny"},
        {"event": "policy.b", "rule": "p/b", "sev": "high", "act": "deny"},
    ]
    assert (record["edge"], record["body"], record["subj"]) == (
        {"boot": "e", "frame": 9},
        {"text": "[]"},
        ["2026:AB"],
    )


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
WORD = st.sampled_from(["", "Reset", "x"])


@given(
    after_ms=st.none() | st.integers(0, 2**40),
    head=st.builds(Head, st.sampled_from(["call", "error", "malformed"]), TEXT, TEXT),
    action=TEXT,
    charge_point_id=WORD,
    session=WORD,
    policy=WORD,
    edge_boot=WORD,
    decision=st.sampled_from(["forward", "refuse"]),
    said=st.lists(st.builds(RuleSaid, event=WORD, rule=WORD, severity=st.sampled_from(["", "low"]), effect=WORD)).map(
        tuple
    ),
    body=st.none() | st.dictionaries(st.sampled_from(["b", "a"]), st.integers(0, 9), min_size=1),
    subjects=st.lists(WORD, max_size=2).map(tuple),
    size=st.integers(0, 2**31),
    from_csms=st.booleans(),
)
def test_records_are_canonical_and_without_what_is_empty(**fields: object) -> None:
    """Made fast, they are what the slow way makes."""
    told = message(**fields)
    slow = envelope(
        "ocpp.message",
        STAMP,
        sev="low" if any(each.severity for each in told.said) else "" if told.said else "info",
        cp=told.charge_point_id,
        proven=True,
        sess=told.session,
        ocpp={
            "version": "1.6",
            "kind": told.head.kind,
            "action": printable(told.action, 64),
            "id": printable(told.head.message_id, 64),
            "error": printable(told.head.action, 64) if told.head.kind == "error" else "",
            "from": "csms" if told.from_csms else "charge-point",
            "bytes": told.size,
            "after_ms": told.after_ms,
        },
        dec={
            "act": told.decision,
            "rule": next((each.rule for each in told.said if each.rule and each.effect), ""),
            "policy": told.policy,
        },
        rules=[
            {
                name: text
                for name, text in {
                    "event": each.event, "rule": each.rule, "sev": each.severity, "act": each.effect
                }.items()
                if text
            }
            for each in told.said
        ],
        edge={"boot": told.edge_boot, "frame": told.number},
        body=told.body,
        subj=list(told.subjects),
    )  # fmt: skip
    assert message_record(STAMP, told) == slow


def test_a_text_without_canonical_form_is_refused() -> None:
    with pytest.raises(NotCanonical):
        message_record(STAMP, message(session="\ud800"))


def test_a_record_of_an_answer_says_which_call_and_how_long_it_took() -> None:
    record = json.loads(
        message_record(STAMP, message(head=Head("error", "m1", "NotSupported"), after_ms=0, said=(), body=None))
    )
    assert record["ocpp"]["error"] == "NotSupported"
    assert record["ocpp"]["after_ms"] == 0
    assert record["sev"] == "info"
    assert "body" not in record


def test_what_a_peer_may_choose_is_one_line_of_printable_characters() -> None:
    odd = Head("call", "m\n\x00é" * 40, "Re\nset")
    record = json.loads(message_record(STAMP, message(head=odd, action=odd.action)))
    assert "\n" not in record["ocpp"]["id"] + record["ocpp"]["action"]
    assert len(record["ocpp"]["id"]) < 80


def test_counted_frames_are_one_record() -> None:
    record = json.loads(
        counted_record(
            STAMP, charge_point_id="CP-1", session="s", counts={"Heartbeat": 3, "MeterValues": 2}, size=7, since_us=5
        )
    )
    assert (record["type"], record["n"], record["counts"], record["bytes"], record["since"]) == (
        "ocpp.counted",
        5,
        {"Heartbeat": 3, "MeterValues": 2},
        7,
        5,
    )
