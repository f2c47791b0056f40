"""Basic authentication as OCPP uses it: bytes, split by the known identity, three readings of one key.

Hashing and comparing is `gateway.control.credentials`; here is only what a header and a key mean (requirements 2.6).
"""

import base64
import binascii
import re
from typing import Final, Literal

from gateway.identity.evidence import BasicCredentials
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import ChargePointId

__all__ = ["Reading", "canonical_secret", "generate_password", "read_basic", "readings"]

Reading = Literal["raw", "hex-decoded", "hex-text"]

_MAX_HEADER_CHARS = 1_024
_HEX_KEY: Final = re.compile(rb"(?:[0-9A-Fa-f]{2}){16,20}")
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_KEY_BYTES_1_6 = range(16, 21)


def read_basic(header: str | None, charge_point_id: ChargePointId) -> BasicCredentials | None:
    """The credentials in an Authorization header, None if there is no header (RFC 7617, A00.FR.202).

    The text before the password is compared with the identity from the URL, as identities of 1.6 may contain colons.
    Whether a user name in another case will do is for the caller, who knows the record (`claim.ignores_case`).
    Raises Refusal AUTH_MALFORMED for another scheme, bad base64, no colon, an empty password or an over-long header.
    """
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _MAX_HEADER_CHARS:
        raise Refusal(Reason.AUTH_MALFORMED, "not Basic or too long")
    try:
        decoded = base64.b64decode(encoded.strip(" "), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(Reason.AUTH_MALFORMED, "not base64") from None
    prefix = charge_point_id.encode("utf-8") + b":"
    if decoded.startswith(prefix):
        password, matches, in_other_case = decoded[len(prefix) :], True, False
    else:
        user, colon, password = decoded.partition(b":")
        if not colon:
            raise Refusal(Reason.AUTH_MALFORMED, "no colon")
        matches, in_other_case = False, user.lower() == prefix[:-1].lower()
    if not password:
        raise Refusal(Reason.AUTH_MALFORMED, "empty password")
    return BasicCredentials(username_matches=matches, username_differs_in_case=in_other_case, password=password)


def readings(password: bytes) -> tuple[tuple[Reading, bytes], ...]:
    """What a password in a header may stand for, most likely first; the stored secret is one of them.

    Chargers send the decoded bytes of AuthorizationKey, or its hex digits as text; operators stored either form.
    """
    found: list[tuple[Reading, bytes]] = [("raw", password)]
    if _HEX_KEY.fullmatch(password):
        found.append(("hex-decoded", bytes.fromhex(password.decode("ascii"))))
        found.extend(("raw", variant) for variant in (password.upper(), password.lower()) if variant != password)
    elif len(password) in _KEY_BYTES_1_6:
        digits = password.hex().encode("ascii")
        found.extend((("hex-text", digits.upper()), ("hex-text", digits)))
    return tuple(found)


def canonical_secret(text: str) -> bytes:
    """The form in which a secret is hashed: 32-40 hex digits are an AuthorizationKey and stored as its bytes."""
    raw = text.encode("utf-8")
    return bytes.fromhex(text) if _HEX_KEY.fullmatch(raw) else raw


def generate_password(random_bytes: bytes, characters: int = 20) -> str:
    """A password of letters and digits from `random_bytes` (at least 2 a character).

    Twenty characters also fit the 1.6 key as 40 hex digits, and every reading of that key leads back to this text, so
    no charge point can misunderstand it. Raises ValueError with too little randomness.
    """
    if len(random_bytes) < 2 * characters:
        raise ValueError("too little randomness")
    numbers = (int.from_bytes(random_bytes[2 * i : 2 * i + 2], "big") for i in range(characters))
    return "".join(chr(_ALPHABET[number % len(_ALPHABET)]) for number in numbers)
