"""From a parsed JSON schema of an OCPP message to a Record (draft 4 as in 1.6, draft 6 as in 2.x).

Read are: type, properties, required, items, maxItems, enum, maxLength, format and references to `#/definitions/...`.
Where a schema says nothing about a value (DataTransfer.data, customData) its type is DYN.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.policy.cel.types import BOOL, DOUBLE, DYN, INT, Field, List, Map, Record, String, Type

__all__ = ["SchemaInvalid", "record_of"]

_SCALARS: Final[dict[str, Type]] = {"integer": INT, "number": DOUBLE, "boolean": BOOL}
_REFERENCE: Final = "#/definitions/"


class SchemaInvalid(ValueError):  # noqa: N818  what the schema is
    """A schema that is not of the kind OCPP uses."""


def record_of(schema: Mapping[str, Any], name: str = "payload") -> Record:
    """The type of the messages a schema describes. Make it once per schema: records compare by identity.

    Raises:
        SchemaInvalid: it does not describe an object, or refers to a definition that is not there.
    """
    found = _Reader(schema.get("definitions", {})).type_of(schema, name)
    if isinstance(found, Map):
        return Record(name, {}, is_open=True)
    if not isinstance(found, Record):
        raise SchemaInvalid("the schema does not describe an object")
    return found


class _Reader:
    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self._made: dict[str, Type] = {}

    def type_of(self, schema: Mapping[str, Any], name: str) -> Type:
        reference = schema.get("$ref")
        if reference is not None:
            return self._referred(str(reference))
        kind = schema.get("type")
        if kind == "string":
            return _string(schema)
        if kind == "array":
            return List(self.type_of(schema.get("items", {}), name), schema.get("maxItems"))
        if kind == "object":
            return self._object(schema, name)
        return _SCALARS.get(kind, DYN) if isinstance(kind, str) else DYN

    def _referred(self, reference: str) -> Type:
        name = reference.removeprefix(_REFERENCE)
        definition = self._definitions.get(name)
        if not isinstance(definition, Mapping):
            raise SchemaInvalid(f"no definition {reference}")
        if name not in self._made:
            self._made[name] = DYN  # what a definition that contains itself sees of itself
            self._made[name] = self.type_of(definition, name.removesuffix("Type"))
        return self._made[name]

    def _object(self, schema: Mapping[str, Any], name: str) -> Type:
        properties = schema.get("properties", {})
        is_open = schema.get("additionalProperties") is not False
        if not properties and is_open:
            return Map(DYN)
        required = frozenset(schema.get("required", ()))
        fields = {key: Field(self.type_of(value, key), key not in required) for key, value in properties.items()}
        return Record(name, fields, is_open=is_open)


def _string(schema: Mapping[str, Any]) -> String:
    values = schema.get("enum")
    return String(
        values=frozenset(values) if values else None,
        max_length=schema.get("maxLength"),
        date_time=schema.get("format") == "date-time",
    )
