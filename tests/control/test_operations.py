"""HTTP for operators: health and metrics on an address, status only through a file that its owner can open."""

import asyncio
import io
import os
import pwd
import socket
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.audit.event import Actor
from gateway.control.account_names import AccountNames
from gateway.control.acting import who_acts
from gateway.control.operations import Operations
from gateway.control.operator_desk import OperatorDesk
from gateway.control.operator_requests import OperatorRequest
from gateway.control.own_call_requests import CallRequest
from gateway.control.own_calls import CallAnswer, CallRefused
from gateway.demo.ports import free_ports
from tests.support.fleet import until


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
        return [
            OperatorRequest("/call", CallRequest, self.call),
            OperatorRequest("/look", CallRequest, self.look, changes=False),
            OperatorRequest("/stop", CallRequest, self.look, stops=True),
            OperatorRequest(
                "/order",
                CallRequest,
                self.look,
                changes=lambda asked: asked.action != "Dry",
                stops=lambda asked: asked.action == "Back",
            ),
        ]

    async def look(self, _: CallRequest) -> dict[str, str]:
        actor = who_acts()
        later = asyncio.create_task(self._later())
        assert actor is not None
        return {"actor": actor.name, "later": await later}

    async def _later(self) -> str:
        """In a task of its own, as what follows from a request days later is."""
        return str(who_acts())

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
    def __init__(self, directory: Path, names: AccountNames | None = None) -> None:
        self.source = Source()
        self.told: list[tuple[str, str, str, str, Actor | None]] = []
        self.may_happen = True
        desk = OperatorDesk(self._report, self._may_happen, lambda identity: identity == "CP-1")
        self.operations = Operations(self.source, desk, names)
        self.port = free_ports(1)[0]
        self.socket = directory / "admin.sock"

    def _report(self, event: str, severity: str, decision: str, detail: str, identity: str = "") -> None:
        assert severity == "info"
        self.told.append((event, decision, detail, identity, who_acts()))

    async def _may_happen(self) -> bool:
        return self.may_happen

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


async def post(
    site: Site, body: bytes, *, unix: bool = True, path: str = "/call", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    connector = aiohttp.UnixConnector(str(site.socket)) if unix else aiohttp.TCPConnector()
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(f"http://127.0.0.1:{site.port}{path}", data=io.BytesIO(body), headers=headers) as answer,
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


CALL = b'{"charge_point_id":"CP-1","action":"Reset","payload":{}}'
MYSELF = pwd.getpwuid(os.getuid()).pw_name


async def test_who_asks_is_on_record_before_anything_is_done(site: Site) -> None:
    claimed = {"Ocpp-Gateway-Sudo": "alice", "Ocpp-Gateway-Operator": "%C3%84nne%0A"}
    assert (await post(site, CALL, headers=claimed))[0] == 200
    ((event, decision, detail, identity, actor),) = site.told
    assert (event, decision, detail, identity) == ("admin.request", "allow", "/call", "CP-1")
    assert actor is not None
    assert (actor.user, actor.uid, actor.pid, actor.known_by) == (MYSELF, os.getuid(), os.getpid(), "socket")
    assert (actor.sudo, actor.named) == ("alice", r"\xc3\x84nne\x0a"), "a claim is printable, whatever was sent"
    assert actor.name.startswith(MYSELF)
    assert actor.name.endswith(r"sudo alice, named \xc3\x84nne\x0a)")
    assert (await post(site, CALL))[0] == 200
    assert site.told[1][4].sudo == ""  # type: ignore[union-attr]


async def test_a_directory_of_users_that_hangs_holds_up_nobody_and_is_asked_once(tmp_path: Path) -> None:
    answers, asked = threading.Event(), list[int]()

    def directory(uid: int) -> str:
        asked.append(uid)
        answers.wait()
        return f"name of {uid}"

    site = Site(tmp_path, AccountNames(directory, patience_s=0.0))
    await site.operations.start(f"127.0.0.1:{site.port}", site.socket)
    try:
        for _ in range(3):
            assert (await post(site, CALL))[0] == 200
    finally:
        answers.set()
        await site.operations.stop()
    assert {(each[4].user, each[4].uid) for each in site.told if each[4]} == {(f"user {os.getuid()}", os.getuid())}
    assert len(asked) == len(set(asked))


async def test_after_a_late_answer_names_are_known_again() -> None:
    answers = threading.Event()
    names = AccountNames(lambda uid: f"name of {uid}" if answers.wait() else "", patience_s=0.0)
    assert await names.of({1001}) == {1001: "user 1001"}
    answers.set()
    await until(lambda: not names._open, "the directory answers")
    names._patience_s = 60.0
    assert await names.of({1001, 1002}) == {1001: "name of 1001", 1002: "name of 1002"}


async def test_what_cannot_be_recorded_is_not_done_but_what_ends_something_is(site: Site) -> None:
    site.may_happen = False
    status, answer = await post(site, CALL)
    assert (status, site.source.calls) == (400, [])
    assert "cannot be written" in answer["refused"]
    assert (await post(site, CALL, path="/stop"))[0] == 200
    assert [each[2] for each in site.told] == ["/call", "/stop"], "what ends something is told as well"


async def test_of_one_request_what_goes_back_or_only_looks_needs_no_record_and_the_rest_does(site: Site) -> None:
    site.may_happen = False
    status, answer = await post(site, CALL, path="/order")
    assert (status, "cannot be written" in answer["refused"]) == (400, True)
    assert (await post(site, CALL.replace(b"Reset", b"Back"), path="/order"))[0] == 200
    told = len(site.told)
    assert [each[2] for each in site.told] == ["/order", "/order"], "going back is told as well"
    assert (await post(site, CALL.replace(b"Reset", b"Dry"), path="/order"))[0] == 200
    assert len(site.told) == told


async def test_who_looks_leaves_no_record_and_what_follows_later_is_not_his(site: Site) -> None:
    status, answer = await post(site, CALL, path="/look")
    assert (status, answer["later"]) == (200, "None")
    assert answer["actor"].startswith(MYSELF)
    assert site.told == []


async def test_what_is_refused_and_asked_about_strangers_is_on_record_without_a_charge_point(site: Site) -> None:
    assert (await post(site, CALL.replace(b"CP-1", b"CP-2")))[0] == 404
    assert [each[:4] for each in site.told] == [
        ("admin.request", "allow", "/call: CP-2", ""),
        ("admin.request_refused", "deny", "/call: it is not connected: CP-2", ""),
    ]


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
        operations = Site(tmp_path).operations
        with pytest.raises(OSError, match="address already in use"):
            await operations.start(f"127.0.0.1:{taken.getsockname()[1]}", tmp_path / "admin.sock")
        await operations.stop()
