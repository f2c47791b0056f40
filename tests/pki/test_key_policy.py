"""Weak keys are refused, each with its own reason, and their near-misses pass."""

import hashlib
import math
import random

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.blocked_keys import parse_blocked_keys, spki_sha256
from pki.errors import Misconfigured, Reason, Refused
from pki.key_policy import DEFAULT_KEY_POLICY, KeyPolicy, key_description, key_strength_bits, verify_rsa_numbers
from pki.keys import KEY_KINDS, generate_key
from pki.roca import has_roca_fingerprint
from tests.pki.roca_vectors import AFFECTED_MODULI, SOUND_MODULI

RANDOM = random.Random(4)


def refusal(modulus: int, exponent: int = 65537) -> Reason | None:
    try:
        verify_rsa_numbers(modulus, exponent)
    except Refused as refused:
        return refused.reason
    return None


SMALL = math.prod(p for p in range(2, 2000) if all(p % q for q in range(2, math.isqrt(p) + 1)))


def without_small_factor(bits: int, start: int | None = None) -> int:
    """An odd number with no factor below 2000; with `start`, the next one above it."""
    candidate = (start or RANDOM.getrandbits(bits) | 3 << bits - 2) | 1
    while math.gcd(candidate, SMALL) != 1:
        candidate += 2
    return candidate


def prime(bits: int, start: int | None = None) -> int:
    """A probable prime; with `start`, the next one above it."""
    candidate = without_small_factor(bits, start)
    while pow(2, candidate - 1, candidate) != 1:
        candidate = without_small_factor(bits, candidate + 2)
    return candidate


P, Q = prime(1024), prime(1024)


class TestRSA:
    @pytest.mark.requirement("A00.FR.501", "A00.FR.502")
    def test_an_ordinary_modulus_passes(self) -> None:
        assert (P * Q).bit_length() == 2048
        assert refusal(P * Q) is None

    @pytest.mark.requirement("A00.FR.502")
    @pytest.mark.parametrize("bits", [512, 1024, 2047])
    def test_short_ones_are_refused(self, bits: int) -> None:
        assert refusal(1 << bits - 1 | 1) is Reason.KEY_TOO_SMALL

    @pytest.mark.parametrize("bits", [4097, 4104, 16384])
    def test_long_ones_are_refused_before_anything_is_computed_with_them(self, bits: int) -> None:
        assert refusal(1 << bits - 1 | 1) is Reason.KEY_SIZE

    def test_odd_sizes_are_refused_and_whole_bytes_pass(self) -> None:
        assert refusal(without_small_factor(1025) * Q) is Reason.KEY_SIZE
        assert refusal(without_small_factor(1032) * Q) is None

    @pytest.mark.parametrize("exponent", [1, 2, 3, 17, 65535, 65536, 65539, 1 << 4000])
    def test_other_exponents_are_refused(self, exponent: int) -> None:
        assert refusal(P * Q, exponent) is Reason.KEY_EXPONENT

    def test_an_even_modulus_is_refused(self) -> None:
        assert refusal(P * Q & ~1) is Reason.KEY_EVEN_MODULUS

    @pytest.mark.parametrize(
        ("factor", "reason"), [(3, Reason.KEY_SMALL_FACTOR), (751, Reason.KEY_SMALL_FACTOR), (757, None)]
    )
    def test_a_small_factor_is_refused_and_one_beyond_the_table_passes(
        self, factor: int, reason: Reason | None
    ) -> None:
        cofactor = without_small_factor(0, (1 << 2048) // factor - (1 << 2030))
        assert (factor * cofactor).bit_length() == 2048
        assert refusal(factor * cofactor) is reason

    def test_primes_that_are_close_are_refused_and_those_a_little_farther_apart_pass(self) -> None:
        assert refusal(P * P) is Reason.KEY_CLOSE_PRIMES
        for distance, reason in ((2, Reason.KEY_CLOSE_PRIMES), (1 << 510, Reason.KEY_CLOSE_PRIMES), (1 << 540, None)):
            assert refusal(P * without_small_factor(0, P + distance)) is reason


class TestROCA:
    @pytest.mark.parametrize("modulus", AFFECTED_MODULI)
    def test_real_keys_of_affected_chips_are_refused(self, modulus: int) -> None:
        assert refusal(modulus) is Reason.KEY_ROCA

    @pytest.mark.parametrize("modulus", SOUND_MODULI)
    def test_keys_that_only_resemble_them_pass(self, modulus: int) -> None:
        assert refusal(modulus) is None

    def test_a_key_made_as_the_chips_did_is_found(self) -> None:
        primorial = math.prod(p for p in range(2, 702) if all(p % q for q in range(2, p)))
        made = [k * primorial + pow(65537, a, primorial) for k, a in ((1 << 52 | 7, 123456), (1 << 52 | 99, 98765))]
        assert has_roca_fingerprint(made[0] * made[1])
        assert not has_roca_fingerprint(made[0] * made[1] + 2)

    def test_sound_keys_do_not_have_the_fingerprint(self) -> None:
        assert not any(has_roca_fingerprint(RANDOM.getrandbits(2048) | 1) for _ in range(2000))


class TestPolicy:
    @pytest.mark.requirement("A00.FR.503")
    @pytest.mark.parametrize("kind", KEY_KINDS)
    def test_every_kind_that_we_make_passes(self, kind) -> None:
        key = generate_key(kind).public_key()
        assert DEFAULT_KEY_POLICY.verify(key) is key
        assert key_description(key) == kind

    @pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP224R1(), ec.SECP256K1(), ec.BrainpoolP256R1()])
    def test_other_curves_are_refused_unless_permitted(self, curve: ec.EllipticCurve) -> None:
        key = ec.generate_private_key(curve).public_key()
        with pytest.raises(Refused) as refused:
            DEFAULT_KEY_POLICY.verify(key)
        assert refused.value.reason is Reason.KEY_CURVE
        assert KeyPolicy(curves=frozenset({curve.name})).verify(key) is key

    def test_other_kinds_of_keys_are_refused(self) -> None:
        for key in (
            ed25519.Ed25519PrivateKey.generate(),
            ed448.Ed448PrivateKey.generate(),
            dsa.generate_private_key(2048),
        ):
            with pytest.raises(Refused) as refused:
                DEFAULT_KEY_POLICY.verify(key.public_key())
            assert refused.value.reason is Reason.KEY_TYPE

    def test_rsa_keys_are_checked_too(self) -> None:
        with pytest.raises(Refused) as refused:
            DEFAULT_KEY_POLICY.verify(rsa.generate_private_key(3, 2048).public_key())
        assert refused.value.reason is Reason.KEY_EXPONENT

    def test_strength_orders_the_kinds_as_nist_does(self) -> None:
        strengths = {
            kind: key_strength_bits(generate_key(kind).public_key()) for kind in KEY_KINDS if kind != "rsa-4096"
        }
        assert strengths == {"ec-p256": 128, "ec-p384": 192, "ec-p521": 256, "rsa-2048": 112, "rsa-3072": 128}


class TestBlockedKeys:
    KEY = generate_key("ec-p256").public_key()

    def test_the_name_of_a_key_is_the_sha256_of_its_spki(self) -> None:
        der = self.KEY.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert spki_sha256(self.KEY) == hashlib.sha256(der).digest()

    def test_a_listed_key_is_refused_and_another_passes(self) -> None:
        table = parse_blocked_keys(
            f"# weak\n{'00' * 32} debian\n\n{spki_sha256(self.KEY).hex().upper()}  # firmware 1.2\n"
        )
        policy = KeyPolicy(blocked=table)
        with pytest.raises(Refused) as refused:
            policy.verify(self.KEY)
        assert refused.value.reason is Reason.KEY_BLOCKED
        other = generate_key("ec-p256").public_key()
        assert policy.verify(other) is other
        assert len(table) == 2

    @pytest.mark.parametrize("line", ["abc", "00" * 31, "00" * 33, "zz" * 32, "-" * 64])
    def test_a_table_that_cannot_be_read_as_a_whole_is_not_used(self, line: str) -> None:
        with pytest.raises(Misconfigured, match="table, line 2: not a SHA-256"):
            parse_blocked_keys(f"{'00' * 32}\n{line}\n", "table")
