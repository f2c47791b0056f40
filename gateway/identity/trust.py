"""Which roots vouch for whom: trust bundles, and the verified issuers of a client certificate.

OpenSSL has verified signatures, purposes and path lengths. Here is what it does not know: that the root of another
operator must not vouch for our own name, that a factory's root is good for one errand only, and which issuer may have
been revoked. All of it applies to resumed sessions as well, in which OpenSSL verifies nothing.
"""

from typing import Final, Literal

import msgspec

from gateway.identity.evidence import CertificateName, CertificateProof
from gateway.identity.record import ChargePointRecord

__all__ = ["OWN_ROOTS", "Chain", "IssuerFacts", "TrustBundle", "TrustBundles", "TrustUse", "may_vouch"]

TrustUse = Literal["own", "other-operator", "manufacturer", "v2g"]


class IssuerFacts(msgspec.Struct, frozen=True):
    """What matters of a CA certificate in a verified chain."""

    name: CertificateName
    not_before: float
    not_after: float
    """Seconds since the epoch."""


class Chain(msgspec.Struct, frozen=True):
    """The issuers of a client certificate, its own first, the trust anchor last; none where TLS has told none."""

    issuers: tuple[IssuerFacts, ...] = ()

    @property
    def anchor(self) -> str:
        """SHA-256 fingerprint of the root; empty if the chain is not known."""
        return self.issuers[-1].name.sha256 if self.issuers else ""

    @property
    def below_anchor(self) -> tuple[CertificateName, ...]:
        """The issuers that somebody above them could have revoked."""
        return tuple(each.name for each in self.issuers[:-1])


class TrustBundle(msgspec.Struct, frozen=True, kw_only=True):
    """Roots that vouch for certificates of one kind."""

    name: str
    use: TrustUse = "own"
    anchors: frozenset[str] = frozenset()
    """SHA-256 fingerprints."""
    operator_names: tuple[str, ...] = ()
    """Values of O that these roots may vouch for. Empty, for ``own`` alone: what the record or the configuration says."""
    demands_status: bool = False
    """True for ``revocation = "hard"``: no entry without proof that the certificate is not revoked."""


OWN_ROOTS: Final = TrustBundle(name="")
"""The roots that listeners name themselves, without a bundle."""


def may_vouch(
    bundle: TrustBundle, organization: str, record: ChargePointRecord, operator_names: tuple[str, ...]
) -> bool:
    """True if these roots may vouch for this O, and it is one of this charge point's.

    The roots of others vouch for the names that their bundle gives and for no other: never for our own. And only for
    charge points whose own record names them: else their CA could make any charge point of ours.
    """
    if bundle.use != "own":
        return organization in record.operator_names and organization in bundle.operator_names
    if bundle.operator_names and organization not in bundle.operator_names:
        return False
    return organization in (record.operator_names or bundle.operator_names or operator_names)


class TrustBundles:
    """Every root in force, and the names that count: nobody else's."""

    def __init__(
        self,
        bundles: tuple[TrustBundle, ...] = (),
        own_anchors: frozenset[str] = frozenset(),
        operator_names: tuple[str, ...] = (),
    ) -> None:
        """`own_anchors`: fingerprints of the roots that listeners name themselves. `operator_names`: the configured ones."""
        self.operator_names = operator_names
        self.bundles = {bundle.name: bundle for bundle in bundles}
        self._by_anchor = dict.fromkeys(own_anchors, OWN_ROOTS)
        self._by_anchor |= {anchor: bundle for bundle in bundles for anchor in bundle.anchors}

    def bundle_of(self, anchor: str) -> TrustBundle | None:
        """The bundle that vouches by a root; None if none (or none any more) does. `anchor`: its SHA-256 fingerprint.

        That TLS has verified the chain says nothing here: it may have done so with roots of a moment ago, or of one
        that is about to come.
        """
        return self._by_anchor.get(anchor)

    def no_longer(self, proof: CertificateProof, record: ChargePointRecord) -> str:
        """Why a proof that was good once is not any more, by roots, uses and names; empty if it still is.

        That its bundle has another name now changes nothing.
        """
        bundle = self.bundle_of(proof.anchor)
        if bundle is None:
            return "trust in its root withdrawn"
        if not may_vouch(bundle, proof.organization, record, self.operator_names):
            return "operator name no longer accepted"
        is_factory = bundle.use == "manufacturer"
        # An expired certificate is limited already. One that is not limited any more comes back to be let in as it is.
        if proof.renewal_only != "expired" and is_factory != (proof.renewal_only == "factory"):
            return "use of its root changed"
        return ""
