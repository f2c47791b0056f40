"""Two simulated charge points that the gateway moves from security profile 1 to 3, with a first certificate and a renewal."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from gateway.config.ocpp_schemas import schema_gate
from gateway.demo.authority import Operator
from gateway.demo.cast import Actor
from gateway.demo.charge_point import Endpoints
from gateway.provisioning.states import State
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.effects import Note
from gateway.simulator.core.model import Model, new_memory
from gateway.simulator.core.quirks import read_quirks
from gateway.simulator.shell.player import Player
from gateway.store.registry import Registry

__all__ = ["Upgraded", "run_upgrade"]

_POLL_S: Final = 0.1
_QUICK: Final = {"RetryBackOffWaitMinimum": "0", "RetryBackOffRandomRange": "0"}


@dataclass(slots=True)
class Upgraded:
    """How far one has got; the view shows it."""

    actor: Actor
    state: str = "waiting"
    from_profile: int = 1
    to_profile: int = 3
    is_proven: bool = False
    certificate_serial: str = ""
    renewed_serial: str = ""
    error: str = ""
    changed: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def is_done(self) -> bool:
        """On the new profile, and with a renewed certificate."""
        return self.is_proven and bool(self.renewed_serial)

    def step(self, state: str) -> None:
        """Something to show."""
        if state != self.state:
            self.state = state
            self.changed()


async def run_upgrade(upgraded: Upgraded, password: str, endpoints: Endpoints, work: Path, operator: Operator) -> None:
    """Play the charge point, and what an operator asks for. Until it is done. Raises RuntimeError."""
    registered = asyncio.Event()

    def hear(note: Note) -> None:
        if note.what == "registration" and note.details.get("status") == "Accepted":
            registered.set()

    playing = asyncio.get_running_loop().create_task(_player(upgraded.actor, password, endpoints, hear).run())
    registry = Registry.open(f"sqlite:///{work / 'state' / 'registry.sqlite'}", migrate=False)
    try:
        await registered.wait()
        upgraded.step("registered on profile 1")
        await _order(work, "/upgrade/start", charge_point_id=upgraded.actor.id, to_profile=upgraded.to_profile)
        await _follow_upgrade(upgraded, registry, operator)
        await _order(work, "/renew", charge_point_id=upgraded.actor.id)
        await _follow_renewal(upgraded, registry)
    finally:
        registry.close()
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing


def _player(actor: Actor, password: str, endpoints: Endpoints, hear: Callable[[Note], None]) -> Player:
    roots = tuple(file.read_text() for file in (endpoints.certificates / "root.pem", endpoints.ca_root))
    memory = new_memory(
        actor.id, actor.version, endpoints.plain, 1, serial_number=actor.serial_number, password=password, roots=roots
    )
    memory.settings |= _QUICK
    model = Model(vendor="Demo Vendor", model="Demo", reboot_s=0.2, secure_url=endpoints.tls)
    charge_point = ChargePoint(memory, model, read_quirks([]), schema_gate(actor.version))
    return Player(charge_point, journal=hear, store=lambda _: None)


async def _follow_upgrade(upgraded: Upgraded, registry: Registry, operator: Operator) -> None:
    identity = upgraded.actor.id
    while True:
        await asyncio.sleep(_POLL_S)
        found = await asyncio.to_thread(registry.upgrades.newest, identity)
        if found is None:
            continue
        upgraded.step(f"upgrade {found.state.value}")
        if found.state is UpgradeState.PROVEN:
            upgraded.is_proven, upgraded.certificate_serial = True, found.certificate_serial
            return
        if not found.state.is_open:
            raise RuntimeError(f"upgrade {found.state.value}: {found.detail}")
        if found.state is UpgradeState.ENROLLING:
            enrolment = await asyncio.to_thread(registry.enrolments.newest, identity)
            if enrolment is not None and enrolment.state is State.HELD:
                await operator.approve(enrolment.ca_request)


async def _follow_renewal(upgraded: Upgraded, registry: Registry) -> None:
    """Until it has connected with a certificate that is not its first."""
    while not upgraded.renewed_serial:
        await asyncio.sleep(_POLL_S)
        found = await asyncio.to_thread(registry.enrolments.newest, upgraded.actor.id)
        if found is None or found.serial == upgraded.certificate_serial:
            continue
        upgraded.step(f"renewal {found.state.value}")
        if found.state in {State.SEEN_IN_HANDSHAKE, State.OLD_RETIRED}:
            upgraded.renewed_serial = found.serial
    upgraded.step("done")


async def _order(work: Path, path: str, **question: object) -> None:
    """What the commands `charge-point upgrade` and `certificate` ask of the gateway. Raises RuntimeError with its refusal."""
    socket = str(work / "state" / "run" / "admin.sock")
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=socket)) as session,
        session.post(f"http://gateway{path}", json=question) as response,
    ):
        answer = await response.json()
    if answer["refused"]:
        raise RuntimeError(f"{path}: {answer['refused']}"[:200])
