"""Trust bundles as admissions judge by them, made from the settings in force: no file is read for it."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from gateway.config.model import Config
from gateway.identity.admission import ListenerFacts
from gateway.identity.trust import TrustBundle, TrustBundles
from gateway.link.messages import EdgeSettings
from pki.unreadable import UNREADABLE

__all__ = ["certificates_in", "listener_facts", "trust_of"]


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM text; none if there are none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except UNREADABLE:
        return []


def _anchors(pem: bytes) -> frozenset[str]:
    return frozenset(certificate.fingerprint(hashes.SHA256()).hex() for certificate in certificates_in(pem))


def listener_facts(config: Config) -> dict[str, ListenerFacts]:
    """What admissions know of the listeners, by name."""
    return {
        x.name: ListenerFacts(
            name=x.name,
            security_profiles=x.security_profiles,
            csms=x.csms,
            takes_expired=x.tls is not None and x.tls.expired_certificates == "by-registry",
        )
        for x in config.listeners
    }


def trust_of(settings: EdgeSettings, operator_names: tuple[str, ...]) -> TrustBundles:
    """Every bundle, and the roots that listeners name themselves."""
    bundles = tuple(
        TrustBundle(
            name=each.trust.name,
            use=each.trust.use,
            anchors=_anchors(each.roots_pem),
            operator_names=each.trust.operator_names,
            demands_status=each.trust.revocation == "hard",
        )
        for each in settings.trust
    )
    # A bundle's roots are among them, and are taken for the bundle's.
    own = frozenset[str]().union(*(_anchors(x.client_trust_pem) for x in settings.listeners))
    return TrustBundles(bundles, own, operator_names)
