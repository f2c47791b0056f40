"""Records made in one step are, byte for byte, those made step by step."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.plain_records import PlainRecords, filled, is_plain
from gateway.audit.record import Stamp
from gateway.audit.relayed import Head, Message, message_record
from gateway.ocpp.vocabulary import OCPPVersion

FORM = Stamp(id="", ts_us=0, mono_ns=0, node="n%d", boot='b"', worker="edge-0", seq=0)
PLAIN = st.text(st.sampled_from("abcXYZ019-_.:%{}$"), min_size=1, max_size=64)
POSITIVE = st.integers(0, 2**53 - 1)
RECORDS = PlainRecords(FORM, "0123%s", "e0")


def step_by_step(stamp: Stamp, message_id: str, after_ms: int | None, **fields: object) -> bytes:
    kind, action = ("call", "Status%d") if after_ms is None else ("result", "")
    head = Head(kind, message_id, action)  # type: ignore[arg-type]
    fixed = {"action": "Status%d", "decision": "forward", "said": (), "policy": "0123%s", "edge_boot": "e0"}
    return message_record(stamp, Message(head=head, after_ms=after_ms, **(fixed | fields)))  # type: ignore[arg-type]


@given(
    charge_point_id=PLAIN,
    session=PLAIN,
    message_id=PLAIN,
    direction=st.tuples(st.sampled_from(OCPPVersion), st.booleans()),
    after_ms=st.none() | POSITIVE,
    size=POSITIVE,
    number=POSITIVE,
    clocks=st.tuples(POSITIVE, POSITIVE, POSITIVE),
)
def test_it_is_the_record_that_is_made_step_by_step(
    charge_point_id: str, session: str, message_id: str, direction: tuple[OCPPVersion, bool], after_ms: int | None,
    size: int, number: int, clocks: tuple[int, int, int],
) -> None:  # fmt: skip
    version, from_csms = direction
    ts_us, mono_ns, seq = clocks
    stamp = Stamp(id=f"id-{seq}", ts_us=ts_us, mono_ns=mono_ns, node="n%d", boot='b"', worker="edge-0", seq=seq)
    text = RECORDS.text("Status%d", version, from_csms=from_csms, is_answer=after_ms is not None)
    assert text
    assert filled(text, stamp, charge_point_id, session, message_id, number, size, after_ms) == step_by_step(
        stamp, message_id, after_ms, charge_point_id=charge_point_id, session=session, version=version,
        from_csms=from_csms, size=size, number=number,
    )  # fmt: skip


@given(st.text(st.characters(codec="utf-8"), max_size=70))
def test_a_plain_name_stands_in_json_as_it_is(name: str) -> None:
    stands = json.dumps(name, ensure_ascii=True) == f'"{name}"' and 0 < len(name) <= 64
    assert is_plain(name) == (stands and " " not in name and "\x7f" not in name)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a b", "ä", "\x7f", "a\n", "", "x" * 65])
def test_what_does_not_stand_in_json_as_it_is_is_left_to_the_slow_way(name: str) -> None:
    assert not is_plain(name)
    assert is_plain("x" * 64)


def test_an_action_that_looks_like_a_place_is_left_to_the_slow_way() -> None:
    def text(action: str) -> str:
        return RECORDS.text(action, OCPPVersion.V1_6, from_csms=True, is_answer=False)

    assert text("message-id-of-this-frame") == text("9007199254740101") == ""
    assert text("message-id-of-this-frame"[:-1]) != ""


def test_texts_are_kept_in_bounds() -> None:
    records = PlainRecords(FORM, "p", "e")
    for number in range(513):
        assert records.text(f"Action{number}", OCPPVersion.V2_1, from_csms=False, is_answer=False)
    assert len(records._texts) == 1
