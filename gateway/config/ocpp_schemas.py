"""Reads the JSON schemas of the `ocpp` package, which are authoritative for payloads, and corrects what is wrong in them."""

import functools
import importlib.resources
from typing import Any, Final

import msgspec

from gateway.ocpp.actions import Action, actions
from gateway.ocpp.schema_gate import Kind, SchemaGate
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["load_schemas", "schema_gate"]

Schema = dict[str, Any]
_DIRECTORIES: Final = {OCPPVersion.V1_6: "v16", OCPPVersion.V2_0_1: "v201", OCPPVersion.V2_1: "v21"}
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


def _file_name(version: OCPPVersion, action: Action, kind: Kind) -> str:
    if kind == "result":
        return f"{action.name}Response.json"
    return f"{action.name}.json" if version is OCPPVersion.V1_6 or action.is_send else f"{action.name}Request.json"


def _read(version: OCPPVersion, name: str) -> Schema | None:
    file = importlib.resources.files("ocpp") / _DIRECTORIES[version] / "schemas" / name
    if not file.is_file():
        return None
    schema: Schema = msgspec.json.decode(file.read_bytes().removeprefix(_BYTE_ORDER_MARK))
    return schema


def _corrected(schema: Schema) -> Schema:
    """Documented departures from the published schemas (docs/divergences.md).

    `format: uri` is dropped: what a URL may be is decided by one strict grammar in the policy's facts, not by two.
    Nothing else needs changing: the enum of 1.6 units has both spellings of Celsius already (erratum 2.2), and
    jsonschema-rs takes 21.4 for a multiple of 0.1.
    """
    corrected: Schema = _without_uri_format(schema)
    return corrected


def _without_uri_format(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_uri_format(item) for key, item in value.items()}
        if kept.get("format") in ("uri", "uri-reference"):  # a property of that name is a dict
            del kept["format"]
        return kept
    return [_without_uri_format(item) for item in value] if isinstance(value, list) else value


@functools.cache
def load_schemas(version: OCPPVersion) -> dict[tuple[str, Kind], Schema]:
    """Schema by (action, call or result) for every action of a version that has one."""
    found: dict[tuple[str, Kind], Schema] = {}
    kinds: tuple[Kind, Kind] = ("call", "result")
    for action in actions(version):
        for kind in kinds:
            schema = _read(version, _file_name(version, action, kind))
            if schema is not None:
                found[action.name, kind] = _corrected(schema)
    return found


@functools.cache
def schema_gate(version: OCPPVersion) -> SchemaGate:
    """The compiled gate of a version; made once per process (about 0.1 s)."""
    return SchemaGate(load_schemas(version))
