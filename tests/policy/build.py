"""Builds packs, snapshots, sessions and messages for the policy's tests from short texts. Nothing here is a stand-in."""

import datetime
import functools
import json
from typing import Any

from gateway.config.ocpp_schemas import load_schemas, schema_gate
from gateway.config.yaml_file import read_yaml
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.conversation import Conversation
from gateway.policy.engine import PolicyState, decide
from gateway.policy.findings import Findings
from gateway.policy.lint import lint_pack
from gateway.policy.reading import read_pack
from gateway.policy.rules import Pack
from gateway.policy.scopes import Scopes
from gateway.policy.session import Message, SessionFacts
from gateway.policy.site import SitePolicy
from gateway.policy.snapshot import Snapshot, View
from gateway.policy.transactions import Transactions
from gateway.policy.verdict import Verdict

NOW = 1_767_225_600.0
"""2026-01-01T00:00:00Z."""
PLAIN = SitePolicy()
HEAD = 'apiVersion: ocpp-gateway/v1\nkind: PolicyPack\nmetadata: {name: t, version: "1"}\n'


@functools.cache
def scopes() -> dict[OCPPVersion, Scopes]:
    return {version: Scopes(load_schemas(version)) for version in OCPPVersion}


def gates():
    return {version: schema_gate(version) for version in OCPPVersion}


def end_of(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp() + 86_399


def read(body: str) -> tuple[Pack, Findings]:
    findings = Findings()
    pack = read_pack(read_yaml(HEAD + body, "t.yaml").value, findings, shown_path="t.yaml", parse_date=end_of)
    return pack, findings


def linted(body: str) -> Findings:
    pack, findings = read(body)
    if not findings.errors:
        lint_pack(pack, scopes(), gates(), findings)
    return findings


def codes(findings: Findings) -> set[str]:
    return {finding.code for finding in findings.all}


def pack_of(*rules: dict[str, Any], **more: Any) -> Pack:
    """A pack of rules with defaults, which must be faultless."""
    whole = {
        "apiVersion": "ocpp-gateway/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "t", "version": "1"},
        "rules": [
            {"id": f"t/{n}", "title": "t", "match": {"action": "*"}, "action": "deny", **rule}
            for n, rule in enumerate(rules)
        ],
        **more,
    }
    findings = Findings()
    pack = read_pack(whole, findings, shown_path="t", parse_date=end_of)
    lint_pack(pack, scopes(), gates(), findings)
    assert findings.errors == []
    return pack


def snapshot_of(*rules: dict[str, Any], site: SitePolicy = PLAIN, revision: str = "r", **more: Any) -> Snapshot:
    return Snapshot(revision, [pack_of(*rules, **more)], site, scopes())


def session_of(version: str = "1.6", **more: Any) -> SessionFacts:
    given = {
        "identity": "CP-A01",
        "group": "g",
        "ip": "192.0.2.1",
        "security_profile": SecurityProfile.TLS_BASIC,
        **more,
    }
    return SessionFacts(version=OCPPVersion(version), **given)


def call(action: str, payload: dict[str, Any], *, to: str = "csms", version: str = "1.6", number: str = "1") -> Message:
    """What the codec makes of such a call."""
    origin = Origin.CHARGE_POINT if to == "csms" else Origin.CSMS
    text = json.dumps([2, number, action, payload]).encode()
    return Conversation(session_of(version)).message(origin, text, NOW)


class Bench:
    """One session under one snapshot, with everything that decisions remember."""

    def __init__(self, snapshot: Snapshot, session: SessionFacts | None = None) -> None:
        self.session = session or session_of()
        self.view: View = snapshot.view(self.session)
        self.state = PolicyState()
        self.transactions = Transactions()
        self.now = NOW

    def judge(self, message: Message, after: float = 0.0) -> Verdict:
        self.now += after
        return decide(self.view, message, self.transactions, self.state, self.now)
