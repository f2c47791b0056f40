"""Whether a session that was admitted once would be admitted now, and what is known of one that outlived control."""

from collections.abc import Callable, Iterable, Iterator

from gateway.control.sessions import Entry
from gateway.identity.evidence import CertificateProof, PasswordProof
from gateway.identity.record import ChargePointRecord

__all__ = ["live_certificates", "no_longer", "recall"]

_UNKNOWN_HASH = "?"
"""Equal to no stored hash."""


def live_certificates(
    entries: Iterable[Entry], bundle_name: Callable[[CertificateProof], str]
) -> Iterator[tuple[str, str]]:
    """Fingerprint and trust bundle of each certificate that a session rests on."""
    proofs = (entry.proof for entry in entries)
    return ((proof.sha256, bundle_name(proof)) for proof in proofs if isinstance(proof, CertificateProof))


def recall(entry: Entry, record: ChargePointRecord) -> None:
    """Fill in what a control process before this one knew of a live session.

    Which stored password it rests on was never told to the edge; only one that is older than the session can be it.
    """
    entry.upgrade_pending = (
        entry.security_profile is record.pending_security_profile
        and entry.security_profile is not record.security_profile
    )
    if entry.password_phc or entry.live is None or not isinstance(entry.proof, PasswordProof):
        return
    older = [
        stored.phc
        for stored in (record.password, record.pending_password)
        if stored is not None and stored.created_at <= entry.live.opened_at
    ]
    entry.password_phc = older[0] if older else _UNKNOWN_HASH


def no_longer(
    entry: Entry,
    record: ChargePointRecord | None,
    no_longer_good: Callable[[CertificateProof, ChargePointRecord], str],
    now: float,
) -> str:
    """Why this session would not be admitted any more, or an empty string. `now`: seconds since the epoch.

    `no_longer_good`: why a certificate is not, by revocations and by the roots that are in force; or an empty string.

    A certificate that expires meanwhile ends nothing: over this session the charge point gets its next one.
    """
    if record is None or record.charge_point_id != entry.charge_point_id:
        return "removed from the registry"
    if not record.enabled:
        return "disabled"
    below_floor = record.floor is not None and entry.security_profile < record.floor
    if below_floor or entry.security_profile not in {record.security_profile, record.pending_security_profile}:
        return "security profile changed"
    if entry.live is not None and entry.live.group != record.group:
        return "group changed"  # its policy is that of the group
    if isinstance(entry.proof, CertificateProof):
        if why := no_longer_good(entry.proof, record):
            return why
        if entry.proof.renewal_only == "expired" and now >= record.expired_certificate_until:
            return "its time to renew an expired certificate is over"
        return "" if entry.proof.common_name == record.serial_number else "serial number changed"
    stored = {x.phc for x in (record.password, record.pending_password) if x is not None}
    return "" if entry.password_phc in stored else "password replaced"
