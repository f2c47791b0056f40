"""Registered charge points, how each gets in, and a message in both directions that proves a live session."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

from tests.support.csms import FakeCSMS
from tests.support.peer import PING, PONG, Answer, Peer, basic, frame
from tests.support.rig import GatewayProcess, Rig
from tests.support.tls_material import Issued

__all__ = ["BOOT", "ChargePoint", "answering", "exchange", "suspended", "until"]

BOOT = '[2,"b1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
WAIT_S = 90.0
_LISTENERS = {1: "plain", 2: "tls", 3: "tls"}
_numbers = count(1)


class ChargePoint:
    """One charge point of the rig's registry. `listener`: where it connects."""

    def __init__(self, rig: Rig, identity: str, security_profile: int = 2, **fields: Any) -> None:
        self.rig, self.identity = rig, identity
        self.password = f"password of {identity}"
        self.certificate: Issued | None = None
        if security_profile == 3:
            serial_number = fields.setdefault("serial_number", f"SN-{identity}")
            self.certificate = rig.authority.charge_point(serial_number)
            rig.add(identity, security_profile=3, **fields)
        else:
            rig.add(identity, security_profile=security_profile, password=self.password, **fields)
        self.use(security_profile)

    def use(self, security_profile: int) -> None:
        """From now on it connects like this, whatever the registry says."""
        self.security_profile = security_profile
        self.listener = _LISTENERS[security_profile]
        self.tls = None if security_profile == 1 else self.rig.client_tls(self.certificate)

    @property
    def authorization(self) -> str | None:
        return None if self.certificate is not None else basic(self.identity, self.password)

    async def connect(self, gateway: GatewayProcess) -> Peer:
        """A connection up to the upgrade request."""
        return await Peer.connect(gateway.address(self.listener), tls=self.tls)

    async def ask(self, gateway: GatewayProcess) -> Answer:
        """The answer to an upgrade request on a connection that is dropped again."""
        async with await self.connect(gateway) as peer:
            return await peer.ask(f"/ocpp/{self.identity}", authorization=self.authorization)

    async def enter(self, gateway: GatewayProcess) -> Peer:
        """A connection with its 101. Raises AssertionError for any other answer."""
        peer = await self.connect(gateway)
        try:
            answer = await peer.ask(f"/ocpp/{self.identity}", authorization=self.authorization)
            assert answer.status == 101, answer
        except BaseException:
            peer.abort()
            raise
        return peer

    async def enter_soon(self, gateway: GatewayProcess) -> Peer:
        """As `enter`, as often as it takes: for the time after something was killed."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return await self.enter(gateway)
            except (AssertionError, OSError, asyncio.IncompleteReadError):
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)

    async def exchange(self, peer: Peer, csms: FakeCSMS) -> None:
        await exchange(peer, csms, self.identity)


async def exchange(peer: Peer, csms: FakeCSMS, identity: str) -> None:
    """A Call and its answer in each direction, with ids of their own. Raises if anything else comes."""
    number = next(_numbers)
    call = f'[2,"cp-{number}","DataTransfer",{{"vendorId":"{identity}"}}]'
    peer.send_text(call)
    await csms.received(identity, call)
    assert await peer.text() == f'[3,"cp-{number}",{{}}]'
    call = f'[2,"cs-{number}","GetConfiguration",{{}}]'
    await csms.connections[identity].send(call)
    assert await peer.text() == call
    result = f'[3,"cs-{number}",{{"unknownKey":["{identity}"]}}]'
    peer.send_text(result)
    await csms.received(identity, result)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something to be true. Raises AssertionError that says what it was."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def answering(peer: Peer) -> AsyncIterator[None]:
    """A peer that reads and answers pings while the block runs, as a living charge point does."""

    async def answer() -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, TimeoutError):
            while True:
                received = await peer.frame()
                if received.opcode == PING:
                    peer.send(frame(PONG, received.payload))

    task = asyncio.get_running_loop().create_task(answer())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.contextmanager
def suspended(pid: int) -> Iterator[None]:
    """A process that does nothing while the block runs: what it would do in the next second can be looked at before."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
