"""A registration authority: requests are checked, held and journalled as by the embedded CA, and another CA signs.

Steps 1 to 5 are those of `pki.issuance`. Then, in place of 6 to 12:

(6) whoever runs this asks the other CA (`pki.backends`), again and again until it has decided
(7) what it returns has passed `pki.backends.returned`
(8) journal it, in one record: after a crash before it the CA is asked again, after it the journal answers

A revocation here is a wish to the other CA, until a record says that it knows (`note_told`).

There is no signer, and no second book: that certificates exist which this journal does not know is for the other CA to tell.
"""

import datetime
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from pki.chained_file import START, Position
from pki.chains import shaped
from pki.errors import Misconfigured, Reason, Refused
from pki.inventory import RequestEntry, RequestState
from pki.issuance import Application, Issuance, IssuancePolicy, IssuedCertificate
from pki.issuer import Issuer
from pki.keys import SubjectKey
from pki.names import verify_charge_point_name, verify_organization
from pki.ocsp import OCSPWindow
from pki.profiles import CHARGE_POINT
from pki.records import Received, Told, ToldState, TurnedDown
from pki.signer.protocol import OCSPStatus, SignedEntry

__all__ = ["MARK", "RegistrationAuthority"]

MARK: Final = "backend"
"""The file that makes a directory one of a registration authority; it holds the other CA's name."""


class RegistrationAuthority(Issuance):
    """For charge points alone. `name`: how the other CA is called here."""

    issues_itself = False

    def __init__(
        self,
        journal: Path,
        name: str,
        policy: IssuancePolicy,
        now: datetime.datetime,
        make_id: Callable[[], str],
    ) -> None:
        """Raises JournalDamaged, JournalInUse, OSError."""
        super().__init__(journal, _Nobody(), policy, now, make_id)
        self._name = name

    @override
    def _issuer_name(self, application: Application, key: SubjectKey, now: datetime.datetime) -> str:
        del key, now
        if application.profile != CHARGE_POINT.name:
            raise Refused(Reason.PROFILE_NOT_SERVED, application.profile)
        verify_organization(application.subject.organization)
        verify_charge_point_name(application.subject.common_name)
        return self._name

    @override
    def request(self, csr: str, application: Application, now: datetime.datetime) -> RequestEntry:
        """Steps 1 to 5; whoever sends a new key has given up the old one, also one that the CA still thinks about."""
        entry = super().request(csr, application, now)
        for other in [each for each in self.inventory.requests.values() if each.state is RequestState.APPROVED]:
            if other.id != entry.id and other.subject == application.subject:
                self.turn_down(other.id, f"superseded by {entry.id}", now)
        return entry

    @override
    def issue(self, request_id: str, now: datetime.datetime) -> IssuedCertificate:
        """What the other CA has issued for it. Raises Refused, Misconfigured."""
        request = self._request(request_id)
        if request.state is RequestState.APPROVED:
            raise Misconfigured(f"{self._name} issues here, and the gateway asks it for what is approved")
        return super().issue(request_id, now)

    @override
    def resume(self, now: datetime.datetime) -> list[RequestEntry]:
        """Nothing is begun here that could be left half-way."""
        del now
        return []

    @override
    def signed_entries(self) -> Iterable[SignedEntry]:
        """Raises Misconfigured: only the other CA knows what it has signed."""
        raise Misconfigured(f"{self._name} issues here, and there is no signer whose list could be compared")

    def receive(self, request_id: str, chain: Sequence[x509.Certificate], now: datetime.datetime) -> IssuedCertificate:
        """Step 8: what came back, checked, leaf first. Raises Refused, OSError."""
        request = self._request(request_id)
        if request.state in {RequestState.APPROVED, RequestState.ABANDONED}:  # nobody may wait for it; it exists
            serial = chain[0].serial_number
            if serial in self.inventory.certificates:
                raise Refused(Reason.SERIAL_USED, f"{serial:x}")
            der = tuple(each.public_bytes(Encoding.DER) for each in chain)
            self._journal.append(Received(at=now, request=request_id, chain=der))
        return self.issue(request_id, now)

    def turn_down(self, request_id: str, reason: str, now: datetime.datetime) -> None:
        """There will be no certificate for it. Raises Refused, OSError."""
        if self._request(request_id).state is RequestState.APPROVED:
            self._journal.append(TurnedDown(at=now, request=request_id, reason=reason))

    def note_told(self, serial: int, state: ToldState, detail: str, by: str, now: datetime.datetime) -> None:
        """What the other CA has to say to a revocation; nothing if that is settled. Raises Refused, OSError."""
        entry = self.inventory.certificates.get(serial)
        if entry is None or entry.revocation is None or not entry.is_of_another_ca:
            raise Refused(Reason.CERTIFICATE_UNKNOWN, f"{serial:x} is not revoked here")
        if entry.told is None or not entry.told.state.is_over:
            self._journal.append(Told(at=now, serial=f"{serial:x}", state=state, detail=detail, by=by))

    @override
    def _issued(self, request: RequestEntry) -> IssuedCertificate:
        assert request.serial is not None
        leaf, *above = self._journal.received_chain(request.serial)
        return IssuedCertificate(leaf, shaped((leaf, *above), "leaf+subs")[1:], request)


class _Nobody:
    """In the place of the signer."""

    place = START

    def digest_at(self, sequence: int) -> bytes | None:
        return None if sequence else START.digest

    def revoked(self) -> list[int]:
        return []

    def issuers(self) -> list[Issuer]:
        return []

    def remembered(self) -> tuple[Position, int]:
        return START, sys.maxsize

    def sign(self, issuer: str, profile: str, tbs: bytes, journal: Position) -> bytes:
        raise AssertionError(f"nothing is signed here: {issuer} {profile} {len(tbs)} {journal.sequence}")

    def remember(self, journal: Position, revoked: str = "") -> None:
        del journal, revoked  # there is nobody to tell

    def signed(self) -> list[SignedEntry]:
        return []

    def new_responder(self, issuer: str) -> bytes:
        raise Refused(Reason.PROFILE_NOT_SERVED, f"an OCSP responder by {issuer}")

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        raise AssertionError(f"nothing is signed here: {issuer} {responder} {window} {len(statuses)}")
