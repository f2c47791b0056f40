"""Simulated charge points against real peers: started, watched, stopped. And a CSMS that tells the right time."""

import asyncio
import contextlib
import datetime
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.effects import Note
from gateway.simulator.core.memory import ClientCertificate, Memory, restore
from gateway.simulator.core.model import Model, new_memory
from gateway.simulator.core.quirks import read_quirks
from gateway.simulator.shell.player import Player
from tests.support.tls_material import Issued

__all__ = ["Simulated", "csms_answer", "identity_of", "memory_of", "simulated"]

WAIT_S = 90.0
QUICK = {
    "RetryBackOffWaitMinimum": "0",  # the model's own least wait is what counts then, 50 ms, doubled three times
    "RetryBackOffRandomRange": "0",
    "RetryBackOffRepeatTimes": "3",
    "NetworkProfileConnectionAttempts": "2",
}


def csms_answer(text: str) -> str | None:
    """What a CSMS answers to a charge point of any version; None to answers."""
    frame = json.loads(text)
    if frame[0] != 2:
        return None
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    known: dict[str, dict[str, Any]] = {
        "BootNotification": {"status": "Accepted", "currentTime": now, "interval": 300},
        "Heartbeat": {"currentTime": now},
        "StartTransaction": {"transactionId": 5, "idTagInfo": {"status": "Accepted"}},
        "SignCertificate": {"status": "Accepted"},
    }
    return json.dumps([3, frame[1], known.get(frame[2], {})])


def identity_of(issued: Issued) -> ClientCertificate:
    return ClientCertificate(chain_pem=issued.pem.decode(), key_pem=issued.key_pem.decode())


def memory_of(identity: str, url: str, security_profile: int, version: str = "1.6", **factory: Any) -> Memory:
    """As built, and impatient."""
    memory = new_memory(identity, OCPPVersion(version), url, security_profile, **factory)
    memory.settings |= QUICK
    return memory


class Simulated:
    """One that runs. `notes` is all that has happened."""

    def __init__(self, memory: Memory, quirks: tuple[str, ...], model: Model) -> None:
        self.notes: list[Note] = []
        self.stored = b""
        charge_point = ChargePoint(memory, model, read_quirks(quirks), schema_gate(memory.version))
        self.player = Player(charge_point, journal=self._hear, store=self._store)

    def _hear(self, note: Note) -> None:
        self.notes.append(note)

    def _store(self, memory: bytes) -> None:
        self.stored = memory

    @property
    def memory(self) -> Memory:
        """As it was stored last."""
        return restore(self.stored)

    def said(self, what: str) -> list[dict[str, Any]]:
        return [note.details for note in self.notes if note.what == what]

    async def until(self, condition: Callable[[], object]) -> None:
        """Raises AssertionError with all that has happened instead."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S):
                while not condition():
                    await asyncio.sleep(0.01)
                return
        raise AssertionError("\n".join(f"{note.what} {note.details}" for note in self.notes))

    async def registered(self, times: int = 1) -> None:
        """Accepted by the CSMS so many times, connected, and nothing more to say.

        A simulated CSMS that still has an answer to give when the connection closes reads nothing more from it.
        """
        await self.until(lambda: self._is_idle(times))

    def _is_idle(self, times: int) -> bool:
        charge_point = self.player.charge_point
        live = charge_point._station.live  # of the present life; a reboot begins another one
        accepted = sum(each["status"] == "Accepted" for each in self.said("registration"))
        return accepted >= times and charge_point.is_registered and not live.open and not live.waiting


@contextlib.asynccontextmanager
async def simulated(memory: Memory, *quirks: str, model: Model | None = None) -> AsyncIterator[Simulated]:
    """A running one; stopped at the end."""
    made = Simulated(memory, quirks, model or Model(reboot_s=0.05))
    task = asyncio.get_running_loop().create_task(made.player.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
