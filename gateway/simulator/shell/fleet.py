"""Many simulated charge points in one process, started one after the other."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config.ocpp_schemas import schema_gate
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.effects import Note
from gateway.simulator.core.memory import Memory
from gateway.simulator.core.model import Model
from gateway.simulator.core.quirks import Quirks
from gateway.simulator.shell.player import Player
from gateway.simulator.shell.storage import MemoryFile

__all__ = ["Fleet", "Observer"]

Observer = Callable[[str, Note], None]
"""Hears the identity and what happened to it."""


@dataclass(slots=True)
class Fleet:
    """Charge points that share model and quirks. `directory`: where their memories are kept; None: nowhere."""

    model: Model
    quirks: Quirks
    observer: Observer
    directory: Path | None = None
    players: dict[str, Player] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    """Those that the CSMS has accepted at least once."""
    counts: Counter[str] = field(default_factory=Counter)
    """How often what has happened."""

    def add(self, factory_memory: Memory) -> None:
        """One more, with the memory that it was built with or the one that is kept. Raises MemoryUnreadable, OSError."""
        identity = factory_memory.identity
        file = MemoryFile(self.directory, identity) if self.directory is not None else None
        memory = (file.load() if file is not None else None) or factory_memory
        charge_point = ChargePoint(memory, self.model, self.quirks, schema_gate(memory.version))

        def journal(note: Note) -> None:
            self._note(identity, note)

        self.players[identity] = Player(charge_point, journal=journal, store=file.store if file else _forget)

    def _note(self, identity: str, note: Note) -> None:
        self.counts[note.what] += 1
        if note.what == "registration" and note.details.get("status") == "Accepted":
            self.registered.add(identity)
        self.observer(identity, note)

    async def run(self, *, ramp_up_s: float = 0.0) -> None:
        """Until cancelled. The starts are spread evenly over `ramp_up_s`."""
        pause_s = ramp_up_s / len(self.players) if self.players else 0.0
        async with asyncio.TaskGroup() as group:
            for number, player in enumerate(list(self.players.values())):
                group.create_task(self._play(player, number * pause_s))

    @staticmethod
    async def _play(player: Player, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await player.run()


def _forget(memory: bytes) -> None:
    del memory
