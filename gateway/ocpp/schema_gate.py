"""The schema gate: does a payload fit the JSON schema of its action and version? Pure; the schemas are handed in.

jsonschema-rs, because it is fast and exact: implementations on binary floats refuse the legal limits 21.4, 0.3 and 6.6.
It lists errors all at once, at 10 us each, and a payload of 30 kB can have 70 000 of them. So they are only listed where
there cannot be many; of a larger payload the first error is the one that counts.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import jsonschema_rs
import msgspec

from gateway.ocpp.error_codes import ErrorMeaning
from gateway.ocpp.size_limits import NO_LIMIT, SizeLimit, limit_by_schema

__all__ = ["Kind", "SchemaGate", "SchemaViolation"]

Kind = Literal["call", "result"]

_MAX_PATH_CHARS = 120
_MAX_LISTED: Final = 100
"""Values, containers counted too, of a payload whose errors are listed: a few milliseconds at the most."""
_BY_KEYWORD: Final[dict[str, ErrorMeaning]] = {
    "Type": ErrorMeaning.TYPE_CONSTRAINT,
    "AdditionalProperties": ErrorMeaning.FORMAT,
    "Format": ErrorMeaning.FORMAT,
    "Required": ErrorMeaning.FORMAT,
    "MinItems": ErrorMeaning.OCCURRENCE_CONSTRAINT,
    "MaxItems": ErrorMeaning.OCCURRENCE_CONSTRAINT,
    "UniqueItems": ErrorMeaning.OCCURRENCE_CONSTRAINT,
}
"""What is not here restricts a value: enum, lengths, ranges, pattern, multipleOf."""
_RANK: Final = {
    ErrorMeaning.FORMAT: 0,
    ErrorMeaning.TYPE_CONSTRAINT: 1,
    ErrorMeaning.OCCURRENCE_CONSTRAINT: 2,
    ErrorMeaning.PROPERTY_CONSTRAINT: 3,
}


class SchemaViolation(msgspec.Struct, frozen=True):
    """The gravest thing that is wrong with a payload (of a large one: the first). Nothing of its values is in here."""

    meaning: ErrorMeaning
    keyword: str
    """The JSON schema keyword, in the spelling of jsonschema-rs, e.g. ``MaxLength``."""
    path: str
    """Where: names from the schema and indexes, e.g. ``chargingStation/modem``."""


class SchemaGate:
    """Validators of one version, compiled from `schemas` by (action, kind)."""

    def __init__(self, schemas: Mapping[tuple[str, Kind], Mapping[str, Any]]) -> None:
        self._validators = {
            key: jsonschema_rs.validator_for(dict(schema), validate_formats=True) for key, schema in schemas.items()
        }
        self._names = {key: _property_names(schema) for key, schema in schemas.items()}
        self._sizes = {key: limit_by_schema(schema) for key, schema in schemas.items()}

    def knows(self, action: str, kind: Kind) -> bool:
        """True if there is a schema."""
        return (action, kind) in self._validators

    def size_limit(self, action: str, kind: Kind) -> SizeLimit:
        """How large a message of this kind may be by its schema; no limit where there is none."""
        return self._sizes.get((action, kind), NO_LIMIT)

    def quick_check(self, action: str, kind: Kind) -> Callable[[Any], bool] | None:
        """Says of a payload whether `check` would find nothing wrong; None if there is no schema to hold it against."""
        validator = self._validators.get((action, kind))
        return None if validator is None else validator.is_valid

    def check(self, action: str, kind: Kind, payload: object) -> SchemaViolation | None:
        """None if the payload fits, or if there is no schema to hold it against (`knows`)."""
        validator = self._validators.get((action, kind))
        if validator is None:
            return None
        errors = validator.iter_errors(payload) if _is_small(payload) else _first_error(validator, payload)
        worst = min(errors, key=lambda error: _RANK[_meaning(error)], default=None)
        if worst is None:
            return None
        path = "/".join(self._shown((action, kind), part) for part in worst.instance_path)[:_MAX_PATH_CHARS]
        return SchemaViolation(_meaning(worst), type(worst.kind).__name__, path)

    def _shown(self, key: tuple[str, Kind], part: str | int) -> str:
        """A name that the schema has, or an index; a name that only the peer has is not repeated."""
        return str(part) if isinstance(part, int) or part in self._names[key] else "?"


def _is_small(payload: object) -> bool:
    """True if a payload has so few values that all its errors can be listed."""
    waiting, values = [payload], 0
    while waiting:
        item = waiting.pop()
        values += 1
        if type(item) is dict:
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)
        if values + len(waiting) > _MAX_LISTED:
            return False
    return True


def _first_error(validator: Any, payload: object) -> list[jsonschema_rs.ValidationError]:
    """The first error, if there is one. Each look at a payload of 10 000 values costs half a millisecond, so it gets one."""
    try:
        validator.validate(payload)
    except jsonschema_rs.ValidationError as error:
        return [error]
    return []


def _meaning(error: jsonschema_rs.ValidationError) -> ErrorMeaning:
    return _BY_KEYWORD.get(type(error.kind).__name__, ErrorMeaning.PROPERTY_CONSTRAINT)


def _property_names(schema: Mapping[str, Any]) -> frozenset[str]:
    """Every property name anywhere in a schema."""
    names: set[str] = set()
    waiting: list[object] = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            properties = item.get("properties")
            if isinstance(properties, Mapping):
                names.update(properties)
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return frozenset(names)
