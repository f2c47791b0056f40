"""Words of ours become one line, and what is escaped in them already is not escaped twice."""

from gateway.audit.event import one_line, printable


def test_what_a_peer_chose_is_escaped_once() -> None:
    assert one_line("control character: " + printable(b"CP\r\n\\x")) == "control character: CP\\x0d\\x0a\\x5cx"


def test_control_characters_and_foreign_letters_are_escaped() -> None:
    assert one_line("a\nb\x7f\u00e9") == "a\\x0ab\\x7f\\xc3\\xa9"


def test_long_texts_are_cut() -> None:
    assert one_line("x" * 600) == "x" * 512 + "..."
    assert one_line("\n" * 200, 100) == ("\\x0a" * 25) + "..."
