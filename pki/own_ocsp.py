"""OCSP of an issuing CA here: a responder's key in memory, its certificate from the CA, and responses renewed in time.

The key is made where the responses are made and is never written: whoever takes the disk can say nothing in the CA's name.
"""

import datetime
from collections import deque
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from pki.approval import Operator
from pki.inventory import CertificateEntry, Inventory
from pki.issuance import Application, Issuance
from pki.issuer import Issuer
from pki.keys import generate_key
from pki.names import Subject
from pki.ocsp import HASHES, OCSPResponses, OCSPSigner, OCSPWindow, Presigned, assembled
from pki.profiles import OCSP_RESPONDER
from pki.revocation import RevokedCertificate

__all__ = ["OwnOCSP", "has_responder", "new_signer"]


def has_responder(issuer: Issuer) -> bool:
    """True if the issuer may delegate OCSP to a responder, and its certificates say where to ask one."""
    return bool(issuer.publication.ocsp_url) and any(each.name == OCSP_RESPONDER.name for each in issuer.profiles)


def new_signer(ca: Issuance, issuer: Issuer, by: str, now: datetime.datetime) -> tuple[OCSPSigner, datetime.datetime]:
    """A responder with a new key, and when its certificate ends. Raises Refused, SignerUnavailable, OSError."""
    key = generate_key("rsa-2048" if isinstance(issuer.public_key, rsa.RSAPublicKey) else "ec-p256")
    subject = Subject(f"OCSP responder of {issuer.name}", issuer.organizations[0])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject.name()).sign(key, hashes.SHA256())
    wanted = Application(profile=OCSP_RESPONDER.name, subject=subject, applicant=Operator(by), issuer=issuer.name)
    request = ca.request(csr.public_bytes(Encoding.PEM).decode("ascii"), wanted, now)
    certificate = ca.issue(request.id, now).certificate
    return OCSPSigner(issuer.certificate, certificate, key), certificate.not_valid_after_utc


class OwnOCSP:
    """The responses of one issuer. One thread at a time makes them; `responses` may be asked by another one meanwhile."""

    def __init__(
        self, issuer: Issuer, signer: OCSPSigner, signer_ends: datetime.datetime, lifetime: datetime.timedelta
    ) -> None:
        self._issuer = issuer
        self._signer = signer
        self._lifetime = lifetime
        self._presigned: dict[int, tuple[Presigned, ...]] = {}
        self._revoked: set[int] = set()
        """Of those that are signed, the ones whose response says so."""
        self._waiting: deque[CertificateEntry] = deque()
        self.signer_ends = signer_ends
        self.is_complete = False
        """Every certificate has had its response once."""
        self.responses = OCSPResponses(issuer.certificate, signer.tail, self._presigned)

    def __len__(self) -> int:
        return len(self._presigned)

    @property
    def waiting(self) -> int:
        """How many responses are still to be signed."""
        return len(self._waiting)

    def whole_responses(self) -> Iterator[tuple[int, str, bytes]]:
        """Serial number, hash of the CertID and response in DER of everything that is signed."""
        for serial, signed in self._presigned.items():
            for kind, each in zip(HASHES, signed, strict=True):
                yield serial, kind, assembled(each, self._signer.tail)

    def plan(self, inventory: Inventory, now: datetime.datetime, *, only: AbstractSet[int] = frozenset()) -> None:
        """Find out what is due: what has just been revoked first, then what is new, then what has lived half its life.

        `only`: these serial numbers and no others.
        """
        wanted: dict[int, CertificateEntry] = {}
        at_once, later = [], []
        for entry in inventory.certificates.values():
            if not self._is_about(entry, now) or (only and entry.serial not in only):
                continue
            wanted[entry.serial] = entry
            if entry.revocation is not None and entry.serial not in self._revoked:
                at_once.append(entry)
            elif self._is_due(entry.serial, now):
                later.append(entry)
        for serial in self._presigned.keys() - wanted.keys():
            self._presigned.pop(serial)
            self._revoked.discard(serial)
        self._waiting = deque(at_once + later)
        self.is_complete = self.is_complete or not self._waiting

    def sign(self, now: datetime.datetime, goes_on: Callable[[], bool]) -> int:
        """Sign what is planned while `goes_on`; how many certificates got a response."""
        start = now.replace(microsecond=0)
        window, done = OCSPWindow(start, start + self._lifetime), 0
        while self._waiting and goes_on():
            entry = self._waiting.popleft()
            self._presigned[entry.serial] = self._signer.presign(entry.serial, _revoked(entry), window)
            if entry.revocation is not None:
                self._revoked.add(entry.serial)
            done += 1
        self.is_complete = self.is_complete or not self._waiting
        return done

    def _is_about(self, entry: CertificateEntry, now: datetime.datetime) -> bool:
        if entry.request.issuer != self._issuer.name or entry.not_after is None or entry.not_after < now:
            return False
        if entry.request.profile == OCSP_RESPONDER.name:
            return False  # nobody asks about a responder (id-pkix-ocsp-nocheck)
        return bool(entry.issued) or entry.revocation is not None

    def _is_due(self, serial: int, now: datetime.datetime) -> bool:
        found = self._presigned.get(serial)
        return found is None or now >= found[0].window.this_update + self._lifetime / 2


def _revoked(entry: CertificateEntry) -> RevokedCertificate | None:
    revocation = entry.revocation
    if revocation is None:
        return None
    return RevokedCertificate(entry.serial, revocation.at, x509.ReasonFlags(revocation.reason.value))
