"""Patterns of matches(): what is refused and why, and that no text makes a match slow."""

import sys
from typing import Any

import pytest

from gateway.policy.cel.automaton import MAX_INPUT, compile_pattern
from gateway.policy.cel.operations import OperationError
from gateway.policy.cel.regex import PatternRefused


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1", "back-references"),
        ("(?P<a>x)(?P=a)", "back-references"),
        ("a(?=b)", "look-around"),
        ("a(?!b)", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        ("(a+)+", "under a repetition"),
        ("(a*b?)*", "under a repetition"),
        ("(x(a|b{1,2})){3}", "under a repetition"),
        ("a**", "after a quantifier"),
        ("a+{2}", "after a quantifier"),
        ("*a", "nothing to repeat"),
        ("^*", "nothing to repeat"),
        ("(+)", "nothing to repeat"),
        ("a{2,1}", "out of order"),
        ("a{1,257}", "beyond 256"),
        ("a{", "write \\{"),
        ("a{x}", "write \\{"),
        ("[a", "[ without ]"),
        ("[b-a]", "bad range"),
        (r"[\d-z]", None),
        ("[[:alpha:]]", "named classes"),
        ("(a", "( without )"),
        ("a)", "unmatched )"),
        (r"\bword", "word boundaries"),
        (r"\pL", "Unicode classes"),
        (r"\Qa\E", "\\Q"),
        (r"\Z", "write \\z"),
        (r"\y", "unknown escape"),
        ("a\\", "unknown escape"),
        (r"\x4", "two digits"),
        (r"\x{110000}", "two digits"),
        (r"\01", "octal"),
        ("(?m)^a", "flags stand only"),
        ("a(?i)b", "flags stand only"),
        ("a" * 513, "longer than 512"),
        ("(" * 21 + "a" + ")" * 21, "more than 20 groups"),
        ("(abcdefgh|ijklmnop){80}", "too large"),
        ("[ab]*a[ab]{20}", "too complex"),
    ],
)
def test_what_is_refused_says_why(pattern: str, reason: str | None) -> None:
    if reason is None:
        compile_pattern(pattern)
        return
    with pytest.raises(PatternRefused) as caught:
        compile_pattern(pattern)
    assert reason in caught.value.message
    assert 0 <= caught.value.offset <= len(pattern)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("^[0-9A-F]{8,14}$", ["04A1B2C3", "04A1B2C3D4E5F6"], ["04A1B2C", "04A1B2C3D4E5F6A", "04a1b2c3", "04A1B2C3\n"]),
        (
            r"^https://[a-z0-9.-]+\.example/fw/.*\.bin$",
            ["https://a.b.example/fw/x/y.bin"],
            ["http://a.example/fw/x.bin"],
        ),
        ("(?i)^[a-z\u212a]$", ["k", "K", "\u212a", "ſ"], ["1"]),
        (r"\Aab\z", ["ab"], ["ab\n", "xab"]),
        ("(?i)jndi", ["${JnDi:", "jndi"], ["jdni"]),
        ("^(?:DE|FR)\\*", ["DE*ICE*1", "FR*"], ["ES*1", "xDE*"]),
        ("^v?[0-9]+(\\.[0-9]+)?$", ["v1", "1.2"], ["1.", "v", "1.2.3"]),
        ("^(v[0-9]+)?$", ["", "v12"], ["v"]),
        ("(?s)a.b", ["a\nb", "axb"], ["ab"]),
        ("a.b", ["axb"], ["a\nb"]),
        ("^$", [""], ["a", "\n"]),
        ("", ["", "anything"], []),
        (r"[^\s]+@\w", ["a@b"], [" @b", "a@ "]),
        ("😀{2}", ["x😀😀"], ["😀x😀"]),
        ("a??b|c{2,}?", ["ab", "ccc"], ["a", "c"]),
        ("(?P<name>a)(?<other>b)", ["ab"], ["a"]),
        (r"\x41\x{1F600}\t", ["A\U0001f600\t"], ["A"]),
    ],
)
def test_patterns_of_rules_match_what_they_should(pattern: str, matching: list[str], others: list[str]) -> None:
    automaton = compile_pattern(pattern)
    assert [text for text in matching if not automaton.search(text)] == []
    assert [text for text in others if automaton.search(text)] == []


def test_a_text_beyond_the_limit_is_an_error_and_not_a_mismatch() -> None:
    automaton = compile_pattern("b")
    assert automaton.search("a" * MAX_INPUT) is False
    with pytest.raises(OperationError, match="longer than 1024"):
        automaton.search("b" + "a" * MAX_INPUT)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (".*.*.*.*=.*x$", "=" * 1024),
        ("(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b", "a" * 1024),
        ("a?a?a?a?a?a?a?a?a?a?a?a?aaaaaaaaaaaab", "a" * 1024),
        ("^(([a-z])+.)?[A-Z]([a-z])+$", "a" * 1024),
        ("x*y*z*w", "xyz" * 341),
    ],
)
def test_patterns_that_hang_backtracking_engines_take_one_step_per_character(pattern: str, text: str) -> None:
    automaton = compile_pattern(pattern)
    lines = 0

    def trace(_frame: Any, event: str, _: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert automaton.search(text) is False
    finally:
        sys.settrace(before)
    assert lines < 4 * len(text) + 20
