"""Client certificates with chains of every kind, at a real gateway: who gets in, and the one event of whoever does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.hierarchy import Chained, certificate
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.site import Site, local_port, of, running
from tests.support.tls_material import DAY, Issued

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
ROOT = Issued(shared_authority().root, shared_authority().key)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
SUB = certificate("Sub", issuer=ROOT, ca=True)
NARROW = certificate("Narrow", issuer=ROOT, ca=True, path_length=0)
BELOW_NARROW = certificate("Below", issuer=NARROW, ca=True)
NO_CA = certificate("No CA", issuer=ROOT, ca=False)
LATE = certificate("Late", issuer=ROOT, ca=True, start=-9 * DAY, end=-DAY)
NAMESAKE = certificate("Sub", issuer=certificate("Test Root", ca=True), ca=True)


def long_chain(length: int) -> tuple[Issued, ...]:
    """CAs, the lowest first."""
    chain = [ROOT]
    for number in range(length):
        chain.insert(0, certificate(f"Level {number}", issuer=chain[0], ca=True))
    return tuple(chain[:-1])


LONG = long_chain(12)


def leaf(issuer: Issued, usage: object = CLIENT, *, ca: bool = False, signs: bool | None = None) -> Issued:
    return certificate("SN-1", issuer=issuer, usage=usage, organization=OPERATOR, ca=ca, signs=signs)  # type: ignore[arg-type]


class Attempt(NamedTuple):
    """What is shown, and the event and reason that it leaves."""

    shown: Issued
    event: str
    reason: str
    in_tls: bool = True


REFUSED = {
    "intermediate-missing": Attempt(leaf(SUB), "cert.untrusted", "certificate-untrusted"),
    "intermediate-of-a-namesake": Attempt(Chained(leaf(SUB), NAMESAKE), "cert.untrusted", "certificate-untrusted"),
    "intermediate-is-no-ca": Attempt(Chained(leaf(NO_CA), NO_CA), "cert.invalid", "certificate-invalid"),
    "intermediate-expired": Attempt(Chained(leaf(LATE), LATE), "cert.expired", "certificate-expired"),
    "path-too-long": Attempt(Chained(leaf(BELOW_NARROW), BELOW_NARROW, NARROW), "cert.invalid", "certificate-invalid"),
    "long-chain-with-a-gap": Attempt(
        Chained(leaf(LONG[0]), *LONG[:5], *LONG[6:]), "cert.untrusted", "certificate-untrusted"
    ),
    "server-usage": Attempt(Chained(leaf(SUB, SERVER), SUB), "cert.invalid", "certificate-invalid"),
    "any-usage": Attempt(Chained(leaf(SUB, ANY), SUB), "cert.invalid", "certificate-invalid"),
    "a-ca": Attempt(Chained(SUB, SUB), "cert.invalid", "certificate-invalid"),
    "a-ca-that-may-be-a-client": Attempt(
        Chained(leaf(SUB, ca=True, signs=True), SUB), "cert.invalid", "certificate-not-for-charge-points", in_tls=False
    ),
    "400-certificates": Attempt(Chained(leaf(SUB), *[SUB] * 400), "tls.malformed", "tls-protocol"),
}
ADMITTED = {
    "direct": leaf(ROOT),
    "one-intermediate": Chained(leaf(SUB), SUB),
    "with-the-root": Chained(leaf(SUB), SUB, ROOT),
    "in-any-order": Chained(leaf(LONG[0]), *reversed(LONG)),
    "long-chain": Chained(leaf(LONG[0]), *LONG),
    "with-strangers-behind": Chained(leaf(SUB), SUB, NAMESAKE, *LONG),
    "as-narrow-as-it-may-be": Chained(leaf(NARROW), NARROW),
    "without-usage": Chained(leaf(SUB, None), SUB),
}


def prepare(rig: Rig) -> None:
    rig.config["listener"].append(rig.listener("stdlib", [3], tls=rig.tls_table("required", engine="stdlib")))
    rig.add("CP-1", security_profile=3, serial_number="SN-1")
    for name in ADMITTED:
        rig.add(f"CP-{name}", security_profile=3, serial_number="SN-1")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("client-chains"), prepare) as made:
        yield made


@pytest.mark.parametrize("listener", ["mtls", "stdlib"])
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.requirement("A00.FR.403", "A00.FR.407", "A00.FR.408")
async def test_who_is_refused_leaves_one_event_with_the_reason(site: Site, name: str, listener: str) -> None:
    attempt, since = REFUSED[name], site.gateway.mark()
    port, status = 0, 0
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        peer = await site.peer(listener, attempt.shown)
        port = local_port(peer)
        async with peer:
            status = (await peer.ask("/ocpp/CP-1")).status
    where = of(port) if port else (lambda event: event["listener"] == listener)
    event = await site.gateway.event(attempt.event, since, where)
    assert event["reason"] == attempt.reason
    assert event["stage"] == ("tls" if attempt.in_tls else "authenticate")
    assert event["detail"]
    assert status == (0 if attempt.in_tls else 403)


@pytest.mark.parametrize("listener", ["mtls", "stdlib"])
@pytest.mark.parametrize("name", ADMITTED)
@pytest.mark.requirement("A00.FR.403")
async def test_who_is_good_gets_in(site: Site, name: str, listener: str) -> None:
    async with await site.peer(listener, ADMITTED[name]) as peer:
        answer = await peer.ask(f"/ocpp/CP-{name}")
    assert answer.status == 101, [event.get("detail") for event in site.gateway.events()[-1:]]
