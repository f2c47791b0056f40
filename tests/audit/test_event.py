"""Security events: one flat JSON object each, and nothing that a peer chose can forge a line (CWE-117)."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.event import SecurityEvent, one_line, printable


@given(st.text(max_size=400) | st.binary(max_size=400), st.integers(1, 300))
def test_whatever_a_peer_chose_becomes_one_short_line_of_ascii(text: str | bytes, max_chars: int) -> None:
    shown = printable(text, max_chars)
    assert shown.isascii()
    assert shown == "" or shown.isprintable()
    assert len(shown) <= max_chars + len("...")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\\"), max_size=256))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert printable(text) == one_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CP\r\n2026 CRITICAL forged", "CP\\x0d\\x0a2026 CRITICAL forged"),
        ("\x1b]0;pwn\x07", "\\x1b]0;pwn\\x07"),
        ("a\\x0ab", "a\\x5cx0ab"),
        (b"\x00\xff\x7f", "\\x00\\xff\\x7f"),
        ("é", "\\xc3\\xa9"),
        ("\ud800", "\\x5cud800"),
        ("", ""),
    ],
)
def test_everything_else_is_escaped_and_the_escape_cannot_be_forged(text: str | bytes, shown: str) -> None:
    assert printable(text) == shown


def test_a_long_text_is_cut_and_one_of_just_the_right_length_is_not() -> None:
    assert printable("x" * 256) == "x" * 256
    assert printable("x" * 257) == "x" * 256 + "..."
    assert printable("\n" * 65, 256) == "\\x0a" * 64 + "..."
    assert printable(b"abc", 2) == "ab..."


def test_different_bytes_are_shown_differently() -> None:
    assert len({printable(bytes((byte,))) for byte in range(256)}) == 256


def test_an_event_is_one_flat_object_without_what_was_not_said() -> None:
    event = SecurityEvent(event="rpc.flood", time=12.5)
    assert msgspec.json.encode(event) == b'{"type":"security_event","event":"rpc.flood","time":12.5}'
    full = SecurityEvent(
        event="tls.downgrade", time=1.0, severity="high", stage="tls", tls_offered=("TLSv1", "SSLv3"), count=3
    )
    told = msgspec.json.decode(msgspec.json.encode(full))
    assert not any(isinstance(value, dict) for value in told.values())
    assert msgspec.json.decode(msgspec.json.encode(full), type=SecurityEvent) == full


@pytest.mark.parametrize(
    "text",
    [b'{"type":"log","event":"x","time":1}', b'{"type":"security_event","event":"x","time":1,"severity":"urgent"}'],
)
def test_what_is_no_event_does_not_decode_as_one(text: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=SecurityEvent)
    assert msgspec.json.decode(b'{"type":"security_event","event":"x","time":1}', type=SecurityEvent).count == 1


def test_an_event_cannot_be_changed_afterwards() -> None:
    event = SecurityEvent(event="x", time=1.0)
    with pytest.raises(AttributeError):
        event.detail = "forged"  # type: ignore[misc]
