"""The names that expressions may use, and their types: one table for the checker, the documentation and the lint.

`payload` and `req.payload` come from the JSON schema of the action; everything else is the gateway's own and described here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.ocpp.schema_gate import Kind
from gateway.policy.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Field,
    List,
    Map,
    Object,
    Record,
    Scope,
    Set,
    Type,
    record_of,
)
from gateway.policy.rules import Parameter, Phase

__all__ = ["FACTS", "MESSAGE", "ROOTS", "SESSION", "TRANSACTION", "Schemas", "Scopes", "params_type", "sets_type"]

Schemas = Mapping[tuple[str, Kind], Mapping[str, Any]]

_URL: Final = Object(
    "url",
    {
        "ok": Field(BOOL),
        "scheme": Field(STRING),
        "host": Field(STRING),
        "port": Field(INT),
        "userinfo": Field(STRING),
        "ip_literal": Field(BOOL),
        "private": Field(BOOL),
        "local": Field(BOOL),
        "path": Field(STRING),
    },
)
_CERTIFICATE: Final = Object(
    "certificate",
    {
        "ok": Field(BOOL),
        "fingerprint": Field(STRING),
        "cn": Field(STRING),
        "o": Field(STRING),
        "ca": Field(BOOL),
        "self_signed": Field(BOOL),
    },
)
_CSR: Final = Object(
    "csr",
    {
        "ok": Field(BOOL),
        "cn": Field(STRING),
        "o": Field(STRING),
        "ca": Field(BOOL),
        "key": Field(STRING),
        "bits": Field(INT),
    },
)
_FIRMWARE: Final = Object(
    "firmware",
    {
        "ok": Field(BOOL),
        "certificate": Field(STRING),
        "not_before": Field(TIMESTAMP),
        "not_after": Field(TIMESTAMP),
    },
)
_CHANGE: Final = Object("change", {"key": Field(STRING), "name": Field(STRING), "value": Field(STRING)})
MESSAGE: Final = Object(
    "msg",
    {
        "type": Field(INT),
        "id": Field(STRING),
        "action": Field(STRING),
        "size": Field(INT),
        "signed": Field(BOOL),
    },
)
SESSION: Final = Object(
    "session",
    {
        "identity": Field(STRING),
        "group": Field(STRING),
        "version": Field(STRING),
        "ip": Field(STRING),
        "security_profile": Field(INT),
        "serial": Field(STRING),
        "vendor": Field(STRING),
        "model": Field(STRING),
        "firmware": Field(STRING),
        "boot_state": Field(STRING),
        "age": Field(DURATION),
        "in_maintenance": Field(BOOL),
    },
)
TRANSACTION: Final = Object(
    "tx",
    {
        "open_ids": Field(List(DYN, 64)),
        "open_count": Field(INT),
        "history_complete": Field(BOOL),
        "known": Field(BOOL),
        "meter_start": Field(DOUBLE),
        "last_meter": Field(DOUBLE),
        "connector": Field(INT),
        "open_connectors": Field(List(INT, 64)),
        "tokens": Field(List(STRING, 64)),
        "power_w": Field(DOUBLE),
        "setpoint_w": Field(DOUBLE),
        "last_change_w": Field(DOUBLE),
        "csr_pending": Field(BOOL),
        "open_streams": Field(List(INT, 64)),
        "boot_due": Field(BOOL),
        "boot_early": Field(BOOL),
    },
)
FACTS: Final = Object(
    "facts",
    {
        "urls": Field(List(_URL, 1_000)),
        "limits_a": Field(List(DOUBLE, 10_000)),
        "limits_w": Field(List(DOUBLE, 10_000)),
        "min_period_s": Field(INT),
        "periods": Field(INT),
        "tokens": Field(List(STRING, 10_000)),
        "asked_tokens": Field(List(STRING, 10_000)),
        "token_names": Field(List(STRING, 10_000)),
        "asked_token_names": Field(List(STRING, 10_000)),
        "token_status": Field(STRING),
        "starts_transaction": Field(BOOL),
        "setpoint_w": Field(DOUBLE),
        "schedule_start": Field(STRING),
        "firmware_signed": Field(BOOL),
        "firmware": Field(_FIRMWARE),
        "longest_list": Field(INT),
        "connectors": Field(List(INT, 4)),
        "config_keys": Field(List(STRING, 1_000)),
        "config_names": Field(List(STRING, 1_000)),
        "config_changes": Field(List(_CHANGE, 1_000)),
        "security_profile": Field(INT),
        "certificates": Field(List(_CERTIFICATE, 100)),
        "csrs": Field(List(_CSR, 10)),
        "meter_wh": Field(List(DOUBLE, 10_000)),
        "soc": Field(List(DOUBLE, 10_000)),
        "strings": Field(List(STRING, 10_000)),
        "odd_strings": Field(List(STRING, 10_000)),
        "control_characters": Field(BOOL),
        "expiry": Field(TIMESTAMP),
        "absurd_times": Field(INT),
        "timestamps": Field(List(TIMESTAMP, 10_000)),
        "connector": Field(INT),
    },
)
ROOTS: Final = ("payload", "msg", "req", "session", "tx", "facts", "params", "sets", "now")

_PARAMETER_TYPES: Final[dict[str, Type]] = {
    "string": STRING,
    "int": INT,
    "number": DOUBLE,
    "bool": BOOL,
    "duration": DURATION,
    "list<string>": List(STRING, 10_000),
    "list<name>": List(STRING, 10_000),
    "list<int>": List(INT, 10_000),
    "list<number>": List(DOUBLE, 10_000),
}
_ANY_PAYLOAD: Final = Map(DYN)


def params_type(parameters: Iterable[Parameter]) -> Record:
    """The type of `params` in a pack; a name that is not declared there is P070."""
    fields = {parameter.name: Field(_PARAMETER_TYPES[parameter.type]) for parameter in parameters}
    return Record("params", fields, unknown="P070")


def sets_type(names: Iterable[str]) -> Record:
    """The type of `sets` in a pack."""
    return Record("sets", {name: Field(Set(STRING)) for name in names}, unknown="P070")


class Scopes:
    """Scopes of one version. Payload types are made once, so that scopes of many rules share them."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas
        self._payloads: dict[tuple[str, Kind], Type] = {}
        self._requests: dict[str, Object] = {}

    def payload(self, action: str, kind: Kind) -> Type:
        """The type of a payload; any map where there is no schema."""
        known = self._payloads.get((action, kind))
        if known is None:
            schema = self._schemas.get((action, kind))
            known = self._payloads[action, kind] = _ANY_PAYLOAD if schema is None else record_of(schema)
        return known

    def _request(self, action: str) -> Object:
        known = self._requests.get(action)
        if known is None:
            payload = Field(self.payload(action, "call"))
            known = Object("req", {"action": Field(STRING), "payload": payload, "age_ms": Field(INT)})
            self._requests[action] = known
        return known

    def scope(self, action: str, phase: Phase, params: Record, sets: Record) -> Scope:
        """What a rule on `action` in `phase` may read. For results and errors `action` is that of the call."""
        answers = phase in {Phase.RESULT, Phase.ERROR}
        kind: Kind = "result" if answers else "call"
        names: dict[str, Type] = {
            "payload": _ANY_PAYLOAD if phase is Phase.ERROR else self.payload(action, kind),
            "msg": MESSAGE,
            "session": SESSION,
            "tx": TRANSACTION,
            "facts": FACTS,
            "params": params,
            "sets": sets,
            "now": TIMESTAMP,
        }
        if answers:
            names["req"] = self._request(action)
        return Scope(names)
