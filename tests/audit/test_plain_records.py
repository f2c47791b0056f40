"""Records made in one step are, byte for byte, those made step by step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.plain_records import PlainRecords, filled
from gateway.audit.record import Stamp
from gateway.audit.relayed import Head, Message, message_record
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion

FORM = Stamp(id="", ts_us=0, mono_ns=0, node="n%d", boot='b"', worker="edge-0", seq=0)
IDENTITY = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
PLAIN = st.text(st.sampled_from("abcXYZ019-_.:%{}$"), min_size=1, max_size=64)
POSITIVE = st.integers(0, 2**53 - 1)
RECORDS = PlainRecords(FORM, "0123%s", "e0")


def step_by_step(stamp: Stamp, message_id: str, after_ms: int | None, **fields: object) -> bytes:
    kind, action = ("call", "Status%d") if after_ms is None else ("result", "")
    head = Head(kind, message_id, action)  # type: ignore[arg-type]
    fixed = {"action": "Status%d", "decision": "forward", "said": (), "policy": "0123%s", "edge_boot": "e0"}
    return message_record(stamp, Message(head=head, after_ms=after_ms, **(fixed | fields)))  # type: ignore[arg-type]


@given(
    charge_point_id=IDENTITY,
    message_id=PLAIN,
    version=st.sampled_from(OCPPVersion),
    from_csms=st.booleans(),
    after_ms=st.none() | POSITIVE,
    size=POSITIVE,
    number=POSITIVE,
    clocks=st.tuples(POSITIVE, POSITIVE, POSITIVE),
)
def test_it_is_the_record_that_is_made_step_by_step(
    charge_point_id: str, message_id: str, version: OCPPVersion, from_csms: bool, after_ms: int | None, size: int,
    number: int, clocks: tuple[int, int, int],
) -> None:  # fmt: skip
    ts_us, mono_ns, seq = clocks
    stamp = Stamp(id=f"id-{seq}", ts_us=ts_us, mono_ns=mono_ns, node="n%d", boot='b"', worker="edge-0", seq=seq)
    session = f"s-{charge_point_id}-{version.value}"
    text = RECORDS.text(
        session, ChargePointId(charge_point_id), version, "Status%d", message_id, from_csms=from_csms,
        is_answer=after_ms is not None,
    )  # fmt: skip
    assert text
    assert filled(text, stamp, message_id, number, size, after_ms) == step_by_step(
        stamp, message_id, after_ms, charge_point_id=charge_point_id, session=session, version=version,
        from_csms=from_csms, size=size, number=number,
    )  # fmt: skip


@pytest.mark.parametrize("message_id", ['a"b', "a\\b", "a b", "ä", "\x7f", "a\n", "", "x" * 65])
def test_an_id_that_does_not_stand_in_json_as_it_is_is_left_to_the_slow_way(message_id: str) -> None:
    def text(name: str) -> str:
        version = OCPPVersion.V1_6
        return RECORDS.text("s", ChargePointId("CP-1"), version, "Reset", name, from_csms=True, is_answer=False)

    assert text(message_id) == ""
    assert text("x" * 64) != ""


def test_an_identity_that_looks_like_a_place_is_left_to_the_slow_way() -> None:
    def text(session: str, identity: str) -> str:
        version = OCPPVersion.V1_6
        return RECORDS.text(session, ChargePointId(identity), version, "Reset", "m", from_csms=True, is_answer=False)

    assert text("s1", "message-id-of-this-frame") == ""
    assert text("s2", "9007199254740101") == ""
    assert text("s3", "message-id-of-this-frame"[:-1]) != ""


def test_texts_are_kept_in_bounds() -> None:
    records = PlainRecords(FORM, "p", "e")
    for number in range(8_193):
        session, version = f"s{number}", OCPPVersion.V2_1
        assert records.text(session, ChargePointId("CP"), version, "A", "m", from_csms=False, is_answer=False)
    assert len(records._texts) == 1
