"""Hashes of passwords: verified, remembered, upgraded; and nothing outlives the hash it was matched against."""

import base64
import hashlib

import bcrypt
import msgspec
import pytest

from gateway.control.credentials import PasswordVerifier, Verified, hash_password, is_supported_hash
from gateway.identity.basic_auth import canonical_secret
from gateway.identity.evidence import BasicCredentials
from gateway.identity.record import ChargePointRecord, StoredPassword
from tests.support.records import make_record

SECRET, OTHER = b"correct horse battery", b"wrong horse battery"
ARGON2 = hash_password(SECRET)
BCRYPT = bcrypt.hashpw(SECRET, bcrypt.gensalt(4)).decode()


def passlib(name: str, secret: bytes = SECRET, rounds: int = 10, size: int | None = None) -> str:
    digest = hashlib.pbkdf2_hmac(name, secret, b"saltsalt", rounds, size)
    scheme = "pbkdf2" if name == "sha1" else f"pbkdf2-{name}"
    encoded = [base64.b64encode(part).decode().rstrip("=").replace("+", ".") for part in (b"saltsalt", digest)]
    return f"${scheme}${rounds}${encoded[0]}${encoded[1]}"


def django(name: str, secret: bytes = SECRET, rounds: int = 10) -> str:
    digest = base64.b64encode(hashlib.pbkdf2_hmac(name, secret, b"salt", rounds)).decode()
    return f"pbkdf2_{name}${rounds}$salt${digest}"


IMPORTED = {
    "bcrypt 2b": BCRYPT,
    "bcrypt 2a": BCRYPT.replace("$2b$", "$2a$"),
    "bcrypt 2y": BCRYPT.replace("$2b$", "$2y$"),
    "passlib sha1": passlib("sha1"),
    "passlib sha256": passlib("sha256"),
    "passlib sha512": passlib("sha512"),
    "django sha1": django("sha1"),
    "django sha256": django("sha256"),
}


def record(current: str | None = None, pending: str | None = None) -> ChargePointRecord:
    stored = [None if phc is None else StoredPassword(phc=phc, created_at=1.0) for phc in (current, pending)]
    return make_record("CP-1", 2, password=stored[0], pending_password=stored[1])


def basic(password: bytes) -> BasicCredentials:
    return BasicCredentials(username_matches=True, password=password)


@pytest.fixture
def verifier():
    made = PasswordVerifier()
    yield made
    made.close()


class TestVerify:
    @pytest.mark.requirement("A00.FR.207", "A00.FR.324", "TC_085_CSMS", "TC_A_01_CSMS", "TC_A_03_CSMS")
    async def test_the_right_password_and_no_other(self, verifier: PasswordVerifier) -> None:
        assert await verifier.verify(record(ARGON2), basic(SECRET)) == Verified(
            slot="current", reading="raw", phc=ARGON2
        )
        for wrong in (OTHER, SECRET[:-1], SECRET + b"x", SECRET.upper(), SECRET + b"\0"):
            assert await verifier.verify(record(ARGON2), basic(wrong)) is None

    @pytest.mark.parametrize("kind", sorted(IMPORTED))
    async def test_an_imported_hash_is_verified_and_handed_back_better(self, verifier, kind: str) -> None:
        phc = IMPORTED[kind]
        assert await verifier.verify(record(phc), basic(OTHER)) is None
        verified = await verifier.verify(record(phc), basic(SECRET))
        assert verified is not None
        assert (verified.slot, verified.phc) == ("current", phc)
        assert verified.upgraded_phc is not None
        assert verified.hashes == (phc, verified.upgraded_phc)
        assert await verifier.verify(record(verified.upgraded_phc), basic(SECRET)) is not None

    async def test_nobody_and_a_record_without_a_password_have_no_right_one(self, verifier: PasswordVerifier) -> None:
        assert await verifier.verify(None, basic(SECRET)) is None
        assert await verifier.verify(record(), basic(SECRET)) is None

    @pytest.mark.requirement("A01.FR.03")
    async def test_either_of_two_candidates_is_right_and_which_one_is_told(self, verifier: PasswordVerifier) -> None:
        both = record(BCRYPT, pending := passlib("sha256", OTHER))
        first, second = await verifier.verify(both, basic(SECRET)), await verifier.verify(both, basic(OTHER))
        assert first is not None and second is not None
        assert (first.slot, first.phc, first.refuted_phc) == ("current", BCRYPT, pending)
        assert (second.slot, second.phc, second.refuted_phc) == ("pending", pending, None)

    @pytest.mark.requirement("A00.FR.205", "A00.FR.304")
    @pytest.mark.parametrize(
        ("stored", "sent", "reading"),
        [
            (bytes(range(200, 220)), bytes(range(200, 220)), "raw"),
            (bytes(range(200, 220)), bytes(range(200, 220)).hex().encode(), "hex-decoded"),
            (bytes(range(200, 220)).hex().upper().encode(), bytes(range(200, 220)), "hex-text"),
        ],
    )
    async def test_the_three_readings_of_an_authorization_key(self, verifier, stored, sent, reading) -> None:
        phc = passlib("sha256", stored)
        verified = await verifier.verify(record(phc), basic(sent))
        assert verified is not None
        assert verified.reading == reading

    async def test_a_key_stored_as_operators_type_it_meets_the_header_of_the_standard(self, verifier) -> None:
        stored = canonical_secret("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
        sent = base64.b64decode("QUwxMDAwOgABAgMEBQYH////////////////").partition(b":")[2]
        assert await verifier.verify(record(passlib("sha256", stored)), basic(sent)) is not None

    async def test_bcrypt_sees_only_72_bytes_so_longer_passwords_are_never_right(self, verifier) -> None:
        long = 72 * b"x"
        phc = bcrypt.hashpw(long, bcrypt.gensalt(4)).decode()
        assert await verifier.verify(record(phc), basic(long)) is not None
        assert await verifier.verify(record(phc), basic(long + b"y")) is None
        assert await verifier.verify(record(phc), basic(b"x\0y")) is None

    @pytest.mark.parametrize(
        "phc", ["", "plain", "$argon2id$new", "$argon2id$v=19$m=1,t=1,p=1$$", "$2b$04$short", "$5$x$y"]
    )
    async def test_a_hash_that_cannot_be_read_matches_nothing(self, verifier: PasswordVerifier, phc: str) -> None:
        for password in (SECRET, b"plain", b"x"):
            assert await verifier.verify(record(phc), basic(password)) is None


class TestRemembered:
    async def test_only_what_was_verified_is_known_and_only_for_exactly_that(self, verifier: PasswordVerifier) -> None:
        known = record(ARGON2)
        assert verifier.known(known, basic(SECRET)) is None
        await verifier.verify(known, basic(SECRET))
        assert verifier.known(known, basic(SECRET)) == Verified(slot="current", reading="raw", phc=ARGON2)
        assert verifier.known(known, basic(OTHER)) is None
        assert verifier.known(msgspec.structs.replace(known, charge_point_id="CP-2"), basic(SECRET)) is None

    async def test_a_wrong_password_is_not_remembered_as_anything(self, verifier: PasswordVerifier) -> None:
        await verifier.verify(record(BCRYPT), basic(OTHER))
        assert verifier.known(record(BCRYPT), basic(OTHER)) is None

    async def test_another_stored_hash_is_another_password_even_of_the_same_text(
        self, verifier: PasswordVerifier
    ) -> None:
        await verifier.verify(record(BCRYPT), basic(SECRET))
        replaced = record(passlib("sha256", OTHER))
        assert verifier.known(replaced, basic(SECRET)) is None
        assert verifier.known(record(), basic(SECRET)) is None
        assert verifier.known(record(BCRYPT.replace("$2b$", "$2a$")), basic(SECRET)) is None

    @pytest.mark.requirement("A01.FR.03")
    async def test_where_the_hash_stands_is_looked_up_anew_each_time(self, verifier: PasswordVerifier) -> None:
        """A candidate that was promoted must not promote its successor, which nobody has used yet."""
        first, second, third = ARGON2, passlib("sha256", OTHER), passlib("sha256", b"third")
        assert (await verifier.verify(record(second, first), basic(SECRET))) is not None
        assert verifier.known(record(second, first), basic(SECRET)) == Verified(
            slot="pending", reading="raw", phc=first
        )
        promoted = verifier.known(record(first, third), basic(SECRET))
        assert promoted == Verified(slot="current", reading="raw", phc=first, refuted_phc=third)

    async def test_an_imported_password_is_remembered_under_its_better_hash_alone(
        self, verifier: PasswordVerifier
    ) -> None:
        """If storing that one fails, the next login tries it again."""
        verified = await verifier.verify(record(BCRYPT), basic(SECRET))
        assert verified is not None
        assert verifier.known(record(BCRYPT), basic(SECRET)) is None
        assert verifier.known(record(verified.upgraded_phc), basic(SECRET)) is not None

    async def test_memory_is_bounded_and_the_longest_unused_goes_first(self, verifier, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.credentials._MAX_CACHED", 2)
        hashes = [bcrypt.hashpw(bytes([65 + n]) * 8, bcrypt.gensalt(4)).decode() for n in range(3)]
        better = []
        for number, phc in enumerate(hashes):
            verified = await verifier.verify(record(phc), basic(bytes([65 + number]) * 8))
            assert verified is not None
            better.append(verified.upgraded_phc)
            if number == 1:
                verifier.known(record(better[0]), basic(8 * b"A"))
        known = [verifier.known(record(phc), basic(bytes([65 + n]) * 8)) is not None for n, phc in enumerate(better)]
        assert known == [True, False, True]

    async def test_nothing_in_memory_is_a_password_or_derived_from_one_without_our_key(self) -> None:
        first, second = PasswordVerifier(), PasswordVerifier()
        for verifier in (first, second):
            await verifier.verify(record(ARGON2), basic(SECRET))
            verifier.close()
        assert first._verified.keys().isdisjoint(second._verified.keys())
        assert SECRET not in b"".join(first._verified)


class TestCost:
    @pytest.mark.parametrize("password", [b"plain words", b"ab" * 20, bytes(20)])
    async def test_unknown_wrong_and_passwordless_derive_the_same_number_of_keys(self, password: bytes) -> None:
        """Counted by the hashing library itself, not by the clock."""
        counted = []
        verifier = PasswordVerifier()
        import gateway.control.credentials as module

        real = module._HASHER
        counting = _Counting(real)
        module._HASHER = counting  # type: ignore[misc, assignment]
        try:
            for who in (None, record(), record(ARGON2)):
                counting.calls = 0
                assert await verifier.verify(who, basic(password)) is None
                counted.append(counting.calls)
        finally:
            module._HASHER = real  # type: ignore[misc]
            verifier.close()
        assert counted[0] >= 1
        assert counted == 3 * counted[:1]


class _Counting:
    """The real hasher, which counts."""

    def __init__(self, real) -> None:
        self.real = real
        self.calls = 0

    def verify(self, phc: str, secret: bytes) -> bool:
        self.calls += 1
        return bool(self.real.verify(phc, secret))

    def hash(self, secret: bytes) -> str:
        return str(self.real.hash(secret))


class TestSupported:
    @pytest.mark.parametrize("phc", [ARGON2, *IMPORTED.values()], ids=["argon2id", *IMPORTED])
    def test_what_can_be_verified_may_be_imported(self, phc: str) -> None:
        assert is_supported_hash(phc)

    @pytest.mark.parametrize(
        "phc",
        [
            "",
            "secret",
            "$argon2id$",
            "$argon2id$v=19$m=1,t=1,p=1$$",
            ARGON2.replace("argon2id", "argon2i"),
            ARGON2.replace("m=19456", "m=99999999"),
            ARGON2.replace("t=2", "t=9999"),
            ARGON2.replace("p=1", "p=255"),
            "$2b$04$" + 52 * "a",
            "$2b$31$" + 53 * "a",
            "$2x$04$" + 53 * "a",
            "$pbkdf2-md5$10$YWFh$" + 24 * "a",
            passlib("sha256", rounds=10).replace("$10$", "$0$"),
            passlib("sha256").replace("$10$", "$10000001$"),
            passlib("sha256").replace("$10$", "$ten$"),
            passlib("sha256", size=15),
            "$pbkdf2-sha256$10$YWFhYWFhYWE$",
            "$pbkdf2-sha256$10$YWFhYWFhYWE",
            "pbkdf2_sha256$10$salt$!!!",
            "pbkdf2_sha256$10$salt",
            "$1$abc$def",
        ],
        ids=[str(number) for number in range(21)],
    )
    def test_what_cannot_be_verified_or_costs_too_much_may_not(self, phc: str) -> None:
        assert not is_supported_hash(phc)


def test_what_was_verified_shows_no_hash() -> None:
    assert "argon2" not in repr(Verified(slot="current", reading="raw", phc=ARGON2, upgraded_phc=ARGON2))
