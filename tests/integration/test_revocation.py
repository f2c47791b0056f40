"""Revocation that bites, with real processes: other CAs' lists and responders, and who may come with an expired certificate."""

import asyncio
import contextlib
import datetime
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.demo.ports import free_ports
from pki.crl import CRLStamp, build_crl
from pki.revocation import RevokedCertificate
from tests.support.hierarchy import Chained, certificate
from tests.support.judges import needs_openssl
from tests.support.peer import TEXT, Peer, frame
from tests.support.revocation_material import HOUR, moment
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.site import BOOT, Site, local_port, of, running
from tests.support.tls_material import DAY, Issued

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
PARTNERS = {"soft": "Soft Partner", "hard": "Hard Partner", "asked": "Asked Partner", "factory": "Maker"}
SECOND = datetime.timedelta(seconds=1)
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


class Partner:
    """Another CA with its root, an issuing CA and the list that the gateway reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.operator = PARTNERS[name]
        self.root = certificate(f"{name} root", ca=True)
        self.sub = certificate(f"{name} sub", ca=True, issuer=self.root)
        self.number = 0

    @property
    def pem(self) -> bytes:
        return self.root.pem + self.sub.pem

    def charge_point(self, serial: str, organization: str = "", **times: Any) -> Issued:
        """The leaf with its issuer behind it."""
        leaf = certificate(serial, issuer=self.sub, usage=CLIENT, organization=organization or self.operator, **times)
        return Chained(leaf, self.sub)

    def crl(self, *revoked: Issued, lives: datetime.timedelta = HOUR, by: Issued | None = None) -> bytes:
        """The next list."""
        self.number += 1
        entries = [RevokedCertificate(each.certificate.serial_number, moment()) for each in revoked]
        issuer, now = by or self.sub, moment()
        return build_crl(issuer.certificate, issuer.key, entries, CRLStamp(self.number, now, now + lives))


PARTNER = {name: Partner(name) for name in PARTNERS}


class Responder:
    """`openssl ocsp` as the responder of a partner, started and stopped by the test."""

    def __init__(self, work: Path, partner: Partner, port: int) -> None:
        self.work, self.partner, self.port = work, partner, port
        (work / "sub.pem").write_bytes(partner.sub.pem)
        (work / "sub.key").write_bytes(partner.sub.key_pem)
        self.index = work / "index.txt"

    def know(self, good: list[Issued], revoked: list[Issued]) -> None:
        lines = [f"V\t400101000000Z\t\t{each.certificate.serial_number:X}\tunknown\t/CN=x" for each in good]
        lines += [
            f"R\t400101000000Z\t260101000000Z\t{each.certificate.serial_number:X}\tunknown\t/CN=x" for each in revoked
        ]
        self.index.write_text("".join(f"{_even(line)}\n" for line in lines))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        keys = "-rsigner", self.work / "sub.pem", "-rkey", self.work / "sub.key", "-CA", self.work / "sub.pem"
        command = ("openssl", "ocsp", "-port", self.port, "-index", self.index, *keys, "-ndays", "1")
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        assert process.stderr is not None
        try:
            # It serves one connection at a time: one that only looks whether somebody is there would block it.
            async with asyncio.timeout(120):
                assert b"waiting for OCSP client" in await process.stderr.readline()
            yield
        finally:
            process.kill()
            await process.wait()


def _even(line: str) -> str:
    """openssl writes serial numbers in whole octets."""
    parts = line.split("\t")
    parts[3] = parts[3] if len(parts[3]) % 2 == 0 else "0" + parts[3]
    return "\t".join(parts)


OCSP_PORT = free_ports(1)[0]


IDENTITIES = {
    "soft": ("L-1", "L-2", "L-3", "S-1"),
    "hard": ("H-1", "H-2"),
    "asked": ("O-1", "O-2", "O-3"),
    "factory": ("F-1",),
    "": ("L-4", "E-lane", "E-lane-stdlib", "E-1", "E-3"),
}


def prepare(rig: Rig) -> None:
    for bundle, identities in IDENTITIES.items():
        for identity in identities:
            fields: dict[str, Any] = {"operator_names": (PARTNERS[bundle],) if bundle else ()}
            if identity == "E-1":
                fields["expired_certificate_until"] = time.time() + 3_600
            rig.add(identity, security_profile=3, serial_number=f"SN-{identity}", **fields)
    rig.config["trust"] = []
    for name, partner in PARTNER.items():
        (rig.work / f"{name}.pem").write_bytes(partner.pem)
        table: dict[str, Any] = {
            "name": name,
            "use": "manufacturer" if name == "factory" else "other-operator",
            "roots": [str(rig.work / f"{name}.pem")],
            "operator_names": [partner.operator],
        }
        if name in {"soft", "hard"}:
            table |= {"crl": [str(rig.work / f"{name}.crl")], "revocation": name}
        if name == "asked":
            table |= {"ocsp": f"http://127.0.0.1:{OCSP_PORT}/", "revocation": "hard"}
        rig.config["trust"].append(table)
    tls = rig.tls_table("required", trust=list(PARTNER))
    rig.named("mtls")["tls"] = tls
    lane = rig.tls_table("required", trust=list(PARTNER), expired_certificates="by-registry")
    rig.config["listener"].append(rig.listener("lane", [3], tls=lane))
    stdlib = {**lane, "engine": "stdlib"}
    rig.config["listener"].append(rig.listener("lane-stdlib", [3], tls=stdlib))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("revocation"), prepare) as made:
        yield made


async def publish(site: Site, partner: str, crl: bytes) -> None:
    """Put a list where the gateway looks for it, and wait until it has it."""
    since = site.gateway.mark()
    path = site.rig.work / f"{partner}.crl"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(crl)
    fresh.replace(path)
    await site.gateway.event("trust.crl_loaded", since)


async def enter(site: Site, identity: str, shown: Issued, listener: str = "mtls") -> Peer:
    """A live session."""
    site.csms.connections.pop(identity, None)
    peer = await site.peer(listener, shown)
    answer = await peer.ask(f"/ocpp/{identity}")
    assert answer.status == 101, (answer, [event.get("detail") for event in site.gateway.events()[-2:]])
    return peer


async def refused(site: Site, identity: str, shown: Issued, listener: str = "mtls") -> str:
    """The reason, as the event has it, of an attempt that must be answered 403."""
    status, event = await site.refused(await site.peer(listener, shown), f"/ocpp/{identity}")
    assert status == 403
    assert event["charge_point_id"] == identity
    return str(event["reason"])


# -- lists


@pytest.mark.requirement("A00.FR.404", "A00.FR.702", "A00.FR.705", "A00.FR.407")
async def test_a_partners_list_ends_live_sessions_and_refuses_the_next_ones(site: Site) -> None:
    partner = PARTNER["soft"]
    one, other = partner.charge_point("SN-L-1"), partner.charge_point("SN-L-2")
    await publish(site, "soft", partner.crl())
    async with await enter(site, "L-1", one) as live, await enter(site, "L-2", other) as stays:
        since = site.gateway.mark()
        await publish(site, "soft", partner.crl(one))
        assert await live.close_code() == 1008
        ended = await site.gateway.event("session.revoked", since)
        assert "L-1" in ended["detail"]
        assert await refused(site, "L-1", one) == "certificate-revoked"
        stays.send_text(BOOT)
        await site.csms.received("L-2", BOOT)


async def test_what_was_revoked_stays_so_whatever_comes_after(site: Site) -> None:
    partner = PARTNER["soft"]
    lost = partner.charge_point("SN-L-3")
    await publish(site, "soft", partner.crl(lost))
    since = site.gateway.mark()
    partner.number -= 2
    (site.rig.work / "soft.crl").write_bytes(partner.crl())
    failed = await site.gateway.event("trust.crl_failed", since)
    assert "older than the one in use" in failed["detail"]
    partner.number += 2
    since = site.gateway.mark()
    (site.rig.work / "soft.crl").write_bytes(b"no list at all")
    failed = await site.gateway.event("trust.crl_failed", since)
    assert "not a revocation list" in failed["detail"]
    assert await refused(site, "L-3", lost) == "certificate-revoked"


@pytest.mark.requirement("A00.FR.404")
async def test_a_partners_ca_makes_no_certificate_in_our_name(site: Site) -> None:
    forged = PARTNER["soft"].charge_point("SN-L-4", OPERATOR)
    assert await refused(site, "L-4", forged) == "certificate-of-another-operator"
    own = shared_authority().charge_point("SN-L-4", OPERATOR)
    (await enter(site, "L-4", own)).abort()


async def test_hard_and_soft_when_a_list_runs_out(site: Site) -> None:
    """Before it bites it is announced; then it bites new connections alone, and only where that was asked for."""
    hard, soft = PARTNER["hard"], PARTNER["soft"]
    late, soft_late = hard.charge_point("SN-H-2"), soft.charge_point("SN-S-1")
    assert await refused(site, "H-2", late) == "certificate-status-unknown"
    since = site.gateway.mark()
    await publish(site, "hard", hard.crl(lives=8 * SECOND))
    await publish(site, "soft", soft.crl(lives=8 * SECOND))
    async with await enter(site, "H-1", hard.charge_point("SN-H-1")) as live:
        warned = await site.gateway.event("trust.crl_expiring", since, lambda event: "hard.crl" in event["detail"])
        assert (warned["severity"], warned["decision"]) == ("high", "allow_alert")
        assert "then refuses new connections (hard); 1 sessions live by it" in warned["detail"]
        bites = await site.gateway.event("trust.crl_expired", since, lambda event: "hard.crl" in event["detail"])
        assert (bites["severity"], bites["decision"]) == ("critical", "fail_closed")
        await site.gateway.event("trust.crl_expired", since, lambda event: "soft.crl" in event["detail"])
        assert await refused(site, "H-2", late) == "certificate-status-unknown"
        (await enter(site, "S-1", soft_late)).abort()
        said = await site.gateway.event("trust.status_unknown", since)
        assert (said["decision"], "soft" in said["detail"]) == ("allow_alert", True)
        live.send_text(BOOT)
        await site.csms.received("H-1", BOOT)
    states = {one["trust"]: one["state"] for one in site.gateway.live_status()["revocation_lists"]}
    assert states == {"soft": "expired", "hard": "expired"}
    await publish(site, "hard", hard.crl())
    (await enter(site, "H-2", late)).abort()


async def test_a_revoked_issuer_takes_its_certificates_with_it(site: Site, tmp_path: Path) -> None:
    partner = PARTNER["factory"]
    shown = partner.charge_point("SN-F-1")
    (tmp_path / "sub.pem").write_bytes(partner.sub.pem)
    async with await enter(site, "F-1", shown) as live:
        told = command(site, "revoke-certificate", "--file", str(tmp_path / "sub.pem"), "--reason", "stolen")
        assert "every charge point certificate that it has issued" in told["warnings"][0]
        assert await live.close_code() == 1008
    assert await refused(site, "F-1", shown) == "certificate-revoked"


def command(site: Site, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "charge-point", *arguments, "--json", "--config", site.rig.config_path],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -- OCSP


@needs_openssl
@pytest.mark.requirement("A00.FR.702", "A00.FR.705")
async def test_a_bundle_that_asks_for_it_asks_its_responder(site: Site, tmp_path: Path) -> None:
    partner = PARTNER["asked"]
    good, bad, unasked = (partner.charge_point(f"SN-{name}") for name in ("O-1", "O-2", "O-3"))
    assert await refused(site, "O-1", good) == "certificate-status-unknown"
    responder = Responder(tmp_path, partner, OCSP_PORT)
    responder.know([good], [bad])
    async with responder.running():
        (await enter(site, "O-1", good)).abort()
        assert await refused(site, "O-2", bad) == "certificate-revoked"
        assert await refused(site, "O-3", unasked) == "certificate-status-unknown"
    # What was said holds for as long as it was said to: nobody is asked again, and nobody has to be there.
    await site.closed("O-1")
    (await enter(site, "O-1", good)).abort()
    assert await refused(site, "O-2", bad) == "certificate-revoked"


# -- the lane for renewals


def late(serial: str) -> Issued:
    return shared_authority().charge_point(serial, OPERATOR, start=-9 * DAY, end=-HOUR)


@pytest.mark.parametrize("listener", ["lane", "lane-stdlib"])
@pytest.mark.requirement("A00.FR.429", "A00.FR.407")
async def test_an_expired_certificate_lets_in_for_its_renewal_where_the_registry_says_so(
    site: Site, listener: str
) -> None:
    identity = f"E-{listener}"
    shown = late(f"SN-{identity}")
    assert await refused(site, identity, shown, listener) == "certificate-expired"
    day = (datetime.datetime.now(datetime.UTC) + 3 * DAY).date().isoformat()
    command(site, "set", identity, "--expired-certificate-until", day)
    since = site.gateway.mark()
    async with await until_admitted(site, identity, shown, listener) as peer:
        admitted = await site.gateway.event("cert.renewal_only", since)
        assert (admitted["charge_point_id"], admitted["severity"]) == (identity, "high")
        assert site.gateway.sessions()[identity]["renewal_only"] == "expired"
        peer.send_text(BOOT)
        assert (await answer_to(peer, "b1"))[2]["status"] == "Pending"
        peer.send_text('[2,"h","Heartbeat",{}]')
        assert (await answer_to(peer, "h"))[:3] == [4, "h", "SecurityError"]
        csr = '[2,"s","SignCertificate",{"csr":"-----BEGIN CERTIFICATE REQUEST-----"}]'
        peer.send_text(csr)
        await site.csms.received(identity, csr)
        assert (await answer_to(peer, "s"))[0] == 3
        assert site.csms.texts[identity] == [csr]
        command(site, "set", identity, "--expired-certificate-until", "")
        assert await peer.close_code() == 1008
    assert await refused(site, identity, shown, listener) == "certificate-expired"


async def answer_to(peer: Peer, message_id: str) -> list[Any]:
    """Past the gateway's own calls, which come when they come."""
    while True:
        message: list[Any] = json.loads(await peer.text())
        if message[:2] in ([3, message_id], [4, message_id]):
            return message


async def until_admitted(site: Site, identity: str, shown: Issued, listener: str) -> Peer:
    """The registry is read twice a second."""
    async with asyncio.timeout(120):
        while True:
            peer = await site.peer(listener, shown)
            if (await peer.ask(f"/ocpp/{identity}")).status == 101:
                return peer
            peer.abort()
            await asyncio.sleep(0.1)


@pytest.mark.requirement("A00.FR.429")
async def test_the_permission_opens_no_other_listener_and_forgives_nothing_else(site: Site) -> None:
    shown = late("SN-E-1")
    since = site.gateway.mark()
    peer = await site.peer("lane", late("SN-E-2"))
    status, event = await site.refused(peer, "/ocpp/E-1")
    assert (status, event["reason"]) == (403, "certificate-of-another-charge-point")
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        peer = await site.peer("mtls", shown)
        port = local_port(peer)
        async with peer:
            await peer.ask("/ocpp/E-1")
    assert (await site.gateway.event("cert.expired", since, of(port)))["stage"] == "tls"
    (await until_admitted(site, "E-1", shown, "lane")).abort()


@pytest.mark.requirement("A00.FR.429")
async def test_the_permission_ends_by_the_clock(site: Site) -> None:
    end = datetime.datetime.now(datetime.UTC).timestamp() + 4
    with site.rig.registry() as registry:
        registry.update("E-3", expired_certificate_until=end)
    async with await until_admitted(site, "E-3", late("SN-E-3"), "lane") as peer:
        assert await peer.close_code() == 1008
    assert datetime.datetime.now(datetime.UTC).timestamp() >= end
    assert await refused(site, "E-3", late("SN-E-3"), "lane") == "certificate-expired"
    peer = await enter(site, "E-3", shared_authority().charge_point("SN-E-3", OPERATOR), "lane")
    async with peer:
        peer.send(frame(TEXT, BOOT.encode()))
        assert json.loads(await peer.text())[2]["status"] == "Accepted"
