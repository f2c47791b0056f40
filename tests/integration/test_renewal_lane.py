"""Charge points that are let in for their renewal, behind a real gateway and a CSMS that knows nothing of it."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_revocation import answer_to, late
from tests.support.csms import FakeCSMS, answer_everything
from tests.support.peer import Peer
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.site import BOOT, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.requirement("A00.FR.429")]
SIGN = '[2,"s","SignCertificate",{"csr":"-----BEGIN CERTIFICATE REQUEST-----"}]'
Prepare = Callable[[Rig], None]


def lane(identity: str) -> Prepare:
    """A listener that takes expired certificates, and a charge point that may come with one."""

    def prepare(rig: Rig) -> None:
        tls = rig.tls_table("required", expired_certificates="by-registry")
        rig.config["listener"].append(rig.listener("lane", [3], tls=tls))
        until = time.time() + 3_600
        rig.add(identity, security_profile=3, serial_number=f"SN-{identity}", expired_certificate_until=until)

    return prepare


async def asked(peer: Peer) -> tuple[str, str, dict[str, Any]]:
    """The next call that the charge point gets: id, action, payload."""
    while True:
        message = json.loads(await peer.text())
        if message[0] == 2:
            return message[1], message[2], message[3]


async def test_a_charge_point_that_only_reconnects_is_asked_for_what_the_csms_will_not_ask_for(tmp_path: Path) -> None:
    async with running(tmp_path, lane("R-1")) as site, await site.peer("lane", late("SN-R-1")) as peer:
        assert (await peer.ask("/ocpp/R-1")).status == 101
        start = (
            '[2,"q","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}]'
        )
        peer.send_text(start)
        number, action, payload = await asked(peer)
        assert (action, payload) == ("ExtendedTriggerMessage", {"requestedMessage": "BootNotification"})
        peer.send_text(f'[3,"{number}",{{"status":"Accepted"}}]')
        peer.send_text(BOOT)
        # The answer comes from the edge, the next question from control: in any order.
        both = [json.loads(await peer.text()) for _ in range(2)]
        (answer,) = [message for message in both if message[:2] == [3, "b1"]]
        ((_, number, action, payload),) = [message for message in both if message[0] == 2]
        assert answer[2]["status"] == "Pending"
        assert (action, payload) == ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"})
        peer.send_text(f'[3,"{number}",{{"status":"Accepted"}}]')
        peer.send_text(SIGN)
        assert (await answer_to(peer, "s"))[0] == 3
        assert site.csms.texts["R-1"] == [SIGN]


async def test_what_the_csms_said_to_it_before_does_not_end_its_renewal(tmp_path: Path) -> None:
    """The CSMS sees no BootNotification of a limited session, and so could never take a rejection back."""

    def rejecting(text: str) -> str | None:
        answer = answer_everything(text)
        return answer.replace('"Accepted"', '"Rejected"') if answer and "BootNotification" in text else answer

    async with running(tmp_path, lane("R-2"), csms=FakeCSMS(answer=rejecting)) as site:
        async with await site.peer("lane", shared_authority().charge_point("SN-R-2", OPERATOR)) as peer:
            assert (await peer.ask("/ocpp/R-2")).status == 101
            peer.send_text(BOOT)
            assert (await answer_to(peer, "b1"))[2]["status"] == "Rejected"
            peer.send_text(SIGN)
            assert (await answer_to(peer, "s"))[:3] == [4, "s", "SecurityError"]
        await site.closed("R-2")
        async with await site.peer("lane", late("SN-R-2")) as peer:
            assert (await peer.ask("/ocpp/R-2")).status == 101
            peer.send_text(SIGN)
            assert (await answer_to(peer, "s"))[0] == 3
        await site.closed("R-2", 1)
        async with await site.peer("lane", shared_authority().charge_point("SN-R-2", OPERATOR)) as peer:
            assert (await peer.ask("/ocpp/R-2")).status == 101
            peer.send_text(SIGN)
            assert (await answer_to(peer, "s"))[:3] == [4, "s", "SecurityError"]
