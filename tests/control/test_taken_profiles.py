"""A CSMS that raises the security profile by itself is followed, upwards only, and on record before the disk. A real registry."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.control.directory import Directory
from gateway.control.link_server import EdgeLink
from gateway.control.record_gate import RecordGate
from gateway.control.store_thread import StoreThread
from gateway.control.taken_profiles import TakenProfiles
from gateway.link.messages import ProfileNoted, ProfileSeen
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.registry import Registry
from tests.control.conftest import new_registry, record_of
from tests.support.fleet import until

CP = ChargePointId("CP-1")
P1, P2, P3 = (SecurityProfile(number) for number in (1, 2, 3))


class Edge:
    def __init__(self) -> None:
        self.answers: list[Any] = []

    def send(self, message: Any) -> None:
        self.answers.append(message)


class Site:
    def __init__(self, url: str) -> None:
        self.registry = Registry.open(url)
        self.registry.add(record_of(CP, 1))
        self.store, self.directory, self.tasks = StoreThread(url), Directory(), TaskOwner()
        self.events: list[tuple[str, ...]] = []
        self.may_be_written = True
        gate = RecordGate(self.written)
        self.part = TakenProfiles(self.store, self.directory, self.report, self.tasks, gate)
        self.edge = Edge()

    async def written(self) -> bool:
        return self.may_be_written

    def report(self, *event: str) -> None:
        self.events.append(event)

    def seen(self, profile: SecurityProfile, who: ChargePointId = CP) -> None:
        self.part.seen(ProfileSeen(7, "s", who, profile), cast("EdgeLink", self.edge))

    async def taken(self, profile: SecurityProfile, who: ChargePointId = CP) -> None:
        self.seen(profile, who)
        await until(lambda: self.edge.answers == [ProfileNoted(7)], "it is done with")

    def pending(self) -> SecurityProfile | None:
        record = self.registry.get(CP)
        assert record is not None
        assert record == self.directory.get(CP)
        return record.pending_security_profile


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(new_registry(tmp_path))
    await made.directory.load(made.store)
    yield made
    await made.tasks.close()
    await made.store.close()
    made.registry.close()


async def test_both_are_accepted_from_then_on_and_it_is_on_record(site: Site) -> None:
    await site.taken(P3)
    assert site.pending() is P3
    ((event, severity, _, text, identity),) = site.events
    assert (event, severity, identity) == ("profile.taken", "medium", CP)
    assert "security profile 3" in text


@pytest.mark.parametrize("profile", [P1, P2])
async def test_what_is_not_higher_is_never_followed(site: Site, profile: SecurityProfile) -> None:
    site.registry.update(CP, security_profile=P2)
    await site.directory.load(site.store)
    await site.taken(profile)
    assert (site.pending(), site.events) == (None, [])


async def test_an_upgrade_that_is_under_way_is_left_alone_and_that_is_told(site: Site) -> None:
    site.registry.update(CP, pending_security_profile=P2)
    await site.directory.load(site.store)
    await site.taken(P3)
    assert site.pending() is P2
    assert [each[:2] for each in site.events] == [("profile.not_followed", "high")]


async def test_what_is_pending_already_is_no_news(site: Site) -> None:
    await site.taken(P2)
    site.events.clear()
    site.edge.answers.clear()
    await site.taken(P2)
    assert (site.pending(), site.events) == (P2, [])


async def test_somebody_who_is_not_registered_gets_nothing(site: Site) -> None:
    await site.taken(P3, ChargePointId("CP-9"))
    assert site.events == []


async def test_an_upgrade_that_begins_while_the_log_is_waited_for_is_left_alone(site: Site) -> None:
    site.may_be_written = False
    site.seen(P3)
    await asyncio.sleep(0.05)
    site.registry.update(CP, pending_security_profile=P2)
    await site.directory.load(site.store)
    site.may_be_written = True
    await until(lambda: site.edge.answers == [ProfileNoted(7)], "it is done with")
    assert site.pending() is P2


async def test_nothing_is_stored_before_it_is_on_record(site: Site) -> None:
    site.may_be_written = False
    site.seen(P3)
    await asyncio.sleep(0.05)
    assert (site.pending(), site.edge.answers, len(site.events)) == (None, [], 1)
    site.may_be_written = True
    await until(lambda: site.pending() is P3, "it is stored")
