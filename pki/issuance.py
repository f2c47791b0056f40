"""The issuance procedure: from a request by somebody who may be anybody to a certificate that can be accounted for.

`request` (nothing is signed):

(1) parse and check the request                       `pki.csr`
(2) compare its names with those of the registry; may the issuer certify them?
(3) has this key been seen before?                    the same request: the same answer; anything else has a reason
(4) decide: at once, or held                          `pki.approval`
(5) journal it

`issue` (of an approved request; every step survives a crash after it, and `resume` goes on where it stopped):

(6) reserve the serial number in the journal
(7) build the certificate, sign it with a throw-away key
(8) lint that; a finding ends it here
(9) journal the to-be-signed bytes
(10) hand the single-use token, made of them, to the signer, which checks all of it again
(11) compare what comes back with what was asked for
(12) journal the signature

Names, profile and lifetime come from the caller's registry and the issuer's settings; the request gives nothing but its key.
"""

import contextlib
import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from pki.approval import (
    Applicant,
    ApprovalRules,
    Operator,
    PresentedCertificate,
    Standing,
    automatic_today,
    decide_approval,
    described,
    is_distrusted,
    verify_not_too_many,
)
from pki.blocked_keys import spki_sha256
from pki.chained_file import Position
from pki.csr import CertificateRequest, parse_csr, verify_subject
from pki.errors import Reason, Refused, SignerFailed
from pki.inventory import CertificateEntry, RequestEntry, RequestState
from pki.issuer import Issuer
from pki.journal import Journal
from pki.key_policy import DEFAULT_KEY_POLICY, KeyPolicy
from pki.keys import SubjectKey, certificate_key
from pki.known_keys import Asked, RepeatRules, known_request
from pki.lint import lint
from pki.names import Subject
from pki.ocsp import OCSPWindow
from pki.profiles import takes_ed448
from pki.records import (
    Abandoned,
    Decided,
    Intended,
    Issued,
    Opened,
    Requested,
    Reserved,
    RevocationReason,
    Revoked,
)
from pki.signer.protocol import OCSPStatus, SignedEntry
from pki.signing import ThrowAwayKeys, certificate_of, random_serial, verify_signed
from pki.template import Contents, certificate_builder
from pki.two_books import Signer, note_list, tell_head, tell_signer, verify_books

__all__ = ["Application", "Issuance", "IssuancePolicy", "IssuedCertificate"]

_PASSING: Final = {Reason.ISSUER_UNKNOWN, Reason.PROFILE_NOT_SERVED, Reason.CLOCK, Reason.JOURNAL_STEP_BACK}
"""What settings that are being changed, or two clocks, can do to a request that is right."""
_PATIENCE: Final = datetime.timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the caller knows by itself about a request: who asks, for what, under which name."""

    profile: str
    subject: Subject
    applicant: Applicant
    names: tuple[str, ...] = ()
    """Alternative names, for servers."""
    issuer: str = ""
    """The one issuing CA that it is for; empty: the one that suits best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuancePolicy:
    """What a site decides. The defaults are the strict ones."""

    keys: KeyPolicy = DEFAULT_KEY_POLICY
    approval: ApprovalRules = ApprovalRules()  # noqa: RUF009  frozen
    compare_organization: bool = True
    """Refuse a request that names another organisation; the certificate has the registry's in any case."""
    unsafe_accept_old_keys: bool = False
    """A renewal may come with the key that it had (A02.FR.02 wants a new one)."""
    authority_keys: frozenset[bytes] = frozenset()
    """SHA-256 of the SPKI of further keys that nobody else may have: of servers, of other CAs."""


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate, with those above it, the nearest first; the root is not among them."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    request: RequestEntry


class _Token:
    """The right to one signature over these bytes."""

    def __init__(self, request: RequestEntry, tbs: bytes, journal: Position) -> None:
        self._order: tuple[str, str, bytes, Position] | None = (request.issuer, request.profile, tbs, journal)

    def redeem(self, signer: Signer) -> bytes:
        """The signature. Raises RuntimeError the second time, Refused, SignerUnavailable."""
        if self._order is None:
            raise RuntimeError("an issuance token is good for one signature")
        order, self._order = self._order, None
        return signer.sign(*order)


class Issuance:
    """The procedure over one journal and one signer. One thread at a time."""

    issues_itself = True
    """False for a registration authority, which hands approved requests to another CA."""

    def __init__(
        self,
        journal: Path,
        signer: Signer,
        policy: IssuancePolicy,
        now: datetime.datetime,
        make_id: Callable[[], str],
    ) -> None:
        """Opens the journal, and refuses to if it is not the one the signer knows.

        Raises JournalDamaged, JournalInUse, RolledBack, Misconfigured, SignerUnavailable, OSError.
        """
        self._signer = signer
        self._policy = policy
        self._make_id = make_id
        self._throw_away = ThrowAwayKeys()
        self.issuers = {issuer.name: issuer for issuer in signer.issuers()}
        certificates = (each for one in self.issuers.values() for each in (one.certificate, *one.chain))
        self._repeats = RepeatRules(
            authority_keys=policy.authority_keys | {spki_sha256(certificate_key(each)) for each in certificates},
            unsafe_accept_old_keys=policy.unsafe_accept_old_keys,
        )
        self._journal = Journal(journal)
        self.inventory = self._journal.inventory
        try:
            verify_books(self._journal, signer)
            if self._journal.head.sequence == 0:
                self._journal.append(Opened(at=now))
            tell_signer(self._journal, signer, now)
        except BaseException:
            self._journal.close()
            raise

    def close(self) -> None:
        """Lets another process have the journal."""
        try:
            tell_head(self._journal, self._signer)
        finally:
            self._journal.close()

    @property
    def head(self) -> Position:
        """How far the journal has got."""
        return self._journal.head

    # Requests.

    def request(self, csr: str, application: Application, now: datetime.datetime) -> RequestEntry:
        """Steps 1 to 5. The entry tells whether it is held, approved or, asked for again, issued. Raises Refused, OSError."""
        # Step 1.
        checked = parse_csr(csr, self._policy.keys, ed448=takes_ed448(application.profile))
        # Step 2.
        verify_subject(checked, application.subject, compare_organization=self._policy.compare_organization)
        issuer = self._issuer_name(application, checked.public_key, now)
        # Step 3.
        known, notes = self._known(checked, application, now)
        if known is not None:
            return known
        # Step 4.
        presented = self._presented(application.applicant)
        standing = self._standing(presented, application, now)
        wanted = (application.profile, application.subject, checked.public_key)
        decision = decide_approval(application.applicant, presented, standing, wanted, self._policy.approval, now)
        # Step 5.
        record = Requested(
            at=now,
            request=self._make_id(),
            profile=application.profile,
            issuer=issuer,
            subject=application.subject,
            names=application.names,
            spki=checked.spki,
            csr_sha256=checked.csr_sha256,
            applicant=described(application.applicant),
            held=decision.held,
            rule=decision.rule.value,
            notes=(*checked.notes, *notes),
        )
        before = self.inventory.held(application.profile, application.subject)
        self._journal.append(record)
        if before is not None:
            # Whoever sends a new key has given up the old one: a queue has one request of each identity.
            note = f"superseded by {record.request}"
            self._journal.append(Decided(at=now, request=before.id, approved=False, by="", note=note))
        return self.inventory.requests[record.request]

    def decide(self, request_id: str, *, approved: bool, by: str, note: str, now: datetime.datetime) -> RequestEntry:
        """Somebody's decision about a request that is held. Raises Refused, OSError."""
        request = self._request(request_id)
        if request.state is not RequestState.HELD:
            raise Refused(Reason.REQUEST_CLOSED, f"{request_id} is {request.state.value}")
        self._journal.append(Decided(at=now, request=request_id, approved=approved, by=by, note=note))
        # A denial must not be undone by an old copy of the journal.
        tell_head(self._journal, self._signer)
        return request

    # Certificates.

    def issue(self, request_id: str, now: datetime.datetime) -> IssuedCertificate:
        """Steps 6 to 12, or those that are left of them.

        Raises Refused; SignerUnavailable, OSError (call it again later, nothing is lost).
        """
        request = self._request(request_id)
        if request.state is RequestState.APPROVED:
            # Step 6.
            self._journal.append(Reserved(at=now, request=request_id, serial=f"{random_serial():x}"))
        if request.state is RequestState.RESERVED:
            self._prepare(request, now)
        if request.state is RequestState.INTENDED:
            self._sign(request, now)
        if request.state is not RequestState.ISSUED:
            detail = f"{request_id} is {request.state.value}" + (f": {request.reason}" if request.reason else "")
            raise Refused(Reason.REQUEST_NOT_APPROVED, detail)
        return self._issued(request)

    def resume(self, now: datetime.datetime) -> list[RequestEntry]:
        """Finishes what was begun before a crash, except what the signer cannot sign now.

        Raises SignerUnavailable if it cannot be reached, OSError.
        """
        finished = []
        for request in self.inventory.started():
            try:
                self.issue(request.id, now)
            except (Refused, SignerFailed):
                continue  # journalled as abandoned, or waits; the others do not wait for it
            finished.append(request)
        return finished

    def certificate(self, serial: int) -> IssuedCertificate:
        """A certificate that was issued. Raises Refused."""
        entry = self.inventory.certificates.get(serial)
        if entry is None or not entry.issued:
            raise Refused(Reason.CERTIFICATE_UNKNOWN, f"{serial:x}")
        return self._issued(entry.request)

    def signed_parts(self, serial: int) -> tuple[bytes, bytes]:
        """Body and signature as the journal has them; empty what it does not have."""
        return self._journal.signed_parts(serial)

    def signed_entries(self) -> Iterable[SignedEntry]:
        """What the signer says it was ever asked to sign, for `pki.reconcile`. Raises SignerUnavailable."""
        return self._signer.signed()

    def new_responder(self, issuer: str) -> bytes:
        """A request (DER) for the certificate of an OCSP responder, with a key that the signer has made. Raises Refused."""
        return self._signer.new_responder(issuer)

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        """OCSP responses: body and signature of one for each hash, for each certificate. Raises Refused, SignerUnavailable."""
        return self._signer.sign_responses(issuer, responder, window, statuses)

    def revoke(
        self, serial: int, reason: RevocationReason, *, by: str, note: str, now: datetime.datetime
    ) -> CertificateEntry:
        """For good, from when it returns. A certificate that was only intended can be revoked as well: it may exist.

        Raises Refused, OSError; SignerUnavailable if it is revoked and the signer could not be told to remember it.
        """
        entry = self.inventory.certificates.get(serial)
        if entry is None or not entry.intended:
            raise Refused(Reason.CERTIFICATE_UNKNOWN, f"{serial:x}")
        if entry.revocation is not None:
            raise Refused(Reason.ALREADY_REVOKED, f"{serial:x}")
        self._journal.append(Revoked(at=now, serial=f"{serial:x}", reason=reason, by=by, note=note))
        self._signer.remember(self._journal.head, f"{serial:x}")
        with contextlib.suppress(OSError):  # noted at the next start
            note_list(self._journal, self._signer, now)
        return entry

    # What stands behind.

    def _issuer_name(self, application: Application, key: SubjectKey, now: datetime.datetime) -> str:
        """Of the one that is to sign, and may certify these names. Raises Refused."""
        issuer = self._issuer_for(application, key, now)
        issuer.verify_names(issuer.profile(application.profile), application.subject, application.names)
        return issuer.name

    def _issuer_for(self, application: Application, key: SubjectKey, now: datetime.datetime) -> Issuer:
        """Of several the one that lives long enough, then one of the family of the key: some charge points know one only."""
        name, organization = application.profile, application.subject.organization
        asked = [each for each in self.issuers.values() if application.issuer in {"", each.name}]
        serving = [issuer for issuer in asked if any(each.name == name for each in issuer.profiles)]
        if not serving:
            raise Refused(Reason.PROFILE_NOT_SERVED, name)
        suitable = [issuer for issuer in serving if organization in issuer.organizations]
        if not suitable:
            raise Refused(Reason.ORGANIZATION_NOT_SERVED, organization)

        def drawbacks(issuer: Issuer) -> tuple[bool, bool]:
            ends_early = now + issuer.profile(name).lifetime > issuer.latest_end()
            is_rsa = isinstance(issuer.public_key, rsa.RSAPublicKey)
            return ends_early, is_rsa is not isinstance(key, rsa.RSAPublicKey)

        return min(suitable, key=drawbacks)

    def _known(
        self, checked: CertificateRequest, application: Application, now: datetime.datetime
    ) -> tuple[RequestEntry | None, tuple[str, ...]]:
        by_operator = isinstance(application.applicant, Operator)
        asked = Asked(
            profile=application.profile,
            subject=application.subject,
            names=application.names,
            spki_sha256=spki_sha256(checked.public_key),
            csr_sha256=checked.csr_sha256,
            by_operator=by_operator,
        )
        known, notes = known_request(self.inventory, asked, self._repeats, now)
        if known is None and not by_operator:
            verify_not_too_many(self.inventory, application.profile, application.subject, now)
        return known, notes

    def _presented(self, applicant: Applicant) -> CertificateEntry | None:
        if isinstance(applicant, PresentedCertificate):
            return self.inventory.certificates.get(applicant.serial)
        return None

    def _standing(
        self, presented: CertificateEntry | None, application: Application, now: datetime.datetime
    ) -> Standing | None:
        if presented is None:
            return None
        key = self._journal.key_of(presented.request)
        return Standing(
            key=key,
            key_is_blocked=spki_sha256(key) in self._policy.keys.blocked,
            is_distrusted=is_distrusted(self.inventory, presented),
            automatic_today=automatic_today(self.inventory, application.profile, application.subject, now),
        )

    def _request(self, request_id: str) -> RequestEntry:
        request = self.inventory.requests.get(request_id)
        if request is None:
            raise Refused(Reason.REQUEST_UNKNOWN, request_id)
        return request

    def _key_of(self, request: RequestEntry) -> SubjectKey:
        return self._policy.keys.verify_subject(self._journal.key_of(request), ed448=takes_ed448(request.profile))

    def _prepare(self, request: RequestEntry, now: datetime.datetime) -> None:
        assert request.serial is not None
        try:
            tbs, certificate = self._built(request, request.serial, now)
        except ValueError as error:
            # The library's own limits; the serial number is spent, and the next attempt would meet the same.
            refused = Refused(Reason.LINT, str(error))
            self._give_up(request, refused, now)
            raise refused from None
        except Refused as refused:
            self._give_up(request, refused, now)
            raise
        # Step 9.
        record = Intended(
            at=now,
            request=request.id,
            serial=f"{request.serial:x}",
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            tbs=tbs,
        )
        self._journal.append(record)

    def _built(self, request: RequestEntry, serial: int, now: datetime.datetime) -> tuple[bytes, x509.Certificate]:
        issuer = self.issuers.get(request.issuer)
        if issuer is None:
            raise Refused(Reason.ISSUER_UNKNOWN, request.issuer)
        profile = issuer.profile(request.profile)
        # Step 7.
        second = now.replace(microsecond=0)
        end = second + profile.lifetime
        if end > issuer.latest_end():
            raise Refused(Reason.ISSUER_EXPIRES, f"{issuer.name} on {issuer.latest_end():%Y-%m-%d}")
        contents = Contents(
            profile=profile,
            subject=request.subject,
            serial=serial,
            not_before=max(second - profile.backdate, issuer.certificate.not_valid_before_utc),
            not_after=end,
            names=request.names,
            publication=issuer.publication,
        )
        key = issuer.public_key
        builder = certificate_builder(contents, self._key_of(request), issuer.certificate.subject, key)
        certificate = self._throw_away.sign(builder, key)
        # Step 8.
        findings = lint(certificate, profile, issuer=issuer.certificate, key_policy=self._policy.keys)
        if findings:
            raise Refused(Reason.LINT, "; ".join(f"{finding.code}: {finding.text}" for finding in findings))
        return certificate.tbs_certificate_bytes, certificate

    def _sign(self, request: RequestEntry, now: datetime.datetime) -> None:
        assert request.serial is not None
        serial, head = request.serial, self._journal.head
        is_revoked = self.inventory.certificates[serial].revocation is not None
        if is_revoked:
            # It may exist all the same, and then it is accounted for; if not, whoever knows of this does not sign it.
            self._signer.remember(head, f"{serial:x}")
        tbs, _ = self._journal.signed_parts(serial)
        # Step 10.
        try:
            signature = _Token(request, tbs, head).redeem(self._signer)
        except Refused as refused:
            self._give_up(request, refused, now)
            raise
        # Step 11.
        try:
            certificate = x509.load_der_x509_certificate(certificate_of(tbs, signature))
            verify_signed(certificate, tbs, self.issuers[request.issuer].public_key)
        except KeyError:
            raise SignerFailed(
                f"request {request.id} waits: it is signed by {request.issuer}, which is not there"
            ) from None
        except ValueError as error:
            raise SignerFailed(f"what the signer sent is not what was asked for: {error}") from None
        # Step 12.
        record = Issued(at=now, request=request.id, serial=f"{serial:x}", signature=signature, list=self._signer.place)
        self._journal.append(record)
        if is_revoked:
            raise Refused(Reason.ALREADY_REVOKED, f"{serial:x}")

    def _give_up(self, request: RequestEntry, refused: Refused, now: datetime.datetime) -> None:
        """Journals that there will be no certificate. Raises SignerFailed instead if what is in its way may pass."""
        # A CA that was retired does not come back; asked again, another one serves.
        is_retired = refused.reason is Reason.PROFILE_NOT_SERVED and self._is_served_by_another(request)
        if refused.reason in _PASSING and not is_retired and now < request.approved_at + _PATIENCE:
            raise SignerFailed(f"request {request.id} waits: {refused}") from None
        self._journal.append(Abandoned(at=now, request=request.id, serial=f"{request.serial:x}", reason=str(refused)))

    def _is_served_by_another(self, request: RequestEntry) -> bool:
        others = [each for each in self.issuers.values() if each.name != request.issuer]
        return any(
            request.subject.organization in each.organizations
            and any(profile.name == request.profile for profile in each.profiles)
            for each in others
        )

    def _issued(self, request: RequestEntry) -> IssuedCertificate:
        assert request.serial is not None
        issuer = self.issuers.get(request.issuer)
        chain = () if issuer is None else _without_root((issuer.certificate, *issuer.chain))
        return IssuedCertificate(self._journal.certificate(request.serial), chain, request)


def _without_root(certificates: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    return tuple(each for each in certificates if each.subject != each.issuer)
