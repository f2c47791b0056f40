import json

import pytest

from gateway.config.ocpp_schemas import load_schemas, schema_gate
from gateway.ocpp.size_limits import NO_LIMIT, SizeLimit, limit_by_schema, longest_list
from gateway.ocpp.vocabulary import OCPPVersion


def largest(schema, root, depth=0):
    """A payload that fills every field to its end, where it has one."""
    if "$ref" in schema:
        found = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return largest(found, root, depth)
    match schema.get("type"):
        case "object":
            return {name: largest(inner, root, depth) for name, inner in schema.get("properties", {}).items()}
        case "array":
            return [largest(schema["items"], root, depth)] * min(schema.get("maxItems", 3), 30)
        case "string":
            if "enum" in schema:
                return max(schema["enum"], key=len)
            return (
                "2026-01-01T00:00:00.000000+00:00"
                if schema.get("format") == "date-time"
                else "é" * schema.get("maxLength", 300)
            )
        case "boolean":
            return False
        case _:
            return -1.7976931348623157e308


@pytest.mark.parametrize("version", OCPPVersion)
def test_no_message_that_fits_its_schema_is_too_large(version):
    for key, schema in load_schemas(version).items():
        limit, payload = schema_gate(version).size_limit(*key), largest(schema, schema)
        frame = json.dumps([2, "x" * 36, key[0], payload])
        assert limit.max_bytes is None or len(frame) <= limit.max_bytes, key
        assert limit.max_items is None or longest_list(payload) <= limit.max_items, key


def test_what_cannot_be_large_has_a_limit_and_what_can_has_none():
    gate = schema_gate(OCPPVersion.V1_6)
    assert gate.size_limit("Heartbeat", "call") == SizeLimit(16_386, 100)
    assert gate.size_limit("DataTransfer", "call") == gate.size_limit("SendLocalList", "call") == NO_LIMIT
    assert gate.size_limit("GetConfiguration", "result") == NO_LIMIT
    assert schema_gate(OCPPVersion.V2_0_1).size_limit("SetChargingProfile", "call") == SizeLimit(None, 4_096)
    assert gate.size_limit("NoSuchAction", "call") == NO_LIMIT


@pytest.mark.parametrize(
    ("limit", "harmless"),
    [(SizeLimit(1_000, 100), 200), (SizeLimit(100, 100), 100), (SizeLimit(None, 5), 10), (SizeLimit(9, None), 9)],
)
def test_below_the_harmless_size_nothing_has_to_be_counted(limit, harmless):
    assert limit.harmless_bytes == harmless
    most = json.dumps([1] * (harmless // 2), separators=(",", ":"))
    assert limit.max_items is None or longest_list(json.loads(most)) <= limit.max_items
    assert NO_LIMIT.harmless_bytes > 10**9


def test_lists_are_counted_wherever_they_are():
    assert longest_list({"a": [1, {"b": [[1, 2, 3]]}], "c": "[1,2,3,4]"}) == 3
    assert longest_list({}) == 0


def test_a_schema_that_says_nothing_sets_no_limit():
    assert limit_by_schema({}) == NO_LIMIT
    assert limit_by_schema({"type": "object", "properties": {"x": {"type": "array"}}}) == NO_LIMIT
