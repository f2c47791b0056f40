"""The table of upgrades, on SQLite and PostgreSQL: a state and what it means for the record are one."""

import msgspec
import pytest
from sqlalchemy import text

from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import upgrade as core
from gateway.provisioning.upgrade import Upgrade, UpgradeTiming
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.store.database import open_database
from gateway.store.errors import BelowFloor, NotFound, Overtaken, StoreError
from gateway.store.registry import Registry
from tests.support.records import make_record

CP = ChargePointId("CP-1")
TWO, THREE = SecurityProfile(2), SecurityProfile(3)
TIMING = UpgradeTiming()


@pytest.fixture
def wanted(registry: Registry) -> Upgrade:
    registry.add(make_record("CP-1", security_profile=TWO))
    fresh = core.wanted(CP, TWO, THREE, 1.0, url="wss://gw", url_key="k", interface="Wired0")
    return registry.upgrades.put(msgspec.structs.replace(fresh, install_root=True, unsafe_any_firmware=True))[0]


def both(registry: Registry, wanted: Upgrade, priority: str = "1") -> Upgrade:
    return registry.upgrades.put(core.both_accepted(wanted, 2.0, priority))[0]


def profiles(registry: Registry) -> tuple[int, int, int]:
    record = registry.get("CP-1")
    assert record is not None
    return int(record.security_profile), int(record.floor or 0), int(record.pending_security_profile or 0)


def test_every_field_comes_back(registry: Registry, wanted: Upgrade) -> None:
    switching, _ = registry.upgrades.put(core.resetting(core.told(both(registry, wanted), 3.0), 4.0, TIMING))
    assert (switching.reset_at, switching.priority_before) == (4.0, "1")
    assert registry.upgrades.newest(CP) == switching
    assert registry.upgrades.open() == [switching]
    assert [step.state.value for step in registry.upgrades.steps(CP, 9)] == ["switching", "both-accepted", "wanted"]


def test_the_new_profile_is_let_in_with_the_state_that_says_so(registry: Registry, wanted: Upgrade) -> None:
    assert profiles(registry) == (2, 0, 0)
    before = registry.change_counter()
    both(registry, wanted)
    assert profiles(registry) == (2, 0, 3)
    assert registry.changed_since(before)[1] == {CP}


@pytest.mark.parametrize("end", ["refused", "fell-back", "aborted"])
def test_and_no_more_at_an_end(registry: Registry, wanted: Upgrade, end: str) -> None:
    upgrade = both(registry, wanted)
    if end == "refused":
        registry.upgrades.put(core.refused(upgrade, 3.0, "no"))
    else:
        told = core.told(upgrade, 3.0)
        back = core.aborted(told, 3.0) if end == "aborted" else core.given_up(told, 3.0)
        assert profiles(registry) == (2, 0, 3)
        again, _ = registry.upgrades.put(registry.upgrades.put(back)[0])
        registry.upgrades.put(core.ended(again, 4.0))
    assert (registry.upgrades.newest(CP) or wanted).state.value == end
    assert profiles(registry) == (2, 0, 0)
    assert registry.upgrades.open() == []


@pytest.mark.parametrize("is_left", [True, False])
def test_what_could_not_be_taken_back_stays_open_and_is_proven_late(
    registry: Registry, wanted: Upgrade, is_left: bool
) -> None:
    """1.6 was told, and is stopped: it may use the new profile after any later start."""
    told, _ = registry.upgrades.put(core.told(both(registry, wanted, "" if is_left else "1"), 3.0))
    stopped, _ = registry.upgrades.put(core.aborted(told, 4.0))
    end = core.ended(stopped, 5.0) if is_left else core.restore_tried(stopped, 5.0, "", TIMING)
    registry.upgrades.put(end)
    assert profiles(registry) == (2, 0, 3 if is_left else 0)
    assert registry.upgrades.open() == []
    ended, _ = registry.upgrades.prove(CP, THREE, 6.0, "1f")
    assert (ended is not None) is is_left
    assert profiles(registry) == (3, 3, 0)


def test_what_an_operator_has_let_in_by_hand_stays(registry: Registry, wanted: Upgrade) -> None:
    registry.update("CP-1", pending_security_profile=THREE)
    registry.upgrades.put(core.refused(wanted, 2.0, "no"))
    assert profiles(registry) == (2, 0, 3)


class TestProven:
    def test_profile_floor_and_row_change_together(self, registry: Registry, wanted: Upgrade) -> None:
        both(registry, wanted)
        ended, record = registry.upgrades.prove("CP-1", THREE, 3.0, "1f")
        assert ended is not None
        assert (ended.state, ended.certificate_serial) == (UpgradeState.PROVEN, "1f")
        assert registry.upgrades.newest(CP) == ended
        assert (record.floor, profiles(registry)) == (THREE, (3, 3, 0))

    def test_one_that_was_let_in_by_hand_needs_no_row(self, registry: Registry) -> None:
        registry.add(make_record("CP-1", security_profile=TWO, pending_security_profile=THREE))
        assert registry.upgrades.prove("CP-1", THREE, 3.0, "")[0] is None
        assert profiles(registry) == (3, 3, 0)

    def test_below_the_floor_nothing_changes(self, registry: Registry, wanted: Upgrade) -> None:
        both(registry, wanted)
        registry.upgrades.prove("CP-1", THREE, 3.0, "1f")
        with pytest.raises(BelowFloor):
            registry.upgrades.prove("CP-1", TWO, 4.0, "")
        assert profiles(registry) == (3, 3, 0)


@pytest.mark.usefixtures("wanted")
def test_a_profile_that_is_proven_never_lowers_what_somebody_has_required_meanwhile(registry: Registry) -> None:
    registry.update("CP-1", security_profile=THREE, pending_security_profile=TWO)
    registry.upgrades.prove("CP-1", TWO, 2.0, "")
    assert profiles(registry) == (3, 2, 0)


def test_a_record_that_was_changed_meanwhile_is_not_let_in_on_two(registry: Registry, wanted: Upgrade) -> None:
    registry.upgrades.prove("CP-1", THREE, 2.0, "")
    with pytest.raises(StoreError, match="on profile 3 meanwhile"):
        registry.upgrades.put(core.both_accepted(wanted, 3.0, ""))
    assert (profiles(registry), (registry.upgrades.newest(CP) or wanted).state) == ((3, 3, 0), UpgradeState.WANTED)


def test_of_two_nodes_that_decide_by_the_same_row_one_does_it(registry: Registry, wanted: Upgrade) -> None:
    told, _ = registry.upgrades.put(core.told(both(registry, wanted), 3.0))
    with pytest.raises(Overtaken):
        registry.upgrades.put(core.aborted(wanted, 4.0))
    with pytest.raises(Overtaken):
        registry.upgrades.put(core.wanted(CP, TWO, THREE, 4.0))
    assert (registry.upgrades.newest_of([CP]), profiles(registry)) == ([told], (2, 0, 3))
    ended, _ = registry.upgrades.prove("CP-1", THREE, 5.0, "1f")
    assert ended is not None
    with pytest.raises(Overtaken):
        registry.upgrades.put(core.lost(core.resetting(told, 4.0, TIMING), 6.0))
    assert (registry.upgrades.newest(CP), profiles(registry)) == (ended, (3, 3, 0))


def test_removed_charge_points(registry: Registry, wanted: Upgrade) -> None:
    registry.remove("CP-1")
    assert registry.upgrades.newest(CP) is None
    with pytest.raises(NotFound):
        registry.upgrades.put(core.both_accepted(wanted, 2.0, ""))


def test_a_row_that_somebody_has_edited_into_nonsense_is_named(registry: Registry, wanted: Upgrade, url: str) -> None:
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE upgrades SET state = 'sideways'"))
    database.close()
    with pytest.raises(StoreError, match=f"upgrade of charge point '{wanted.charge_point_id}' is damaged"):
        registry.upgrades.newest(CP)
