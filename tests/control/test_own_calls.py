"""The gateway's own calls in control: whose answer it is, and what the record says of each, refused ones too."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.control.own_calls import CallAnswer, CallRefused, OwnCalls
from gateway.control.sessions import Entry
from gateway.identity.evidence import PasswordProof
from gateway.link.framing import control_reader, encode
from gateway.link.messages import GatewayCall, GatewayCallDone, LiveSession
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from tests.control.test_link_server import Serving

CP = ChargePointId("CP-1")
PROFILE = SecurityProfile(2)
PROOF = PasswordProof(slot="current", reading="raw")
LIVE = LiveSession("s-1", CP, 7, PROFILE, "ocpp1.6", "192.0.2.1", "tls", "main", 1.0, PROOF)
PASSWORD_SET = {"key": "AuthorizationKey", "value": "Marked-S3cret"}


class Site:
    """One edge with one session, and the record."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.record: list[tuple[str, str]] = []
        self.log_works = True
        self.own_calls = OwnCalls(self._report, 10_000, self._may_happen)
        self.entry = Entry(
            charge_point_id=CP, session="s-1", generation=7, security_profile=PROFILE, proof=PROOF, edge=serving.link,
            granted_at=1.0, live=LIVE,
        )  # fmt: skip

    def _report(self, event: str, severity: str, decision: str, detail: str, charge_point_id: str) -> None:
        assert (event, severity, charge_point_id) == ("gateway.call", "medium", "CP-1")
        self.record.append((decision, detail))

    async def _may_happen(self) -> bool:
        return self.log_works

    def call(self, action: str, payload: Any, timeout_s: float = 60.0) -> "asyncio.Task[CallAnswer]":
        return asyncio.create_task(self.own_calls.call(CP, self.entry, action, payload, timeout_s))

    async def sent(self) -> GatewayCall:
        (message,) = list(control_reader().feed(await self.serving.reader.read(1 << 16)))
        assert isinstance(message, GatewayCall)
        return message

    async def edge_says(self, *messages: GatewayCallDone) -> None:
        before = len(self.serving.heard)
        for message in messages:
            self.serving.writer.write(encode(message))
        await self.serving.until_heard(before + len(messages))
        for message in messages:
            self.own_calls.done(message)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with Serving(tmp_path / "link.sock").running() as serving:
        yield Site(serving)


async def test_only_the_answer_of_this_session_to_this_call_is_one(site: Site) -> None:
    call = site.call("GetConfiguration", {})
    number = (await site.sent()).request_id
    await site.edge_says(
        GatewayCallDone("0" * 32, "s-1", "result", b'{"configurationKey":[]}'),
        GatewayCallDone(number, "s-2", "result", b'{"configurationKey":[]}'),
        GatewayCallDone(number, "s-1", "result", b'{"unknownKey":["x"]}'),
    )
    answer = await call
    assert (answer.request_id, answer.outcome, answer.payload) == (number, "result", {"unknownKey": ["x"]})


async def test_no_two_calls_have_one_number(site: Site) -> None:
    numbers = set()
    for _ in range(3):
        call = site.call("ClearCache", {})
        number = (await site.sent()).request_id
        numbers.add(number)
        await site.edge_says(GatewayCallDone(number, "s-1", "gone"))
        await call
    assert len(numbers) == 3
    assert {len(number) for number in numbers} == {32}


async def test_the_record_says_what_was_asked_without_its_secrets_and_what_became_of_it(site: Site) -> None:
    call = site.call("ChangeConfiguration", PASSWORD_SET)
    number = (await site.sent()).request_id
    assert site.record == [
        ("allow", f'ChangeConfiguration {number}: asked: {{"key":"AuthorizationKey","value":"*************"}}')
    ]
    await site.edge_says(GatewayCallDone(number, "s-1", "error", b"{}", "NotSupported"))
    await call
    assert site.record[1:] == [("allow", f"ChangeConfiguration {number}: error NotSupported")]


async def test_of_a_long_payload_its_beginning_and_size_are_on_record(site: Site) -> None:
    call = site.call("DataTransfer", {"vendorId": "v", "data": "x y " * 1_000})
    number = (await site.sent()).request_id
    assert len(site.record[0][1]) < 2_000
    assert "... (4026 bytes, SHA-256 " in site.record[0][1]
    await site.edge_says(GatewayCallDone(number, "s-1", "gone"))
    await call


async def test_whoever_stops_waiting_leaves_that_on_record(site: Site) -> None:
    call = site.call("ClearCache", {})
    number = (await site.sent()).request_id
    call.cancel()
    await asyncio.wait([call])
    assert site.record[1:] == [("allow", f"ClearCache {number}: unknown")]


@pytest.mark.parametrize(
    ("action", "payload", "timeout_s", "why"),
    [
        ("Fuzz", {}, 1.0, "OCPP 1.6 has no action Fuzz"),
        ("Heartbeat", {}, 1.0, "Heartbeat is not for a charge point"),
        ("Reset", {"type": "Gentle"}, 1.0, "the payload does not fit Reset: Enum at type"),
        ("Reset", [], 1.0, "the payload is no JSON object"),
        ("ClearCache", {}, float("nan"), "the timeout must be between 0 and 300 seconds"),
        ("ClearCache", {}, 301.0, "the timeout must be between 0 and 300 seconds"),
        ("DataTransfer", {"vendorId": "v", "data": "x" * 10_000}, 1.0, "max_message_bytes is 10000"),
    ],
)
async def test_what_is_not_sent_is_on_record_as_refused(
    site: Site, action: str, payload: Any, timeout_s: float, why: str
) -> None:
    with pytest.raises(CallRefused, match=why):
        await site.call(action, payload, timeout_s)
    assert [decision for decision, _ in site.record] == ["deny"]
    assert why in site.record[0][1]
    assert site.serving.link._unsent == b""


@pytest.mark.parametrize("depth", [33, 900, 990, 100_000])
async def test_a_payload_nested_too_deeply_is_refused(site: Site, depth: int) -> None:
    payload: Any = "x"
    for _ in range(depth):
        payload = [payload]
    with pytest.raises(CallRefused, match="nested too deeply"):
        await site.call("DataTransfer", {"vendorId": "v", "data": payload})
    assert [decision for decision, _ in site.record] == ["deny"]


async def test_who_is_not_connected_is_not_asked_and_that_is_on_record(site: Site) -> None:
    with pytest.raises(CallRefused, match="it is not connected"):
        await site.own_calls.call(CP, None, "Reset", {"type": "Hard"}, 1.0)
    ((decision, detail),) = site.record
    assert decision == "deny"
    assert detail.endswith('not sent: it is not connected: {"type":"Hard"}')


async def test_a_call_that_cannot_be_recorded_is_not_sent(site: Site) -> None:
    site.log_works = False
    with pytest.raises(CallRefused, match="audit log"):
        await site.call("Reset", {"type": "Soft"})
    assert [said.split(": ", 1)[1][:9] for _, said in site.record] == ['asked: {"', "not sent:"]
    site.log_works = True
    asked = site.call("Reset", {"type": "Soft"})
    request = await site.sent()
    await site.edge_says(GatewayCallDone(request.request_id, "s-1", "result", b'{"status":"Accepted"}'))
    assert (await asked).outcome == "result"
