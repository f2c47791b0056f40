"""A charge point that takes its new password when it reboots, and connects with the old one until then."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.test_passwords import OLD, Site, running
from tests.support.fleet import until
from tests.support.peer import Peer, basic

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def connected(site: Site, password: bytes) -> AsyncIterator[Peer]:
    """Registered; what it is asked stays to be read."""
    peer = await Peer.connect(site.gateway.tls, tls=site.rig.client_tls())
    async with peer:
        answer = await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", password))
        assert answer.status == 101
        peer.send_text('[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]')
        assert json.loads(await peer.text())[1] == "boot"
        yield peer


async def refused(site: Site, password: bytes) -> bool:
    peer = await Peer.connect(site.gateway.tls, tls=site.rig.client_tls())
    async with peer:
        return (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", password))).status == 401


@pytest.mark.requirement("A01.FR.04")
@pytest.mark.parametrize("is_killed", [False, True])
async def test_both_are_good_until_the_new_one_is_used(tmp_path: Path, *, is_killed: bool) -> None:
    """However often it connects with the old one, and over a crash of control."""
    async with running(tmp_path) as site:
        async with connected(site, OLD.encode()) as peer:
            await site.rotate()
            _, call_id, action, payload = json.loads(await peer.text())
            assert (action, payload["key"]) == ("ChangeConfiguration", "AuthorizationKey")
            new = bytes.fromhex(payload["value"])
            peer.send_text(json.dumps([3, call_id, {"status": "RebootRequired"}]))
            await site.comes_to("staged")
        if is_killed:
            before = site.gateway.children()["control"]
            os.kill(before, signal.SIGKILL)
            await until(lambda: site.gateway.children().get("control", before) != before, "another control")
            await until(lambda: site.gateway.http("/readyz")[0] == 200, "ready again")
        for _ in range(2):
            async with connected(site, OLD.encode()):
                assert site.slots()[1] != "", "the candidate is still good"
        assert (await site.rotate(code=1))["refused"].startswith("a change is under way")
        async with connected(site, new):
            await site.comes_to("in-use")
        assert site.slots()[1] == ""
        assert await refused(site, OLD.encode())
        async with connected(site, new.hex().encode()):
            await asyncio.sleep(0)  # its digits as text are the same password


async def test_a_silent_one_is_good_with_either_until_it_uses_one(tmp_path: Path) -> None:
    """The answer never comes, the connection breaks: the old one is used, and the candidate is void."""
    async with running(tmp_path) as site:
        async with connected(site, OLD.encode()) as peer:
            await site.rotate()
            candidate = bytes.fromhex(json.loads(await peer.text())[3]["value"])
            await site.comes_to("sent")
            peer.abort()
        await until(lambda: "CP-1" not in site.gateway.sessions(), "its session has ended")
        async with connected(site, OLD.encode()):
            assert site.slots()[1] == ""
        assert await refused(site, candidate)
