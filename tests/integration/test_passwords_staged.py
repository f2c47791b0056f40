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
@pytest.mark.parametrize("victim", ["", "control", "edge-0"])
async def test_both_are_good_until_the_new_one_is_used(tmp_path: Path, victim: str) -> None:
    """However often it connects with the old one, and over a crash."""
    async with running(tmp_path) as site:
        async with connected(site, OLD.encode()) as peer:
            await site.rotate()
            _, call_id, action, payload = json.loads(await peer.text())
            assert (action, payload["key"]) == ("ChangeConfiguration", "AuthorizationKey")
            new = bytes.fromhex(payload["value"])
            peer.send_text(json.dumps([3, call_id, {"status": "RebootRequired"}]))
            await site.comes_to("staged")
        if victim:
            before = site.gateway.children()[victim]
            os.kill(before, signal.SIGKILL)
            await until(lambda: site.gateway.children().get(victim, before) != before, f"another {victim}")
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


async def test_a_silent_one_may_have_taken_it_for_later_and_is_asked_again_with_the_same(tmp_path: Path) -> None:
    """The answer never comes, the connection breaks, and the old one is used: it proves nothing about the candidate."""
    async with running(tmp_path) as site:
        async with connected(site, OLD.encode()) as peer:
            await site.rotate()
            candidate = json.loads(await peer.text())[3]["value"]
            await site.comes_to("sent")
            peer.abort()
        await until(lambda: "CP-1" not in site.gateway.sessions(), "its session has ended")
        async with connected(site, OLD.encode()) as peer:
            assert site.slots()[1] != ""
            _, call_id, _, payload = json.loads(await peer.text())
            assert payload["value"] == candidate
            peer.send_text(json.dumps([3, call_id, {"status": "RebootRequired"}]))
            await site.comes_to("staged")
        async with connected(site, bytes.fromhex(candidate)):
            await site.comes_to("in-use")
        assert await refused(site, OLD.encode())


async def test_but_one_that_nobody_has_any_more_is_void_where_the_old_one_is_used(tmp_path: Path) -> None:
    """Control has died, and the text of the candidate with it: what is used counts, and another one is made."""
    async with running(tmp_path) as site:
        async with connected(site, OLD.encode()) as peer:
            await site.rotate()
            candidate = bytes.fromhex(json.loads(await peer.text())[3]["value"])
            await site.comes_to("sent")
            before = site.gateway.children()["control"]
            os.kill(before, signal.SIGKILL)
            peer.abort()
        await until(lambda: site.gateway.children().get("control", before) != before, "another control")
        await until(lambda: site.gateway.http("/readyz")[0] == 200, "ready again")
        async with connected(site, OLD.encode()):
            assert site.slots()[1] == ""
        assert await refused(site, candidate)
