"""The Autobahn WebSocket cases, run by kosoku (nobody here wrote either) against a charge point's connection to the gateway.

kosoku knows no subprotocol and no credentials: a shim adds them to the upgrade request, takes the subprotocol out of the
answer, and passes every other byte as it is. The gateway speaks OCPP, so what applies is what is judged before a
message has a meaning:

    2, 3, 4, 5, 6, 7    as they are, where the case ends in a refusal or in control frames: MUST_PASS
    3, 4, 5             cases that first want a text echoed: only their closing is judged (1002), CLOSES
    6.4                 wants bad UTF-8 noticed within a fragmented message; ours is judged when it is whole (1007), LATE
    1.2                 binary messages: OCPP is text, so they close with 1003, BINARY
    1.1, 6.1 ... valid  text that is no OCPP message is answered with a CALLERROR and never echoed: not applicable
    9, 10, 12, 13       sizes, speed and compression of echoed text: not applicable (tests/integration/test_deflate.py)
"""

import asyncio
import contextlib
import json
import os
import re
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.identity.record import StoredPassword
from tests.support.peer import basic
from tests.support.records import make_record
from tests.support.rig import Rig, hashed
from tests.support.site import PASSWORD, Site, running

JUDGES = Path(os.environ.get("OCPP_JUDGES", Path(__file__).parents[2] / ".venv-judges" / "bin" / "sslyze")).parent
KOSOKU = any(JUDGES.parent.glob("lib/python*/site-packages/kosoku"))
pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not KOSOKU, reason=f"JUDGE MISSING: no kosoku in {JUDGES.parent} (make judges)"),
]
MUST_PASS = [
    *("2.*", "3.1", "3.5", "3.6", "3.7", "4.1.1", "4.1.2", "4.2.1", "4.2.2"),
    *("5.1", "5.2", "5.9", "5.10", "5.11", "5.12", "5.13", "5.14", "5.16", "5.17", "5.18"),
    *("6.3.*", "6.6.1", "6.6.3", "6.6.4", "6.6.6", "6.6.8", "6.6.10", "6.8.*", "6.10.*", "6.11.5"),
    *("6.13.*", "6.14.*", "6.15.*", "6.16.*", "6.17.*", "6.18.*", "6.19.*", "6.20.*", "6.21.*"),
    *("7.1.2", "7.1.3", "7.1.4", "7.1.5", "7.1.6", "7.3.*", "7.5.1", "7.7.*", "7.9.*"),
]
CLOSES = ["3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"]
LATE = ["6.4.1", "6.4.2", "6.4.3", "6.4.4"]
BINARY = ["1.2.*"]
IDENTITIES = 150
DRIVER = """
import asyncio, json, sys, kosoku
async def main():
    try:
        found = await kosoku.run_fuzzingclient(sys.argv[1], cases=json.loads(sys.argv[2]), concurrency=8)
    except kosoku.FailureError as failed:
        found = failed.results
        sys.stderr.write(str(failed))
    print(json.dumps([
        {"case": x.case_id, "passed": x.passed, "close": x.behavior_close.value, "code": x.remote_close_code}
        for x in found
    ]))
asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    def prepare(rig: Rig) -> None:
        rig.config["websocket"] = {"control_frames_burst": 1_000, "ping_interval_s": 3600.0, "close_timeout_s": 0.5}
        password = StoredPassword(phc=hashed(PASSWORD))
        with rig.registry() as registry:
            registry.apply(add=[make_record(f"CP-{number}", 1, password=password) for number in range(IDENTITIES)])

    async with running(tmp_path_factory.mktemp("kosoku"), prepare) as made:
        yield made


class Shim:
    """Adds to each upgrade what an OCPP charge point says, with an identity of its own; then bytes pass as they are."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._numbers = count()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        identity = f"CP-{next(self._numbers)}"
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            own = f"Sec-WebSocket-Protocol: ocpp2.0.1\r\nAuthorization: {basic(identity, PASSWORD)}\r\n\r\n"
            first = re.sub(rb"^GET \S+", f"GET /ocpp/{identity}".encode(), head)
            inner_reader, inner_writer = await asyncio.open_connection(*self._site.gateway.plain)
            inner_writer.write(first[:-2] + own.encode())
            answer = await inner_reader.readuntil(b"\r\n\r\n")
            writer.write(re.sub(rb"Sec-WebSocket-Protocol: [^\r]*\r\n", b"", answer))
            try:
                await asyncio.gather(self._pass(reader, inner_writer), self._pass(inner_reader, writer))
            finally:
                inner_writer.close()
                writer.close()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            writer.write_eof()


async def judge(site: Site, cases: list[str]) -> list[dict[str, Any]]:
    """kosoku's results for these cases."""
    async with Shim(site) as url:
        process = await asyncio.create_subprocess_exec(
            *(str(JUDGES / "python"), "-c", DRIVER, url, json.dumps(cases)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(120):
            output, complaint = await process.communicate()
    assert output, complaint.decode()
    found: list[dict[str, Any]] = json.loads(output)
    return found


async def test_autobahn_cases_that_end_in_a_refusal_or_in_control_frames_pass(site: Site) -> None:
    found = await judge(site, MUST_PASS)
    assert len(found) > 100
    failed = [each for each in found if not each["passed"]]
    # kosoku gives a case a second or two, eight at a time: one that it gave up on a busy machine is played once more, alone.
    late = [each["case"] for each in failed if (each["close"], each["code"]) == ("FAILED BY CLIENT", None)]
    assert [each for each in failed if each["case"] not in late] == []
    assert len(late) <= 3, late
    assert [each for case in late for each in await judge(site, [case]) if not each["passed"]] == []


@pytest.mark.parametrize(("cases", "code"), [(CLOSES, 1002), (LATE, 1007)], ids=["behind a text", "bad UTF-8"])
async def test_autobahn_cases_of_which_only_the_closing_applies_are_closed_properly(
    site: Site, cases: list[str], code: int
) -> None:
    found = await judge(site, cases)
    assert [each["case"] for each in found] == cases
    assert {(each["close"], each["code"]) for each in found} == {("OK", code)}


async def test_autobahn_s_binary_messages_are_closed_with_1003(site: Site) -> None:
    found = await judge(site, BINARY)
    assert len(found) == 8
    assert {each["code"] for each in found} == {1003}
