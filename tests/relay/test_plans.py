"""The judge's fast path says what the gates say step by step, for every kind of message."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.ocpp_schemas import schema_gate
from gateway.config.policy_packs import load_bundle
from gateway.ocpp.actions import actions
from gateway.ocpp.codec import decode_message
from gateway.ocpp.frames import Call, CallResult
from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.session import SessionFacts
from gateway.policy.site import Gates, GroupPolicy, SitePolicy
from gateway.relay.judge import Judge, PolicyInForce, Ruling
from gateway.relay.open_calls import OpenCall
from gateway.relay.plans import Plans

UP, DOWN = Origin.CHARGE_POINT, Origin.CSMS
NOW = 1_767_225_600.0
PACKS = ("baseline", "observe", "firmware", "tokens", "smart-charging")
SITES = {
    "as shipped": SitePolicy(),
    "strict": SitePolicy(everyone=GroupPolicy(gates=Gates(schema="enforce"))),
    "watching": SitePolicy(everyone=GroupPolicy(gates=Gates(direction="monitor", state="monitor"), mode="monitor")),
    "allow-listed": SitePolicy(everyone=GroupPolicy(stance="allow-listed")),
}
SNAPSHOTS = {name: load_bundle(PACKS, site, now=NOW).snapshot() for name, site in SITES.items()}
KINDS = [*sorted({action.name for version in OCPPVersion for action in actions(version)}), "Invented", "Reset-Signed"]


class StepByStep(Judge):
    """A judge that has no plans."""

    __slots__ = ()

    def call(self, frame: Any, payload: Any, origin: Origin, data: bytes, now: float) -> Ruling:
        return self._call_step_by_step(frame, payload, origin, data, now)


def judges(site: str, version: OCPPVersion, state: str) -> tuple[Judge, Judge]:
    def made(kind: type[Judge]) -> Judge:
        session = SessionFacts(
            identity="CP-1", group="", version=version, ip="127.0.0.1", security_profile=SecurityProfile(2)
        )
        session.boot_state = state
        known = "unknown" if state == "none" else state
        return kind(PolicyInForce(SNAPSHOTS[site], schema_gate), session, boot_state=known)

    return made(Judge), made(StepByStep)


values = st.sampled_from(
    ["Accepted", "${jndi:ldap://x}", "Hard", "2026-01-01T00:00:00Z", "1969-01-01T00:00:00Z", 1, -5, 1e9, True]
)
fields = st.sampled_from(
    [
        "connectorId",
        "timestamp",
        "status",
        "type",
        "idTag",
        "vendorId",
        "data",
        "location",
        "meterValue",
        "value",
        "key",
        "currentTime",
        "interval",
    ]
)
payloads = st.dictionaries(
    fields, values | st.lists(st.dictionaries(fields, values, max_size=3), max_size=2), max_size=4
)


@given(
    st.sampled_from(sorted(SITES)),
    st.sampled_from(list(OCPPVersion)),
    st.sampled_from(["none", "accepted", "pending", "rejected"]),
    st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([UP, DOWN]), payloads), min_size=1, max_size=4),
)
def test_calls_are_judged_alike(
    site: str, version: OCPPVersion, state: str, calls: list[tuple[str, Origin, dict[str, Any]]]
) -> None:
    fast, slow = judges(site, version, state)
    for number, (action, origin, payload) in enumerate(calls * 2):  # the second time the plan is there
        data = json.dumps([2, str(number), action, payload]).encode()
        frame, value = decode_message(data, version)
        assert isinstance(frame, Call)
        rulings = [judge.call(frame, value, origin, data, NOW + number) for judge in (fast, slow)]
        assert rulings[0].effects == rulings[1].effects
        assert rulings[0].asks == rulings[1].asks


@given(st.sampled_from(sorted(SITES)), st.sampled_from(list(OCPPVersion)), st.sampled_from(KINDS), payloads, payloads)
def test_results_are_judged_alike_the_second_time(
    site: str, version: OCPPVersion, action: str, asked: dict[str, Any], answer: dict[str, Any]
) -> None:
    judge, _ = judges(site, version, "accepted")
    data = json.dumps([3, "1", answer]).encode()
    frame, value = decode_message(data, version)
    assert isinstance(frame, CallResult)
    call = OpenCall(action, action, asked, version, 0.0)
    first, second = [judge.result(frame, value, call, DOWN, len(data), NOW, 0.1) for _ in range(2)]
    assert first.effects == second.effects


@pytest.mark.parametrize(
    ("version", "action", "origin", "state", "plain"),
    [
        (OCPPVersion.V1_6, "Heartbeat", UP, "accepted", True),
        (OCPPVersion.V1_6, "Heartbeat", UP, "none", True),
        (OCPPVersion.V1_6, "Heartbeat", UP, "pending", False),
        (OCPPVersion.V1_6, "Heartbeat", DOWN, "accepted", False),
        (OCPPVersion.V1_6, "DataTransfer", UP, "accepted", False),
        (OCPPVersion.V2_0_1, "DataTransfer", UP, "accepted", True),
        (OCPPVersion.V2_0_1, "Reset-Signed", DOWN, "accepted", False),
        (OCPPVersion.V2_0_1, "Invented", UP, "accepted", False),
        (OCPPVersion.V2_1, "NotifyPeriodicEventStream", UP, "accepted", False),
    ],
)
def test_only_plain_kinds_have_a_plan(
    version: OCPPVersion, action: str, origin: Origin, state: str, plain: bool
) -> None:
    session = SessionFacts(
        identity="CP-1", group="", version=version, ip="127.0.0.1", security_profile=SecurityProfile(2)
    )
    session.boot_state = state
    view = SNAPSHOTS["as shipped"].view(session)
    plans = Plans(view, version, schema_gate(version))
    plans.add_call(view, action, origin)
    assert (action in plans.calls_of_charge_point or action in plans.calls_of_csms) is plain


def test_sessions_of_a_cohort_share_their_plans_and_a_new_snapshot_has_new_ones() -> None:
    policy = PolicyInForce(SNAPSHOTS["as shipped"], schema_gate)
    sessions = [
        SessionFacts(
            identity=f"CP-{number}",
            group="",
            version=OCPPVersion.V1_6,
            ip="127.0.0.1",
            security_profile=SecurityProfile(2),
        )
        for number in range(2)
    ]
    plans = [policy.plans(policy.snapshot.view(session)) for session in sessions]
    assert plans[0] is plans[1]
    sessions[1].boot_state = "pending"
    assert policy.plans(policy.snapshot.view(sessions[1])) is not plans[0]
    policy.use(SNAPSHOTS["strict"])
    assert policy.plans(policy.snapshot.view(sessions[0])) is not plans[0]
