"""A gateway with an embedded CA, and simulated charge points that are moved to a higher security profile by it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from gateway.provisioning.upgrade import Upgrade
from gateway.simulator.core.memory import Memory
from gateway.simulator.core.model import Model
from tests.support.csms import FakeCSMS
from tests.support.enrolling import OPERATOR, with_ca
from tests.support.fleet import until
from tests.support.rig import GatewayProcess, Rig
from tests.support.simulated import Simulated, csms_answer, memory_of, simulated

__all__ = ["PASSWORD", "UpgradeSite", "command", "upgrade_site"]

PASSWORD = "password-of-all-1"


async def command(*words: str, config: Any = None) -> tuple[int, Any]:
    """Exit code and JSON of a command."""
    line = [sys.executable, "-m", "gateway", *words, "--json"] + (["--config", str(config)] if config else [])
    process = await asyncio.create_subprocess_exec(
        *line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert b"Traceback" not in error, error
    assert process.returncode is not None
    return process.returncode, json.loads(out)


class UpgradeSite(NamedTuple):
    rig: Rig
    csms: FakeCSMS
    gateway: GatewayProcess
    root: str
    """PEM: of the server certificates and of the CA that gives client certificates."""
    ca_root: str

    def url(self, profile: int) -> str:
        host, port = self.gateway.address({1: "plain", 2: "tls", 3: "mtls"}[profile])
        return f"ws://{host}:{port}/ocpp" if profile == 1 else f"wss://localhost:{port}/ocpp"

    def memory(self, identity: str, version: str, profile: int = 1, **factory: Any) -> Memory:
        """Registered with the gateway, and as built."""
        self.rig.add(
            identity,
            security_profile=profile,
            password=PASSWORD,
            operator_names=(OPERATOR,),
            serial_number=f"SN-{identity}",
        )
        factory = {"roots": (self.root, self.ca_root), "password": PASSWORD, **factory}
        return memory_of(identity, self.url(profile), profile, version, serial_number=f"SN-{identity}", **factory)

    @contextlib.asynccontextmanager
    async def charge_point(
        self, identity: str, version: str, profile: int = 1, *quirks: str, to_profile: int = 3, **factory: Any
    ) -> AsyncIterator[Simulated]:
        model = Model(reboot_s=0.05, secure_url=self.url(to_profile))
        memory = self.memory(identity, version, profile, **factory)
        async with simulated(memory, *quirks, model=model) as cp:
            await cp.registered()
            yield cp

    async def upgrade(self, identity: str, to_profile: int, *options: str) -> dict[str, Any]:
        """Begun by the command."""
        given = ("--to-profile", str(to_profile), "--url", self.url(to_profile))
        code, found = await command("charge-point", "upgrade", identity, *given, *options, config=self.rig.config_path)
        assert code == 0, found
        return dict(found)

    def newest(self, identity: str) -> Upgrade | None:
        """From the table itself."""
        with self.rig.registry() as registry:
            return registry.upgrades.newest(identity)

    def state(self, identity: str) -> str:
        newest = self.newest(identity)
        return newest.state.value if newest is not None else ""

    def detail(self, identity: str) -> str:
        newest = self.newest(identity)
        return newest.detail if newest is not None else ""

    async def known(self, count: int) -> None:
        """The running gateway has seen so many registered."""
        await until(
            lambda: self.gateway.live_status().get("registered_charge_points") == count, f"{count} are registered"
        )

    def states(self, identity: str) -> list[str]:
        """That it has come into, oldest first; one that was written again for its detail counts once."""
        with self.rig.registry() as registry:
            found = [step.state.value for step in reversed(registry.upgrades.steps(identity, 1000))]
        return [state for state, before in zip(found, ["", *found], strict=False) if state != before]

    async def comes_to(self, identity: str, *states: str) -> Upgrade:
        await until(
            lambda: self.state(identity) in states,
            f"{identity} in {states}: {self.newest(identity)}\n{self.gateway.log()[-3000:]}",
        )
        found = self.newest(identity)
        assert found is not None
        return found

    def profiles(self, identity: str) -> tuple[int, int, int]:
        """Required, floor, pending; 0 for none."""
        with self.rig.registry() as registry:
            record = registry.get(identity)
        assert record is not None
        return int(record.security_profile), int(record.floor or 0), int(record.pending_security_profile or 0)

    def vendor(self, identity: str) -> str:
        """As it has said itself."""
        with self.rig.registry() as registry:
            record = registry.get(identity)
        return record.vendor if record is not None else ""

    async def approve(self, identity: str) -> None:
        """The operator, once its first certificate is asked for."""

        def held() -> str:
            with self.rig.registry() as registry:
                newest = registry.enrolments.newest(identity)
            return newest.ca_request if newest is not None and newest.state.value == "held" else ""

        await until(held, f"a request of {identity} is held")
        code, answer = await command("pki", "approve", held(), "--ca", str(self.rig.work / "ca"))
        assert code == 0, answer


@contextlib.asynccontextmanager
async def upgrade_site(
    tmp_path: Any, known_firmware: list[dict[str, Any]] | None = None, **upgrades: float
) -> AsyncIterator[UpgradeSite]:
    """Running; enrolment over profile 1 is allowed by name."""
    async with FakeCSMS() as csms:
        csms.answer = csms_answer
        rig = Rig(tmp_path, csms_urls=[csms.url])
        hierarchy = with_ca(rig)
        rig.config["csms"][0]["unsafe_enrolment_without_tls"] = True
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        rig.config["known_firmware"] = known_firmware or []
        rig.config["upgrades"] = {"look_again_s": 0.5, "quiet_s": 0.5, **upgrades}
        for listener in rig.config["listener"]:
            if "tls" in listener:
                listener["tls"]["server_roots"] = [str(rig.work / "root.pem")]
        async with rig.gateway() as gateway:
            yield UpgradeSite(rig, csms, gateway, rig.authority.pem.decode(), _pem(hierarchy.root))


def _pem(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return str(certificate.public_bytes(Encoding.PEM).decode())
