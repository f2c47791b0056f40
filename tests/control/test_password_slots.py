"""What each outcome of a password change does to the two slots of the registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.control import password_slots as slots
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import password as core
from gateway.provisioning.password import PasswordChange
from gateway.store.errors import NotFound
from gateway.store.registry import Registry
from tests.support.records import make_record

CP = ChargePointId("CP-1")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(clock: Clock, tmp_path: Path) -> Iterator[Registry]:
    made = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}", clock=clock)
    made.add(make_record("CP-1"))
    made.set_password(CP, "old", "current")
    yield made
    made.close()


def sent(clock: Clock, candidate: str = "new") -> PasswordChange:
    clock.now += 10.0
    return core.sent(core.wanted(CP, clock.now), clock.now, candidate, "s-1")


def both(registry: Registry) -> tuple[str, str]:
    return slots.phcs(registry.get(CP))


def test_a_candidate_stands_beside_the_old_one(registry: Registry) -> None:
    assert slots.phcs(slots.stage(registry, CP, "new")) == ("old", "new")
    assert slots.phcs(slots.stage(registry, CP, "new")) == ("old", "new"), "once more is the same"


def test_a_second_candidate_does_not(registry: Registry) -> None:
    slots.stage(registry, CP, "new")
    assert slots.stage(registry, CP, "another") is None
    assert both(registry) == ("old", "new")


def test_nobody_gets_none(registry: Registry) -> None:
    with pytest.raises(NotFound):
        slots.stage(registry, "CP-9", "new")


@pytest.mark.requirement("A01.FR.03")
def test_an_accepted_one_is_the_password(registry: Registry, clock: Clock) -> None:
    change = sent(clock)
    slots.stage(registry, CP, "new")
    assert slots.phcs(slots.promote(registry, change)) == ("new", "")
    assert slots.phcs(slots.promote(registry, change)) == ("new", ""), "once more is the same"


def test_also_when_a_handshake_with_the_old_one_was_faster(registry: Registry, clock: Clock) -> None:
    change = sent(clock)
    slots.stage(registry, CP, "new")
    registry.drop_pending(CP, "new")
    assert slots.phcs(slots.promote(registry, change)) == ("new", "")


def test_but_not_over_what_an_operator_has_set_since(registry: Registry, clock: Clock) -> None:
    change = sent(clock)
    slots.stage(registry, CP, "new")
    clock.now += 10.0
    registry.update(CP, pending_password=None)
    registry.set_password(CP, "operators", "current")
    assert slots.phcs(slots.promote(registry, change)) == ("operators", "")


@pytest.mark.requirement("A01.FR.04")
def test_a_refused_one_is_void_and_no_other(registry: Registry, clock: Clock) -> None:
    slots.stage(registry, CP, "other")
    assert slots.phcs(slots.drop(registry, sent(clock))) == ("old", "other")
    assert slots.phcs(slots.drop(registry, sent(clock, "other"))) == ("old", "")


def test_nobody_has_none() -> None:
    assert slots.phcs(None) == ("", "")
