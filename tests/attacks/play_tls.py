"""Plays below HTTP: ClientHellos, renegotiation, certificates, tickets, and plain text where TLS is due."""

import re
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL

from tests.attacks.case import Case, NotUnderstood
from tests.attacks.hello import VERSIONS, alerts_in, build_client_hello, suite_codes
from tests.attacks.link import ClientTLS, Link
from tests.attacks.observed import Observed, secrets_in
from tests.attacks.play import Play, read_answer
from tests.attacks.session import HOST, NotAdmitted, Session
from tests.attacks.world import REVOKED, World, until
from tests.support.peer import upgrade
from tests.support.rig import OPERATOR, shared_authority
from tests.support.tls_material import Issued, self_signed

__all__ = ["plan_tls"]

_BOTH_VERSIONS = {"TLS 1.2": SSL.TLS1_2_VERSION, "TLS 1.3": SSL.TLS1_3_VERSION}


def _plan_hello(case: Case) -> list[Play]:
    """A ClientHello for the highest version named, and for each older one that TLS still knows."""
    hello: dict[str, Any] = case.tls["client_hello"]
    if not hello.keys() <= {"max_version", "ciphers"} or hello.get("max_version") not in VERSIONS:
        raise NotUnderstood(f"client_hello {hello}")
    suites = suite_codes(hello.get("ciphers", []))
    highest = VERSIONS[hello["max_version"]]
    names = [name for name, code in VERSIONS.items() if code == highest or VERSIONS["TLS1.0"] <= code < highest]
    if "ciphers" in hello:
        names = [hello["max_version"]]

    def play(name: str) -> Play:
        async def run(world: World, source: str) -> Observed:
            seen = Observed(label=name, source=source)
            async with await Link.open(world.address("tls"), source=source) as link:
                link.send(build_client_hello(VERSIONS[name], suites, HOST))
                seen.closed = await until(lambda: link.closed)
                wire = await link.reader.read() if seen.closed else b""
                seen.alerts, seen.received = alerts_in(wire), link.received
            return seen

        return Play(label=name, run=run)

    return [play(name) for name in names]


def _plan_renegotiation(case: Case) -> list[Play]:
    times = re.fullmatch(r"send ClientHello (\d+) times on the established connection", case.tls["after_handshake"])
    if times is None:
        raise NotUnderstood(f"after_handshake {case.tls['after_handshake']!r}")

    async def flood(link: Link, seen: Observed) -> None:
        """The first attempt must end it; a connection that survives gets all of them."""
        for _ in range(int(times[1])):
            if not link.renegotiate() or await until(lambda: link.closed, 5.0):
                break
        seen.closed, seen.alerts = await until(lambda: link.closed, 5.0), link.alerts

    async def before_http(world: World, source: str) -> Observed:
        seen = Observed(label="before the upgrade", source=source)
        tls = ClientTLS(server_name=HOST, highest=SSL.TLS1_2_VERSION)
        async with await Link.open(world.address("tls"), source=source, tls=tls) as link:
            await flood(link, seen)
        return seen

    async def in_session(world: World, source: str) -> Observed:
        seen = Observed(label="in a session", source=source)
        async with Session.open(world, source, highest=SSL.TLS1_2_VERSION) as session:
            await flood(session.link, seen)
        return seen

    return [Play(label="before the upgrade", run=before_http), Play(label="in a session", run=in_session)]


async def _upgrade(link: Link, identity: str, seen: Observed) -> bool:
    """Ask for an upgrade without credentials; True if the certificate was enough."""
    link.send(upgrade(f"/ocpp/{identity}", host=HOST))
    answer = await read_answer(link, seen)
    return answer is not None and answer.status == 101


def _certificate(described: dict[str, Any]) -> Issued:
    if described.keys() != {"CN", "O", "issuer"} or described["issuer"] != "self":
        raise NotUnderstood(f"client_cert {described}")
    return self_signed(described["CN"], described["O"])


def _plan_certificate(case: Case) -> list[Play]:
    described = case.tls["client_cert"]
    bad = _certificate(described)
    good = shared_authority().charge_point(described["CN"], described["O"])

    def play(name: str, version: int) -> Play:
        async def run(world: World, source: str) -> Observed:
            seen, control = Observed(label=name, source=source), Observed(label="control", source=source)
            mtls, (owner, _) = world.address("mtls"), world.roster.owners[described["CN"]]
            tls = ClientTLS(server_name=HOST, highest=version, certificate=bad)
            async with await Link.open(mtls, source=source, tls=tls) as link:
                await _upgrade(link, owner, seen)
            tls = ClientTLS(server_name=HOST, highest=version, certificate=good)
            async with await Link.open(mtls, source=world.new_source(), tls=tls) as link:
                if not await _upgrade(link, owner, control):
                    seen.problems.append("control: not even a certificate of the trusted issuer got in")
            return seen

        return Play(label=name, run=run)

    return [play(name, version) for name, version in _BOTH_VERSIONS.items()]


def _plan_resumption() -> list[Play]:
    """Connect, keep the ticket, have the certificate revoked, come back with the ticket."""

    def play(name: str, version: int) -> Play:
        certificate = shared_authority().charge_point("SN-R3", OPERATOR)

        async def run(world: World, source: str) -> Observed:
            seen, first = Observed(label=name, source=source), Observed(label="first", source=source)
            mtls = world.address("mtls")
            tls = ClientTLS(server_name=HOST, highest=version, certificate=certificate)
            async with await Link.open(mtls, source=world.new_source(), tls=tls) as link:
                if not await _upgrade(link, REVOKED, first):
                    raise NotAdmitted("the certificate did not get in before it was revoked")
                ticket = link.session()
                with world.rig.registry() as registry:
                    digest = certificate.certificate.fingerprint(hashes.SHA256()).hex()
                    registry.revoke_certificate(sha256=digest, reason="stolen", now=time.time())
                if not await until(lambda: link.closed):
                    seen.problems.append("the first session outlived the revocation")
            async with await Link.open(mtls, source=source, tls=tls, resume=ticket) as link:
                await _upgrade(link, REVOKED, seen)
            return seen

        return Play(label=name, run=run)

    return [play(name, version) for name, version in _BOTH_VERSIONS.items()]


def _plan_plaintext(case: Case) -> list[Play]:
    async def run(world: World, source: str) -> Observed:
        request = case.http.encode("latin-1")
        seen = Observed(label="", source=source, request=request, secrets=secrets_in(request))
        async with await Link.open(world.address("tls"), source=source) as link:
            link.send(request)
            await read_answer(link, seen)
        return seen

    return [Play(label="", run=run)]


def plan_tls(case: Case) -> list[Play]:
    """The plays of a case of layer tls that does not get as far as HTTP. Raises NotUnderstood."""
    match sorted(case.tls):
        case ["client_hello"]:
            return _plan_hello(case)
        case ["after_handshake"]:
            return _plan_renegotiation(case)
        case ["client_cert"]:
            return _plan_certificate(case)
        case ["resume_ticket"] if case.tls["resume_ticket"] is True:
            return _plan_resumption()
        case [] if case.http:
            return _plan_plaintext(case)
        case keys:
            raise NotUnderstood(f"tls {', '.join(keys)}")
