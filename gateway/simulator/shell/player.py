"""Plays one charge point: brings it what happens, and does what it wants done, in order."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import assert_never

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.link.tasks import TaskOwner
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.effects import (
    Connect,
    Disconnect,
    Drop,
    Effect,
    MakeKey,
    Note,
    Reboot,
    Send,
    StartTimer,
    StopTimer,
    Store,
)
from gateway.simulator.core.events import (
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    KeyMade,
    Received,
    Started,
    TimerDue,
)
from gateway.simulator.shell.keys import make_key
from gateway.simulator.shell.link import LinkFailed, open_link, server_validity

__all__ = ["Player"]

Journal = Callable[[Note], None]


class Player:
    """See the module. `store` keeps the memory before anything that relies on it is done; `journal` hears everything."""

    def __init__(self, charge_point: ChargePoint, *, journal: Journal, store: Callable[[bytes], None]) -> None:
        self.charge_point = charge_point
        self._journal, self._store = journal, store
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks = TaskOwner()
        self._connection: ClientConnection | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._generation = 0
        """Counts connections: what comes from an earlier one is nobody's business any more."""

    async def run(self) -> None:
        """Until cancelled."""
        self.happens(Started(now=time.time()))
        try:
            while True:
                generation, event = await self._events.get()
                if generation in (0, self._generation):
                    for effect in self.charge_point.handle(event):
                        await self._perform(effect)
        finally:
            await self._end()

    def happens(self, event: Event, generation: int = 0) -> None:
        """Something has happened to the charge point; with a `generation` it counts only for that connection."""
        self._events.put_nowait((generation, event))

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case Note():
                self._journal(effect)
            case Store():
                self._store(effect.memory)
            case Send():
                await self._send(effect.text)
            case Connect():
                self._hang_up()
                self._generation += 1
                self._dialling = self._tasks.start(self._dial(effect, self._generation), "simulator link")
            case Disconnect():
                if self._connection is not None:
                    self._tasks.start(self._connection.close(), "simulator close")
            case Drop():
                self._hang_up()
            case StartTimer() | StopTimer():
                self._set_timer(effect)
            case MakeKey():
                self._tasks.start(self._make_key(effect), "simulator key")
            case Reboot():
                self._reboot(effect.after_s)
            case _:
                assert_never(effect)

    async def _send(self, text: bytes) -> None:
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._connection.send(text.decode())

    async def _dial(self, wanted: Connect, generation: int) -> None:
        try:
            connection = await open_link(wanted)
        except LinkFailed as failed:
            event = ConnectFailed(now=time.time(), failure=failed.failure, detail=failed.detail)
            self.happens(event, generation)
            return
        self._connection = connection
        try:
            valid_from, valid_until = server_validity(connection)
            now = time.time()
            self.happens(Connected(now=now, server_valid_from=valid_from, server_valid_until=valid_until), generation)
            with contextlib.suppress(ConnectionClosed):
                while True:
                    text = await connection.recv(decode=False)
                    self.happens(Received(now=time.time(), text=text), generation)
            self.happens(Disconnected(now=time.time(), detail=f"close code {connection.close_code}"), generation)
        finally:
            connection.transport.abort()
            if self._connection is connection:
                self._connection = None

    def _hang_up(self) -> None:
        """Whatever there is of a connection is gone."""
        if self._connection is not None:
            self._connection.transport.abort()
        elif self._dialling is not None:
            self._dialling.cancel()

    def _set_timer(self, effect: StartTimer | StopTimer) -> None:
        old = self._timers.pop(effect.timer, None)
        if old is not None:
            old.cancel()
        if isinstance(effect, StartTimer):
            after_s = effect.after_s + random.random() * effect.jitter_s  # noqa: S311  spreads, and hides nothing
            self._timers[effect.timer] = asyncio.get_running_loop().call_later(after_s, self._due, effect.timer)

    def _due(self, timer: str) -> None:
        self._timers.pop(timer, None)
        self.happens(TimerDue(now=time.time(), timer=timer))

    async def _make_key(self, wanted: MakeKey) -> None:
        key_pem, csr_pem = await asyncio.to_thread(make_key, wanted)
        self.happens(KeyMade(now=time.time(), key_pem=key_pem, csr_pem=csr_pem))

    def _reboot(self, after_s: float) -> None:
        self._stop_timers()
        self._hang_up()
        self._generation += 1
        while not self._events.empty():  # nobody is there to notice
            self._events.get_nowait()
        loop = asyncio.get_running_loop()
        self._timers["start"] = loop.call_later(after_s, lambda: self.happens(Started(now=time.time())))

    def _stop_timers(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def _end(self) -> None:
        """Close politely, then be gone."""
        self._stop_timers()
        if self._connection is not None:
            with contextlib.suppress(TimeoutError, OSError):
                async with asyncio.timeout(2.0):
                    await self._connection.close()
        await self._tasks.close()
