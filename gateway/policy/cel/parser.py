"""Tokens to a syntax tree: the grammar of CEL, less what the subset leaves out. Types are the checker's business."""

from typing import Final, get_args
from typing import Literal as OneOf

from gateway.policy.cel.errors import ExpressionInvalid
from gateway.policy.cel.lexer import Kind, Token, tokenize
from gateway.policy.cel.nodes import (
    Binary,
    Bind,
    Call,
    Comprehension,
    Conditional,
    Expression,
    Has,
    Index,
    ListLiteral,
    Literal,
    Logical,
    Macro,
    Name,
    Node,
    Select,
    Unary,
    children,
    height,
)

__all__ = ["MAX_LENGTH", "MAX_NESTING", "parse"]

MAX_LENGTH: Final = 4096
MAX_NESTING: Final = 32
"""Of the syntax tree; a chain of && or || counts once however long it is."""
_MAX_LOOPS: Final = 6
"""Comprehensions inside each other."""

_RESERVED: Final = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "in", "let", "loop", "namespace",
    "package", "return", "var", "void", "while",
})  # fmt: skip
_CONSTANTS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_WORDS: Final = {"and": "&&", "or": "||", "not": "!", "is": "=="}
_MACROS: Final = frozenset(get_args(Macro))
_RELATIONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_SUMS: Final = frozenset({"+", "-"})
_PRODUCTS: Final = frozenset({"*", "/", "%"})
_MAX_INT: Final = 2**63 - 1


def parse(text: str) -> Expression:
    """The expression a text stands for. Raises ExpressionInvalid with the place of the first mistake."""
    if len(text) > MAX_LENGTH:
        raise ExpressionInvalid(
            f"longer than {MAX_LENGTH} characters", offset=MAX_LENGTH, length=len(text) - MAX_LENGTH
        )
    parser = _Parser(text, tokenize(text))
    root = parser.expression()
    parser.expect_end()
    if height(root) > MAX_NESTING:
        raise ExpressionInvalid(f"nested deeper than {MAX_NESTING}", offset=0, length=len(text))
    _check_loops(root)
    return Expression(text, root)


def _check_loops(root: Node) -> None:
    waiting = [(root, 0)]
    while waiting:
        node, loops = waiting.pop()
        if loops > _MAX_LOOPS:
            raise ExpressionInvalid(
                f"more than {_MAX_LOOPS} comprehensions inside each other",
                offset=node.start,
                length=node.end - node.start,
            )
        inner = loops + 1 if isinstance(node, Comprehension) else loops
        waiting.extend((child, inner) for child in children(node))


class _Parser:
    """Recursive descent, one method per level of precedence."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self._text = text
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    # Tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._at]

    def _is(self, operator: str) -> bool:
        token = self._token
        return token.kind is Kind.OPERATOR and token.value == operator

    def _accept(self, operator: str) -> bool:
        if self._is(operator):
            self._at += 1
            return True
        return False

    def _expect(self, operator: str) -> Token:
        token = self._token
        if not self._accept(operator):
            raise self._refused(f"expected {operator!r} before {self._shown(token)}", token)
        return token

    def expect_end(self) -> None:
        token = self._token
        if token.kind is not Kind.END:
            word = _WORDS.get(str(token.value)) if token.kind is Kind.NAME else None
            raise self._refused(
                f"the expression is complete before {self._shown(token)}", token, f"write {word}" if word else ""
            )

    def _shown(self, token: Token) -> str:
        return token.kind.value if token.kind is Kind.END else repr(self._text[token.start : token.end])

    @staticmethod
    def _refused(message: str, place: Token | Node, suggestion: str = "") -> ExpressionInvalid:
        return ExpressionInvalid(message, offset=place.start, length=place.end - place.start, suggestion=suggestion)

    @property
    def _last_end(self) -> int:
        return self._tokens[self._at - 1].end

    # Precedence, loosest first

    def expression(self) -> Node:
        """The rule is: or [ "?" or ":" expression ]."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._refused(f"nested deeper than {MAX_NESTING}", self._token)
        start = self._token.start
        node = self._logical("||")
        if self._accept("?"):
            yes = self._logical("||")
            self._expect(":")
            no = self.expression()
            node = Conditional(start=start, end=self._last_end, test=node, yes=yes, no=no)
        self._depth -= 1
        return node

    def _logical(self, operator: str) -> Node:
        start = self._token.start
        operands = [self._logical("&&") if operator == "||" else self._relation()]
        while self._accept(operator):
            operands.append(self._logical("&&") if operator == "||" else self._relation())
        if len(operands) == 1:
            return operands[0]
        return Logical(
            start=start, end=self._last_end, operator="||" if operator == "||" else "&&", operands=tuple(operands)
        )

    def _relation(self) -> Node:
        start = self._token.start
        node = self._sum()
        while self._operator_in(_RELATIONS):
            operator = self._take()
            right = self._sum()
            node = Binary(start=start, end=self._last_end, operator=operator, left=node, right=right)  # type: ignore[arg-type]
        return node

    def _sum(self) -> Node:
        start = self._token.start
        node = self._product()
        while self._operator_in(_SUMS):
            operator = self._take()
            right = self._product()
            node = Binary(start=start, end=self._last_end, operator=operator, left=node, right=right)  # type: ignore[arg-type]
        return node

    def _product(self) -> Node:
        start = self._token.start
        node = self._unary()
        while self._operator_in(_PRODUCTS):
            operator = self._take()
            right = self._unary()
            node = Binary(start=start, end=self._last_end, operator=operator, left=node, right=right)  # type: ignore[arg-type]
        return node

    def _operator_in(self, operators: frozenset[str]) -> bool:
        token = self._token
        is_word = token.kind is Kind.NAME and token.value == "in"
        return (token.kind is Kind.OPERATOR or is_word) and token.value in operators

    def _take(self) -> str:
        token = self._token
        self._at += 1
        return str(token.value)

    def _unary(self) -> Node:
        """The rule is: member | "!" { "!" } member | "-" { "-" } member, where a minus belongs to the number behind it."""
        operator: OneOf["!", "-"] = "!" if self._is("!") else "-"
        signs = []
        while self._is(operator):
            signs.append(self._token)
            self._at += 1
        is_negative = operator == "-" and bool(signs) and self._token.kind in {Kind.INT, Kind.DOUBLE}
        sign = signs.pop() if is_negative else None
        start = self._token.start if sign is None else sign.start
        node = self._member(start, self._primary(sign))
        for each in reversed(signs):
            node = Unary(start=each.start, end=self._last_end, operator=operator, operand=node)
        return node

    # Members

    def _member(self, start: int, node: Node) -> Node:
        while True:
            if self._accept("."):
                node = self._dotted(start, node)
            elif self._accept("["):
                optional = self._accept("?")
                index = self.expression()
                self._expect("]")
                node = Index(start=start, end=self._last_end, operand=node, index=index, optional=optional)
            else:
                return node

    def _dotted(self, start: int, operand: Node) -> Node:
        optional = self._accept("?")
        token = self._token
        if token.kind is not Kind.NAME or token.value == "in":
            raise self._refused(f"expected a field name before {self._shown(token)}", token)
        self._at += 1
        name = str(token.value)
        if not optional and self._accept("("):
            return self._method(start, operand, name, token)
        return Select(start=start, end=self._last_end, operand=operand, field=name, optional=optional)

    def _method(self, start: int, receiver: Node, name: str, place: Token) -> Node:
        arguments = self._arguments(")")
        end = self._last_end
        if isinstance(receiver, Name) and receiver.name == "cel" and name == "bind":
            return self._bind(start, end, arguments, place)
        if name in _MACROS:
            return self._comprehension(start, receiver, name, arguments, place)
        return Call(start=start, end=end, function=name, receiver=receiver, arguments=tuple(arguments))

    def _bind(self, start: int, end: int, arguments: list[Node], place: Token) -> Node:
        if len(arguments) != 3:  # noqa: PLR2004
            raise self._refused("cel.bind takes a name, a value and an expression", place)
        variable, value, body = arguments
        return Bind(start=start, end=end, variable=self._variable(variable), value=value, body=body)

    def _comprehension(self, start: int, receiver: Node, name: str, arguments: list[Node], place: Token) -> Node:
        most = 3 if name == "map" else 2
        if not 2 <= len(arguments) <= most:  # noqa: PLR2004
            raise self._refused(f"{name}() takes a variable and an expression", place, f"items.{name}(x, ...)")
        return Comprehension(
            start=start,
            end=self._last_end,
            macro=next(macro for macro in get_args(Macro) if macro == name),
            range=receiver,
            variable=self._variable(arguments[0]),
            body=arguments[1],
            transform=arguments[2] if len(arguments) == most == 3 else None,  # noqa: PLR2004
        )

    def _variable(self, node: Node) -> str:
        if not isinstance(node, Name):
            raise self._refused("expected a name for the variable", node)
        return node.name

    def _arguments(self, closing: str) -> list[Node]:
        arguments: list[Node] = []
        if self._accept(closing):
            return arguments
        arguments.append(self.expression())
        while self._accept(","):
            if closing == "]" and self._is(closing):
                break
            arguments.append(self.expression())
        self._expect(closing)
        return arguments

    # Primaries

    def _primary(self, sign: Token | None) -> Node:
        token = self._token
        if token.kind in {Kind.INT, Kind.DOUBLE, Kind.STRING}:
            return self._literal(token, sign)
        if token.kind is Kind.NAME:
            return self._named(token)
        if self._accept("("):
            node = self.expression()
            self._expect(")")
            return node
        if self._accept("["):
            items = self._arguments("]")
            return ListLiteral(start=token.start, end=self._last_end, items=tuple(items))
        raise self._refused(f"expected a value before {self._shown(token)}", token)

    def _literal(self, token: Token, sign: Token | None) -> Node:
        self._at += 1
        value = token.value
        if sign is not None and not isinstance(value, str):
            value = -value
        if isinstance(value, int) and value > _MAX_INT:
            raise self._refused("the number is too large", token)
        return Literal(start=token.start if sign is None else sign.start, end=token.end, value=value)

    def _named(self, token: Token) -> Node:
        name = str(token.value)
        if name in _RESERVED:
            raise self._refused(f"{name!r} is a reserved word", token)
        self._at += 1
        if name in _CONSTANTS:
            return Literal(start=token.start, end=token.end, value=_CONSTANTS[name])
        if not self._accept("("):
            return Name(start=token.start, end=token.end, name=name)
        arguments = self._arguments(")")
        if name != "has":
            return Call(start=token.start, end=self._last_end, function=name, receiver=None, arguments=tuple(arguments))
        if len(arguments) != 1 or not isinstance(arguments[0], Select) or arguments[0].optional:
            raise self._refused("has() takes one field, as in has(payload.idTag)", token)
        return Has(start=token.start, end=self._last_end, select=arguments[0])
