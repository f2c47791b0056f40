"""Private keys that stay where they are: cryptography's key classes without the key. Whoever has it is asked to sign.

Subclasses say how; everything that would need the key itself raises NotImplementedError.
"""

from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

__all__ = ["KeptECKey", "KeptRSAKey", "require_pkcs1v15"]


def _never(what: str) -> NoReturn:
    raise NotImplementedError(f"a key that is kept elsewhere does not {what}")


def require_pkcs1v15(chosen: object) -> None:
    """Raises NotImplementedError for any other RSA padding."""
    if not isinstance(chosen, padding.PKCS1v15):
        _never("sign with another padding than PKCS#1 v1.5")


class KeptECKey(ec.EllipticCurvePrivateKey):
    """An EC key; `sign` is the subclass's."""

    def __init__(self, public: ec.EllipticCurvePublicKey) -> None:
        self._public = public

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public

    @property
    def curve(self) -> ec.EllipticCurve:
        return self._public.curve

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        _never("agree on keys")

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        _never("leave its place")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:  # noqa: A002  cryptography's name
        _never("leave its place")

    def __copy__(self) -> "KeptECKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "KeptECKey":
        return self


class KeptRSAKey(rsa.RSAPrivateKey):
    """An RSA key; `sign` is the subclass's."""

    def __init__(self, public: rsa.RSAPublicKey) -> None:
        self._public = public

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public

    @property
    def key_size(self) -> int:
        return self._public.key_size

    def decrypt(self, ciphertext: bytes, padding: Any) -> bytes:
        _never("decrypt")

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        _never("leave its place")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:  # noqa: A002  cryptography's name
        _never("leave its place")

    def __copy__(self) -> "KeptRSAKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "KeptRSAKey":
        return self
