"""What tests/support/ast_parsing.py promises."""

import ast
import contextlib
import gc
from collections.abc import Iterator

LONG = "\n".join(f"x{number} = [a + b for a in range({number})]" for number in range(500))


@contextlib.contextmanager
def parsing_at_every_collection() -> Iterator[list[str]]:
    phases: list[str] = []

    def parse(phase: str, _: dict[str, int]) -> None:
        phases.append(phase)
        ast.parse("f(a)")

    before = gc.get_threshold()
    gc.callbacks.append(parse)
    gc.set_threshold(50)
    try:
        yield phases
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(parse)


def test_a_collection_that_parses_something_does_not_end_a_parse() -> None:
    with parsing_at_every_collection() as phases:
        for _ in range(5):
            ast.parse(LONG)
        gc.collect()
    assert phases
    assert gc.isenabled()


def test_a_parse_that_fails_leaves_the_collector_on() -> None:
    with contextlib.suppress(SyntaxError):
        ast.parse("f(")
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        ast.parse("f(a)")
        assert not gc.isenabled()
    finally:
        gc.enable()
