"""Records in the words of others: Elastic Common Schema, ArcSight CEF, and syslog lines (RFC 5424).

Each is a rendering of the same record, and each carries origin and index, by which a receiver finds gaps and repeats.
"""

import datetime
import re
from typing import Any, Final, Literal

import msgspec

from gateway.audit.canonical import canonical
from gateway.audit.ocsf import to_ocsf
from gateway.audit.record import part

__all__ = ["FORMATS", "Format", "Located", "octet_counted", "render", "to_cef", "to_ecs", "to_syslog"]

Format = Literal["jsonl", "ecs", "cef", "ocsf"]
FORMATS: Final[tuple[Format, ...]] = ("jsonl", "ecs", "cef", "ocsf")
_ECS_VERSION: Final = "8.17"
_ECS_SEVERITY: Final = {"info": 10, "low": 30, "medium": 50, "high": 70, "critical": 90}
_CEF_SEVERITY: Final = {"info": 1, "low": 3, "medium": 5, "high": 8, "critical": 10}
_SYSLOG_SEVERITY: Final = {"info": 6, "low": 5, "medium": 4, "high": 3, "critical": 2}
_FACILITY_SECURITY: Final = 13
"""Log audit (RFC 5424, section 6.2.1)."""
_ECS_CATEGORY: Final = {
    "auth": ["authentication"],
    "cert": ["authentication"],
    "identity": ["authentication"],
    "profile": ["authentication"],
    "net": ["network"],
    "tls": ["network"],
    "http": ["network", "web"],
    "session": ["network", "session"],
    "admin": ["configuration"],
    "certificate": ["configuration"],
    "privacy": ["configuration"],
    "trust": ["configuration"],
    "publication": ["configuration"],
    "server_chain": ["configuration"],
    "roots": ["configuration"],
    "rollover": ["configuration"],
    "upgrade": ["configuration"],
    "campaign": ["configuration"],
    "password": ["iam"],
    "policy": ["network"],
    "audit": ["process"],
    "detect": ["intrusion_detection"],
}
_YEAR_10000_US: Final = 253_402_300_800_000_000
_NOT_PRINTABLE: Final = re.compile(r"[^!-~]")


class Located(msgspec.Struct, frozen=True):
    """A record and where it lies."""

    origin: str
    index: int
    record: dict[str, Any]

    @property
    def kind(self) -> str:
        """Its type."""
        return str(self.record.get("type") or "unknown")

    @property
    def severity(self) -> str:
        """One of the five words; info if it has none."""
        word = str(self.record.get("sev") or "info")
        return word if word in _ECS_SEVERITY else "info"


def render(where: Located, form: Format, product_version: str) -> bytes:
    """One line without its line break. Raises NotCanonical for what is no record of ours."""
    if form == "cef":
        return to_cef(where, product_version).encode()
    if form == "ecs":
        return canonical(to_ecs(where))
    if form == "ocsf":
        return canonical(to_ocsf(where.record, where.origin, where.index, product_version))
    return canonical({"origin": where.origin, "index": where.index, "record": where.record})


def _moment(record: dict[str, Any]) -> str:
    """RFC 3339, microseconds, UTC."""
    ts = record.get("ts")
    seconds, micros = divmod(ts if isinstance(ts, int) and 0 <= ts < _YEAR_10000_US else 0, 1_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"


def to_ecs(where: Located) -> dict[str, Any]:
    """Elastic Common Schema; what it has no field for is under ``ocpp`` and ``tlog``."""
    record = where.record
    peer, decision, ocpp, actor = (part(record, name) for name in ("peer", "dec", "ocpp", "actor"))
    family = where.kind.partition(".")[0]
    refused = bool(decision.get("reason")) or decision.get("verdict") == "deny"
    found: dict[str, Any] = {
        "@timestamp": _moment(record),
        "ecs": {"version": _ECS_VERSION},
        "message": str(record.get("text") or where.kind),
        "event": {
            "kind": "event" if where.severity in {"info", "low"} else "alert",
            "category": _ECS_CATEGORY.get(family, ["network"]),
            "type": ["denied"] if refused else ["info"],
            "action": where.kind,
            "outcome": "failure" if refused else "success",
            "severity": _ECS_SEVERITY[where.severity],
            "id": str(record.get("id", "")),
            "sequence": where.index,
            "module": "ocpp_gateway",
            "dataset": "ocpp_gateway.audit",
        },
        "observer": {"name": str(record.get("node", "")), "type": "proxy", "product": "ocpp-gateway"},
        "tlog": {"origin": where.origin, "index": where.index},
    }
    if reason := decision.get("reason"):
        found["event"]["reason"] = reason
    for path, value in (
        (("source", "ip"), peer.get("ip")),
        (("source", "port"), peer.get("port")),
        (("tls", "version"), str(peer.get("tls", "")).removeprefix("TLSv")),
        (("rule", "id"), decision.get("rule")),
        (("rule", "version"), decision.get("policy")),
        (("http", "response", "status_code"), decision.get("status")),
        (("user", "name"), actor.get("login") or actor.get("user") or actor.get("name") or record.get("cp")),
        (("user", "full_name"), actor.get("name")),
        (("user", "id"), str(actor["uid"]) if "uid" in actor else ""),
        (("user", "target", "name"), record.get("cp") if actor else ""),
        (("process", "pid"), actor.get("pid")),
        (("ocpp", "action"), ocpp.get("action")),
        (("ocpp", "version"), ocpp.get("version")),
        (("ocpp", "session"), record.get("sess")),
        (("ocpp", "decision"), decision.get("verdict") or decision.get("act")),
    ):
        if value:
            _put(found, path, value)
    return found


def _put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        target = target.setdefault(name, {})
    target[path[-1]] = value


def to_cef(where: Located, product_version: str) -> str:
    """Common Event Format, version 0, one line."""
    record = where.record
    peer, decision, ocpp, actor = (part(record, name) for name in ("peer", "dec", "ocpp", "actor"))
    head = "|".join(
        _cef_head(each)
        for each in (
            "CEF:0",
            "OCPP Gateway",
            "ocpp-gateway",
            product_version,
            where.kind,
            str(ocpp.get("event") or where.kind),
        )
    )
    ts = record.get("ts")
    extension = {
        "rt": ts // 1000 if isinstance(ts, int) else None,
        "externalId": record.get("id"),
        "dvchost": record.get("node"),
        "src": peer.get("ip"),
        "spt": peer.get("port"),
        "suser": actor.get("name") or record.get("cp"),
        "suid": actor.get("uid"),
        "spid": actor.get("pid"),
        "duser": record.get("cp") if actor else None,
        "act": decision.get("verdict") or decision.get("act"),
        "reason": decision.get("reason"),
        "requestMethod": ocpp.get("action"),
        "app": ocpp.get("version"),
        "cnt": record.get("n"),
        "msg": record.get("text"),
        "cs1Label": "rule" if decision.get("rule") else None,
        "cs1": decision.get("rule"),
        "cs2Label": "session" if record.get("sess") else None,
        "cs2": record.get("sess"),
        "cs3Label": "origin",
        "cs3": where.origin,
        "cn1Label": "index",
        "cn1": where.index,
    }
    told = " ".join(f"{name}={_cef_value(value)}" for name, value in extension.items() if value not in (None, ""))
    return f"{head}|{_CEF_SEVERITY[where.severity]}|{told}"


def _cef_head(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _cef_value(value: Any) -> str:
    return _one_line(str(value).replace("\\", "\\\\").replace("=", "\\="))


def _one_line(text: str) -> str:
    """Controls as nothing that could end a line or a field."""
    return "".join(each if each.isprintable() else " " for each in text)


def to_syslog(where: Located, message: bytes) -> bytes:
    """An RFC 5424 message around a rendering. The structured data names the record's place, for finding gaps."""
    record = where.record
    priority = _FACILITY_SECURITY * 8 + _SYSLOG_SEVERITY[where.severity]
    host = _name(str(record.get("node") or "-"), 255)
    place = f'[tlog@32473 origin="{_parameter(where.origin)}" index="{where.index}"]'
    head = f"<{priority}>1 {_moment(record)} {host} ocpp-gateway - {_name(where.kind, 32)} {place} "
    return head.encode() + message


def _name(text: str, max_chars: int) -> str:
    return _NOT_PRINTABLE.sub("_", text)[:max_chars] or "-"


def _parameter(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", _one_line(text))


def octet_counted(message: bytes) -> bytes:
    """A message with its length before it (RFC 6587 3.4.1, RFC 5425 4.3)."""
    return b"%d %s" % (len(message), message)
