"""Changes by others are on record, without secrets, and what is only learnt is none."""

import msgspec

from gateway.control.registry_changes import change_of
from gateway.identity.record import StoredPassword
from gateway.ocpp.vocabulary import SecurityProfile
from tests.control.conftest import record_of

ONE = record_of("CP-1")


def test_added_and_removed_are_told_with_what_counts() -> None:
    added = change_of(None, ONE)
    assert added is not None
    assert added[:2] == ("admin.charge_point_added", "CP-1")
    assert "enabled True" in added[2]
    removed = change_of(ONE, None)
    assert removed is not None
    assert removed[0] == "admin.charge_point_removed"


def test_what_is_different_is_named_and_of_a_password_only_that_it_is() -> None:
    other = msgspec.structs.replace(
        ONE, enabled=False, security_profile=SecurityProfile(3), password=StoredPassword(phc="Marked-S3cret"), notes="x"
    )
    changed = change_of(ONE, other)
    assert changed is not None
    assert changed[0] == "admin.charge_point_changed"
    assert "enabled True -> False" in changed[2]
    assert "security_profile 2 -> 3" in changed[2]
    assert "password" in changed[2].split(", ")
    assert "Marked" not in changed[2]


def test_what_is_learnt_in_passing_is_no_change() -> None:
    assert change_of(ONE, msgspec.structs.replace(ONE, last_seen_at=5.0, model="M", answers_pings=True)) is None
    assert change_of(ONE, ONE) is None
    assert change_of(None, None) is None
