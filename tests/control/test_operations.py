"""HTTP for operators: health and metrics on an address, status only through a file that its owner can open."""

import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.control.operations import Operations
from gateway.demo.ports import free_ports


class Source:
    """What the endpoints show."""

    def __init__(self) -> None:
        self.ready = False

    def is_ready(self) -> bool:
        return self.ready

    def metrics(self) -> bytes:
        return b"x_total 1.0\n"

    def status(self) -> dict[str, Any]:
        return {"sessions": ["CP-1"]}


class Site:
    def __init__(self, directory: Path) -> None:
        self.source = Source()
        self.operations = Operations(self.source)
        self.port = free_ports(1)[0]
        self.socket = directory / "admin.sock"

    async def get(self, path: str, *, unix: bool = False) -> tuple[int, str]:
        connector = aiohttp.UnixConnector(str(self.socket)) if unix else aiohttp.TCPConnector()
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    made.socket.touch()
    await made.operations.start(f"127.0.0.1:{made.port}", made.socket)
    yield made
    await made.operations.stop()


async def test_health_readiness_and_metrics(site: Site) -> None:
    assert await site.get("/healthz") == (200, "ok\n")
    assert await site.get("/readyz") == (503, "not ready\n")
    site.source.ready = True
    assert await site.get("/readyz") == (200, "ready\n")
    assert await site.get("/metrics") == (200, "x_total 1.0\n")


async def test_status_names_identities_and_is_not_on_the_address(site: Site) -> None:
    assert (await site.get("/status"))[0] == 404
    assert await site.get("/status", unix=True) == (200, '{"sessions": ["CP-1"]}')
    assert await site.get("/healthz", unix=True) == (200, "ok\n")


async def test_only_its_owner_can_open_the_socket(site: Site) -> None:
    mode = site.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_nothing_can_be_changed_there(site: Site) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"http://127.0.0.1:{site.port}/healthz") as answer:
        assert answer.status == 405


async def test_an_address_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        operations = Operations(Source())
        with pytest.raises(OSError, match="address already in use"):
            await operations.start(f"127.0.0.1:{taken.getsockname()[1]}", tmp_path / "admin.sock")
        await operations.stop()
