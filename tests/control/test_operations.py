"""HTTP for operators: health and metrics on an address, status only through a file that its owner can open."""

import io
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.control.operations import Operations
from gateway.control.operator_requests import OperatorRequest
from gateway.control.own_call_requests import CallRequest
from gateway.control.own_calls import CallAnswer, CallRefused
from gateway.demo.ports import free_ports


class Source:
    """What the endpoints show."""

    def __init__(self) -> None:
        self.ready = False
        self.calls: list[tuple[str, str, Any, float]] = []

    def is_ready(self) -> bool:
        return self.ready

    def metrics(self) -> bytes:
        return b"x_total 1.0\n"

    def status(self) -> dict[str, Any]:
        return {"sessions": ["CP-1"]}

    def requests(self) -> list[OperatorRequest]:
        return [OperatorRequest("/call", CallRequest, self.call)]

    async def call(self, asked: CallRequest) -> CallAnswer:
        self.calls.append((asked.charge_point_id, asked.action, asked.payload, asked.timeout_s))
        if asked.action == "Fuzz":
            raise CallRefused("no such action")
        if asked.charge_point_id != "CP-1":
            raise CallRefused("it is not connected", is_gone=True)
        return CallAnswer(
            charge_point_id="CP-1", session="s", request_id="r", action=asked.action, outcome="result", payload={"a": 1}
        )


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


async def post(site: Site, body: bytes, *, unix: bool = True) -> tuple[int, Any]:
    connector = aiohttp.UnixConnector(str(site.socket)) if unix else aiohttp.TCPConnector()
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://127.0.0.1:{site.port}/call", data=io.BytesIO(body)) as answer,
    ):
        return answer.status, await answer.json(content_type=None) if answer.status != 404 or unix else None


async def test_a_call_is_made_over_the_socket_and_nowhere_else(site: Site) -> None:
    body = b'{"charge_point_id":"CP-1","action":"Reset","payload":{"type":"Soft"},"timeout_s":5}'
    status, answer = await post(site, body)
    assert (status, answer["outcome"], answer["payload"]) == (200, "result", {"a": 1})
    assert site.source.calls == [("CP-1", "Reset", {"type": "Soft"}, 5.0)]
    assert (await post(site, body, unix=False))[0] == 404
    assert len(site.source.calls) == 1


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        (b'{"charge_point_id":"CP-1","action":"Fuzz","payload":{}}', 400, "no such action"),
        (b'{"charge_point_id":"CP-2","action":"Reset","payload":{}}', 404, "it is not connected"),
        (b'{"charge_point_id":"CP-1","action":"Reset","payload":[]}', 400, "not a request"),
        (b"{", 400, "not a request"),
        (b"\xff", 400, "not a request"),
        (b'{"charge_point_id":' + b"[" * 100_000, 400, "not a request"),
        (b'{"charge_point_id":"CP-1","action":"Fuzz","payload":{"a":' + b"[" * 988 + b"]" * 988 + b"}}", 400, ""),
        (
            b'{"charge_point_id":"CP-1","action":"Fuzz","payload":{"a":"' + b"x" * 1_100_000 + b'"}}',
            400,
            "no such action",
        ),
        (b"x" * 33_600_000, 413, "it is longer than 33554432 bytes"),
    ],
)
async def test_what_is_not_sent_says_why(site: Site, body: bytes, status: int, why: str) -> None:
    answered, answer = await post(site, body)
    assert answered == status
    assert why in answer["refused"]


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
