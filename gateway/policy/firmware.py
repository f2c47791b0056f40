"""How the firmware of an update is signed, as far as the message shows it (OCPP 2.0.1 L01; security extensions for 1.6).

The signature is one over the whole file (L01.FR.04), which only who has the file can check: `gateway.policy.firmware_image`.
Here the certificate and the form of the signature are looked at, before anybody fetches anything.
"""

import binascii
import datetime
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from gateway.ocpp.unreadable import UNREADABLE

__all__ = ["FirmwareFact", "FirmwareUnfit", "firmware_certificate", "in_der", "read_firmware", "verify_signature_form"]

_MAX_CERTIFICATE_CHARS: Final = 5_500
_MAX_SIGNATURE_CHARS: Final = 800
"""Both as the schemas of 1.6 and 2.x have it."""
_LEAST_RSA_BITS: Final = 2_048
_MOST_RSA_BITS: Final = 8_192
_LEAST_CURVE_BITS: Final = 224
_NEVER: Final = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)


class FirmwareUnfit(Exception):  # noqa: N818  names the state
    """No charge point could check firmware that is signed like this, or none should trust it. Says why."""


class FirmwareFact(msgspec.Struct, frozen=True):
    """The certificate that an update comes with."""

    ok: bool = False
    """True if there is one certificate, for a key that may sign (RSA from 2048 bits, or EC), of no CA, and a signature that
    such a key can have made."""
    certificate: str = ""
    """PEM."""
    not_before: datetime.datetime = _NEVER
    not_after: datetime.datetime = _NEVER


def read_firmware(payload: dict[str, Any]) -> FirmwareFact:
    """What the message says."""
    firmware = payload.get("firmware")
    if not isinstance(firmware, dict):
        return FirmwareFact()
    pem, signature = firmware.get("signingCertificate"), firmware.get("signature")
    if not isinstance(pem, str) or not isinstance(signature, str):
        return FirmwareFact()
    try:
        certificate = firmware_certificate(pem)
        verify_signature_form(certificate, signature)
    except FirmwareUnfit:
        return FirmwareFact()
    return FirmwareFact(
        ok=True,
        certificate=pem,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def firmware_certificate(pem: str) -> x509.Certificate:
    """The signing certificate. Raises FirmwareUnfit unless it is one, and alone, with a key that may sign firmware."""
    if len(pem) > _MAX_CERTIFICATE_CHARS or pem.count("-----BEGIN") != 1:
        raise FirmwareUnfit(f"not one certificate in PEM of at most {_MAX_CERTIFICATE_CHARS} characters")
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        extensions, key = certificate.extensions, certificate.public_key()
    except UNREADABLE as error:
        raise FirmwareUnfit(f"the certificate cannot be read: {error}") from None
    _verify_key(key)
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            raise FirmwareUnfit("the certificate is that of a CA, which signs no firmware itself")
        if isinstance(value, x509.KeyUsage) and not value.digital_signature:
            raise FirmwareUnfit("the certificate is not for signatures")
    return certificate


def _verify_key(key: object) -> None:
    match key:
        case rsa.RSAPublicKey():
            if not _LEAST_RSA_BITS <= key.key_size <= _MOST_RSA_BITS:
                raise FirmwareUnfit(f"an RSA key of {key.key_size} bits")
        case ec.EllipticCurvePublicKey():
            if key.curve.key_size < _LEAST_CURVE_BITS:
                raise FirmwareUnfit(f"an EC key of {key.curve.key_size} bits")
        case _:
            raise FirmwareUnfit("neither an RSA nor an EC key")


def verify_signature_form(certificate: x509.Certificate, signature: str) -> bytes:
    """The signature's bytes. Raises FirmwareUnfit if it is not base64, or not of a kind that the certificate's key makes."""
    if len(signature) > _MAX_SIGNATURE_CHARS:
        raise FirmwareUnfit(f"a signature of more than {_MAX_SIGNATURE_CHARS} characters")
    try:
        raw = binascii.a2b_base64("".join(signature.split()), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        raise FirmwareUnfit("the signature is not base64") from None
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if len(raw) != (key.key_size + 7) // 8:
            raise FirmwareUnfit(f"a signature of {len(raw)} bytes by an RSA key of {key.key_size} bits")
        return raw
    assert isinstance(key, ec.EllipticCurvePublicKey)
    if not all(0 < number < 1 << key.curve.key_size for number in _numbers(raw, (key.curve.key_size + 7) // 8)):
        raise FirmwareUnfit("the signature is not one of this curve")
    return raw


def in_der(raw: bytes) -> bytes:
    """An EC signature of a form that `verify_signature_form` has taken, in DER."""
    return encode_dss_signature(*_numbers(raw, len(raw) // 2))


def _numbers(raw: bytes, width: int) -> tuple[int, int]:
    """The two numbers of an EC signature: in DER, or plainly one behind the other as some devices have it."""
    try:
        return decode_dss_signature(raw)
    except ValueError:
        if len(raw) != 2 * width:
            raise FirmwareUnfit("the signature is none of an EC key") from None
        return int.from_bytes(raw[:width]), int.from_bytes(raw[width:])
