"""docs/policy-language.md tells the truth: its examples pass, its findings fire, and no code is forgotten."""

import json
import re
from pathlib import Path

import ocpp
import pytest

from gateway.policy.cel import (
    BOOL,
    DURATION,
    STRING,
    TIMESTAMP,
    ExpressionInvalid,
    Field,
    List,
    Object,
    Record,
    Scope,
    Type,
    check,
    parse,
    record_of,
)
from gateway.policy.cel.functions import FUNCTIONS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "policy-language.md").read_text()
SCHEMAS = Path(ocpp.__file__).parent / "v16" / "schemas"
URL = Object("url", {"ok": Field(BOOL), "scheme": Field(STRING), "host": Field(STRING)})
REST: dict[str, Type] = {
    "facts": Object("facts", {"urls": Field(List(URL)), "expiry": Field(TIMESTAMP)}),
    "params": Record("params", {"firmware_hosts": Field(List(STRING)), "datatransfer": Field(List(STRING))}),
    "now": TIMESTAMP,
    "age": DURATION,
}
ROW = re.compile(r"^\| (P0\d\d) \| `(.+?)` \| (\w+) \| (?:`(.+)`|[^`]*) \|$", re.MULTILINE)
ROWS = [tuple((cell or "").replace(r"\|", "|") for cell in found.groups()) for found in ROW.finditer(TEXT)]


def scope(action: str) -> Scope:
    schema = json.loads((SCHEMAS / f"{action}.json").read_text(encoding="utf-8-sig"))
    return Scope({"payload": record_of(schema, action), **REST})


def codes(text: str, action: str) -> list[str]:
    try:
        return [finding.code for finding in check(parse(text), scope(action)).findings]
    except ExpressionInvalid as invalid:
        return [invalid.code]


@pytest.mark.parametrize(("code", "example", "action", "better"), ROWS)
def test_each_finding_fires_on_its_example_and_not_on_what_to_write(
    code: str, example: str, action: str, better: str
) -> None:
    assert codes(example, action) == [code]
    if better.startswith(("payload", "has", "timestamp")) and better != "payload":
        assert codes(better, action) == []


def test_every_code_of_the_checker_has_an_example() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "gateway" / "policy" / "cel").glob("*.py"))
    implemented = set(re.findall(r'"(P0[0-6]\d)"', sources))
    assert {row[0] for row in ROWS} == implemented


def test_every_function_is_documented() -> None:
    assert [name for name in FUNCTIONS if f"{name}(" not in TEXT] == []


ACTIONS = ("SetChargingProfile", "UpdateFirmware", "DataTransfer", "Authorize", "ReserveNow")


def test_the_examples_at_the_top_pass() -> None:
    lines = TEXT.split("```")[1].strip().splitlines()
    assert [codes(line, action) for line, action in zip(lines, ACTIONS, strict=True)] == [[]] * len(ACTIONS)
