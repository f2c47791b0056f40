"""Records as OCSF 1.8 events (schema.ocsf.io): a mapping by the beginning of a record's type, kept as a table.

Atomic events stay in the class of what happened, with the profile ``security_control`` where the gateway decided
something; where a record lies in the log is under ``unmapped.tlog`` until the profile ``record_integrity`` is released.
"""

from typing import Any, Final, NamedTuple

from gateway.audit.record import part

__all__ = ["OCSF_VERSION", "to_ocsf"]

OCSF_VERSION: Final = "1.8.0"
_SEVERITY: Final = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_SUCCESS, _FAILURE = 1, 2
_ALLOWED, _DENIED, _OBSERVED = 1, 2, 3
_DISPOSITION_ALLOWED, _DISPOSITION_BLOCKED, _DISPOSITION_LOGGED = 1, 2, 17


class _Mapping(NamedTuple):
    """Class and activity of a kind of record."""

    category: int
    class_uid: int
    activity: int
    refused: bool = False
    """It tells of something that did not get in."""


_NETWORK, _HTTP, _AUTHENTICATION, _ENTITY, _CONFIG_STATE, _API, _LOG = 4001, 4002, 3002, 3004, 5019, 6003, 1008
_ACCOUNT: Final = 3001
_FINDING: Final = 2004
_MANAGED: Final = {
    "config": "Configuration",
    "admin": "Registry",
    "privacy": "Stored texts",
    "certificate": "Certificate",
    "trust": "Trust anchors",
    "publication": "Revocation lists",
    "server_chain": "Server certificates",
    "roots": "Roots of a charge point",
    "rollover": "Roots of a charge point",
    "upgrade": "Security profile",
    "campaign": "Campaign",
    "provisioning": "Provisioning",
    "cluster": "Cluster",
}
"""By family of records: what somebody, or the gateway, manages."""
_TABLE: Final[tuple[tuple[str, _Mapping], ...]] = (
    ("session.opened", _Mapping(4, _NETWORK, 1)),
    ("session.closed", _Mapping(4, _NETWORK, 2)),
    ("session.", _Mapping(4, _NETWORK, 3)),
    ("net.reset", _Mapping(4, _NETWORK, 3)),
    ("net.", _Mapping(4, _NETWORK, 5, refused=True)),
    ("tls.", _Mapping(4, _NETWORK, 4, refused=True)),
    ("upstream.", _Mapping(4, _NETWORK, 4, refused=True)),
    ("gateway.call", _Mapping(6, _API, 99)),
    ("gateway.", _Mapping(4, _NETWORK, 5, refused=True)),
    ("ws.", _Mapping(4, _NETWORK, 4, refused=True)),
    ("http.", _Mapping(4, _HTTP, 99, refused=True)),
    ("profile.upgraded", _Mapping(5, _CONFIG_STATE, 1)),
    ("auth.", _Mapping(3, _AUTHENTICATION, 1, refused=True)),
    ("cert.", _Mapping(3, _AUTHENTICATION, 1, refused=True)),
    ("identity.", _Mapping(3, _AUTHENTICATION, 1, refused=True)),
    ("profile.", _Mapping(3, _AUTHENTICATION, 1, refused=True)),
    ("password.in_use", _Mapping(3, _ACCOUNT, 3)),
    ("password.changed", _Mapping(3, _ACCOUNT, 3)),
    ("password.", _Mapping(3, _ACCOUNT, 99)),
    ("certificate.issued", _Mapping(3, _ENTITY, 1)),
    ("config.", _Mapping(3, _ENTITY, 3)),
    ("policy.reload_failed", _Mapping(3, _ENTITY, 3)),
    ("admin.charge_point_added", _Mapping(3, _ENTITY, 1)),
    ("admin.charge_point_removed", _Mapping(3, _ENTITY, 4)),
    ("admin.request", _Mapping(3, _ENTITY, 99)),
    ("admin.", _Mapping(3, _ENTITY, 3)),
    ("privacy.subject", _Mapping(3, _ENTITY, 2)),
    ("privacy.text_read", _Mapping(3, _ENTITY, 2)),
    ("privacy.shredded", _Mapping(3, _ENTITY, 4)),
    ("privacy.expired", _Mapping(3, _ENTITY, 4)),
    *((f"{family}.", _Mapping(3, _ENTITY, 99)) for family in sorted(_MANAGED)),
    ("detect.", _Mapping(2, _FINDING, 1)),
    ("audit.throttled", _Mapping(6, _API, 99)),
    ("audit.start", _Mapping(1, _LOG, 6)),
    ("audit.stop", _Mapping(1, _LOG, 7)),
    ("audit.closed", _Mapping(1, _LOG, 5)),
    ("audit.pruned", _Mapping(1, _LOG, 2)),
    ("audit.", _Mapping(1, _LOG, 99)),
)
_NOT_DONE: Final = frozenset({"deny", "fail", "keep_last_good"})
"""What an administrator's or the gateway's own act did not come to."""
_MESSAGE: Final = _Mapping(6, _API, 99)
"""Everything else is about an OCPP message."""


def to_ocsf(record: dict[str, Any], origin: str, index: int, product_version: str) -> dict[str, Any]:
    """One record as an OCSF event. `origin`, `index`: where it lies in the log."""
    kind = str(record.get("type", ""))
    mapping = next((mapping for prefix, mapping in _TABLE if kind.startswith(prefix)), _MESSAGE)
    decision, ts = part(record, "dec"), record.get("ts")
    event: dict[str, Any] = {
        "category_uid": mapping.category,
        "class_uid": mapping.class_uid,
        "activity_id": mapping.activity,
        "type_uid": mapping.class_uid * 100 + mapping.activity,
        "severity_id": _SEVERITY.get(str(record.get("sev", "")), 0),
        "time": ts // 1000 if isinstance(ts, int) else 0,
        "message": str(record.get("text") or kind),
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": "OCPP Gateway", "vendor_name": "OCPP Gateway", "version": product_version},
            "uid": str(record.get("id", "")),
            "event_code": kind,
            "log_name": origin,
            "profiles": [],
        },
        "unmapped": {"tlog": {"origin": origin, "index": index}, "record": record},
    }
    if mapping.activity == 99:  # noqa: PLR2004  OCSF's "other"
        event["activity_name"] = kind
    if record.get("n"):
        event["count"] = record["n"]
    is_undone = mapping.class_uid in {_ENTITY, _ACCOUNT} and decision.get("act") in _NOT_DONE
    _STATUS[mapping.refused or is_undone](event, decision)
    _FILL[mapping.class_uid](event, record)
    if decision.get("act") and mapping.class_uid not in {_LOG, _FINDING}:
        _security_control(event, record)
    return event


def _refused(event: dict[str, Any], decision: dict[str, Any]) -> None:
    event |= {"status_id": _FAILURE, "status_detail": str(decision.get("reason") or event["message"])}


def _done(event: dict[str, Any], _: dict[str, Any]) -> None:
    event["status_id"] = _SUCCESS


_STATUS: Final = {True: _refused, False: _done}


def _security_control(event: dict[str, Any], record: dict[str, Any]) -> None:
    """What the gateway did about it."""
    decision = record["dec"]
    act = str(decision.get("verdict") or decision["act"])
    event["metadata"]["profiles"].append("security_control")
    if act.startswith("would:") or act in {"alert", "allow_alert"}:
        event |= {"action_id": _OBSERVED, "disposition_id": _DISPOSITION_LOGGED}
    elif act == "allow":
        event |= {"action_id": _ALLOWED, "disposition_id": _DISPOSITION_ALLOWED}
    else:
        event |= {"action_id": _DENIED, "disposition_id": _DISPOSITION_BLOCKED}
    event["is_alert"] = event["severity_id"] >= _SEVERITY["high"]
    if decision.get("rule"):
        event["firewall_rule"] = {"uid": decision["rule"], "name": decision["rule"]}
    if decision.get("policy"):
        event["policy"] = {"uid": decision["policy"], "name": "rule packs", "version": decision["policy"]}


# -- what each class asks for


def _source(record: dict[str, Any]) -> dict[str, Any]:
    peer = part(record, "peer")
    endpoint: dict[str, Any] = {"name": str(record.get("cp") or "unknown")}
    if peer.get("ip"):
        endpoint["ip"] = peer["ip"]
    if peer.get("port"):
        endpoint["port"] = peer["port"]
    return endpoint


def _gateway(record: dict[str, Any]) -> dict[str, Any]:
    peer = part(record, "peer")
    return {
        "name": str(peer.get("listener") or record.get("node") or "gateway"),
        "hostname": str(record.get("node", "")),
    }


def _user(record: dict[str, Any]) -> dict[str, Any]:
    return {"name": str(record.get("cp") or "unknown"), "type_id": 99, "type": "Charge point"}


def _fill_network(event: dict[str, Any], record: dict[str, Any]) -> None:
    event |= {"src_endpoint": _source(record), "dst_endpoint": _gateway(record)}
    if (version := part(record, "peer").get("tls")) is not None:
        event["tls"] = {"version": version}


def _fill_http(event: dict[str, Any], record: dict[str, Any]) -> None:
    _fill_network(event, record)
    event["http_response"] = {"code": int(part(record, "dec").get("status") or 0)}


def _fill_authentication(event: dict[str, Any], record: dict[str, Any]) -> None:
    event |= {
        "user": _user(record),
        "src_endpoint": _source(record),
        "dst_endpoint": _gateway(record),
        "is_remote": True,
        "service": {"name": "ocpp"},
    }


def _operator(record: dict[str, Any]) -> dict[str, Any]:
    """Who has asked for it, for people and as the system knows him; the gateway itself where nobody has."""
    actor = part(record, "actor")
    if not actor:
        return {"app_name": "ocpp-gateway"}
    user: dict[str, Any] = {"name": str(actor.get("login") or actor.get("user") or actor.get("name") or "unknown")}
    user |= {"display_name": str(actor.get("name", ""))} | ({"uid": str(actor["uid"])} if "uid" in actor else {})
    pid = actor.get("pid")
    return {"user": user, **({"process": {"pid": pid}} if isinstance(pid, int) else {})}


def _fill_entity(event: dict[str, Any], record: dict[str, Any]) -> None:
    kind = _MANAGED.get(str(record.get("type")).partition(".")[0], "Configuration")
    about = str(record.get("cp") or record.get("node") or "gateway")
    event |= {"actor": _operator(record), "entity": {"name": kind.lower(), "type": kind, "uid": about}}


def _fill_account(event: dict[str, Any], record: dict[str, Any]) -> None:
    event |= {"actor": _operator(record), "user": _user(record)}


def _fill_config_state(event: dict[str, Any], record: dict[str, Any]) -> None:
    event["device"] = {"name": str(record.get("cp") or "unknown"), "type_id": 99, "type": "Charge point"}
    event |= {"security_level_id": 1, "security_level": "Secure"}


def _fill_api(event: dict[str, Any], record: dict[str, Any]) -> None:
    ocpp = part(record, "ocpp")
    event |= {
        "actor": _operator(record) if part(record, "actor") else {"user": _user(record)},
        "api": {
            "operation": str(ocpp.get("action") or record.get("type")),
            "service": {"name": str(ocpp.get("version") or "ocpp")},
        },
        "src_endpoint": _source(record),
        "dst_endpoint": _gateway(record),
    }


def _fill_log(event: dict[str, Any], record: dict[str, Any]) -> None:
    event |= {
        "log_name": event["metadata"]["log_name"],
        "log_type_id": 99,
        "log_type": "Audit log",
        "device": {"name": str(record.get("node") or "gateway"), "type_id": 1, "hostname": str(record.get("node", ""))},
    }


def _fill_finding(event: dict[str, Any], record: dict[str, Any]) -> None:
    kind, subject = str(record.get("type")), str(part(record, "ref").get("subject", ""))
    event["finding_info"] = {
        "uid": str(record.get("id", "")),
        "title": f"{kind.removeprefix('detect.').replace('_', ' ')}: {subject}",
        "types": [kind],
    }
    event["is_alert"] = True


_FILL: Final = {
    _FINDING: _fill_finding,
    _NETWORK: _fill_network,
    _HTTP: _fill_http,
    _AUTHENTICATION: _fill_authentication,
    _ENTITY: _fill_entity,
    _ACCOUNT: _fill_account,
    _CONFIG_STATE: _fill_config_state,
    _API: _fill_api,
    _LOG: _fill_log,
}
