"""What an update says about its image, and whether an image is the one that was signed (OCPP 2.0.1 L01.FR.04). Pure.

The signature is over the whole file with SHA-256. OCPP names RSA-PSS and "ECSchnorr"; charge points are given PSS, PKCS#1 v1.5
and ECDSA, which are what is verified here.
"""

from typing import Any, Final, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from gateway.policy.carriers import is_signed_firmware
from gateway.policy.firmware import FirmwareUnfit, in_der

__all__ = ["FIRMWARE_UPDATES", "ImageClaim", "ImageOutcome", "ImageVerdict", "claimed_image", "verify_image"]

FIRMWARE_UPDATES: Final = frozenset({"UpdateFirmware", "SignedUpdateFirmware"})
"""Whose payload may name a signed image. PublishFirmware has no field for a signature."""
_SHA256: Final = hashes.SHA256()
_HASHED: Final = utils.Prehashed(_SHA256)
_RSA_WAYS: Final[tuple[tuple[str, padding.AsymmetricPadding], ...]] = (
    ("RSA-PSS", padding.PSS(padding.MGF1(_SHA256), padding.PSS.AUTO)),
    ("RSA PKCS#1 v1.5", padding.PKCS1v15()),
)

ImageOutcome = Literal["verified", "forged", "bad-certificate", "unknown", "let-through"]
"""``forged``: there is an image, and it is not the one that was signed. ``unknown``: nobody could look at it (in time).
``let-through``: nobody could, and the configuration says that such updates go on."""


class ImageClaim(msgspec.Struct, frozen=True):
    """What an update says; nobody has looked into any of it yet. A text is empty where there is none."""

    location: str
    certificate: str
    signature: str


class ImageVerdict(msgspec.Struct, frozen=True, array_like=True):
    """What was found out about a claim."""

    outcome: ImageOutcome
    detail: str
    """In words: digest and how it was signed, or what is wrong. Without credentials, and printable."""

    @property
    def passes(self) -> bool:
        """True if the update may go on."""
        return self.outcome in {"verified", "let-through"}


def claimed_image(payload: dict[str, Any]) -> ImageClaim | None:
    """The claim of an update, None if it carries no certificate and signature: then there is nothing to hold an image against."""
    if not is_signed_firmware(payload):
        return None
    firmware = payload.get("firmware")
    fields = firmware if isinstance(firmware, dict) else {}
    return ImageClaim(*(_text(fields.get(name)) for name in ("location", "signingCertificate", "signature")))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def verify_image(certificate: x509.Certificate, signature: bytes, sha256: bytes) -> str:
    """How the image with this digest is signed. Raises FirmwareUnfit if it is not, by the key of this certificate.

    `certificate`, `signature`: as `firmware_certificate` and `verify_signature_form` have taken them.
    """
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        try:
            key.verify(in_der(signature), sha256, ec.ECDSA(_HASHED))
        except InvalidSignature:
            raise FirmwareUnfit("the signature is not one of this image by this certificate's key") from None
        return "ECDSA"
    assert isinstance(key, rsa.RSAPublicKey)
    for name, how in _RSA_WAYS:
        try:
            key.verify(signature, sha256, how, _HASHED)
        except InvalidSignature:
            continue
        return name
    raise FirmwareUnfit("the signature is not one of this image by this certificate's key")
