"""Charge points on security profiles 1, 2 and 3 reach a CSMS that knows nothing of the gateway."""

import pytest

from tests.support.csms import FakeCSMS
from tests.support.peer import Peer, basic
from tests.support.rig import Rig

pytestmark = pytest.mark.integration
BOOT = '[2,"b1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


async def test_profiles_1_2_and_3_get_in_and_messages_pass_both_ways_unchanged(rig: Rig, csms: FakeCSMS) -> None:
    rig.add("CP-P1", security_profile=1, password="password-of-one-1")
    rig.add("CP-P2", security_profile=2, password="password-of-two-2")
    rig.add("CP-P3", security_profile=3, serial_number="SN-3")
    certificate = rig.authority.charge_point("SN-3")
    async with rig.gateway() as gateway:
        attempts = (
            (gateway.plain, None, "CP-P1", basic("CP-P1", "password-of-one-1")),
            (gateway.tls, rig.client_tls(), "CP-P2", basic("CP-P2", "password-of-two-2")),
            (gateway.tls, rig.client_tls(certificate), "CP-P3", None),
        )
        for address, tls, identity, authorization in attempts:
            async with await Peer.connect(address, tls=tls) as peer:
                answer = await peer.ask(f"/ocpp/{identity}", authorization=authorization)
                assert (answer.status, answer.headers["sec-websocket-protocol"]) == (101, "ocpp1.6")
                peer.send_text(BOOT)
                await csms.received(identity, BOOT)
                assert '"Accepted"' in await peer.text()
                odd = '[2, "c1" ,"GetConfiguration", { "key":["A\\u00e9", "B"] } ]'
                await csms.connections[identity].send(odd)
                assert await peer.text() == odd
