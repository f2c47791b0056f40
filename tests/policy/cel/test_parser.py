"""Text to tree: precedence, positions, what is refused and where."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cel import MAX_LENGTH, MAX_NESTING, ExpressionInvalid, parse
from gateway.policy.cel.nodes import (
    Binary,
    Bind,
    Call,
    Comprehension,
    Conditional,
    Has,
    Index,
    ListLiteral,
    Literal,
    Logical,
    Name,
    Node,
    Select,
    Unary,
    walk,
)


def shown(node: Node) -> str:  # noqa: PLR0911
    """The tree with brackets around everything."""
    match node:
        case Literal():
            return repr(node.value)
        case Name():
            return node.name
        case Select():
            return f"{shown(node.operand)}.{'?' * node.optional}{node.field}"
        case Index():
            return f"{shown(node.operand)}[{'?' * node.optional}{shown(node.index)}]"
        case Has():
            return f"has({shown(node.select)})"
        case ListLiteral():
            return f"[{', '.join(map(shown, node.items))}]"
        case Unary():
            return f"({node.operator}{shown(node.operand)})"
        case Binary():
            return f"({shown(node.left)} {node.operator} {shown(node.right)})"
        case Logical():
            return "(" + f" {node.operator} ".join(map(shown, node.operands)) + ")"
        case Conditional():
            return f"({shown(node.test)} ? {shown(node.yes)} : {shown(node.no)})"
        case Call():
            receiver = f"{shown(node.receiver)}." if node.receiver else ""
            return f"{receiver}{node.function}({', '.join(map(shown, node.arguments))})"
        case Comprehension():
            rest = [node.body] + ([node.transform] if node.transform else [])
            return f"{shown(node.range)}.{node.macro}({node.variable}, {', '.join(map(shown, rest))})"
        case Bind():
            return f"bind({node.variable}, {shown(node.value)}, {shown(node.body)})"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a || b && c", "(a || (b && c))"),
        ("a && b && c || d", "((a && b && c) || d)"),
        ("a && (b && c)", "(a && (b && c))"),
        ("!a && b", "((!a) && b)"),
        ("!!a", "(!(!a))"),
        ("a < b == c", "((a < b) == c)"),
        ("a + b * c - d", "((a + (b * c)) - d)"),
        ("a - b - c", "((a - b) - c)"),
        ("a % b / c", "((a % b) / c)"),
        ("-a * b", "((-a) * b)"),
        ("- 1", "-1"),
        ("--1", "(--1)"),
        ("a - 1", "(a - 1)"),
        ("a -1", "(a - 1)"),
        ("a in b && c", "((a in b) && c)"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a || b ? c : d", "((a || b) ? c : d)"),
        ("a.b.?c[0][?1].d", "a.b.?c[0][?1].d"),
        ("a?.5:1", "(a ? 0.5 : 1)"),
        ("has(a.b.c)", "has(a.b.c)"),
        ("x.all(v, v > 1)", "x.all(v, (v > 1))"),
        ("x.map(v, v > 1, v)", "x.map(v, (v > 1), v)"),
        ("x.exists_one(v, v)", "x.exists_one(v, v)"),
        ("cel.bind(v, 1, v + v)", "bind(v, 1, (v + v))"),
        ("size(a) + a.size()", "(size(a) + a.size())"),
        ("[1, [], 'a',]", "[1, [], 'a']"),
        ("a // rest\n + b", "(a + b)"),
        ("a.in_b.if", "a.in_b.if"),
        ("true && false || null == a", "((True && False) || (None == a))"),
    ],
)
def test_operators_bind_as_in_cel(text: str, tree: str) -> None:
    assert shown(parse(text).root) == tree


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0x1F", 31),
        ("-0X1f", -31),
        ("1e3", 1000.0),
        ("1.5E-1", 0.15),
        (".5", 0.5),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        (r'"\x41\101\u0041\U00000041"', "AAAA"),
        (r"'\a\b\f\n\r\t\v\\\?\"\'\`'", "\a\b\f\n\r\t\v\\?\"'`"),
        (r'r"\n{2}"', r"\n{2}"),
        (r"R'\''", None),
        ('"""a\n"b" c"""', 'a\n"b" c'),
        ("'''a'b'''", "a'b"),
        ('""', ""),
        ('"€😀"', "€😀"),
    ],
)
def test_literals_have_the_value_they_have_in_cel(text: str, value: Any) -> None:
    if value is None:
        with pytest.raises(ExpressionInvalid):
            parse(text)
        return
    root = parse(text).root
    assert isinstance(root, Literal)
    assert (type(root.value), root.value) == (type(value), value)


@pytest.mark.parametrize(
    ("text", "offset", "length", "part"),
    [
        ("", 0, 0, "expected a value"),
        ("a &&", 4, 0, "expected a value before end"),
        ("a = 1", 2, 1, "does not belong"),
        ("a and b", 2, 3, "complete before 'and'"),
        ("a b", 2, 1, "complete before 'b'"),
        ("(a", 2, 0, "expected ')'"),
        ("a[1", 3, 0, "expected ']'"),
        ("a ? b", 5, 0, "expected ':'"),
        ("!-a", 1, 1, "expected a value"),
        ("1u", 0, 2, "unsigned"),
        ("12ab", 0, 3, "letter follows"),
        ('b"x"', 0, 2, "byte strings"),
        ("{'a': 1}", 0, 1, "does not belong"),
        ('"abc', 0, 1, "does not belong"),
        (r'"a\q"', 2, 2, "unknown escape"),
        (r'"a\ud800"', 2, 6, "not a Unicode character"),
        (r'"\U00110000"', 1, 10, "not a Unicode character"),
        ("9223372036854775808", 0, 19, "too large"),
        ("-9223372036854775809", 1, 19, "too large"),
        ("1e999", 0, 5, "too large"),
        ("a.1", 1, 2, "complete before '.1'"),
        ("a.in", 2, 2, "field name"),
        ("for + 1", 0, 3, "reserved"),
        ("has(a)", 0, 3, "has() takes"),
        ("has(a.?b)", 0, 3, "has() takes"),
        ("x.all(1, true)", 6, 1, "name for the variable"),
        ("x.all(v)", 2, 3, "takes a variable"),
        ("x.all(v, true, true)", 2, 3, "takes a variable"),
        ("cel.bind(v, 1)", 4, 4, "cel.bind takes"),
    ],
)
def test_a_mistake_is_reported_where_it_is(text: str, offset: int, length: int, part: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        parse(text)
    invalid = caught.value
    assert (invalid.offset, invalid.length, invalid.code) == (offset, length, "P019")
    assert part in invalid.message


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [("a = 1", "=="), ("a & b", "&&"), ("a | b", "||"), ("a or b", "||"), ("“a”", "straight"), ("a == {}", "map")],
)
def test_common_slips_come_with_what_to_write(text: str, suggestion: str) -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        parse(text)
    assert suggestion in caught.value.suggestion


def test_every_node_knows_its_text() -> None:
    expression = parse('(a + b).c["d"].all(x, !(x in [1, 2])) && has(m.n) ? f(-1) : cel.bind(q, 1, q)')
    texts = {expression.source(node) for node in walk(expression.root)}
    assert texts >= {
        expression.text,
        "a + b",
        "(a + b).c",
        '(a + b).c["d"]',
        '(a + b).c["d"].all(x, !(x in [1, 2]))',
        "!(x in [1, 2])",
        "x in [1, 2]",
        "[1, 2]",
        "has(m.n)",
        "f(-1)",
        "-1",
        "cel.bind(q, 1, q)",
    }


def test_the_text_may_be_as_long_as_the_limit_and_no_longer() -> None:
    parse("a" * MAX_LENGTH)
    with pytest.raises(ExpressionInvalid) as caught:
        parse("a" * (MAX_LENGTH + 1))
    assert caught.value.offset == MAX_LENGTH


@pytest.mark.parametrize(
    "nested",
    [
        lambda depth: "(" * depth + "a" + ")" * depth,
        lambda depth: "!" * depth + "a",
        lambda depth: "[" * depth + "a" + "]" * depth,
        lambda depth: "a" + ".b" * depth,
        lambda depth: "a" + " + a" * depth,
        lambda depth: "a ? b : " * depth + "c",
        lambda depth: "a[" * depth + "0" + "]" * depth,
    ],
)
def test_nesting_is_limited_however_it_is_made(nested: Any) -> None:
    parse(nested(MAX_NESTING - 2))
    for depth in (MAX_NESTING + 1, 1000):
        with pytest.raises(ExpressionInvalid):
            parse(nested(depth))


def test_a_long_chain_of_conditions_is_not_nested() -> None:
    root = parse(" || ".join(["a && b"] * 400)).root
    assert isinstance(root, Logical)
    assert len(root.operands) == 400


def test_comprehensions_inside_each_other_are_limited() -> None:
    parse("x.all(a, " * 6 + "true" + ")" * 6)
    with pytest.raises(ExpressionInvalid, match="comprehensions inside each other"):
        parse("x.all(a, " * 7 + "true" + ")" * 7)


PIECES = [*"ab.?[]()!&|<>=+-*/%:,'\"\\0123456789xeu ${}", ".all(x, ", "has(", " in ", "true", "&&", "||", "cel.bind("]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text_is_an_expression_or_a_finding_inside_the_text(text: str) -> None:
    try:
        expression = parse(text)
    except ExpressionInvalid as invalid:
        assert 0 <= invalid.offset <= invalid.offset + invalid.length <= len(text)
    else:
        assert all(0 <= node.start < node.end <= len(text) for node in walk(expression.root))
