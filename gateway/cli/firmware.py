"""`firmware verify`: is this image what its manufacturer has signed? Before an update is ordered, as nobody else can ask."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_text, shown_name
from gateway.cli.finite import FiniteRange
from gateway.cli.output import fail, json_option, print_json, shown
from gateway.cli.progress import progress

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from gateway.control.image_fetch import FetchLimits

__all__ = ["firmware"]

_CHUNK_BYTES: Final = 1 << 20
_EVERYWHERE: Final = ("0.0.0.0/0", "::/0")
"""The operator names the address himself."""


@click.group("firmware")
def firmware() -> None:
    """Check firmware before charge points are told to fetch it."""


@firmware.command("verify")
@click.argument("image", metavar="IMAGE|URL")
@click.option(
    "--certificate", required=True, metavar="FILE", help="The signing certificate that the update names (PEM)."
)
@click.option("--signature", required=True, metavar="FILE", help="The signature that the update names (base64).")
@click.option("--root", "roots", required=True, multiple=True, metavar="FILE", help="A manufacturer's root (PEM).")
@click.option("--ca", default="", metavar="FILE", help="Roots of the file server (PEM), in place of the system's.")
@click.option(
    "--max-bytes", type=click.IntRange(min=1), default=536_870_912, show_default=True, help="Of an image at a URL."
)
@click.option("--timeout", type=FiniteRange(min=1), default=600.0, show_default=True, help="Seconds for fetching it.")
@json_option
def verify(
    image: str,
    certificate: str,
    signature: str,
    roots: Sequence[str],
    ca: str,
    max_bytes: int,
    timeout: float,
    as_json: bool,
) -> int:
    """Check an image against the signature and certificate of an update, and these against manufacturers' roots.

    IMAGE is a file, or the http or https address that the update names; nothing of it is kept. The certificate must be
    current and issued by one of the roots itself (OCPP 2.0.1 L01). The signature is RSA-PSS, RSA PKCS#1 v1.5 or ECDSA over
    SHA-256 of the whole file. Exit code 1 if anything does not hold.
    """
    from gateway.control.image_fetch import FetchLimits, shown_url
    from gateway.policy.firmware import FirmwareUnfit
    from gateway.policy.firmware_image import verify_image

    signer, raw = _signed_by(certificate, signature, roots, as_json=as_json)
    if "://" in image:
        limits = FetchLimits(max_image_bytes=max_bytes, timeout_s=timeout, private_hosts=_EVERYWHERE, ca=ca)
        digest, name = _fetched_digest(image, limits, as_json=as_json), shown(shown_url(image))
    else:
        digest, name = _digest(image, as_json=as_json), shown_name(image)
    try:
        method = verify_image(signer, raw, digest)
    except FirmwareUnfit as unfit:
        _refuse(str(unfit), as_json=as_json)
    facts = {"ok": True, "sha256": digest.hex(), "signed_by": signer.subject.rfc4514_string(), "method": method}
    if as_json:
        print_json(facts)
    else:
        click.echo(f"{name} is signed ({method}) by {shown(facts['signed_by'])}.")
        click.echo(f"SHA-256 {digest.hex()}")
    return 0


def _refuse(why: str, *, as_json: bool) -> NoReturn:
    fail(f"Not to be installed: {why}.", NOT_OK, as_json=as_json)


def _signed_by(certificate: str, signature: str, roots: Sequence[str], *, as_json: bool) -> "tuple[Certificate, bytes]":
    """The signing certificate, which may sign for one of the roots now, and the signature's bytes. Raises Failure."""
    from gateway.policy.cel.certificates import issued_by
    from gateway.policy.cel.operations import OperationError
    from gateway.policy.firmware import FirmwareUnfit, firmware_certificate, verify_signature_form

    pem = read_text(certificate, as_json=as_json)
    try:
        signer = firmware_certificate(pem)
        raw = verify_signature_form(signer, read_text(signature, as_json=as_json))
    except FirmwareUnfit as unfit:
        _refuse(shown(str(unfit)), as_json=as_json)
    if not signer.not_valid_before_utc.timestamp() <= time.time() < signer.not_valid_after_utc.timestamp():
        why = f"the certificate is good from {signer.not_valid_before_utc} to {signer.not_valid_after_utc}"
        _refuse(why, as_json=as_json)
    try:
        is_pinned = issued_by(pem, [read_text(root, as_json=as_json) for root in roots])
    except OperationError:
        fail("A root is not a certificate in PEM.", NOT_OK, as_json=as_json)
    if not is_pinned:
        _refuse("none of the roots has issued the certificate", as_json=as_json)
    return signer, raw


def _fetched_digest(address: str, limits: "FetchLimits", *, as_json: bool) -> bytes:
    """SHA-256 of what is at an address. Raises Failure."""
    import asyncio

    from gateway.control.image_fetch import ImageUnavailable, fetch_image, shown_url

    try:
        with progress("bytes of the image", None, as_json=as_json) as advance:
            return asyncio.run(fetch_image(address, limits, lambda size, _: advance(size))).sha256
    except ImageUnavailable as unavailable:
        fail(f"{shown(shown_url(address))}: {shown(str(unavailable))}", NOT_OK, as_json=as_json)


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
