"""Certificates of another CA over OCPP: a real gateway between charge points and EST, Vault, a command, and CMP."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.journal import Journal
from tests.integration.test_enrolment import PASSWORD, Site, command, enrolled
from tests.support.csms import FakeCSMS
from tests.support.enrolling import EnrollingChargePoint
from tests.support.fleet import until
from tests.support.judges import judge, needs_openssl
from tests.support.other_ca import OPERATOR, OtherCA, https
from tests.support.other_ca_servers import CMP_SECRET, EST_PREFIX, VAULT_TOKEN, ESTServer, VaultServer, cmp_server
from tests.support.rig import Rig
from tests.support.toml import Table

pytestmark = [pytest.mark.integration, needs_openssl]
HOOK = """\
import json, secrets, subprocess, sys
asked = json.load(sys.stdin)
work = {work!r}
if asked["action"] == "enroll":
    open(work + "/asked.csr", "w").write(asked["csr"])
    open(work + "/hook.ext", "w").write(
        "basicConstraints=critical,CA:FALSE\\nkeyUsage=critical,digitalSignature\\nextendedKeyUsage=clientAuth\\n"
        "subjectKeyIdentifier=hash\\nauthorityKeyIdentifier=keyid\\n")
    subject = "/O=" + asked["organization"] + "/CN=" + asked["common_name"]
    files = ["-in", work + "/asked.csr", "-CA", work + "/sub.crt", "-CAkey", work + "/sub.key", "-out", work + "/hook.crt"]
    how = ["-days", "90", "-set_serial", "0x1" + secrets.token_hex(16), "-extfile", work + "/hook.ext", "-subj", subject]
    subprocess.run(["openssl", "x509", "-req", *files, *how], check=True)
    print(open(work + "/hook.crt").read())
print(open(work + "/sub.crt").read())
"""


def rig_for(tmp_path: Path, csms: FakeCSMS, ca: OtherCA) -> Rig:
    """A gateway that lets `[pki]` give certificates, and trusts those of `ca`."""
    rig = Rig(tmp_path, csms_urls=[csms.url])
    (tmp_path / "other-root.pem").write_bytes(ca.root.pem)
    rig.config["csms"][0]["certificates"] = "gateway"
    rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
    for listener in rig.config["listener"]:
        if "tls" in listener:
            listener["tls"]["client_trust"] = [str(tmp_path / "other-root.pem")]
    return rig


def pki(rig: Rig, backend: str, **table: Any) -> Table:
    roots = [str(rig.work / "other-root.pem")]
    return {"ca": str(rig.work / "ca"), "backend": backend, "roots": roots, backend: table}


def charge_point(rig: Rig) -> EnrollingChargePoint:
    rig.add("CP-1", security_profile=2, password=PASSWORD, operator_names=(OPERATOR,), serial_number="SN-1")
    made = EnrollingChargePoint(rig, "CP-1", password=PASSWORD)
    made.subject, made.enrols_by_itself = ("SN-1", OPERATOR), True
    return made


class World:
    """One of the CAs, as the gateway reaches it."""

    def __init__(self, work: Path) -> None:
        self.work, self.ca = work, OtherCA()
        self.est, self.vault = ESTServer(self.ca, authorization="Basic Z2F0ZXdheTpwdw=="), VaultServer(self.ca)
        self.key = ec.generate_private_key(ec.SECP256R1())
        """Of the charge point's first request, known before for the one CA that can issue no other."""

    @contextlib.asynccontextmanager
    async def running(self, kind: str, rig: Rig) -> AsyncIterator[None]:
        """Serve, and tell the rig how to get there."""
        routes = {**self.est.routes(), **self.vault.routes()}
        if kind == "cmp":
            leaf = self.ca.issue(self.key)
            async with cmp_server(self.work, self.ca, leaf) as server:
                secret = rig.write_private("cmp-secret", CMP_SECRET.encode())
                rig.config["pki"] = pki(
                    rig, "cmp", server=server, path="pkix/", reference="fleet", secret_file=str(secret)
                )
                yield
            return
        async with https(self.work, routes) as (address, root):
            (self.work / "tls-root.pem").write_text(root)
            rig.config["pki"] = self.table(kind, rig, address)
            yield

    def table(self, kind: str, rig: Rig, address: str) -> Table:
        roots = str(self.work / "tls-root.pem")
        if kind == "est":
            password = rig.write_private("est-password", b"pw\n")
            login = {"username": "gateway", "password_file": str(password)}
            return pki(rig, "est", url=address + EST_PREFIX, server_roots=roots, **login)
        if kind == "vault":
            token = rig.write_private("vault-token", VAULT_TOKEN.encode())
            return pki(rig, "vault", address=address, role="charge-points", token_file=str(token), server_roots=roots)
        hook = self.work / "hook.py"
        hook.write_text(self.hook())
        return pki(rig, "command", command=[sys.executable, str(hook)])

    def hook(self) -> str:
        """A CA of a few lines: the sub's key, and a certificate for whatever is asked."""
        (self.work / "sub.key").write_bytes(self.ca.sub.key_pem)
        (self.work / "sub.crt").write_bytes(self.ca.sub.pem)
        return HOOK.format(work=str(self.work))


@contextlib.asynccontextmanager
async def site(tmp_path: Path, kind: str) -> AsyncIterator[tuple[Site, World]]:
    async with FakeCSMS() as csms:
        world = World(tmp_path)
        rig = rig_for(tmp_path, csms, world.ca)
        async with world.running(kind, rig), rig.gateway() as gateway:
            yield Site(rig, csms, gateway), world


def openssl_accepts(work: Path, chain: str) -> bool:
    """The chain as it was delivered, leaf first, below the root that is pinned."""
    leaf, *subs = x509.load_pem_x509_certificates(chain.encode())
    (work / "leaf.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (work / "subs.pem").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in subs))
    words = ("-x509_strict", "-purpose", "sslclient", "-CAfile", work / "other-root.pem", "-untrusted")
    done = judge("openssl", "verify", *words, work / "subs.pem", work / "leaf.pem")
    return done.returncode == 0


@pytest.mark.parametrize("kind", ["est", "vault", "command", "cmp"])
async def test_a_charge_point_gets_its_certificate_from_another_ca(tmp_path: Path, kind: str) -> None:
    async with site(tmp_path, kind) as (here, world):
        asks = charge_point(here.rig)
        asks.next_key = world.key
        async with asks.running(here.gateway):
            await here.comes_to("CP-1", "held")
            assert world.est.seen == []  # nothing goes out before somebody has approved it
            assert world.vault.asked == []
            first = await enrolled(here, asks)
            assert asks.key == world.key
            assert openssl_accepts(tmp_path, asks.chain)
            if kind != "cmp":  # the mock has one certificate
                await here.certificate("CP-1", "--renew")
                await until(lambda: len(asks.connected_with) >= 2, "connected with the renewed certificate")
                assert asks.connected_with == [first, asks.serial]
        code, listed = await command("pki", "list", "--ca", str(tmp_path / "ca"))
        assert code == 0
        assert [each["issuer"] for each in listed] == [kind] * len(asks.delivered)
        revoked = await command("pki", "revoke", first, "--reason", "superseded", "--ca", str(tmp_path / "ca"))
        assert revoked[0] == 0
        outcome = "by_hand" if kind == "est" else "told"
        assert first in (await here.gateway.event(f"certificate.revocation_{outcome}"))["detail"]
        assert here.secrets_seen_by_csms("CP-1") == []


async def test_while_the_ca_thinks_nothing_is_lost_and_the_approval_holds(tmp_path: Path) -> None:
    async with site(tmp_path, "est") as (here, world):
        world.est.status, world.est.headers = 202, {"Retry-After": "5"}
        asks = charge_point(here.rig)
        async with asks.running(here.gateway):
            await here.approve("CP-1")
            await until(lambda: len(world.est.seen) == 1, "the CA was asked")
            await until(lambda: ("", "csr-received") in here.history("CP-1"), "waits on the disk")
            before = here.gateway.children()["control"]
            os.kill(before, signal.SIGKILL)
            await until(lambda: here.gateway.children().get("control", before) != before, "another control")
            await until(lambda: len(world.est.seen) >= 2, "the CA was asked again")
            world.est.status = 200
            await here.comes_to("CP-1", "station-accepted")
        assert len(world.ca.issued) == 1
        assert asks.delivered == [f"{world.ca.issued[0].serial_number:x}"]


@pytest.mark.parametrize("status", [503, 401])
async def test_a_ca_that_is_down_or_does_not_know_us_is_asked_again(tmp_path: Path, status: int) -> None:
    async with site(tmp_path, "est") as (here, world):
        world.est.status = status
        asks = charge_point(here.rig)
        async with asks.running(here.gateway):
            await here.approve("CP-1")
            await until(lambda: len(world.est.seen) >= 2, "the CA was asked again")
            assert here.state("CP-1") == "csr-received"
            assert str(status) in (await here.certificate("CP-1"))["detail"]
            world.est.status = 200
            await here.comes_to("CP-1", "station-accepted")


class TestWhatMustNotBeDelivered:
    """Each is denied with an event, and in the journal."""

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"organization": "Somebody else"}, "organizationName"),
            ({"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "client authentication alone"),
            ({"issuer": None}, "does not chain to a root that is pinned"),
        ],
    )
    async def test_a_certificate_that_is_not_what_was_asked_for(
        self, tmp_path: Path, changes: dict[str, Any], why: str
    ) -> None:
        async with site(tmp_path, "est") as (here, world):
            if "issuer" in changes:
                world.est.ca = OtherCA()
            else:
                world.ca.changes = changes
            asks = charge_point(here.rig)
            async with asks.running(here.gateway):
                await here.approve("CP-1")
                await here.comes_to("CP-1", "denied")
                event = await here.gateway.event("certificate.denied")
            assert event["severity"] == "high"
            assert event["detail"].startswith("ca-misbehaved: ")
            assert why in event["detail"]
            assert asks.delivered == []
        journal = Journal(tmp_path / "ca" / "journal", read_only=True)
        assert [each.state.value for each in journal.inventory.requests.values()] == ["abandoned"]
        journal.close()

    async def test_what_the_ca_refuses(self, tmp_path: Path) -> None:
        async with site(tmp_path, "vault") as (here, world):
            world.vault.status, world.vault.errors = 400, ["not in this role"]
            asks = charge_point(here.rig)
            async with asks.running(here.gateway):
                await here.approve("CP-1")
                await here.comes_to("CP-1", "denied")
                assert (await here.certificate("CP-1"))["detail"] == "denied-by-ca: not in this role"


async def test_what_an_operator_denies_never_goes_out(tmp_path: Path) -> None:
    async with site(tmp_path, "vault") as (here, world):
        asks = charge_point(here.rig)
        async with asks.running(here.gateway):
            await here.comes_to("CP-1", "held")
            request = (await here.certificate("CP-1"))["request"]
            denied = await command("pki", "deny", request, "--note", "not ours", "--ca", str(tmp_path / "ca"))
            assert denied[0] == 0
            await here.comes_to("CP-1", "denied")
        assert world.vault.asked == []


async def test_no_secret_is_in_a_log_an_event_or_the_status(tmp_path: Path) -> None:
    async with site(tmp_path, "vault") as (here, _):
        (tmp_path / "vault-token").write_text("hvs.an0ther-s3cret")
        await here.gateway.reload()
        asks = charge_point(here.rig)
        async with asks.running(here.gateway):
            await here.approve("CP-1")
            await until(lambda: "403" in here.gateway.log(), "the token is not taken")
        said = here.gateway.log() + json.dumps(here.gateway.events()) + json.dumps(here.gateway.status())
        assert "s3cret" not in said
