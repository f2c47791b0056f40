"""In which shapes a certificate is delivered, one after the other: on a real registry, to a charge point of a few lines."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.certificate_calls import CertificateCalls
from gateway.control.certificate_delivery import Deliveries
from gateway.control.directory import Directory
from gateway.control.own_calls import CallAnswer
from gateway.control.store_thread import StoreThread
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import Count
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.states import State
from gateway.store.registry import Registry
from pki.hash_data import HashAlgorithm, certificate_hash_data
from tests.control.conftest import new_registry, record_of
from tests.pki.hierarchy import Hierarchy
from tests.provisioning.campaigning import identity
from tests.support.tls_material import Authority

CP = identity(0)
CA = Hierarchy()
LEAF = Authority().charge_point("SN-1").certificate
KIND = Stratum("V", "M", "1")


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


class Station:
    """Takes chains of so many certificates, and of at most so many characters."""

    def __init__(self, *lengths: int, max_chars: int = 10_000, says_no: str = "Rejected") -> None:
        self.lengths, self.max_chars, self.says_no = lengths, max_chars, says_no
        self.heard: list[int] = []

    async def call(self, who: str, entry: Any, action: str, payload: dict[str, Any], timeout_s: float) -> CallAnswer:
        del entry, timeout_s
        if action == "GetConfiguration":
            said: Any = {"configurationKey": [{"key": payload["key"][0], "value": str(self.max_chars)}]}
        else:
            self.heard.append(payload["certificateChain"].count("BEGIN"))
            said = {"status": "Accepted" if self.heard[-1] in self.lengths else self.says_no}
        return CallAnswer(
            charge_point_id=who, session="s", request_id="r", action=action, outcome="result", payload=said
        )


class Site:
    def __init__(self, url: str) -> None:
        self.registry, self.store, self.directory = Registry.open(url), StoreThread(url), Directory()
        self.registry.add(record_of(CP, 2, vendor=KIND.vendor, model=KIND.model, firmware=KIND.firmware))

    def knows(self, chain: int, answer: str, count: int) -> None:
        fact = f"call:CertificateSigned chain of {chain}"
        self.registry.capabilities.learn(
            [Count(stratum=KIND, fact=fact, value=answer, count=count, first_at=1.0, last_at=1.0)]
        )

    def delivery(self, chain: bytes = pem(LEAF, CA.issuing, CA.root)) -> Enrolment:
        row = Enrolment(
            charge_point_id=CP,
            state=State.DELIVERY_SENT,
            created_at=1.0,
            changed_at=1.0,
            chain=chain.decode(),
            released_by="approval of 5f3a",
            released_until=1e12,
        )
        return self.registry.enrolments.put(row)[-1]

    def deliveries(self, station: Station, trusted: bytes = pem(CA.root, CA.issuing)) -> Deliveries:
        made = Deliveries(self.store, self.directory, CertificateCalls(cast("Any", station)))
        others = pem(Authority("Somebody Else").root)
        listeners = [SimpleNamespace(client_trust_pem=each) for each in (b"", others, trusted)]
        made.follow(cast("Any", SimpleNamespace(listeners=listeners)))
        return made

    async def played(self, station: Station, deliveries: Deliveries | None = None) -> State:
        """To the end, however many requests that takes."""
        deliveries = deliveries or self.deliveries(station)
        entry: Any = SimpleNamespace(charge_point_id=CP, live=SimpleNamespace(subprotocol="ocpp1.6"))
        while True:
            accepted, after = await deliveries.deliver(entry, self.delivery())
            if accepted:
                return State.STATION_ACCEPTED
            if not after:
                return State.DELIVERY_SENT
            stored = self.registry.enrolments.put(*after)
            if len(after) == 1:
                return stored[-1].state
            assert [each.state for each in stored] == [State.SUPERSEDED, State.TRIGGER_WANTED]
            assert stored[-1].released_by == "approval of 5f3a", "nobody has to approve it again"
            self.drop(stored[-1])

    def drop(self, row: Enrolment) -> None:
        """What it asks for comes in this very row; the next delivery of the test is a row of its own."""
        with self.registry.database.writing() as connection:
            connection.exec_driver_sql(f"DELETE FROM enrolments WHERE number = {row.number}")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(new_registry(tmp_path))
    await made.directory.load(made.store)
    yield made
    await made.store.close()
    made.registry.close()


@pytest.mark.parametrize(
    ("takes", "heard", "state"),
    [
        ((2,), [2], State.STATION_ACCEPTED),
        ((3,), [2, 3], State.STATION_ACCEPTED),
        ((1,), [2, 3, 1], State.STATION_ACCEPTED),
        ((), [2, 3, 1], State.REJECTED_BY_STATION),
    ],
)
async def test_one_shape_after_the_other_and_each_once(
    site: Site, takes: tuple[int, ...], heard: list[int], state: State
) -> None:
    station = Station(*takes)
    assert await site.played(station) is state
    assert station.heard == heard


async def test_what_its_kind_has_taken_is_tried_first(site: Site) -> None:
    site.knows(3, "Accepted", 1)
    station = Station(3)
    assert await site.played(station) is State.STATION_ACCEPTED
    assert station.heard == [3]


async def test_a_lie_about_its_kind_costs_the_others_a_try(site: Site) -> None:
    site.knows(1, "Accepted", 99)
    site.knows(2, "Rejected", 99)
    station = Station(2)
    assert await site.played(station) is State.STATION_ACCEPTED
    assert station.heard == [1, 3, 2]


async def test_a_certificate_goes_alone_only_where_it_will_be_believed_alone(site: Site) -> None:
    """The listener knows the root and not the CA below it: a charge point that shows nothing else would not be let in."""
    station = Station(1)
    assert await site.played(station, site.deliveries(station, trusted=pem(CA.root))) is State.REJECTED_BY_STATION
    assert station.heard == [2, 3]


@pytest.mark.requirement("A02.FR.16")
async def test_nor_where_the_chain_is_too_long_for_it(site: Site) -> None:
    short = Station(1, 2, max_chars=len(pem(LEAF, CA.issuing)) - 1)
    assert await site.played(short, site.deliveries(short, trusted=pem(CA.root))) is State.EXPIRED
    assert short.heard == []
    assert await site.played(short) is State.STATION_ACCEPTED
    assert short.heard == [1]


async def test_an_operator_who_says_so_is_believed(site: Site) -> None:
    station = Station(1)
    deliveries = site.deliveries(station, trusted=pem(CA.root))
    deliveries.shape = "leaf"
    assert await site.played(station, deliveries) is State.STATION_ACCEPTED
    assert station.heard == [1]


async def test_what_is_no_rejection_is_not_tried_in_another_shape(site: Site) -> None:
    station = Station(says_no="SomethingElse")
    assert await site.played(station) is State.REJECTED_BY_STATION
    assert station.heard == [2]


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
async def test_a_root_that_is_named_for_the_certificate_is_ours_however_it_is_written(
    site: Site, algorithm: HashAlgorithm
) -> None:
    ours, others = (certificate_hash_data(root, root, algorithm) for root in (CA.root, Authority("V2G").root))
    deliveries = site.deliveries(Station())
    assert deliveries.why_other_root(ours) == ""
    assert deliveries.why_other_root((algorithm, *(each.upper() for each in ours[1:3]), f"00{ours[3].upper()}")) == ""
    assert "under a root that no listener believes" in deliveries.why_other_root(others)
    assert "under a root that no listener believes" in deliveries.why_other_root(("MD5", *ours[1:]))
    assert deliveries.why_other_root(()) == ""
