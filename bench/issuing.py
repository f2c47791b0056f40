"""What a certificate costs: from a request's text to the certificate, procedure and signer in one process, both books on disk.

CPU time, so that waiting for the disk does not count; what the two processes say to each other is left out (some 0.1 ms).
"""

import contextlib
import datetime
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from bench.rig import RunFailed
from pki.approval import Operator
from pki.ceremony.perform import perform
from pki.ceremony.plan import parse_ceremony
from pki.chained_file import Position
from pki.inventory import RequestState
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.issuer import Issuer
from pki.names import Subject
from pki.ocsp import OCSPWindow
from pki.signer.core import SigningCore
from pki.signer.protocol import OCSPStatus, SignedEntry, SignResponses
from pki.signer.settings import load_issuers

__all__ = ["csr_of", "enrol_with", "issuing", "make_hierarchy", "opened"]

_COUNT, _RSA_COUNT = 200, 20
_ABOUT = 'purpose = "benchmark"\nwitnesses = ["nobody"]\n'
_SUBJECT = 'subject = {{ common_name = "{}", organization = "Bench" }}\n'
_ROOT = f'mode = "root"\nname = "root"\n{_ABOUT}{_SUBJECT.format("Root")}[key]\ngenerate = "ec-p256"\nat = {{ file = "root.key", unsafe_unencrypted = true }}\n'
_ISSUING = (
    f'mode = "issuing-ca"\nname = "issuing"\nuse = "charge-points"\ndirectory = "signer"\n{_ABOUT}{_SUBJECT.format("Issuing")}'
    'limits = { organizations = ["Bench"] }\n'
    '[root]\ncertificate = "root.pem"\nkey = { file = "root.key", unsafe_unencrypted = true }\n'
    '[key]\ngenerate = "ec-p256"\nat = { file = "signer/issuing.key", unsafe_unencrypted = true }\n'
)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class _Near:
    """The signer's work without its socket."""

    def __init__(self, directory: Path) -> None:
        self.core = SigningCore(load_issuers(directory), directory / "signed", _now)

    def issuers(self) -> list[Issuer]:
        return self.core.issuers

    @property
    def place(self) -> Position:
        return self.core.book.place

    def digest_at(self, sequence: int) -> bytes | None:
        return self.core.book.digest_at(sequence)

    def revoked(self) -> list[int]:
        return list(self.core.book.revoked())

    def remembered(self) -> tuple[Position, int]:
        return self.core.book.remembered, self.core.book.signed_count

    def sign(self, issuer: str, profile: str, tbs: bytes, journal: Position) -> bytes:
        return self.core.sign(issuer, profile, tbs, journal)

    def remember(self, journal: Position, revoked: str = "") -> None:
        self.core.remember(journal, revoked)

    def signed(self) -> list[SignedEntry]:
        return self.core.book.listed(0)[0]

    def new_responder(self, issuer: str) -> bytes:
        return self.core.new_responder(issuer)

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        made = self.core.sign_responses(SignResponses(issuer, f"{responder:x}", *window, list(statuses)))
        return [[(each.tbs, each.signature) for each in one] for one in made]


def csr_of(name: str, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """A request for this name, PEM."""
    subject = Subject(name, "Bench").name()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def _cpu_ms(ca: Issuance, requests: dict[str, str]) -> float:
    started = time.process_time()
    for name, csr in requests.items():
        wanted = Application(
            profile="ChargePointCertificate", subject=Subject(name, "Bench"), applicant=Operator("bench")
        )
        entry = ca.request(csr, wanted, _now())
        ca.issue(entry.id, _now())
        if entry.state is not RequestState.ISSUED:
            raise RunFailed(f"{name} was not issued")
    return (time.process_time() - started) / len(requests) * 1e3


def make_hierarchy(directory: Path) -> None:
    """A root, and an issuing CA with its key in a file; no books yet."""
    (directory / "signer").mkdir(parents=True)
    for text in (_ROOT, _ISSUING):
        perform(parse_ceremony(text), text, directory, _now())


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[Issuance]:
    """Procedure and signer in this process."""
    signer = _Near(directory / "signer")
    try:
        with contextlib.closing(
            Issuance(directory / "journal", signer, IssuancePolicy(), _now(), lambda: secrets.token_hex(6))
        ) as ca:
            yield ca
    finally:
        signer.core.close()


def enrol_with(ca: Issuance, name: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    """A certificate of this name."""
    wanted = Application(profile="ChargePointCertificate", subject=Subject(name, "Bench"), applicant=Operator("bench"))
    return ca.issue(ca.request(csr_of(name, key), wanted, _now()).id, _now()).certificate


def issuing() -> dict[str, float]:
    """CPU milliseconds a certificate, by the kind of key of the charge point. Raises RunFailed."""
    with tempfile.TemporaryDirectory() as place:
        make_hierarchy(Path(place))
        with opened(Path(place)) as ca:
            ec_csrs = {f"E{n}": csr_of(f"E{n}", ec.generate_private_key(ec.SECP256R1())) for n in range(_COUNT)}
            rsa_csrs = {f"R{n}": csr_of(f"R{n}", rsa.generate_private_key(65537, 2048)) for n in range(_RSA_COUNT)}
            _cpu_ms(ca, {"first": csr_of("first", ec.generate_private_key(ec.SECP256R1()))})
            return {"issue_ms": _cpu_ms(ca, ec_csrs), "issue_rsa_ms": _cpu_ms(ca, rsa_csrs)}
