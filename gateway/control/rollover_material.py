"""The certificates of a rollover: one old root, one new one, and perhaps the new one's key signed by the old."""

from typing import NamedTuple, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.root_names import rollover_names, unfit
from gateway.provisioning.rollover import RolloverNames

__all__ = ["RolloverMaterial", "why_unusable"]


class RolloverMaterial(NamedTuple):
    """PEM, one certificate each; `link` is empty where there is none."""

    old: str
    new: str
    link: str

    @property
    def names(self) -> RolloverNames:
        """What they are called in the lists of charge points. Raises ValueError if they are not what their places say."""
        old, new, link = map(_read, self)
        if old is None or new is None:
            raise ValueError("a certificate is missing")
        return rollover_names(old, new, link)

    @property
    def old_root(self) -> x509.Certificate:
        """Raises ValueError."""
        return x509.load_pem_x509_certificate(self.old.encode("ascii"))

    @property
    def new_root(self) -> x509.Certificate:
        """Raises ValueError."""
        return x509.load_pem_x509_certificate(self.new.encode("ascii"))

    def plain(self) -> Self:
        """Nothing but the blocks, with plain line ends: this is what is sent. Raises ValueError."""
        read = map(_read, self)
        return type(self)(*(each.public_bytes(Encoding.PEM).decode("ascii") if each else "" for each in read))


def why_unusable(material: RolloverMaterial, now: float) -> str:
    """Why nothing can be rolled over with it, or an empty string. `now`: seconds since the epoch."""
    try:
        old, new, link = map(_read, material)
        material.names  # noqa: B018  raises
    except ValueError as error:
        return f"these are not one old root, one new one and the new one's key signed by the old: {error}"
    assert old is not None
    assert new is not None
    if old == new or (link is not None and (link.subject, link.public_key()) != (new.subject, new.public_key())):
        return "old and new must be two roots, and the link the new one's name and key"
    reasons = [unfit(each, now) for each in (new, link) if each is not None]
    return next((why for why in reasons if why), "")


def _read(pem: str) -> x509.Certificate | None:
    if not pem:
        return None
    (certificate,) = x509.load_pem_x509_certificates(pem.encode("ascii"))
    return certificate
