"""`firmware verify`: is this image what its manufacturer has signed? Before an update is ordered, as nobody else can ask."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_text, shown_name
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["firmware"]

_CHUNK_BYTES: Final = 1 << 20


@click.group("firmware")
def firmware() -> None:
    """Check firmware before charge points are told to fetch it."""


@firmware.command("verify")
@click.argument("image", metavar="IMAGE")
@click.option(
    "--certificate", required=True, metavar="FILE", help="The signing certificate that the update names (PEM)."
)
@click.option("--signature", required=True, metavar="FILE", help="The signature that the update names (base64).")
@click.option("--root", "roots", required=True, multiple=True, metavar="FILE", help="A manufacturer's root (PEM).")
@json_option
def verify(image: str, certificate: str, signature: str, roots: Sequence[str], as_json: bool) -> int:
    """Check an image against the signature and certificate of an update, and these against manufacturers' roots.

    The certificate must be current and issued by one of the roots itself (OCPP 2.0.1 L01). The signature is RSA-PSS, RSA
    PKCS#1 v1.5 or ECDSA over SHA-256 of the whole file. Exit code 1 if anything does not hold.
    """
    from gateway.policy.cel.certificates import issued_by
    from gateway.policy.cel.operations import OperationError
    from gateway.policy.firmware import FirmwareUnfit, firmware_certificate, verify_signature_form

    def refuse(why: str) -> NoReturn:
        fail(f"Not to be installed: {why}.", NOT_OK, as_json=as_json)

    pem = read_text(certificate, as_json=as_json)
    try:
        signer = firmware_certificate(pem)
        raw = verify_signature_form(signer, read_text(signature, as_json=as_json))
    except FirmwareUnfit as unfit:
        refuse(shown(str(unfit)))
    if not signer.not_valid_before_utc.timestamp() <= time.time() < signer.not_valid_after_utc.timestamp():
        refuse(f"the certificate is good from {signer.not_valid_before_utc} to {signer.not_valid_after_utc}")
    try:
        is_pinned = issued_by(pem, [read_text(root, as_json=as_json) for root in roots])
    except OperationError:
        fail("A root is not a certificate in PEM.", NOT_OK, as_json=as_json)
    if not is_pinned:
        refuse("none of the roots has issued the certificate")
    digest = _digest(image, as_json=as_json)
    method = _method(signer, raw, digest)
    if not method:
        refuse("the signature is not one of this image by this certificate's key")
    facts = {"ok": True, "sha256": digest.hex(), "signed_by": signer.subject.rfc4514_string(), "method": method}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{shown_name(image)} is signed ({method}) by {shown(facts['signed_by'])}.")
        click.echo(f"SHA-256 {digest.hex()}")
    return 0


def _digest(image: str, *, as_json: bool) -> bytes:
    """SHA-256 of a file of any size. Raises Failure."""
    digest = hashlib.sha256()
    try:
        with Path(image).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        fail(f"{shown_name(image)}: {error.strerror or error}", NOT_OK, as_json=as_json)
    return digest.digest()


def _method(signer: "Certificate", signature: bytes, digest: bytes) -> str:
    """How it is signed; empty if it is not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    from gateway.policy.firmware import in_der

    sha256 = hashes.SHA256()
    hashed, key = utils.Prehashed(sha256), signer.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        try:
            key.verify(in_der(signature), digest, ec.ECDSA(hashed))
        except InvalidSignature:
            return ""
        return "ECDSA"
    assert isinstance(key, rsa.RSAPublicKey)
    ways = (
        ("RSA-PSS", padding.PSS(padding.MGF1(sha256), padding.PSS.AUTO)),
        ("RSA PKCS#1 v1.5", padding.PKCS1v15()),
    )
    for name, how in ways:
        try:
            key.verify(signature, digest, how, hashed)
        except InvalidSignature:
            continue
        return name
    return ""
