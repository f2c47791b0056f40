"""Roots of charge points with real processes: list, install, delete, and the rollover of a group (M03 to M05)."""

import asyncio
import contextlib
import datetime
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.provisioning.rollover import RolloverState, RolloverStation
from gateway.simulator.core.model import Model
from gateway.store.roots import RootTables
from pki.rollover import cross_certificate
from tests.integration.test_enrolment import command
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.rig import GatewayProcess, Rig
from tests.support.simulated import Simulated, csms_answer, memory_of, simulated
from tests.support.tls_material import Authority

pytestmark = pytest.mark.integration
PASSWORD = "password-of-cp-1"
QUICK = 0.05


class Site(NamedTuple):
    rig: Rig
    csms: FakeCSMS
    gateway: GatewayProcess
    new: Authority

    def memory(self, identity: str, version: str) -> Any:
        url = f"wss://localhost:{self.gateway.tls[1]}/ocpp"
        return memory_of(identity, url, 2, version, password=PASSWORD, roots=(self.rig.authority.pem.decode(),))

    def file(self, name: str, pem: bytes) -> str:
        path = self.rig.work / name
        path.write_bytes(pem)
        return str(path)

    @property
    def old_file(self) -> str:
        return self.file("old.pem", self.rig.authority.pem)

    @property
    def new_file(self) -> str:
        return self.file("new.pem", self.new.pem)

    @property
    def link_file(self) -> str:
        return self.file("link.pem", self.link())

    def link(self) -> bytes:
        """The new root's key, signed by the old one."""
        now = datetime.datetime.now(datetime.UTC)
        made = cross_certificate(
            self.new.root,
            self.rig.authority.root,
            self.rig.authority.key,
            serial_number=x509.random_serial_number(),
            not_before=now - datetime.timedelta(hours=1),
            not_after=now + datetime.timedelta(days=1),
        )
        return made.public_bytes(Encoding.PEM)

    async def roots(self, *words: str, code: int = 0) -> dict[str, Any]:
        got, found = await command("charge-point", "roots", *words, config=self.rig.config_path)
        assert got == code, found
        return dict(found)

    async def rollover(self, *words: str, code: int | None = 0) -> dict[str, Any]:
        got, found = await command("rollover", *words, config=self.rig.config_path)
        assert code in {None, got}, found
        return dict(found)

    def material(self, link: str = "") -> tuple[str, ...]:
        named = ("--group", "default", "--old", self.old_file, "--new", self.new_file)
        return (*named, "--link", link) if link else named

    def stations(self, rollover: int = 1) -> dict[str, RolloverStation]:
        with self.rig.registry() as registry:
            found = RootTables(registry.database).stations(rollover)
        return {str(each.charge_point_id): each for each in found}

    async def comes_to(self, identity: str, state: RolloverState, rollover: int = 1) -> RolloverStation:
        def station() -> RolloverStation | None:
            return self.stations(rollover).get(identity)

        await until(lambda: (found := station()) is not None and found.state is state, f"{state}, not {station()}")
        found = station()
        assert found is not None
        return found

    def seen_by_csms(self, identity: str) -> list[str]:
        """What is about roots; a security event of the charge point's own is for the CSMS."""
        ours = ("InstallCertificate", "InstalledCertificateIds", "ertificateHashData", "RootCertificateCheck")
        return [text for text in self.csms.texts[identity] if any(word in text for word in ours)]


@contextlib.asynccontextmanager
async def running(tmp_path: Path, *identities: str) -> AsyncIterator[Site]:
    async with FakeCSMS() as csms:
        csms.answer = csms_answer
        rig = Rig(tmp_path, csms_urls=[csms.url])
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        for identity in identities or ("CP-1",):
            rig.add(identity, security_profile=2, password=PASSWORD)
        async with rig.gateway() as gateway:
            yield Site(rig, csms, gateway, Authority("New Root"))


@contextlib.asynccontextmanager
async def station(
    site: Site, version: str, *quirks: str, identity: str = "CP-1", **model: Any
) -> AsyncIterator[Simulated]:
    async with simulated(site.memory(identity, version), *quirks, model=Model(reboot_s=QUICK, **model)) as cp:
        await cp.registered()
        yield cp


def csms_roots(cp: Simulated) -> int:
    return sum(root.certificate_type == "CSMSRootCertificate" for root in cp.memory.roots)


@pytest.mark.requirement("M03.FR.01", "M04.FR.01", "M04.FR.02", "M04.FR.07", "M05.FR.01")
@pytest.mark.requirement("TC_075_2_CSMS", "TC_076_CSMS", "TC_M_01_CSMS", "TC_M_12_CSMS", "TC_M_20_CSMS")
@pytest.mark.parametrize(
    ("version", "algorithm", "quirk"),
    [
        ("1.6", "SHA256", ()),
        ("1.6", "SHA384", ("hash-upper-case",)),
        ("1.6", "SHA512", ("serial-leading-zero",)),
        ("2.0.1", "SHA256", ()),
        ("2.1", "SHA384", ("hash-upper-case", "serial-leading-zero")),
    ],
)
async def test_install_list_delete(tmp_path: Path, version: str, algorithm: str, quirk: tuple[str, ...]) -> None:
    """TC_075, TC_076, TC_M_01, TC_M_12, TC_M_20: with whatever algorithm and spelling the charge point reports."""
    async with running(tmp_path) as site, station(site, version, *quirk, hash_algorithm=algorithm) as cp:
        (old,) = (await site.roots("list", "CP-1"))["roots"]
        found = await site.roots("install", "CP-1", site.new_file)
        assert len(found["roots"]) == csms_roots(cp) == 2
        assert {root["hash_algorithm"] for root in found["roots"]} == {algorithm}
        (new,) = [root["root"] for root in found["roots"] if root["root"] != old["root"]]
        assert await site.roots("install", "CP-1", site.new_file)  # once more changes nothing
        assert csms_roots(cp) == 2
        found = await site.roots("delete", "CP-1", new)
        assert [root["root"] for root in found["roots"]] == [old["root"]]
        assert site.seen_by_csms("CP-1") == []


@pytest.mark.requirement("M05.FR.01", "TC_075_1_CSMS", "TC_M_02_CSMS", "TC_M_13_CSMS", "TC_M_17_CSMS", "TC_M_18_CSMS")
@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_manufacturers_root(tmp_path: Path, version: str) -> None:
    """TC_075_1, TC_M_02, TC_M_13."""
    async with running(tmp_path) as site, station(site, version) as cp:
        found = await site.roots("install", "CP-1", site.new_file, "--kind", "manufacturer")
        assert [root["kind"] for root in found["roots"]] == ["csms", "manufacturer"]
        maker = found["roots"][1]["root"]
        refused = await site.roots("delete", "CP-1", maker, code=1)
        assert "last root of its kind" in refused["error"]
        assert len(cp.memory.roots) == 2


class TestGuards:
    """Refused before anything is sent, and the near-misses that are not."""

    async def test_the_last_root_and_the_one_in_use_stay(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site, station(site, "2.0.1") as cp:
            (old,) = (await site.roots("list", "CP-1"))["roots"]
            assert "last root" in (await site.roots("delete", "CP-1", old["root"], code=1))["error"]
            await site.roots("install", "CP-1", site.new_file)
            assert "own server certificate" in (await site.roots("delete", "CP-1", old["root"], code=1))["error"]
            assert "no such root" in (await site.roots("delete", "CP-1", "0" * 12, code=1))["error"]
            assert csms_roots(cp) == 2
            assert not [text for text in map(str, cp.notes) if "root deleted" in text]

    async def test_what_is_no_root_is_not_sent(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site, station(site, "2.0.1", "accepts-non-root") as cp:
            leaf = site.file("leaf.pem", site.new.charge_point("SN-1").certificate.public_bytes(Encoding.PEM))
            assert "no CA" in (await site.roots("install", "CP-1", leaf, code=1))["error"]
            assert "no root" in (await site.roots("install", "CP-1", site.link_file, code=1))["error"]
            nonsense = site.file("nonsense.pem", b"nonsense")
            assert "PEM" in (await site.roots("install", "CP-1", nonsense, code=1))["error"]
            assert csms_roots(cp) == 1

    @pytest.mark.requirement("M05.FR.03", "M05.FR.06")
    @pytest.mark.parametrize("version", ["1.6", "2.0.1"])
    async def test_a_store_that_is_full(self, tmp_path: Path, version: str) -> None:
        async with running(tmp_path) as site:
            async with station(site, version, max_roots=1):
                assert "full: 1" in (await site.roots("install", "CP-1", site.new_file, code=1))["error"]
            async with station(site, version, max_roots=2) as cp:
                await site.roots("install", "CP-1", site.new_file)
                assert csms_roots(cp) == 2

    @pytest.mark.requirement("TC_M_21_CSMS")
    async def test_a_root_that_it_does_not_delete_is_still_there(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site, station(site, "2.0.1", "rejects=DeleteCertificate") as cp:
            (old,) = (await site.roots("list", "CP-1"))["roots"]
            found = await site.roots("install", "CP-1", site.new_file)
            (new,) = [root["root"] for root in found["roots"] if root["root"] != old["root"]]
            assert "DeleteCertificate: Failed" in (await site.roots("delete", "CP-1", new, code=1))["error"]
            assert csms_roots(cp) == 2

    @pytest.mark.requirement("M05.FR.06", "M05.FR.07", "TC_M_05_CSMS")
    async def test_one_that_says_no_is_shown_with_its_answer(self, tmp_path: Path) -> None:
        """TC_M_05, TC_078."""
        async with running(tmp_path) as site, station(site, "2.0.1", "store-full") as cp:
            found = await site.roots("install", "CP-1", site.new_file, code=1)
            assert "InstallCertificate: Rejected" in found["error"]
            assert csms_roots(cp) == 1

    @pytest.mark.requirement("M05.FR.09", "M05.FR.10")
    @pytest.mark.parametrize("version", ["1.6", "2.0.1"])
    async def test_one_that_demands_a_link(self, tmp_path: Path, version: str) -> None:
        async with running(tmp_path) as site, station(site, version, additional_root_check=True) as cp:
            refused = await site.roots("install", "CP-1", site.new_file, code=1)
            assert "AdditionalRootCertificateCheck" in refused["error"]
            await site.roots("install", "CP-1", site.link_file, "--signed-by", site.old_file)
            assert csms_roots(cp) == 2

    async def test_one_that_is_away(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site:
            assert "not connected" in (await site.roots("list", "CP-1", code=1))["error"]
            assert "registered" in (await site.roots("list", "CP-9", code=1))["error"]


@pytest.mark.requirement("M05.FR.09")
async def test_a_rollover_of_charge_points_of_every_kind(tmp_path: Path) -> None:
    """Each gets what it can take; who cannot is named with the reason, and the coverage is no-go."""
    cast: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {
        "PLAIN-16": ("1.6", (), {}),
        "PLAIN-201": ("2.0.1", ("hash-upper-case",), {}),
        "LINKED-16": ("1.6", (), {"additional_root_check": True}),
        "LINKED-21": ("2.1", (), {"additional_root_check": True}),
        "FULL": ("2.0.1", (), {"max_roots": 1}),
        "REFUSES": ("2.0.1", ("store-full",), {}),
        "LOST-ANSWER": ("1.6", ("drops-before-answer=InstallCertificate",), {}),
    }
    async with running(tmp_path, *cast, "AWAY") as site, contextlib.AsyncExitStack() as stack:
        stations = {
            name: await stack.enter_async_context(station(site, version, *quirks, identity=name, **model))
            for name, (version, quirks, model) in cast.items()
        }
        await asyncio.sleep(0)
        planned = await site.rollover("plan", *site.material(site.link_file), "--ask")
        plans = {row["charge_point_id"]: row["plan"] for row in planned["charge_points"]}
        assert plans == {
            "PLAIN-16": "new",
            "PLAIN-201": "new",
            "LINKED-16": "link",
            "LINKED-21": "link",
            "FULL": "unable",
            "REFUSES": "new",
            "LOST-ANSWER": "new",
            "AWAY": "unknown",
        }
        await site.rollover("start", *site.material(site.link_file), "--threshold", "0.6")
        again = await site.rollover("start", *site.material(site.link_file), code=1)
        assert "is running" in again["error"]
        for name in ("PLAIN-16", "PLAIN-201", "LINKED-16", "LINKED-21"):
            await site.comes_to(name, RolloverState.CONFIRMED)
            assert csms_roots(stations[name]) == 2, name
        assert "full" in (await site.comes_to("FULL", RolloverState.UNABLE)).detail
        assert "Rejected" in (await site.comes_to("REFUSES", RolloverState.REFUSED)).detail
        found = await site.rollover("status", code=1)
        assert (found["go"], found["total"]) == (False, 8)
        await site.comes_to("LOST-ANSWER", RolloverState.CONFIRMED)
        assert csms_roots(stations["LOST-ANSWER"]) == 2
        found = await site.rollover("status")
        assert (found["go"], found["confirmed"]) == (True, 5)
        assert {each["charge_point_id"] for each in found["stragglers"]} == {"FULL", "REFUSES", "AWAY"}
        await site.rollover("stop", "1")
        async with station(site, "1.6", identity="AWAY") as late:
            assert csms_roots(late) == 1
        assert all(site.seen_by_csms(name) == [] for name in cast if name != "LOST-ANSWER")


async def test_without_a_link_whoever_demands_one_is_unable(tmp_path: Path) -> None:
    async with running(tmp_path) as site, station(site, "2.0.1", additional_root_check=True) as cp:
        await site.rollover("start", *site.material())
        assert "--link" in (await site.comes_to("CP-1", RolloverState.UNABLE)).detail
        assert csms_roots(cp) == 1


async def test_what_is_no_rollover_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        same = ("--group", "default", "--old", site.old_file, "--new", site.old_file)
        assert "two roots" in (await site.rollover("start", *same, code=1))["error"]
        swapped = ("--group", "default", "--old", site.new_file, "--new", site.old_file, "--link", site.link_file)
        assert "signed by the old" in (await site.rollover("start", *swapped, code=1))["error"]
        nobody = ("--group", "nobody", "--old", site.old_file, "--new", site.new_file)
        assert "no charge point" in (await site.rollover("start", *nobody, code=1))["error"]
        assert "no rollover" in (await site.rollover("status", code=1))["error"]


def is_another(site: Site, victim: str, before: int) -> bool:
    return site.gateway.children().get(victim, before) != before


STEPS = [RolloverState.SENT, RolloverState.CONFIRMED]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["control", "edge-0"])
async def test_kill_at_every_step(tmp_path: Path, victim: str) -> None:
    """Before the step is on the disk, and as soon as it is: in the end the root is there, once, and the old one too."""

    def database(site: Site) -> sqlite3.Connection:
        return sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None)

    identities = [f"CP-{number}" for number in range(4)]
    async with running(tmp_path, *identities) as site:
        for identity, (step, is_refused) in zip(identities, product(STEPS, (True, False)), strict=True):
            log = len(site.gateway.log())
            with site.rig.registry() as registry:
                registry.update(identity, group=identity)
            version = ("1.6", "2.0.1", "2.1")[identities.index(identity) % 3]
            async with station(site, version, identity=identity) as cp:
                with database(site) as connection:
                    if is_refused:
                        connection.execute(
                            f"CREATE TRIGGER stop BEFORE UPDATE ON rollover_stations WHEN NEW.state = '{step.value}'"
                            " BEGIN SELECT RAISE(ABORT, 'stopped by the test'); END"
                        )
                connection.close()
                group = ("--group", identity, "--old", site.old_file, "--new", site.new_file)
                number = (await site.rollover("start", *group))["number"]

                def reached(
                    identity: str = identity, number: int = number, step: RolloverState = step, log: int = log,
                    is_refused: bool = is_refused,
                ) -> bool:  # fmt: skip
                    if is_refused:
                        return "rollover_not_written" in site.gateway.log()[log:]
                    return site.stations(number)[identity].state in {step, RolloverState.CONFIRMED}

                await until(reached, f"{step}, refused: {is_refused}")
                before = site.gateway.children()[victim]
                os.kill(before, signal.SIGKILL)
                with database(site) as connection:
                    connection.execute("DROP TRIGGER IF EXISTS stop")
                connection.close()
                await until(partial(is_another, site, victim, before), "another one")
                await site.comes_to(identity, RolloverState.CONFIRMED, number)
                assert csms_roots(cp) == 2
