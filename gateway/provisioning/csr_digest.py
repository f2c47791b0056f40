"""By what a request is recognised when it comes again: the SHA-256 of its DER. Pure; nothing is believed about it."""

import base64
import binascii
import hashlib

__all__ = ["csr_digest"]


def csr_digest(pem: str) -> str:
    """Lower-case hex. Of a text that is no PEM block, of the text: the CA will refuse it, once per spelling."""
    lines = [line.strip() for line in pem.strip().splitlines()]
    body = "".join(line for line in lines if not line.startswith("-----"))
    try:
        der = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        der = b""
    return hashlib.sha256(der or pem.encode("utf-8", "surrogatepass")).hexdigest()
