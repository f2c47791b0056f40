"""A root takes over from another: the same new key as three certificates, and which of them a charge point needs.

    new            self-signed: the root to install, unless the charge point demands a link to the one it knows
    new_with_old   the new key signed by the old root: what makes new chains good for who knows only the old root
    old_with_new   the old key signed by the new root: the reverse

The order of a rollover, and what must be confirmed before each step, is the provisioning's business.
"""

import datetime
from typing import NamedTuple

from cryptography import x509

from pki.chains import is_issued_by, is_self_signed
from pki.encoded import public_key_bits
from pki.keys import PrivateKey
from pki.signatures import require_own_key, signature_hash

__all__ = ["Rollover", "StationRoots", "cross_certificate"]


def cross_certificate(
    root: x509.Certificate,
    issuer: x509.Certificate,
    issuer_key: PrivateKey,
    *,
    serial_number: int,
    not_before: datetime.datetime,
    not_after: datetime.datetime,
) -> x509.Certificate:
    """`root`'s name and key, signed by another root. Raises ValueError if it would outlive either of them.

    Basic constraints, key usage and key identifier are the root's own, so that every chain below it fits.
    """
    require_own_key(issuer, issuer_key)
    if not is_self_signed(root) or not is_self_signed(issuer):
        raise ValueError("only roots are linked to one another")
    if not_after > min(root.not_valid_after_utc, issuer.not_valid_after_utc):
        raise ValueError("a link between two roots may not outlive either of them")
    builder = (
        x509.CertificateBuilder()
        .subject_name(root.subject)
        .issuer_name(issuer.subject)
        .public_key(root.public_key())
        .serial_number(serial_number)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(_authority_key(issuer), critical=False)
    )
    for extension in root.extensions:
        if isinstance(extension.value, x509.BasicConstraints | x509.KeyUsage | x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(issuer_key, signature_hash(issuer_key.public_key()))


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


class StationRoots(NamedTuple):
    """What matters of a charge point for a rollover."""

    demands_link: bool
    """AdditionalRootCertificateCheck: a new root must be signed by the old one (M05.FR.09, 10)."""
    takes_linked_root: bool
    """It can keep a root that is not self-signed, and show and delete it afterwards (some cannot, whatever they demand)."""
    knows_old: bool
    knows_new: bool
    """Confirmed by the charge point itself, or by a handshake that only this root explains."""


class Rollover(NamedTuple):
    """The material of one rollover. Made by the ceremony; `verified` holds it to what it must be."""

    old: x509.Certificate
    new: x509.Certificate
    new_with_old: x509.Certificate
    old_with_new: x509.Certificate

    def verified(self) -> "Rollover":
        """Itself. Raises ValueError if a certificate is not what its place says."""
        rules = (
            (is_self_signed(self.old) and is_self_signed(self.new), "old and new are not both roots"),
            (is_issued_by(self.new_with_old, self.old), "new_with_old is not signed by the old root"),
            (is_issued_by(self.old_with_new, self.new), "old_with_new is not signed by the new root"),
            (_same_authority(self.new_with_old, self.new), "new_with_old is not the new root's key and name"),
            (_same_authority(self.old_with_new, self.old), "old_with_new is not the old root's key and name"),
            (not _same_authority(self.old, self.new), "old and new are the same"),
        )
        for holds, why in rules:
            if not holds:
                raise ValueError(why)
        return self

    def root_to_install(self, station: StationRoots) -> x509.Certificate | None:
        """What to send in InstallCertificate; None if the charge point has it already.

        Raises ValueError for a charge point that demands a linked root and cannot keep one: somebody must switch
        AdditionalRootCertificateCheck off there first.
        """
        if station.knows_new:
            return None
        if not station.demands_link:
            return self.new
        if not station.takes_linked_root:
            raise ValueError("it demands a root linked to the old one and cannot keep such a root")
        return self.new_with_old

    def server_chain(self, chain: tuple[x509.Certificate, ...], station: StationRoots) -> tuple[x509.Certificate, ...]:
        """`chain` (leaf and subs, no root, of either world) so that the charge point can verify it.

        Raises ValueError if it can under neither root, or if the chain belongs to neither.
        """
        if not station.knows_old and not station.knows_new:
            raise ValueError("the charge point knows neither root")
        if is_issued_by(chain[-1], self.new):
            return chain if station.knows_new else (*chain, self.new_with_old)
        if is_issued_by(chain[-1], self.old):
            return chain if station.knows_old else (*chain, self.old_with_new)
        raise ValueError("the chain was issued under neither root")


def _same_authority(one: x509.Certificate, other: x509.Certificate) -> bool:
    return one.subject == other.subject and public_key_bits(one) == public_key_bits(other)
