"""Framing of the link between edge and control: any cut gives the same messages, any garbage one error."""

import contextlib
import itertools
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.event import SecurityEvent
from gateway.config.model import Limits, WebSocketSettings
from gateway.config.policy import Policy
from gateway.config.policy_site import load_policy
from gateway.identity.evidence import CertificateProof, PasswordProof
from gateway.link.framing import FrameReader, LinkBroken, control_reader, edge_reader, encode
from gateway.link.messages import (
    MAX_MESSAGE_BYTES,
    AdmitRefused,
    AdmitRequest,
    BudgetAnswer,
    BudgetRequest,
    CertificatePEM,
    ControlMessage,
    Counters,
    Disconnect,
    Drain,
    EdgeMessage,
    EdgeSettings,
    GatewayCall,
    GatewayCallDone,
    Hello,
    LiveSession,
    PolicySettings,
    Probe,
    ProbeAnswer,
    Registered,
    Report,
    SessionClosed,
    SessionOpened,
    SettingsApplied,
    SettingsUpdate,
)
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.policy.counter_table import CounterKey
from gateway.policy.verdict import FleetAsk, RuleMatch
from tests.support.claims import make_claim

CP = ChargePointId("CP-1")
CERTIFICATE = CertificateProof(sha256="a", spki_sha256="b", serial_number="1", common_name="SN", not_after=1.0)
LIVE = LiveSession(
    "s-1",
    CP,
    7,
    SecurityProfile(2),
    "ocpp1.6",
    "192.0.2.1",
    "tls",
    "main",
    1.5,
    PasswordProof(slot="current", reading="raw"),
)
POLICY = load_policy(Policy(packs=("fleet",)), now=1.0)
MATCH = RuleMatch(POLICY.packs[0].rules[0], enforced=True)
FROM_EDGE: list[EdgeMessage] = [
    Hello(0, 4711, (LIVE, msgspec.structs.replace(LIVE, proof=CERTIFICATE, registered=True))),
    AdmitRequest(1, "s-1", make_claim(password=b"\x00\xff", leaf=b"\x30")),
    SessionOpened(LIVE),
    SessionClosed("s-1", CP, 7, "closed-by-csms:1000"),
    Registered("s-1", CP, 7, "SN-1", "V", "M", "1.0"),
    Report((SecurityEvent(event="net.reset", time=1.0),)),
    Counters({'x_total{a="b"}': 2.0}),
    ProbeAnswer(1, "s-1", alive=True),
    GatewayCallDone("c-1", "s-1", "result", b"{}"),
    SettingsApplied(3, "no"),
    BudgetRequest(1, (FleetAsk(MATCH, CounterKey("r", "CP", "k"), "v", 1.0, "rate", 2.0, 60.0),)),
]
FROM_CONTROL: list[ControlMessage] = [
    SettingsUpdate(
        EdgeSettings(1, 1, (), (), Limits(), WebSocketSettings(), PolicySettings("r", POLICY.packs, POLICY.site))
    ),
    BudgetAnswer(1, {"a/b": False}),
    AdmitRefused(1, "password-wrong", 3, proven=True),
    Probe(1, "s-1", 5.0),
    GatewayCall("c-1", "s-1", "Reset", b"{}", 5.0),
    Disconnect("s-1", "disabled"),
    Drain(20.0),
]


def pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at)]


def read(reader: FrameReader[Any], chunks: Iterable[bytes]) -> list[Any]:
    return [message for chunk in chunks for message in reader.feed(chunk)]


@given(st.lists(st.sampled_from(FROM_EDGE), max_size=6), st.lists(st.integers(0, 4_000), max_size=12))
def test_messages_of_an_edge_arrive_whole_and_in_order_however_they_are_cut(
    messages: list[Any], cuts: list[int]
) -> None:
    assert read(edge_reader(), pieces(b"".join(map(encode, messages)), cuts)) == messages


@given(st.lists(st.sampled_from(FROM_CONTROL), max_size=6), st.lists(st.integers(0, 4_000), max_size=12))
def test_messages_of_control_do_too(messages: list[Any], cuts: list[int]) -> None:
    assert read(control_reader(), pieces(b"".join(map(encode, messages)), cuts)) == messages


def test_byte_by_byte() -> None:
    data = b"".join(map(encode, FROM_EDGE))
    assert read(edge_reader(), (data[i : i + 1] for i in range(len(data)))) == FROM_EDGE


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_a_broken_link_and_nothing_else(data: bytes) -> None:
    for framed in (data, len(data).to_bytes(4, "big") + data):
        for reader in (edge_reader(), control_reader()):
            try:
                read(reader, [framed])
            except LinkBroken as broken:
                assert str(broken)


@given(st.sampled_from([*FROM_EDGE, *FROM_CONTROL]), st.integers(4, 4_000), st.integers(0, 255))
def test_a_damaged_message_is_a_message_or_a_broken_link(message: Any, place: int, byte: int) -> None:
    data = bytearray(encode(message))
    data[4 + place % (len(data) - 4)] = byte
    for reader in (edge_reader(), control_reader()):
        with contextlib.suppress(LinkBroken):
            read(reader, [bytes(data)])


@pytest.mark.parametrize("message", FROM_CONTROL)
def test_what_control_says_is_not_what_an_edge_says(message: Any) -> None:
    with pytest.raises(LinkBroken):
        read(edge_reader(), [encode(message)])


@pytest.mark.parametrize("message", FROM_EDGE)
def test_and_the_other_way_round(message: Any) -> None:
    with pytest.raises(LinkBroken):
        read(control_reader(), [encode(message)])


class TestLimits:
    def test_a_length_over_the_limit_is_refused_before_anything_is_stored(self) -> None:
        reader = edge_reader()
        with pytest.raises(LinkBroken, match="67108865 bytes"):
            read(reader, [(MAX_MESSAGE_BYTES + 1).to_bytes(4, "big")])

    def test_a_length_at_the_limit_waits_for_its_bytes(self) -> None:
        assert read(edge_reader(), [MAX_MESSAGE_BYTES.to_bytes(4, "big"), b"x"]) == []

    def test_a_message_over_the_limit_is_not_sent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.link.framing.MAX_MESSAGE_BYTES", 60)
        assert read(control_reader(), [encode(Disconnect("s-1", "x" * 40))]) == [Disconnect("s-1", "x" * 40)]
        with pytest.raises(ValueError, match=r"Disconnect of .* bytes is too long"):
            encode(Disconnect("s-1", "x" * 80))

    def test_an_empty_frame_is_no_message(self) -> None:
        with pytest.raises(LinkBroken):
            read(edge_reader(), [b"\0\0\0\0"])


def test_what_came_before_a_broken_frame_is_still_delivered() -> None:
    found: list[Any] = []
    with pytest.raises(LinkBroken):
        found.extend(edge_reader().feed(encode(FROM_EDGE[0]) + b"\0\0\0\1\xc1"))
    assert found == FROM_EDGE[:1]


def test_settings_show_neither_passwords_nor_keys() -> None:
    assert "s3cr3t" not in repr(CertificatePEM(b"chain", b"s3cr3t"))
