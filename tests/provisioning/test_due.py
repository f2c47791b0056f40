"""What is not due is not looked at: so a row is due exactly when its next step is more than to wait."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import enrolment, password, upgrade
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.states import State
from gateway.provisioning.upgrade_states import UpgradeState

CP = ChargePointId("CP-1")
TIMES = st.sampled_from([0.0, 5.0, 9.999, 10.0, 10.001, 15.0, 20.0, 25.0, 30.0])
ATTEMPTS = st.integers(min_value=0, max_value=8)
ENROLMENTS = enrolment.Timing(key_patience_s=10.0, retire_old_after_s=10.0, held_for_s=10.0)
UPGRADES = upgrade.UpgradeTiming(lost_after_s=10.0)


def rows(kind: type[Any], *times: str, **more: Any) -> st.SearchStrategy[Any]:
    """Whatever the row says; each example is put into every state there is."""
    fields = dict.fromkeys(("created_at", "changed_at", "due_at", *times), TIMES)
    first = more.pop("state")
    return st.builds(kind, charge_point_id=st.just(CP), state=st.just(first), attempts=ATTEMPTS, **fields, **more)


@given(
    rows(password.PasswordChange, state=PasswordState.WANTED, origin=st.sampled_from(["gateway", "csms"])),
    TIMES,
    st.booleans(),
)
def test_a_password_is_due_when_there_is_a_step(example: Any, now: float, reachable: bool) -> None:
    for row in (replace(example, state=state) for state in PasswordState):
        asks = password.next_step(row, now, reachable=reachable) is not password.PasswordStep.WAIT
        assert not asks or now >= password.due_at(row)
        assert asks or not reachable or now < password.due_at(row)


@given(
    rows(enrolment.Enrolment, "csr_at", "not_after", "seen_at", state=State.TRIGGER_WANTED),
    TIMES,
    st.booleans(),
)
def test_an_enrolment_is_due_when_there_is_a_step(example: Any, now: float, reachable: bool) -> None:
    for row in (replace(example, state=state) for state in State):
        step = enrolment.next_step(row, now, ENROLMENTS, reachable=reachable)
        asks = step not in {enrolment.Step.WAIT, enrolment.Step.LOOK}
        assert not asks or now >= enrolment.due_at(row, ENROLMENTS)
        assert asks or not reachable or now < enrolment.due_at(row, ENROLMENTS)


@given(
    rows(
        upgrade.Upgrade,
        "reset_at",
        state=UpgradeState.WANTED,
        from_profile=st.just(SecurityProfile(1)),
        to_profile=st.just(SecurityProfile(2)),
        priority_before=st.sampled_from(["", "1"]),
    ),
    TIMES,
    st.booleans(),
)
def test_an_upgrade_is_due_when_there_is_a_step(example: Any, now: float, reachable: bool) -> None:
    for row in (replace(example, state=state) for state in UpgradeState):
        step = upgrade.next_step(row, now, UPGRADES, reachable=reachable)
        asks = step not in {upgrade.Step.WAIT, upgrade.Step.LOOK_AT_CERTIFICATE}
        assert not asks or now >= upgrade.due_at(row, UPGRADES)
        assert asks or not reachable or now < upgrade.due_at(row, UPGRADES)
