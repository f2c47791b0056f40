"""OCSP of an issuing CA here: which responses are due, and by which responder they are signed. The signer makes them.

A responder's key never leaves the signer: whoever takes this process, its memory or the disk can say nothing in the CA's name.
"""

import datetime
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.approval import Operator
from pki.errors import Reason, Refused
from pki.inventory import CertificateEntry, Inventory
from pki.issuance import Application, Issuance
from pki.issuer import Issuer
from pki.ocsp import HASHES, OCSPResponses, OCSPWindow, Presigned, Tail, assembled, response_tail
from pki.profiles import OCSP_RESPONDER
from pki.signer.protocol import OCSPStatus

__all__ = ["OwnOCSP", "ResponseSigner", "has_responder", "known_responder", "new_responder"]

_AT_ONCE: Final = 50
"""So many in one question: others who ask the signer wait for some milliseconds."""


def has_responder(issuer: Issuer) -> bool:
    """True if the issuer may delegate OCSP to a responder, and its certificates say where to ask one."""
    return bool(issuer.publication.ocsp_url) and any(each.name == OCSP_RESPONDER.name for each in issuer.profiles)


class ResponseSigner(Protocol):
    """Whoever has the responders' keys: the signer's client, or issuance, which asks it."""

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        """Body and signature of one response for each hash, for each certificate. Raises Refused, SignerUnavailable."""


def known_responder(
    inventory: Inventory, issuer: Issuer, ends_after: datetime.datetime, unusable: AbstractSet[int] = frozenset()
) -> int | None:
    """Serial number of the responder's certificate that ends last, if that is after this; not one of `unusable`."""
    found = [
        (entry.not_after, entry.serial)
        for request in inventory.of_identity(OCSP_RESPONDER.name, issuer.responder_subject)
        if request.issuer == issuer.name and request.serial is not None
        for entry in (inventory.certificates[request.serial],)
        if entry.issued and entry.revocation is None and entry.not_after is not None and entry.serial not in unusable
    ]
    ends, serial = max(found, default=(None, None))
    return serial if ends is not None and ends > ends_after else None


def new_responder(ca: Issuance, issuer: Issuer, by: str, now: datetime.datetime) -> int:
    """Another responder: serial number of its certificate. The signer makes its key.

    Raises Refused, SignerUnavailable, OSError.
    """
    wanted = Application(
        profile=OCSP_RESPONDER.name, subject=issuer.responder_subject, applicant=Operator(by), issuer=issuer.name
    )
    csr = x509.load_der_x509_csr(ca.new_responder(issuer.name))
    request = ca.request(csr.public_bytes(Encoding.PEM).decode("ascii"), wanted, now)
    return ca.issue(request.id, now).certificate.serial_number


class OwnOCSP:
    """The responses of one issuer. One thread at a time has them made; `responses` may be asked by another one meanwhile."""

    def __init__(self, issuer: Issuer, lifetime: datetime.timedelta) -> None:
        self._issuer = issuer
        self._lifetime = lifetime
        self._responder: tuple[int, Tail] | None = None
        self._presigned: dict[int, tuple[Presigned, ...]] = {}
        self._revoked: set[int] = set()
        """Of those that are signed, the ones whose response says so."""
        self._waiting: deque[CertificateEntry] = deque()
        self.refused = ""
        """Why the signer would not say something, in the last round."""
        self.responder_ends: datetime.datetime | None = None
        self.responses = OCSPResponses(issuer.certificate, self._presigned)

    @property
    def responder(self) -> int | None:
        """Serial number of the certificate of the responder that signs from now on."""
        return None if self._responder is None else self._responder[0]

    def use(self, responder: x509.Certificate) -> None:
        """Have this one sign from now on. What others have signed stays good until it ends."""
        if responder.serial_number != self.responder:
            self._responder = responder.serial_number, response_tail(self._issuer.certificate, responder)
            self.responder_ends = responder.not_valid_after_utc

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
                yield serial, kind, assembled(each)

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

    def sign(self, signer: ResponseSigner, now: datetime.datetime, goes_on: Callable[[], bool]) -> int:
        """Have signed what is planned while `goes_on`; how many certificates got a response.

        Raises Refused, SignerUnavailable: then what is left waits still. Without a responder nothing is signed. What the signer
        does not say of one certificate, as it knows better, costs no other one its response.
        """
        if self._responder is None:
            return 0
        self.refused, at_once = "", _AT_ONCE
        (serial, tail), start, done = self._responder, now.replace(microsecond=0), 0
        window = OCSPWindow(start, start + self._lifetime)
        while self._waiting and goes_on():
            entries = list(itertools.islice(self._waiting, at_once))
            try:
                made = signer.sign_responses(self._issuer.name, serial, window, list(map(_status, entries)))
            except Refused as refused:
                if refused.reason is not Reason.OCSP_STATUS:
                    raise
                if at_once == 1:
                    self._waiting.popleft()  # until it is planned again
                    self.refused = str(refused)
                at_once = 1
                continue
            for entry, signed in zip(entries, made, strict=True):
                self._waiting.popleft()
                self._presigned[entry.serial] = tuple(Presigned(tbs, each, window, tail) for tbs, each in signed)
                if entry.revocation is not None:
                    self._revoked.add(entry.serial)
            done += len(entries)
        return done

    def fact_of(self, serial: int, now: datetime.datetime) -> dict[str, Any] | None:
        """The same of one certificate; None if there is no response about it."""
        found = self._presigned.get(serial)
        if found is None:
            return None
        window, said = found[0].window, "revoked" if serial in self._revoked else "good"
        return {
            "state": said if now <= window.next_update else "stale",
            "this_update": window.this_update.timestamp(),
            "next_update": window.next_update.timestamp(),
            "signed_next": (window.this_update + self._lifetime / 2).timestamp(),
        }

    def facts(self, now: datetime.datetime) -> dict[str, Any]:
        """How the responses stand, for people: times in seconds since the epoch."""
        windows = [each[0].window for each in self._presigned.values()]
        half = self._lifetime / 2
        ends = min((each.next_update for each in windows), default=None)
        due = min((each.this_update + half for each in windows), default=None)
        return {
            "responses": len(windows),
            "revoked": len(self._revoked),
            "waiting": self.waiting,
            "stale": sum(each.next_update < now for each in windows),
            "first_ends": None if ends is None else ends.timestamp(),
            "signed_next": None if due is None else due.timestamp(),
            "responder": None if self.responder is None else f"{self.responder:x}",
            "responder_ends": None if self.responder_ends is None else self.responder_ends.timestamp(),
        }

    def _is_about(self, entry: CertificateEntry, now: datetime.datetime) -> bool:
        if entry.request.issuer != self._issuer.name or entry.not_after is None or entry.not_after < now:
            return False
        if entry.request.profile == OCSP_RESPONDER.name:
            return False  # nobody asks about a responder (id-pkix-ocsp-nocheck)
        return bool(entry.issued) or entry.revocation is not None

    def _is_due(self, serial: int, now: datetime.datetime) -> bool:
        found = self._presigned.get(serial)
        return found is None or now >= found[0].window.this_update + self._lifetime / 2


def _status(entry: CertificateEntry) -> OCSPStatus:
    revocation = entry.revocation
    if revocation is None:
        return OCSPStatus(f"{entry.serial:x}")
    return OCSPStatus(f"{entry.serial:x}", revocation.at, revocation.reason.value)
