"""What the benchmark is made of is what it says: rules that the linter accepts, candidates that do not grow in number."""

from collections import Counter
from pathlib import Path

import pytest

from bench.packs import CANDIDATES, OWN_RULES, write_packs
from bench.worst_cases import Case, cases
from gateway.config.policy_packs import Bundle, load_bundle
from gateway.ocpp.codec import decode
from gateway.ocpp.frames import Call
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.rules import Phase
from gateway.policy.session import SessionFacts
from gateway.policy.site import SitePolicy

KINDS = {
    "Heartbeat": (Origin.CHARGE_POINT, Phase.CALL, "Heartbeat"),
    "StatusNotification": (Origin.CHARGE_POINT, Phase.CALL, "StatusNotification"),
    "MeterValues": (Origin.CHARGE_POINT, Phase.CALL, "MeterValues"),
    "result of Heartbeat": (Origin.CSMS, Phase.RESULT, "Heartbeat"),
    "result of StatusNotification": (Origin.CSMS, Phase.RESULT, "StatusNotification"),
    "result of MeterValues": (Origin.CSMS, Phase.RESULT, "MeterValues"),
}
SESSION = SessionFacts(
    identity="CP00001",
    group="",
    version=OCPPVersion.V1_6,
    ip="127.0.0.1",
    security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE,
)
MAX_BYTES = 262_144


def loaded(folder: Path, count: int, generation: int = 0) -> Bundle:
    packs = [str(path) for path in write_packs(folder / f"{count}-{generation}", count, generation)]
    return load_bundle(packs, SitePolicy(), now=0.0)


@pytest.mark.parametrize("count", [len(OWN_RULES), 160])
def test_so_many_rules_and_always_the_same_candidates(tmp_path: Path, count: int):
    bundle = loaded(tmp_path, count)
    assert not bundle.errors
    assert sum(len(pack.rules) for pack in bundle.packs) == count
    view = bundle.snapshot().view(SESSION)
    found = Counter({name: len(view.rules(*kind)) for name, kind in KINDS.items()})
    assert +found == Counter(CANDIDATES)


def test_another_generation_changes_every_rule(tmp_path: Path):
    before, after = (
        {rule.id: rule.when for pack in loaded(tmp_path, 60, generation).packs for rule in pack.rules}
        for generation in (1, 2)
    )
    assert before.keys() == after.keys()
    assert not before.items() & after.items()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_worst_messages_are_legal(case: Case):
    frame = case.frame()
    assert len(frame) <= MAX_BYTES
    assert isinstance(decode(frame, case.version), Call)
