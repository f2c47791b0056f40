"""Keys in a hardware security module: private keys as cryptography knows them, whose signatures PKCS#11 makes.

The key never leaves the token. Hashing is done here (CKM_ECDSA and CKM_RSA_PKCS sign what they are given): not every
token has the mechanisms that hash as well. One thread at a time may use a session, and none across a fork.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pkcs11
import pkcs11.util.ec
import pkcs11.util.rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key

from pki.errors import KeyFailed, Misconfigured
from pki.kept_keys import KeptECKey, KeptRSAKey, require_pkcs1v15
from pki.keys import KeyKind, PrivateKey

__all__ = ["TokenECKey", "TokenRSAKey", "generate_in_token", "open_token_key"]

_DIGEST_INFO: Final = {
    # DigestInfo up to the digest itself (RFC 8017, 9.2, note 1).
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_CURVES: Final = {"ec-p256": "secp256r1", "ec-p384": "secp384r1", "ec-p521": "secp521r1"}


def _digest(data: bytes, algorithm: Any) -> tuple[bytes, str]:
    if isinstance(algorithm, utils.Prehashed):
        return bytes(data), algorithm._algorithm.name  # noqa: SLF001  has no other way to tell
    context = hashes.Hash(algorithm)
    context.update(data)
    return context.finalize(), algorithm.name


class _Handle:
    """A private key in a token. `open_again` finds it anew: a token that was away for a moment has ended the session."""

    def __init__(self, key: Any, open_again: Callable[[], Any]) -> None:
        self.key = key
        self._open_again = open_again

    def sign(self, data: bytes, mechanism: Any) -> bytes:
        """Raises KeyFailed if the token does not answer as it should: it may be asked again later."""
        try:
            try:
                return bytes(self.key.sign(data, mechanism=mechanism))
            except pkcs11.exceptions.PKCS11Error:
                self.key = self._open_again()
                return bytes(self.key.sign(data, mechanism=mechanism))
        except (pkcs11.exceptions.PKCS11Error, Misconfigured) as error:
            raise KeyFailed(f"the token does not sign: {type(error).__name__}") from None


class TokenECKey(KeptECKey):
    """An EC key in a token."""

    def __init__(self, handle: _Handle, public: ec.EllipticCurvePublicKey) -> None:
        super().__init__(public)
        self._handle = handle

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        digest, _ = _digest(bytes(data), signature_algorithm.algorithm)
        raw = self._handle.sign(digest, pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return utils.encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))


class TokenRSAKey(KeptRSAKey):
    """An RSA key in a token; signs PKCS#1 v1.5."""

    def __init__(self, handle: _Handle, public: rsa.RSAPublicKey) -> None:
        super().__init__(public)
        self._handle = handle

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:
        require_pkcs1v15(padding)
        digest, name = _digest(bytes(data), algorithm)
        return self._handle.sign(_DIGEST_INFO[name] + digest, pkcs11.Mechanism.RSA_PKCS)


def _session(module: Path, token: str, pin: str) -> Any:
    try:
        found = pkcs11.lib(str(module)).get_token(token_label=token)
        try:
            return found.open(user_pin=pin, rw=True)
        except pkcs11.exceptions.UserAlreadyLoggedIn:
            # Being logged in belongs to the process and the token (PKCS#11, 5.6.8): another key of ours is there, too.
            return found.open(rw=True)
    except (pkcs11.exceptions.PKCS11Error, RuntimeError, OSError) as error:
        # The library's texts name functions and tokens, never the PIN.
        raise Misconfigured(f"token {token!r} of {module}: {type(error).__name__} {error}".rstrip()) from None


def _private(session: Any, label: str) -> Any:
    return session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label)


def open_token_key(module: Path, token: str, label: str, pin: str) -> PrivateKey:
    """The key with this label. Raises Misconfigured, also for one that can be taken out."""
    session = _session(module, token, pin)
    try:
        handle = _private(session, label)
        public = session.get_key(object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label)
        if handle[pkcs11.Attribute.EXTRACTABLE] or not handle[pkcs11.Attribute.SENSITIVE]:
            raise Misconfigured(f"key {label!r} in token {token!r} can be taken out: make one that cannot")
        return _as_key(_Handle(handle, lambda: _private(_session(module, token, pin), label)), public)
    except (pkcs11.exceptions.PKCS11Error, ValueError) as error:
        raise Misconfigured(f"key {label!r} in token {token!r}: {type(error).__name__} {error}".rstrip()) from None


def generate_in_token(module: Path, token: str, label: str, pin: str, kind: KeyKind) -> PrivateKey:
    """A new key that cannot be taken out. Raises Misconfigured, also if there is one with this label."""
    session = _session(module, token, pin)
    try:
        if list(session.get_objects({pkcs11.Attribute.LABEL: label})):
            raise Misconfigured(f"token {token!r} has a key {label!r} already")
        kept = {
            pkcs11.Attribute.TOKEN: True,
            pkcs11.Attribute.SENSITIVE: True,
            pkcs11.Attribute.EXTRACTABLE: False,
            pkcs11.Attribute.PRIVATE: True,
        }
        if kind in _CURVES:
            oid = pkcs11.util.ec.encode_named_curve_parameters(_CURVES[kind])
            domain = session.create_domain_parameters(pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: oid}, local=True)
            public, private = domain.generate_keypair(
                label=label,
                store=True,
                capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
                private_template=kept,
            )
        else:
            public, private = session.generate_keypair(
                pkcs11.KeyType.RSA,
                int(kind.removeprefix("rsa-")),
                label=label,
                store=True,
                capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
                private_template=kept,
            )
        return _as_key(_Handle(private, lambda: _private(_session(module, token, pin), label)), public)
    except pkcs11.exceptions.PKCS11Error as error:
        raise Misconfigured(f"token {token!r}: {type(error).__name__} {error}".rstrip()) from None


def _as_key(private: _Handle, public: Any) -> PrivateKey:
    if public.key_type is pkcs11.KeyType.EC:
        loaded = load_der_public_key(pkcs11.util.ec.encode_ec_public_key(public))
        assert isinstance(loaded, ec.EllipticCurvePublicKey)
        return TokenECKey(private, loaded)
    if public.key_type is pkcs11.KeyType.RSA:
        numbers = rsa.RSAPublicNumbers(
            int.from_bytes(public[pkcs11.Attribute.PUBLIC_EXPONENT], "big"),
            int.from_bytes(public[pkcs11.Attribute.MODULUS], "big"),
        )
        return TokenRSAKey(private, numbers.public_key())
    raise ValueError("neither an RSA nor an EC key")
