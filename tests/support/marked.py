"""Messages of every action of every version, full of marked secrets and personal data."""

import importlib.resources
import itertools
import json
import re
from collections.abc import Callable
from typing import Any, Final

from gateway.audit.known_names import CERTIFICATES, MASKED, TOKENS, URLS, VALUES
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["MARK", "marked_payload", "next_mark"]

MARK: Final = re.compile(rb"ZQ[0-9A-F]{4}QZ", re.IGNORECASE)
"""Eight letters that no gateway makes up by itself: they fit into the shortest of these fields."""
_DIRECTORIES: Final = {OCPPVersion.V1_6: "v16", OCPPVersion.V2_0_1: "v201", OCPPVersion.V2_1: "v21"}
_numbers = itertools.count(1)
_MAX_DEPTH: Final = 6


def next_mark() -> str:
    """Another one."""
    return f"ZQ{next(_numbers):04X}QZ"


def marked_payload(version: OCPPVersion, action: str, kind: str = "Request") -> dict[str, Any]:
    """A payload with all the fields there are. `kind`: Request or Response."""
    directory = importlib.resources.files("ocpp") / _DIRECTORIES[version] / "schemas"
    stem = action if version is OCPPVersion.V1_6 and kind == "Request" else f"{action}{kind}"
    schema = json.loads((directory / f"{stem}.json").read_bytes().decode("utf-8-sig"))
    payload = _value("", schema, schema, 0)
    if action == "DataTransfer":
        payload["data"] = json.dumps({"pin": next_mark()})
    if action in {"ChangeConfiguration", "GetConfiguration"}:
        payload.update({"key": "AuthorizationKey"} if action == "ChangeConfiguration" and kind == "Request" else {})
    return dict(payload)


def _value(name: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    if "$ref" in schema:
        return _value(name, root["definitions"][schema["$ref"].rpartition("/")[2]], root, depth)
    if "enum" in schema:
        return schema["enum"][0]
    kinds: dict[str, Callable[[], Any]] = {
        "object": lambda: _object(schema, root, depth),
        "array": lambda: [_value(name, schema["items"], root, depth)],
        "string": lambda: _text(name, schema),
        "integer": lambda: max(1, int(schema.get("minimum", 1))),
        "number": lambda: 1.0,
        "boolean": lambda: True,
    }
    kind = schema.get("type", "string")
    return kinds[kind[0] if isinstance(kind, list) else kind]()


def _object(schema: dict[str, Any], root: dict[str, Any], depth: int) -> dict[str, Any]:
    required = set(schema.get("required", ()))
    found = {}
    for name, each in schema.get("properties", {}).items():
        if name == "customData":
            found[name] = {"vendorId": "vendor", next_mark(): next_mark()}
        elif depth < _MAX_DEPTH or name in required:
            found[name] = _value(name, each, root, depth + 1)
    return found


def _text(name: str, schema: dict[str, Any]) -> str:
    if schema.get("format") == "date-time":
        return "2026-01-01T00:00:00Z"
    longest = int(schema.get("maxLength", 1_000))
    if name in URLS and longest >= 40:
        return f"https://{next_mark()}:{next_mark()}@files.example/x?{next_mark()}"
    if name in CERTIFICATES and longest >= 60:
        return "-----BEGIN PRIVATE" + f" KEY-----{next_mark()}-----END"
    if name in TOKENS | MASKED | VALUES and longest >= 8:
        return next_mark()
    return "word"[:longest]
