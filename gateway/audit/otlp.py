"""Records as an OTLP/HTTP JSON request (opentelemetry.io/docs/specs/otlp, ExportLogsServiceRequest): numbers of 64 bits are text."""

from collections.abc import Iterable
from typing import Any, Final

from gateway.audit.record import part
from gateway.audit.siem import Located

__all__ = ["to_otlp"]

_SEVERITY: Final = {"info": 9, "low": 10, "medium": 13, "high": 17, "critical": 21}
"""INFO, INFO2, WARN, ERROR, FATAL of the log data model."""


def to_otlp(lines: Iterable[tuple[Located, bytes]], product_version: str, observed_ns: int) -> dict[str, Any]:
    """One request with all of these. The body of each log record is its rendering, the attributes are for filters."""
    scopes: dict[str, list[dict[str, Any]]] = {}
    for where, line in lines:
        scopes.setdefault(str(where.record.get("node") or "gateway"), []).append(_log_record(where, line, observed_ns))
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": _attributes({"service.name": "ocpp-gateway", "host.name": node})},
                "scopeLogs": [
                    {"scope": {"name": "ocpp-gateway.audit", "version": product_version}, "logRecords": found}
                ],
            }
            for node, found in scopes.items()
        ]
    }


def _log_record(where: Located, line: bytes, observed_ns: int) -> dict[str, Any]:
    record, ts = where.record, where.record.get("ts")
    peer, decision, ocpp, actor = (part(record, name) for name in ("peer", "dec", "ocpp", "actor"))
    return {
        "timeUnixNano": str(ts * 1000 if isinstance(ts, int) and 0 <= ts < 1 << 53 else 0),
        "observedTimeUnixNano": str(observed_ns),
        "severityNumber": _SEVERITY[where.severity],
        "severityText": where.severity,
        "eventName": where.kind,
        "body": {"stringValue": line.decode()},
        "attributes": _attributes(
            {
                "log.record.uid": record.get("id"),
                "tlog.origin": where.origin,
                "tlog.index": where.index,
                "client.address": peer.get("ip"),
                "user.name": actor.get("name"),
                "user.id": str(actor["uid"]) if "uid" in actor else "",
                "process.pid": actor.get("pid"),
                "ocpp.charge_point": record.get("cp"),
                "ocpp.session": record.get("sess"),
                "ocpp.action": ocpp.get("action"),
                "ocpp.decision": decision.get("verdict") or decision.get("act"),
                "ocpp.rule": decision.get("rule"),
                "ocpp.reason": decision.get("reason"),
            }
        ),
    }


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": str(value)}}
        for key, value in values.items()
        if value not in (None, "")
    ]
