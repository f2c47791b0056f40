"""A root rollover as campaigns, with a running gateway: installed, switched by evidence, the old root deleted by evidence."""

import asyncio
import contextlib
import datetime
import os
import signal
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.simulator.core.model import Model
from pki.rollover import cross_certificate
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.rig import GatewayProcess, Rig
from tests.support.simulated import Simulated, csms_answer, memory_of, simulated
from tests.support.tls_material import Authority
from tests.support.upgrading import command

pytestmark = pytest.mark.integration
PASSWORD = "password-of-all-1"
STATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "CP-16": ("1.6", ("drops-before-answer=InstallCertificate",)),
    "CP-201": ("2.0.1", ()),
    "CP-21": ("2.1", ()),
    "CP-NO": ("1.6", ("rejects=InstallCertificate",)),
}
QUICK = (
    "--all",
    "--canaries",
    "4",
    "--proof-within",
    "60s",
    "--soak",
    "0s",
    "--retry",
    "1s",
    "--max-failure-share",
    "0.9",
)


class Site(NamedTuple):
    rig: Rig
    gateway: GatewayProcess

    async def campaign(self, *words: str, code: int = 0) -> dict[str, Any]:
        got, found = await command("campaign", *words, config=self.rig.config_path)
        assert got == code, found
        return dict(found)

    async def states(self, name: str, **expected: str) -> None:
        async def now() -> dict[str, str]:
            _, found = await command("campaign", "report", name, config=self.rig.config_path)
            return {each["charge_point_id"]: each["state"] for each in found["charge_points"]}

        seen: dict[str, str] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while not expected.items() <= seen.items():
                    seen = await now()
        assert expected.items() <= seen.items(), (seen, self.details(name)[-1500:])

    def details(self, name: str) -> str:
        """What has stood in anybody's way so far."""
        with self.rig.registry() as registry:
            campaign, _ = registry.campaigns.get(name)
            return " ".join(step.detail for step in registry.campaigns.steps(campaign.number))

    def kinds(self) -> set[str]:
        with self.rig.registry() as registry:
            return {record.vendor for record in registry.find()}

    def material(self) -> tuple[str, ...]:
        work = self.rig.work
        return ("--old-root", str(work / "root.pem"), "--new-root", str(work / "new-root.pem"))


def staged(rig: Rig, new: Authority) -> None:
    """The next chain of the TLS listener, with the link from the old root to the new one."""
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    link = cross_certificate(
        new.root,
        rig.authority.root,
        rig.authority.key,
        serial_number=x509.random_serial_number(),
        not_before=now - day,
        not_after=now + day,
    )
    server = new.server()
    (rig.work / "new-root.pem").write_bytes(new.pem)
    (rig.work / "next.pem").write_bytes(server.pem + link.public_bytes(Encoding.PEM))
    key = rig.write_private("next.key", server.key_pem)
    files = [{"certificate": str(rig.work / "next.pem"), "key": str(key)}]
    rig.named("tls")["tls"]["next_certificates"] = files


@contextlib.asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Site]:
    async with FakeCSMS() as csms:
        csms.answer = csms_answer
        rig = Rig(tmp_path, csms_urls=[csms.url])
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        staged(rig, Authority("New Root"))
        for identity in STATIONS:
            rig.add(identity, security_profile=2, password=PASSWORD)
        async with rig.gateway() as gateway:
            yield Site(rig, gateway)


@contextlib.asynccontextmanager
async def fleet(memories: dict[str, Any]) -> AsyncIterator[dict[str, Simulated]]:
    async with contextlib.AsyncExitStack() as stack:
        cps = {}
        for identity, memory in memories.items():
            made = simulated(memory, *STATIONS[identity][1], model=Model(reboot_s=0.05))
            cps[identity] = await stack.enter_async_context(made)
        await asyncio.gather(*(cp.registered() for cp in cps.values()))
        yield cps


def roots(cp: Simulated) -> list[str]:
    return sorted(
        x509.load_pem_x509_certificate(root.pem.encode()).subject.rfc4514_string() for root in cp.memory.roots
    )


def issuer(gateway: GatewayProcess) -> str:
    """Of the certificate that the TLS listener shows now."""
    host, port = gateway.tls
    found = x509.load_pem_x509_certificate(ssl.get_server_certificate((host, port)).encode())
    return found.issuer.rfc4514_string()


@pytest.mark.timeout(300)
async def test_nobody_is_stranded_from_the_first_install_to_the_last_old_root(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        url = f"wss://localhost:{site.gateway.tls[1]}/ocpp"
        old = site.rig.authority.pem.decode()
        memories = {
            identity: memory_of(identity, url, 2, version, password=PASSWORD, roots=(old,))
            for identity, (version, _) in STATIONS.items()
        }
        async with fleet(memories) as cps:
            await until(lambda: site.kinds() == {"Simulated"}, "all have said what they are")
            await site.campaign("plan", "roll", "--kind", "root", *site.material(), *QUICK)
            found = await site.campaign("switch", "roll", "--dry-run", code=1)
            assert (found["have"], found["total"], found["go"]) == (0, 4, False)
            await site.campaign("start", "roll")
            committed = dict.fromkeys(("CP-16", "CP-201", "CP-21"), "committed")
            await site.states("roll", **committed, **{"CP-NO": "fell-back"})
            refused = await site.campaign("switch", "roll", code=1)
            assert "1 of 4 have not listed the new root: CP-NO" in refused["error"]
            assert "Test Root" in issuer(site.gateway)
            found = await site.campaign("switch", "roll", "--except", "CP-NO", "--by", "Ann")
            assert (found["have"], found["lacking"], found["has_link"], found["in_force"]) == (3, ["CP-NO"], True, True)
            assert "New Root" in issuer(site.gateway)
            await site.campaign(
                "plan", "clean", "--kind", "old-root", *site.material(), *QUICK, "--quiet", "0s", "--by", "Ann"
            )
            await site.campaign("start", "clean", code=1)
            await site.campaign("approve", "clean", "--by", "Bea")
            await site.campaign("start", "clean")
            stuck = "it has not connected since the switch"
            await until(lambda: stuck in site.details("clean"), "nobody has connected since")
            victim = site.gateway.children()["control"]
            os.kill(victim, signal.SIGKILL)
            await until(lambda: site.gateway.children().get("control", victim) != victim, "another control")
            assert all(len(roots(cp)) == (1 if identity == "CP-NO" else 2) for identity, cp in cps.items())
            memories = {identity: cp.memory for identity, cp in cps.items()}
        async with fleet(memories) as cps:  # the one with the old root alone comes in by the link
            await site.states("clean", **committed, **{"CP-NO": "ineligible"})
            assert {identity: len(roots(cp)) for identity, cp in cps.items()} == dict.fromkeys(STATIONS, 1)
            assert all("New Root" in roots(cps[identity])[0] for identity in committed)
            assert "Test Root" in roots(cps["CP-NO"])[0]
            refused = await site.campaign("switch", "roll", "--back", code=1)
            assert "3 charge points may not have the old root any more" in refused["error"]
            memories = {identity: cp.memory for identity, cp in cps.items()}
        async with fleet(memories):
            pass
