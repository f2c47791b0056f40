"""The fingerprint of RSA keys with the ROCA defect (CVE-2017-15361).

Nemec et al., "The Return of Coppersmith's Attack", 2017, section 2: the chips made primes of the form
k * M + (65537 ** a mod M), M a product of the first primes. So the modulus is a power of 65537 modulo each of them. A sound
key has that property for all of the primes below with a chance of about 2 ** -27.
"""

from typing import Final

__all__ = ["has_roca_fingerprint"]

_GENERATOR: Final = 65_537
# The divisors of the M of 512-bit keys, the smallest of all; larger keys have these and more. 2 tells nothing.
_PRIMES: Final = (
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73,
    79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
)  # fmt: skip


def _powers(prime: int) -> frozenset[int]:
    """The subgroup that the generator spans modulo `prime`."""
    found, value = set(), 1
    while value not in found:
        found.add(value)
        value = value * _GENERATOR % prime
    return frozenset(found)


_SUBGROUPS: Final = tuple((prime, _powers(prime)) for prime in _PRIMES)


def has_roca_fingerprint(modulus: int) -> bool:
    """True if `modulus` is a power of 65537 modulo every one of the primes."""
    return all(modulus % prime in subgroup for prime, subgroup in _SUBGROUPS)
