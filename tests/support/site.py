"""One running gateway for the tests of a module: rig, simulated CSMS and process together, charge points added first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from tests.support.csms import FakeCSMS
from tests.support.peer import Answer, Peer, basic
from tests.support.rig import EVENT_WAIT_S, GatewayProcess, Rig
from tests.support.tls_material import Issued

__all__ = ["BOOT", "GENEROUS", "PASSWORD", "Site", "local_port", "of", "running", "tolerance_count"]

PASSWORD = "password-of-all-1"
BOOT = '[2,"b1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
GENEROUS = {
    "failed_attempts_per_address_per_minute": 10_000,
    "failed_attempts_per_identity_per_minute": 10_000,
    "connects_per_address_per_minute": 100_000,
    "reconnects_per_hour": 100_000,
}
"""Limits that a module full of refusals from one address does not reach."""


class Site(NamedTuple):
    """What a module's tests share."""

    rig: Rig
    csms: FakeCSMS
    gateway: GatewayProcess

    async def peer(self, listener: str = "plain", certificate: Issued | None = None, **tls: Any) -> Peer:
        """A connection to a listener: plain TCP to `plain` and names that start so, TLS to the others."""
        address = self.gateway.address(listener)
        if listener.startswith("plain"):
            return await Peer.connect(address)
        return await Peer.connect(address, tls=self.rig.client_tls(certificate, **tls))

    async def ask(
        self, identity: str, listener: str = "plain", *, password: str | None = PASSWORD, **more: Any
    ) -> Answer:
        """The gateway's answer to an upgrade request, the connection dropped afterwards."""
        authorization = basic(identity, password) if password is not None else None
        certificate = more.pop("certificate", None)
        async with await self.peer(listener, certificate) as peer:
            return await peer.ask(f"/ocpp/{identity}", authorization=authorization, **more)

    async def session(self, identity: str, listener: str = "plain", **more: Any) -> Peer:
        """An admitted charge point on 1.6 (or `subprotocols`); `csms.connected` then waits for this very session."""
        self.csms.connections.pop(quote(identity), None)
        peer = await self.peer(listener, more.pop("certificate", None))
        password = more.pop("password", PASSWORD)
        answer = await peer.ask(f"/ocpp/{identity}", authorization=basic(identity, password), **more)
        if answer.status != 101:
            peer.abort()
            raise AssertionError(answer)
        return peer

    async def refused(self, peer: Peer, target: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Status and event of an attempt that must fail."""
        since, port = self.gateway.mark(), local_port(peer)
        async with peer:
            answer = await peer.ask(target, **options)
        assert answer.status != 101, target
        async with asyncio.timeout(EVENT_WAIT_S):
            while True:
                for event in self.gateway.events(since):
                    if of(port)(event) and "reason" in event:
                        return answer.status, event
                await asyncio.sleep(0.02)

    async def closed(self, identity: str, since: int = 0) -> None:
        """Wait until the gateway has no session of this identity any more."""
        await self.csms.until(lambda: len(self.csms.closes[identity]) > since)


@contextlib.asynccontextmanager
async def running(
    work: Path, prepare: Callable[[Rig], None], csms: FakeCSMS | None = None, **rig_options: Any
) -> AsyncIterator[Site]:
    """A gateway in front of `csms` (a well-behaved one by default); `prepare` adds charge points and changes the config."""
    async with csms or FakeCSMS() as upstream:
        rig = Rig(work, csms_urls=[upstream.url], **rig_options)
        rig.config["limits"] = dict(GENEROUS)
        prepare(rig)
        # The peers of most tests answer nothing: what they are sent must not wait for that.
        rig.config.setdefault("websocket", {}).setdefault("max_open_calls", 64)
        async with rig.gateway() as gateway:
            yield Site(rig, upstream, gateway)


def local_port(peer: Peer) -> int:
    """The port by which the gateway's events know this peer."""
    return int(peer.writer.get_extra_info("sockname")[1])


def of(port: int) -> Callable[[dict[str, Any]], bool]:
    """For `GatewayProcess.event(where=...)`: the event is about the peer with this port."""
    return lambda event: event.get("peer_port") == port


def tolerance_count(gateway: GatewayProcess, tolerance: str) -> float:
    """How often a tolerance was used, from the metrics page."""
    sample = f'ocpp_gateway_tolerances_used_total{{tolerance="{tolerance}"}} '
    lines = gateway.http("/metrics")[1].splitlines()
    return sum(float(line.removeprefix(sample)) for line in lines if line.startswith(sample))
