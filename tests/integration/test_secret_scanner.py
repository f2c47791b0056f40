"""Every message of every version, full of marked secrets and personal data: none of it is left anywhere afterwards.

Looked into are all files that the gateway has written, what it says on standard error, its metrics and status, every export,
and the texts of messages as `audit show --text` reads them.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import Any

import pytest

from gateway.control.trail.layout import shards_in
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.reader import ShardReader, decoded
from gateway.ocpp.actions import actions
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.marked import MARK, marked_payload, next_mark
from tests.support.peer import Peer, basic
from tests.support.rig import GatewayProcess, Rig

pytestmark = [pytest.mark.integration]
WAIT_S = 90.0


class Talker:
    """A charge point that answers everything with marked results, and one call after the other in both directions."""

    def __init__(self, version: OCPPVersion, peer: Peer, csms: FakeCSMS, identity: str) -> None:
        self.version, self.peer, self.csms, self.identity = version, peer, csms, identity
        self.answered: dict[str, asyncio.Event] = {}

    async def read(self) -> None:
        while True:
            frame = json.loads(await self.peer.text())
            if frame[0] == 2:
                self.peer.send_text(json.dumps(answer(self.version, frame)))
            elif frame[1] in self.answered:
                self.answered[frame[1]].set()

    async def call(self, action: str, payload: dict[str, Any]) -> None:
        number = f"u-{action}"
        self.answered[number] = asyncio.Event()
        self.peer.send_text(json.dumps([2, number, action, payload]))
        async with asyncio.timeout(WAIT_S):
            await self.answered[number].wait()

    async def command(self, action: str, payload: dict[str, Any]) -> None:
        number = f"d-{action}"
        await self.csms.connections[self.identity].send(json.dumps([2, number, action, payload]))
        await self.csms.until(lambda: any(f'"{number}"' in text for text in self.csms.texts[self.identity]))


def answer(version: OCPPVersion, call: list[Any]) -> list[Any]:
    """A result with every field, or for every third action an error with words and details."""
    if call[2] == "BootNotification":
        return [3, call[1], {"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300}]
    if len(call[2]) % 3 == 0:
        return [4, call[1], "GenericError", f"no {next_mark()}", {"why": next_mark()}]
    return [3, call[1], marked_payload(version, call[2], "Response")]


async def converse(gateway: GatewayProcess, csms: FakeCSMS, version: OCPPVersion) -> None:
    identity = f"CP-{version.name}"
    peer = await Peer.connect(gateway.plain)
    got = await peer.ask(
        f"/ocpp/{identity}",
        authorization=basic(identity, "password-of-it-ZQFFFFQZ"),
        subprotocols=version.subprotocol,
    )
    assert got.status == 101
    talker = Talker(version, peer, csms, identity)
    reader = asyncio.create_task(talker.read())
    try:
        await talker.call("BootNotification", marked_payload(version, "BootNotification"))
        for action in actions(version):
            if action.is_send:
                peer.send_text(json.dumps([6, "s", action.name, {"id": 1, "secret": next_mark()}]))
                continue
            if Origin.CHARGE_POINT in action.senders:
                await talker.call(action.name, marked_payload(version, action.name))
            if Origin.CSMS in action.senders:
                await talker.command(action.name, marked_payload(version, action.name))
        # The name of an action that does not exist is kept: it says what somebody was looking for.
        for broken in (
            f'[2,"x","Reset",{{"a":"{next_mark()}"',
            f'{{"{next_mark()}":1}}',
            f'[2,"y","No {next_mark()}!",{{}}]',
        ):
            peer.send_text(broken)
        await talker.call("Heartbeat", {"nobodyKnowsThis": next_mark()})
    finally:
        reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reader
        await peer.__aexit__()


def everything_said(rig: Rig, gateway: GatewayProcess) -> dict[str, bytes]:
    """Where something may have been left, and what is there."""
    found = {str(path): path.read_bytes() for path in rig.state.rglob("*") if path.is_file()}
    found["standard error"] = gateway.log().encode()
    found["metrics"] = gateway.http("/metrics")[1].encode()
    found["status"] = json.dumps(gateway.status()).encode()
    for form in ("jsonl", "ecs", "cef", "ocsf"):
        line = [sys.executable, "-m", "gateway", "audit", "export", "--format", form, "--config", str(rig.config_path)]
        done = subprocess.run(line, capture_output=True, timeout=120, check=True)
        found[f"export as {form}"] = done.stdout + done.stderr
    return found


def texts(rig: Rig) -> list[bytes]:
    store = PayloadStore(rig.state / "audit" / "payload", rig.state / "audit-keys" / "payload")
    days = {day: store.of(day) for day in store.days()}
    bodies = [
        decoded(data).get("body", {})
        for shard in shards_in(rig.state / "audit")
        for _, data in ShardReader(shard).records()
    ]
    return [days[body["day"]].text(body["commit"]) for body in bodies if "commit" in body]


async def test_nothing_of_any_secret_is_left_anywhere(rig: Rig, csms: FakeCSMS) -> None:
    rig.config["audit"] = {"level": "full", "counted": []}
    rig.config["recording"] = {"enabled": True}
    rig.config["policy"] = {"packs": ["baseline", "observe"]}
    for version in OCPPVersion:
        rig.add(
            f"CP-{version.name}", security_profile=1, password="password-of-it-ZQFFFFQZ", versions=[version.subprotocol]
        )
    speaks = {f"CP-{version.name}": version for version in OCPPVersion}

    def answer_marked(text: str) -> str | None:
        frame = json.loads(text)
        if frame[0] != 2:
            return None
        version = next(speaks[each] for each in speaks if text in csms.texts[each])
        return json.dumps(answer(version, frame))

    csms.answer = answer_marked
    async with rig.gateway() as gateway:
        for version in OCPPVersion:
            await converse(gateway, csms, version)
        enough = 2 * sum(len(actions(version)) for version in OCPPVersion)
        await until(lambda: len(texts(rig)) > enough, "the texts are in the log")
        left = {name: sorted(set(MARK.findall(data))) for name, data in everything_said(rig, gateway).items()}
    kept = texts(rig)
    left["texts"] = sorted({mark for text in kept for mark in MARK.findall(text)})
    assert {name: marks for name, marks in left.items() if marks} == {}
    # What is looked for did come by, on both sides, and what is harmless is still there to be read.
    assert all(MARK.search("".join(csms.texts[identity]).encode()) for identity in speaks)
    assert sum(b"word" in text for text in kept) > len(kept) // 4
