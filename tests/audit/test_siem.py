"""Renderings for SIEMs: valid by the published schema, one line whatever is in them, the place always there."""

import functools
import json
import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from gateway.audit.ocsf import OCSF_VERSION, to_ocsf
from gateway.audit.siem import FORMATS, Located, octet_counted, render, to_cef, to_ecs, to_syslog
from gateway.identity.refusal import Reason

RECORD: dict[str, Any] = {
    "v": 1,
    "id": "01a21f1e-bd3e-78f5-9e36-e6a441da5140",
    "type": "auth.failed",
    "ts": 1_795_818_437_949_939,
    "sev": "high",
    "node": "gw1",
    "cp": "CP-1",
    "sess": "c-1",
    "peer": {"ip": "192.0.2.1", "port": 4711, "listener": "tls", "tls": "TLSv1.3"},
    "dec": {"act": "http_reject", "reason": "password-wrong", "status": 401, "policy": "abc"},
    "text": "not this one",
    "n": 3,
}
OTHERS = [
    "session.opened",
    "session.closed",
    "net.reset",
    "upstream.refused",
    "gateway.draining",
    "profile.proven",
    "profile.upgraded",
    "config.reloaded",
    "config.reload_failed",
    "policy.reload_failed",
    "policy.denied",
    "charging.over_limit",
    "detect.enumeration",
    "ocpp.message",
    "ocpp.counted",
    "audit.unrecordable",
    "audit.payloads_lost",
    "session.revoked",
    "audit.start",
    "audit.stop",
    "audit.gap",
    "audit.throttled",
    "ws.protocol",
    "admin.request",
    "admin.request_refused",
    "admin.charge_point_added",
    "admin.charge_point_removed",
    "admin.charge_point_changed",
    "privacy.subject",
    "privacy.text_read",
    "privacy.shredded",
    "privacy.shredding_failed",
    "password.in_use",
    "password.refused",
    "certificate.issued",
    "certificate.revoked",
    "trust.crl_failed",
    "publication.failed",
    "server_chain.switch",
    "roots.install",
    "rollover.started",
    "upgrade.told",
    "campaign.halted",
    "provisioning.stuck",
    "cluster.lease",
    "gateway.call",
    "charger.security_event",
]
ACTOR = {"name": "root (login alice)", "known_by": "socket", "user": "root", "uid": 0, "pid": 4711, "login": "alice"}


@functools.cache
def ocsf() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=OCSF_VERSION))


@functools.cache
def validator(class_uid: int, profiles: tuple[str, ...]) -> Any:
    name = ocsf().lookup_class_name_from_uid(class_uid=class_uid)
    return jsonschema_rs.validator_for(ocsf().get_class_schema(class_name=name, profiles=list(profiles)))


def problems(event: dict[str, Any]) -> list[str]:
    found = validator(event["class_uid"], tuple(event["metadata"]["profiles"])).iter_errors(event)
    return [f"{list(error.instance_path)}: {error.message[:200]}" for error in found]


@pytest.mark.parametrize("kind", sorted({reason.event for reason in Reason} | set(OTHERS)))
@pytest.mark.parametrize(
    "more", [{}, {"dec": None, "peer": None, "cp": None, "text": None, "n": None}, {"actor": ACTOR}]
)
def test_every_kind_of_record_is_a_valid_ocsf_event(kind: str, more: dict[str, Any]) -> None:
    record = {name: value for name, value in {**RECORD, "type": kind, **more}.items() if value is not None}
    event = to_ocsf(record, "gw1/0001", 7, "0.1")
    assert problems(event) == []
    assert event["unmapped"]["tlog"] == {"origin": "gw1/0001", "index": 7}
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]


def test_the_judge_judges() -> None:
    event = to_ocsf(RECORD, "gw1/0001", 7, "0.1")
    assert problems({name: value for name, value in event.items() if name != "user"})
    assert problems({**event, "severity_id": 42})
    assert problems({**event, "class_uid": 3002, "invented": 1})


@pytest.mark.parametrize(
    ("kind", "class_uid"),
    [
        ("session.opened", 4001),
        ("http.origin", 4002),
        ("auth.failed", 3002),
        ("cert.expired", 3002),
        ("profile.upgraded", 5019),
        ("profile.mismatch", 3002),
        ("config.reloaded", 3004),
        ("audit.gap", 1008),
        ("audit.throttled", 6003),
        ("policy.denied", 6003),
        ("detect.enumeration", 2004),
        ("ws.protocol", 4001),
        ("password.in_use", 3001),
        ("certificate.issued", 3004),
        ("privacy.text_read", 3004),
        ("campaign.halted", 3004),
        ("charger.security_event", 6003),
    ],
)
def test_classes(kind: str, class_uid: int) -> None:
    assert to_ocsf({**RECORD, "type": kind}, "o", 0, "0.1")["class_uid"] == class_uid


@pytest.mark.parametrize(
    ("act", "action", "disposition"),
    [("callerror", 2, 2), ("would:callerror", 3, 17), ("alert", 3, 17), ("allow", 1, 1), ("http_reject", 2, 2)],
)
def test_what_the_gateway_did(act: str, action: int, disposition: int) -> None:
    record = {**RECORD, "type": "policy.denied", "dec": {"act": act, "rule": "a/b"}}
    event = to_ocsf(record, "o", 0, "0.1")
    assert (event["action_id"], event["disposition_id"], event["firewall_rule"]["uid"]) == (action, disposition, "a/b")


@pytest.mark.parametrize(("act", "status"), [("allow", 1), ("deny", 2), ("fail", 2), ("keep_last_good", 2)])
def test_what_was_not_done_is_no_success(act: str, status: int) -> None:
    record = {**RECORD, "type": "config.reload_failed", "dec": {"act": act}}
    assert to_ocsf(record, "o", 0, "0.1")["status_id"] == status


def test_who_asked_is_the_actor_and_the_charge_point_is_what_it_is_about() -> None:
    record = {**RECORD, "type": "admin.charge_point_changed", "actor": ACTOR}
    event = to_ocsf(record, "o", 0, "0.1")
    user = {"name": "alice", "display_name": "root (login alice)", "uid": "0"}
    assert event["actor"] == {"user": user, "process": {"pid": 4711}}
    assert (event["entity"]["type"], event["entity"]["uid"]) == ("Registry", "CP-1")
    assert to_ocsf({**RECORD, "type": "trust.crl_failed"}, "o", 0, "0.1")["actor"] == {"app_name": "ocpp-gateway"}
    ecs = to_ecs(located(actor=ACTOR))
    assert ecs["user"] == {"name": "alice", "full_name": "root (login alice)", "id": "0", "target": {"name": "CP-1"}}
    assert ecs["process"] == {"pid": 4711}
    cef = to_cef(located(actor=ACTOR), "0.1")
    assert " suser=root (login alice) suid=0 spid=4711 duser=CP-1 " in cef
    assert " suser=CP-1 " in to_cef(located(), "0.1")


def located(**more: Any) -> Located:
    return Located("gw1/0001", 7, {**RECORD, **more})


def test_ecs() -> None:
    event = to_ecs(located())
    assert event["@timestamp"] == "2026-11-27T22:27:17.949939Z"
    assert (event["source"], event["user"]) == ({"ip": "192.0.2.1", "port": 4711}, {"name": "CP-1"})
    assert event["event"]["outcome"] == "failure"
    assert event["event"]["sequence"] == 7
    assert event["tls"] == {"version": "1.3"}
    assert to_ecs(Located("o", 0, {"type": "session.opened"}))["event"]["outcome"] == "success"


def test_cef_and_its_escapes() -> None:
    line = to_cef(located(type="a|b\\c", text="x=1\\2\nCEF:0|forged", cp="A=B"), "0.1")
    assert line.startswith("CEF:0|OCPP Gateway|ocpp-gateway|0.1|a\\|b\\\\c|")
    assert "suser=A\\=B " in line
    assert "msg=x\\=1\\\\2 CEF:0|forged" in line
    assert "\n" not in line
    fields = re.split(r"(?<!\\)\|", line)
    assert (len(fields) >= 8, fields[6]) == (True, "8")
    assert "cn1Label=index cn1=7" in line


def test_syslog() -> None:
    message = to_syslog(located(node="gw 1\n", type="x" * 50), b"{}")
    head, rest = message.split(b" ", 1)
    assert head == b"<107>1"
    assert rest.startswith(b"2026-11-27T22:27:17.949939Z gw_1_ ocpp-gateway - " + b"x" * 32 + b" [tlog@32473 ")
    assert b'origin="gw1/0001" index="7"] {}' in rest
    assert octet_counted(b"abc") == b"3 abc"
    assert b'origin="a\\"\\]\\\\"' in to_syslog(Located('a"]\\', 0, {}), b"")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
ODD = st.dictionaries(
    st.sampled_from(["type", "cp", "text", "node", "sess", "sev", "id"]), TEXT
) | st.fixed_dictionaries(
    {
        "ts": st.integers(-(2**53) + 1, 2**53 - 1),
        "dec": st.dictionaries(st.sampled_from(["act", "reason", "rule"]), TEXT),
    }
)


@given(ODD)
def test_whatever_is_in_a_record_it_stays_one_line(record: dict[str, Any]) -> None:
    for form in FORMATS:
        line = render(Located("o", 1, record), form, "0.1")
        assert b"\n" not in line
        assert b"\r" not in line
        if form != "cef":
            assert json.loads(line)
        assert to_syslog(Located("o", 1, record), line).count(b"\n") == 0
