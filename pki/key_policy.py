"""Which public keys get a certificate, and why the others do not.

Checked before anything is computed with the key, a signature above all: an RSA modulus of a million bits is a weapon.
Modelled on the list that public CAs use: sizes, exponent, small factors, ROCA, close primes, known keys.
"""

import functools
import math
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey

from pki.blocked_keys import NO_BLOCKED_KEYS, BlockedKeys, spki_sha256
from pki.errors import Reason, Refused
from pki.keys import PublicKey, SubjectKey
from pki.roca import has_roca_fingerprint

__all__ = ["DEFAULT_KEY_POLICY", "KeyPolicy", "key_description", "key_strength_bits", "verify_rsa_numbers"]

_EXPONENT: Final = 65_537
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 4096
_SMALLEST_UNCHECKED_PRIME: Final = 752
_FERMAT_ROUNDS: Final = 110


def _product_of_small_primes() -> int:
    sieve = bytearray([1]) * _SMALLEST_UNCHECKED_PRIME
    product = 1
    for candidate in range(3, _SMALLEST_UNCHECKED_PRIME, 2):
        if sieve[candidate]:
            product *= candidate
            sieve[candidate * candidate :: candidate] = bytes(len(sieve[candidate * candidate :: candidate]))
    return product


_SMALL_PRIMES: Final = _product_of_small_primes()


def _has_close_primes(modulus: int) -> bool:
    """Fermat's factorization: finds primes that differ by less than about the fourth root of the modulus."""
    middle = math.isqrt(modulus - 1) + 1
    for _ in range(_FERMAT_ROUNDS):
        square = middle * middle - modulus
        if math.isqrt(square) ** 2 == square:
            return True
        middle += 1
    return False


@functools.lru_cache(maxsize=64)
def verify_rsa_numbers(modulus: int, exponent: int) -> None:
    """Raises Refused. Cheap checks first, and none that costs more with a larger number.

    A key is looked at several times on its way (request, lint): that it passed is remembered for a while.
    """
    bits = max(modulus, 0).bit_length()
    if bits < _MIN_RSA_BITS:  # A00.FR.502
        raise Refused(Reason.KEY_TOO_SMALL, f"{bits} bits")
    if bits > _MAX_RSA_BITS:
        raise Refused(Reason.KEY_SIZE, f"{bits} bits")
    if has_roca_fingerprint(modulus):  # before the odd sizes: the chips also made keys of 2049 bits
        raise Refused(Reason.KEY_ROCA)
    if bits % 8:
        raise Refused(Reason.KEY_SIZE, f"{bits} bits")
    if exponent != _EXPONENT:
        raise Refused(Reason.KEY_EXPONENT, str(exponent) if exponent.bit_length() <= 64 else "a huge one")  # noqa: PLR2004
    if not modulus & 1:
        raise Refused(Reason.KEY_EVEN_MODULUS)
    if math.gcd(modulus, _SMALL_PRIMES) != 1:
        raise Refused(Reason.KEY_SMALL_FACTOR)
    if _has_close_primes(modulus):
        raise Refused(Reason.KEY_CLOSE_PRIMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPolicy:
    """What this CA takes. Curves are named as in OpenSSL and SEC 2."""

    curves: frozenset[str] = frozenset({"secp256r1", "secp384r1", "secp521r1"})
    blocked: BlockedKeys = NO_BLOCKED_KEYS

    def verify_subject(self, key: object, *, ed448: bool) -> SubjectKey:
        """The key of an end entity; `ed448`: its profile takes such keys. Raises Refused."""
        if not ed448 or not isinstance(key, Ed448PublicKey):
            return self.verify(key)
        if spki_sha256(key) in self.blocked:
            raise Refused(Reason.KEY_BLOCKED)
        return key

    def verify(self, key: object) -> PublicKey:
        """The key, if it is good enough. Raises Refused."""
        match key:
            case rsa.RSAPublicKey():
                numbers = key.public_numbers()
                verify_rsa_numbers(numbers.n, numbers.e)
            case ec.EllipticCurvePublicKey():
                # That the point is on the curve was checked when the key was read; these curves have cofactor 1.
                if key.curve.name not in self.curves:
                    raise Refused(Reason.KEY_CURVE, key.curve.name)
            case _:
                raise Refused(Reason.KEY_TYPE, type(key).__name__.removesuffix("PublicKey"))
        if spki_sha256(key) in self.blocked:
            raise Refused(Reason.KEY_BLOCKED)
        return key


DEFAULT_KEY_POLICY: Final = KeyPolicy()


def key_strength_bits(key: SubjectKey) -> int:
    """Comparable security in bits (NIST SP 800-57 part 1, table 2, rounded down)."""
    if isinstance(key, Ed448PublicKey):
        return 224
    if isinstance(key, ec.EllipticCurvePublicKey):
        return min(key.key_size // 2, 256)
    return 112 if key.key_size < 3072 else 128 if key.key_size < 7680 else 192  # noqa: PLR2004  the table


def key_description(key: SubjectKey) -> str:
    """Kind and size as our configuration writes it, e.g. `rsa-2048`, `ec-p256`."""
    if isinstance(key, Ed448PublicKey):
        return "ed448"
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    is_nist = key.curve.name.startswith("secp") and key.curve.name.endswith("r1")
    return f"ec-p{key.key_size}" if is_nist else f"ec-{key.curve.name}"
