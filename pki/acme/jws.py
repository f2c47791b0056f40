"""What ACME signs: flattened JSON Web Signatures with ES256 (RFC 7515, 8555 section 6.2), thumbprints, account bindings. Pure."""

import base64
import hashlib
import hmac
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

__all__ = ["base64url", "bound_account", "from_base64url", "key_authorization", "public_jwk", "signed"]

_COORDINATE_BYTES: Final = 32


def base64url(data: bytes) -> str:
    """Without padding (RFC 7515, 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """With padding or without. Raises ValueError."""
    stripped = text.strip().rstrip("=")
    return base64.b64decode(stripped + "=" * (-len(stripped) % 4), altchars=b"-_", validate=True)


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The account's public key, its members in the order that thumbprints want (RFC 7638, 3.2)."""
    numbers = key.public_key().public_numbers()
    x, y = (base64url(each.to_bytes(_COORDINATE_BYTES, "big")) for each in (numbers.x, numbers.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def key_authorization(token: str, key: ec.EllipticCurvePrivateKey) -> str:
    """What a challenge is answered with (RFC 8555, 8.1)."""
    thumbprint = hashlib.sha256(msgspec.json.encode(public_jwk(key))).digest()
    return f"{token}.{base64url(thumbprint)}"


def signed(key: ec.EllipticCurvePrivateKey, header: dict[str, Any], payload: object | None) -> bytes:
    """A request body. `header`: nonce, url, and kid or jwk. `payload` None: POST-as-GET (RFC 8555, 6.3)."""
    protected = base64url(msgspec.json.encode({"alg": "ES256", **header}))
    body = "" if payload is None else base64url(msgspec.json.encode(payload))
    r, s = decode_dss_signature(key.sign(f"{protected}.{body}".encode("ascii"), ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(_COORDINATE_BYTES, "big") + s.to_bytes(_COORDINATE_BYTES, "big")
    return _flattened(protected, body, signature)


def bound_account(key: ec.EllipticCurvePrivateKey, key_id: str, secret: bytes, url: str) -> Any:
    """An external account binding: the CA knows `key_id` and the secret from elsewhere (RFC 8555, 7.3.4)."""
    protected = base64url(msgspec.json.encode({"alg": "HS256", "kid": key_id, "url": url}))
    body = base64url(msgspec.json.encode(public_jwk(key)))
    signature = hmac.digest(secret, f"{protected}.{body}".encode("ascii"), "sha256")
    return msgspec.json.decode(_flattened(protected, body, signature))


def _flattened(protected: str, body: str, signature: bytes) -> bytes:
    return msgspec.json.encode({"protected": protected, "payload": body, "signature": base64url(signature)})
