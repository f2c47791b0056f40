"""What revocations cost: in process, CPU time of one thread.

    python -m bench.revocation

A handshake with a client certificate and the decision about it, with nothing revoked and with 100 000 in the registry and
as many in another CA's list; and the lists and OCSP answers themselves. Not part of `make bench`: nobody else to compare with.
"""

import asyncio
import datetime
import random
import statistics
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.config.model import Trust
from gateway.control.authentication import Authenticator
from gateway.control.credentials import PasswordVerifier
from gateway.control.directory import Directory
from gateway.control.foreign_revocations import ForeignRevocations
from gateway.identity.evidence import Claim, Peer, Transport
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord
from gateway.identity.trust import TrustBundle, TrustBundles
from gateway.link.messages import TrustSettings
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.certificates import Revocations
from pki.crl import CRLStamp, build_crl, next_stamp
from pki.foreign_crl import read_crl
from pki.ocsp import OCSPSigner, OCSPWindow
from pki.revocation import RevokedCertificate
from tests.support.memory_tls import AUTHORITY, Client, context
from tests.support.revocation_material import HOUR, authority, moment, responder

_MANY = 100_000
_OCSP_SAMPLE = 10_000
_HANDSHAKES = 150
_ROUNDS = 9
_IDENTITY = ChargePointId("CP-1")


def _serials(count: int) -> list[int]:
    numbers = random.Random(1)
    return [numbers.getrandbits(158) | 1 << 157 for _ in range(count)]


class _Control:
    """Control's decision about a certificate, with so many revoked in the registry and in a list of its bundle."""

    def __init__(self, revoked: int, work: Path) -> None:
        issuer = AUTHORITY.root.subject.rfc4514_string()
        names = frozenset((issuer, format(serial, "x")) for serial in _serials(revoked))
        self.record = ChargePointRecord(
            charge_point_id=_IDENTITY,
            security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE,
            serial_number="SN-1",
            operator_names=("Example CPO",),
        )
        directory = Directory()
        directory.put(self.record)
        directory._revocations = Revocations(issuer_serials=names)  # noqa: SLF001
        limiter = GuessingLimiter(30, 10)
        self.desk = Authenticator(directory, PasswordVerifier(), limiter, time.time)
        bundle = Trust(name="own", roots=(), crl=(str(work / f"{revoked}.crl"),), revocation="hard")
        entries = [RevokedCertificate(serial, moment()) for serial in _serials(revoked)]
        now = moment()
        der = build_crl(AUTHORITY.root, AUTHORITY.key, entries, CRLStamp(1, now, now + 24 * HOUR))
        (work / f"{revoked}.crl").write_bytes(der)
        self.foreign = ForeignRevocations(work / "cache", lambda *_: None, lambda: ())
        self.foreign.use((TrustSettings(bundle, AUTHORITY.pem),))
        self.desk.foreign = self.foreign
        anchors = frozenset({AUTHORITY.root.fingerprint(hashes.SHA256()).hex()})
        self.desk.trust = TrustBundles((TrustBundle(name="own", anchors=anchors, demands_status=True),))

    async def ready(self) -> None:
        while self.foreign.status()[0]["state"] != "current":
            await asyncio.sleep(0.05)

    def handshake_us(self) -> float:
        """CPU microseconds of a full handshake, the client's half included, and of the decision."""
        made, peer = context("pyopenssl"), Peer(address="192.0.2.1", port=1, listener="tls")
        clients = [Client(made.accept()) for _ in range(_HANDSHAKES)]
        before = time.process_time()
        for client in clients:
            facts = client.handshake().facts()
            claim = Claim(charge_point_id=_IDENTITY, transport=Transport(peer=peer, tls=facts))
            assert self.desk.by_certificate_alone(claim, self.record) is not None
        return (time.process_time() - before) / _HANDSHAKES * 1e6


async def _ratio() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        none, many = _Control(0, work), _Control(_MANY, work)
        await none.ready()
        await many.ready()
        without, with_many = [], []
        for _ in range(_ROUNDS):  # in turns, so that whatever else the machine does hits both
            without.append(none.handshake_us())
            with_many.append(many.handshake_us())
        await none.foreign.close()
        await many.foreign.close()
    ratios = [one / other for one, other in zip(with_many, without, strict=True)]
    return statistics.median(without), statistics.median(ratios)


def _crl_s() -> tuple[float, float]:
    issuer, now = authority(), moment()
    entries = [RevokedCertificate(serial, now, x509.ReasonFlags.key_compromise) for serial in _serials(_MANY)]
    before = time.process_time()
    der = build_crl(issuer.root, issuer.key, entries, next_stamp(None, now, 24 * HOUR))
    built = time.process_time()
    read_crl(der, [issuer.root], now + datetime.timedelta(seconds=1))
    return built - before, time.process_time() - built


def _ocsp_s() -> float:
    issuer, now, signed_by = authority(), moment(), responder(authority())
    signer, window = OCSPSigner(issuer.root, signed_by.certificate, signed_by.key), OCSPWindow(now, now + 24 * HOUR)
    before = time.process_time()
    for serial in _serials(_OCSP_SAMPLE):
        signer.presign(serial, None, window)
    return (time.process_time() - before) * _MANY / _OCSP_SAMPLE


def main() -> int:
    built, read = _crl_s()
    print(f"list of {_MANY} entries: built in {built:.2f} s (target 2), read and verified in {read:.2f} s")
    print(f"{_MANY} OCSP answers, with SHA-1 and with SHA-256 each: {_ocsp_s():.1f} s (target 60)")
    cost, ratio = asyncio.run(_ratio())
    print(f"handshake and decision: {cost:.0f} us; with {_MANY} revoked {ratio:.3f} times that (target 1.05)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
