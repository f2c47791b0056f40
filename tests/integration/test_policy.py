"""Gates and rules on live connections: what may not be said does not pass, in either direction, and everything else does."""

import asyncio
import base64
import hashlib
import json
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.control.test_image_fetch import served
from tests.support.csms import FakeCSMS, answer_everything
from tests.support.fleet import until
from tests.support.peer import Peer, basic
from tests.support.rig import GatewayProcess, Rig, shared_server

pytestmark = pytest.mark.integration
BOOT = '[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
SITE = """
apiVersion: ocpp-gateway/v1
kind: PolicySite
everyone:
  gates: {schema: %s}
  params:
    firmware_hosts: [fw.vendor.example]
  modes:
    firmware/location-allowlist: enforce
    fleet/disruptive-budget: %s
"""


QUARANTINE = """
apiVersion: ocpp-gateway/v1
kind: PolicyPack
metadata: {name: mine, version: 1.0.0}
rules:
  - id: mine/odd
    title: Odd things put it into quarantine
    match: {action: DataTransfer, direction: to_csms}
    when: payload.vendorId == "odd"
    action: quarantine
    mode: enforce
"""


def with_site(rig: Rig, *, schema: str = "monitor", budget: str = "monitor") -> None:
    path = rig.work / "site.yaml"
    path.write_text(SITE % (schema, budget))
    rig.config["policy"] = {"packs": ["baseline", "observe"], "site": str(path)}


async def admitted(gateway: GatewayProcess, identity: str) -> Peer:
    """A registered 1.6 charge point that the CSMS has accepted."""
    peer = await Peer.connect(gateway.plain)
    answer = await peer.ask(f"/ocpp/{identity}", authorization=basic(identity, "password-of-the-charge-point"))
    assert answer.status == 101
    peer.send_text(BOOT)
    assert '"Accepted"' in await peer.text()
    return peer


def register(rig: Rig, *identities: str) -> None:
    for identity in identities:
        rig.add(identity, security_profile=1, password="password-of-the-charge-point", versions=["ocpp1.6"])


async def ask_csms(csms: FakeCSMS, identity: str, text: str) -> None:
    await csms.connections[identity].send(text)


def firmware(number: str, url: str) -> str:
    payload = {"location": url, "retrieveDate": "2026-01-01T00:00:00Z"}
    return json.dumps([2, number, "UpdateFirmware", payload])


async def test_what_is_refused_is_answered_and_not_forwarded_and_what_is_allowed_passes(
    rig: Rig, csms: FakeCSMS
) -> None:
    register(rig, "CP-1")
    with_site(rig)
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        for text, code in (
            ('[2,"u","Fuzz",{}]', "NotImplemented"),
            ('[2,"r","Reset",{"type":"Hard"}]', "NotSupported"),
            ('[2,"j","DataTransfer",{"vendorId":"v","data":"\\u0024{jndi:ldap://x}"}]', "SecurityError"),
        ):
            peer.send_text(text)
            kind, message_id, answered, *_ = json.loads(await peer.text())
            assert (kind, message_id, answered) == (4, json.loads(text)[1], code)
            assert text not in csms.texts["CP-1"]
        await ask_csms(csms, "CP-1", firmware("f1", "https://evil.test/fw.bin"))
        await csms.until(lambda: any('"f1"' in text for text in csms.texts["CP-1"]))
        assert "SecurityError" in csms.texts["CP-1"][-1]
        allowed = firmware("f2", "https://fw.vendor.example/fw.bin")
        await ask_csms(csms, "CP-1", allowed)
        assert await peer.text() == allowed
        event = await gateway.event("firmware.untrusted")
        assert (event["decision"], event["charge_point_id"]) == ("deny", "CP-1")
        assert event["detail"].startswith("firmware/location-allowlist")
        assert len(event["policy_revision"]) == 12
        assert f'revision="{event["policy_revision"]}"' in gateway.http("/metrics")[1]


def signed_firmware(number: str, url: str, image: bytes) -> str:
    """What a manufacturer orders for this very image."""
    signer = shared_server("ec")
    assert isinstance(signer.key, ec.EllipticCurvePrivateKey)
    signature = base64.b64encode(signer.key.sign(image, ec.ECDSA(hashes.SHA256()))).decode()
    firmware = {"location": url, "retrieveDateTime": "2026-01-01T00:00:00Z"}
    firmware |= {"signingCertificate": signer.pem.decode(), "signature": signature}
    return json.dumps([2, number, "SignedUpdateFirmware", {"requestId": 1, "firmware": firmware}])


async def test_a_signed_update_waits_for_its_image_and_nothing_else_does(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    with_site(rig)
    site = Path(rig.config["policy"]["site"])
    enforced = site.read_text().replace("gates: {", "gates: {firmware_image: enforce, ")
    enforced = enforced.replace("[fw.vendor.example]", "[localhost]\n    firmware_schemes: [http, https]")
    site.write_text(enforced.replace("  modes:\n", "  modes:\n    content/ssrf: monitor\n"))
    rig.config["firmware"] = {"private_hosts": ["localhost"]}
    asked, may_answer = list[str](), asyncio.Event()

    async def serve(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        await may_answer.wait()
        return web.Response(body=b"firmware" + (b"!" if request.path == "/tampered" else b""))

    async with (
        served(serve) as address,
        rig.gateway() as gateway,
        await admitted(gateway, "CP-1") as peer,
    ):
        server = address.replace("127.0.0.1", "localhost")
        good = signed_firmware("f1", f"{server}/good", b"firmware")
        await ask_csms(csms, "CP-1", good)
        await until(lambda: asked == ["/good"], "the gateway fetches it")
        peer.send_text('[2,"h","Heartbeat",{}]')
        assert json.loads(await peer.text())[:2] == [3, "h"], "the charge point is answered meanwhile"
        may_answer.set()
        assert await peer.text() == good
        peer.send_text('[3,"f1",{"status":"Accepted"}]')
        await csms.received("CP-1", '[3,"f1",{"status":"Accepted"}]')
        event = await gateway.event("firmware.image_verified")
        assert f"sha256 {hashlib.sha256(b'firmware').hexdigest()}" in event["detail"]

        await ask_csms(csms, "CP-1", signed_firmware("f2", f"{server}/tampered", b"firmware"))
        await csms.received("CP-1", '[3,"f2",{"status":"Rejected"}]')
        event = await gateway.event("firmware.image_forged")
        assert (event["severity"], event["decision"], event["charge_point_id"]) == ("critical", "answer", "CP-1")
        unsigned = firmware("f3", f"{server}/unsigned")
        await ask_csms(csms, "CP-1", unsigned)
        assert await peer.text() == unsigned
    assert asked == ["/good", "/tampered"]


async def test_a_charge_point_that_was_rejected_stays_so_across_reconnects_until_it_is_accepted(
    tmp_path: Path, csms: FakeCSMS
) -> None:
    rig = Rig(tmp_path, csms_urls=[csms.url], edge_workers=2)
    register(rig, "CP-1")
    status = "Rejected"

    def answer(text: str) -> str | None:
        return (answer_everything(text) or "").replace("Accepted", status) or None

    async def come() -> Peer:
        peer = await Peer.connect(gateway.plain)
        assert (await peer.ask("/ocpp/CP-1", authorization=basic("CP-1", "password-of-the-charge-point"))).status == 101
        return peer

    async def says(peer: Peer, text: str) -> str:
        peer.send_text(text)
        return await peer.text()

    csms.answer = answer
    heartbeat = '[2,"h","Heartbeat",{}]'
    async with rig.gateway() as gateway:
        async with await come() as peer:
            assert "Rejected" in await says(peer, BOOT)
        for _ in range(4):  # to either worker
            async with await come() as peer:
                assert json.loads(await says(peer, heartbeat))[:3] == [4, "h", "SecurityError"]
        assert (await gateway.event("state.not_accepted"))["decision"] == "callerror"
        status = "Accepted"
        async with await come() as peer:
            assert "Accepted" in await says(peer, BOOT)
        async with await come() as peer:
            assert json.loads(await says(peer, heartbeat))[0] == 3


async def test_a_quarantine_holds_whichever_worker_the_charge_point_comes_to(tmp_path: Path, csms: FakeCSMS) -> None:
    rig = Rig(tmp_path, csms_urls=[csms.url], edge_workers=2)
    register(rig, "CP-1")
    pack = tmp_path / "pack.yaml"
    pack.write_text(QUARANTINE)
    rig.config["policy"] = {"packs": ["baseline", str(pack)]}

    async def command_passes(peer: Peer, number: int) -> bool:
        """Told by what the CSMS hears, or the charge point does."""
        await ask_csms(csms, "CP-1", f'[2,"r{number}","Reset",{{"type":"Hard"}}]')
        peer.send_text(f'[2,"h{number}","Heartbeat",{{}}]')
        await csms.until(lambda: any(f'"h{number}"' in text for text in csms.texts["CP-1"]))
        said = await peer.text()
        return "Reset" in said

    async with rig.gateway() as gateway:
        async with await admitted(gateway, "CP-1") as peer:
            peer.send_text('[2,"d","DataTransfer",{"vendorId":"odd"}]')
            assert json.loads(await peer.text())[0] == 4
            await until(
                lambda: gateway.live_status()["quarantine"] == {"count": 1, "charge_points": {"CP-1": "mine/odd"}},
                "all workers are told",
            )
        for number in range(6):  # to either worker
            async with await admitted(gateway, "CP-1") as peer:
                assert not await command_passes(peer, number)
        pack.write_text(QUARANTINE.replace("mode: enforce", "mode: monitor"))
        assert (await gateway.reload())["event"] == "config.reloaded"
        pack.write_text(QUARANTINE)
        assert (await gateway.reload())["event"] == "config.reloaded"
        await until(lambda: gateway.live_status()["quarantine"]["count"] == 0, "it has ended with its rule")


async def test_schema_gate_watches_by_default_and_refuses_when_told_to_without_a_reconnect(
    rig: Rig, csms: FakeCSMS
) -> None:
    register(rig, "CP-1")
    with_site(rig)
    odd = '[2,"%s","StatusNotification",{"connectorId":"1","errorCode":"NoError","status":"Available"}]'
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        peer.send_text(odd % "s1")
        await csms.received("CP-1", odd % "s1")
        assert json.loads(await peer.text())[0] == 3
        event = await gateway.event("schema.violation")
        assert event["decision"].startswith("would:")
        with_site(rig, schema="enforce")
        assert (await gateway.reload())["event"] == "config.reloaded"
        peer.send_text(odd % "s2")
        assert json.loads(await peer.text())[:3] == [4, "s2", "TypeConstraintViolation"]
        assert odd % "s2" not in csms.texts["CP-1"]


async def test_bad_pack_keeps_the_last_good_one_in_force(rig: Rig, csms: FakeCSMS, tmp_path: Path) -> None:
    register(rig, "CP-1")
    with_site(rig)
    bad = tmp_path / "bad.yaml"
    bad.write_text("rules: [{id: x, match: {action: Resett}, action: deny}]\n")
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        rig.config["policy"]["packs"] = ["baseline", "observe", str(bad)]
        event = await gateway.reload()
        assert event["event"] == "config.reload_failed"
        assert "bad.yaml:1" in event["detail"]
        await ask_csms(csms, "CP-1", firmware("f1", "https://evil.test/fw.bin"))
        await csms.until(lambda: any('"f1"' in text for text in csms.texts["CP-1"]))
        assert "SecurityError" in csms.texts["CP-1"][-1]
        peer.send_text('[2,"h","Heartbeat",{}]')
        assert json.loads(await peer.text())[:2] == [3, "h"]


async def test_budget_of_the_fleet_is_shared_by_all_charge_points_of_the_node(tmp_path: Path, csms: FakeCSMS) -> None:
    rig = Rig(tmp_path, csms_urls=[csms.url], edge_workers=2)
    identities = [f"CP-{number}" for number in range(8)]
    register(rig, *identities)
    with_site(rig, budget="enforce")
    site = Path(rig.config["policy"]["site"])
    site.write_text(site.read_text().replace("  params:\n", "  params:\n    max_disrupted: 5\n"))
    reset = '[2,"r","Reset",{"type":"Hard"}]'
    async with rig.gateway() as gateway:
        peers = {identity: await admitted(gateway, identity) for identity in identities}
        for identity in identities:
            await ask_csms(csms, identity, reset)

        def refused() -> list[str]:
            return [each for each in identities if any('"r"' in text for text in csms.texts[each])]

        await csms.until(lambda: len(refused()) == 3)
        assert all("SecurityError" in csms.texts[each][-1] for each in refused())
        passed = [each for each in identities if each not in refused()]
        for identity in passed:
            assert await peers[identity].text() == reset
            peers[identity].send_text('[3,"r",{"status":"Accepted"}]')
        await ask_csms(csms, passed[0], reset.replace('"r"', '"r2"'))
        assert '"r2"' in await peers[passed[0]].text(), "the same charge point again is not one more"
        for peer in peers.values():
            peer.abort()
