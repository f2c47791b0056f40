"""Gates and rules in the relay, as scenarios: what is refused, what is only reported, and what passes beside it."""

from typing import Any

import pytest

from gateway.config.ocpp_schemas import schema_gate
from gateway.config.policy_packs import load_bundle
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from gateway.policy.session import SessionFacts
from gateway.policy.site import Gates, GroupPolicy, SitePolicy
from gateway.policy.snapshot import Snapshot
from gateway.relay.effects import FORWARD, AskFleet, CloseBoth, Effects, Forward, NoteRegistered, Reply, ReportEvent
from gateway.relay.judge import Judge, PolicyInForce
from gateway.relay.relay import Relay
from tests.relay.scenario import CSMS, LIMITS, ChargePoint, Scenario, Wait, make_admission

V1_6, V2_0_1, V2_1 = OCPPVersion.V1_6, OCPPVersion.V2_0_1, OCPPVersion.V2_1
STRICT = SitePolicy(everyone=GroupPolicy(gates=Gates(schema="enforce")))
START = '[2,"s1","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}]'
STARTED = '[3,"s1",{"transactionId":7,"idTagInfo":{"status":"Accepted"}}]'


def snapshot_of(*packs: str, site: SitePolicy = STRICT) -> Snapshot:
    bundle = load_bundle(packs or ("baseline",))
    return Snapshot("r", bundle.packs, site, bundle.snapshot.scopes) if False else bundle.snapshot


class Judged(Scenario):
    """A relay with gates and rules."""

    def __init__(self, version: OCPPVersion = V1_6, *packs: str, site: SitePolicy = STRICT) -> None:
        super().__init__(version)
        self.policy = PolicyInForce(load_bundle(packs or ("baseline",), site=site).snapshot, schema_gate)
        self.session = SessionFacts(
            identity="CP-1", group="", version=version, ip="127.0.0.1", security_profile=SecurityProfile(2)
        )
        self.relay = Relay(make_admission(), version, LIMITS, Judge(self.policy, self.session))


def names(effects: Effects) -> list[str]:
    return [effect.event for effect in effects if isinstance(effect, ReportEvent)]


def code(effects: Effects) -> str:
    (reply,) = [effect for effect in effects if isinstance(effect, Reply)]
    return reply.text.decode().split('"')[3]
