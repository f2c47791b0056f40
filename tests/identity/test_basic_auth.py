"""What an Authorization header says, and what one AuthorizationKey may look like."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.basic_auth import canonical_secret, generate_password, read_basic, readings
from gateway.identity.evidence import BasicCredentials
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import ChargePointId
from tests.support.claims import basic_header

CP = ChargePointId("CP-1")
AL1000_KEY = bytes.fromhex("0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF")
HEX_KEY = "0001020304050607ffffffffffffffffffffffff"


def read(header: str | None, identity: str = "CP-1") -> BasicCredentials:
    found = read_basic(header, ChargePointId(identity))
    assert found is not None
    return found


def refused(header: str) -> str:
    with pytest.raises(Refusal) as caught:
        read_basic(header, CP)
    assert caught.value.reason is Reason.AUTH_MALFORMED
    return caught.value.detail


class TestHeader:
    @pytest.mark.requirement("A00.FR.204", "A00.FR.205", "A00.FR.303", "A00.FR.304")
    def test_the_vector_of_the_standard_is_read_as_bytes(self) -> None:
        found = read("Basic QUwxMDAwOgABAgMEBQYH////////////////", "AL1000")
        assert found == BasicCredentials(username_matches=True, password=AL1000_KEY)

    @pytest.mark.requirement("A00.FR.202", "A00.FR.301")
    def test_no_header_is_no_credentials(self) -> None:
        assert read_basic(None, CP) is None

    @pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
    def test_the_scheme_ignores_case(self, scheme: str) -> None:
        assert read(basic_header("CP-1", "x").replace("Basic", scheme)).password == b"x"

    @pytest.mark.parametrize("header", ["", "Bearer abc", "Digest username=x", "Basi Q1AtMTp4", "BasicQ1AtMTp4"])
    def test_another_scheme_is_malformed(self, header: str) -> None:
        refused(header)

    @pytest.mark.parametrize(
        "encoded", ["Q1AtMTp4!", "Q1AtMTp", "====", "Q1At\tMTp4", "Q1A tMTp4", "ÄÖ==", "Q1==AtMTp4"]
    )
    def test_what_is_not_base64_is_malformed(self, encoded: str) -> None:
        assert refused("Basic " + encoded) == "not base64"

    def test_blanks_around_the_base64_do_not_matter(self) -> None:
        assert read("Basic   Q1AtMTp4  ").password == b"x"

    def test_a_header_of_1024_characters_is_read_and_a_longer_one_is_not(self) -> None:
        header = basic_header("CP-1", (1_018 // 4 * 3 - 5) * "x")
        assert len(header) <= 1_024
        read(header)
        refused(basic_header("CP-1", 800 * "x"))

    @pytest.mark.parametrize(("user", "password"), [("CP-1", ""), ("CP-2", ""), ("", "")])
    def test_an_empty_password_is_malformed(self, user: str, password: str) -> None:
        assert refused(basic_header(user, password)) == "empty password"

    def test_no_colon_is_malformed(self) -> None:
        assert refused("Basic " + base64.b64encode(b"CP-1").decode()) == "no colon"

    @given(st.text(max_size=60))
    def test_any_header_is_credentials_or_a_refusal(self, text: str) -> None:
        for header in (text, "Basic " + text):
            try:
                found = read_basic(header, CP)
            except Refusal as refusal:
                assert refusal.reason is Reason.AUTH_MALFORMED
            else:
                assert found is not None and found.password

    @given(st.binary(min_size=1, max_size=40))
    def test_every_password_of_bytes_comes_through_unchanged(self, password: bytes) -> None:
        assert read(basic_header("CP-1", password)) == BasicCredentials(username_matches=True, password=password)


@pytest.mark.requirement("A00.FR.204", "A00.FR.303", "TC_A_02_CSMS")
class TestUserName:
    @pytest.mark.parametrize("user", ["CP-2", "CP-", "CP-11", "", " CP-1", "CP-1 ", "CP−1", "X"])
    def test_another_user_name_does_not_match_at_all(self, user: str) -> None:
        found = read(basic_header(user, "secret"))
        assert (found.username_matches, found.username_differs_in_case) == (False, False)

    def test_another_case_is_told_apart_from_the_exact_name(self) -> None:
        found = read(basic_header("cp-1", "secret"))
        assert (found.username_matches, found.username_differs_in_case) == (False, True)
        assert found.password == b"secret"

    def test_the_known_identity_ends_the_user_name_not_the_first_colon(self) -> None:
        assert read(basic_header("a:b", "c:d"), "a:b").password == b"c:d"
        assert read(basic_header("a", "b:c:d"), "a").password == b"b:c:d"

    def test_a_name_that_the_identity_only_begins_is_no_match(self) -> None:
        found = read(basic_header("a", "b:c"), "a:bb")
        assert (found.username_matches, found.password) == (False, b"b:c")


@pytest.mark.requirement("A00.FR.205", "A00.FR.304")
class TestReadings:
    def test_a_password_of_ordinary_text_has_one_reading(self) -> None:
        assert readings(b"correct horse") == (("raw", b"correct horse"),)

    def test_hex_digits_may_stand_for_their_bytes_and_for_themselves_in_either_case(self) -> None:
        upper = HEX_KEY.upper().encode()
        assert readings(HEX_KEY.encode()) == (("raw", HEX_KEY.encode()), ("hex-decoded", AL1000_KEY), ("raw", upper))
        assert readings(upper) == (("raw", upper), ("hex-decoded", AL1000_KEY), ("raw", HEX_KEY.encode()))

    def test_bytes_may_stand_for_the_hex_text_that_an_operator_stored(self) -> None:
        expected = (("raw", AL1000_KEY), ("hex-text", HEX_KEY.upper().encode()), ("hex-text", HEX_KEY.encode()))
        assert readings(AL1000_KEY) == expected

    @pytest.mark.parametrize("size", [15, 21])
    def test_bytes_of_another_length_are_no_authorization_key(self, size: int) -> None:
        assert readings(size * b"\xff") == (("raw", size * b"\xff"),)

    @pytest.mark.parametrize("digits", [30, 33, 42])
    def test_hex_digits_of_another_length_are_no_authorization_key(self, digits: int) -> None:
        assert readings(digits * b"a") == (("raw", digits * b"a"),)

    @pytest.mark.parametrize("size", range(16, 21))
    def test_every_length_of_a_key_is_taken_in_both_directions(self, size: int) -> None:
        key = bytes(range(200, 200 + size))
        assert ("hex-decoded", key) in readings(key.hex().encode())
        assert ("hex-text", key.hex().encode()) in readings(key)

    @pytest.mark.parametrize("stored", [HEX_KEY, HEX_KEY.upper()])
    def test_whichever_form_is_stored_every_form_that_is_sent_meets_it(self, stored: str) -> None:
        for sent in (AL1000_KEY, HEX_KEY.encode(), HEX_KEY.upper().encode()):
            assert canonical_secret(stored) in {secret for _, secret in readings(sent)}


class TestCanonicalSecret:
    def test_hex_digits_of_a_keys_length_are_stored_as_bytes(self) -> None:
        assert canonical_secret(HEX_KEY) == AL1000_KEY

    @pytest.mark.parametrize("text", ["correct horse", 30 * "a", 42 * "a", 33 * "a", 31 * "a" + "g", "ü" * 20])
    def test_anything_else_is_stored_as_its_text(self, text: str) -> None:
        assert canonical_secret(text) == text.encode()


class TestGenerate:
    def test_letters_and_digits_of_the_asked_length(self) -> None:
        text = generate_password(os.urandom(80), 40)
        assert len(text) == 40
        assert text.isascii() and text.isalnum()
        assert len(generate_password(os.urandom(40))) == 20

    def test_the_same_randomness_gives_the_same_password_and_other_randomness_another(self) -> None:
        assert generate_password(bytes(40)) == 20 * "A"
        assert generate_password(bytes([0, 61] * 20)) == 20 * "9"

    def test_too_little_randomness_is_refused(self) -> None:
        with pytest.raises(ValueError, match="randomness"):
            generate_password(os.urandom(39))

    def test_no_charge_point_can_misunderstand_a_generated_key(self) -> None:
        password = generate_password(os.urandom(40)).encode()
        as_configured = password.hex()
        for sent in (password, as_configured.encode(), as_configured.upper().encode()):
            assert password in {secret for _, secret in readings(sent)}
