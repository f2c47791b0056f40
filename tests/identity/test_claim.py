"""From a request target to an identity, and which versions are left: one grammar, decoded once, compared exactly."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.claim import (
    Target,
    choose_subprotocols,
    encode_identity,
    fold,
    ignores_case,
    matches,
    read_target,
    require_tolerances,
    verify_identity,
)
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from tests.support.records import make_record

ALL = tuple(OCPPVersion)
ONLY_2X = (OCPPVersion.V2_0_1, OCPPVersion.V2_1)


def refused(target: str, prefix: str = "/ocpp", longest: int = 48) -> Reason:
    with pytest.raises(Refusal) as caught:
        read_target(target, prefix, longest)
    return caught.value.reason


def identity(target: str, prefix: str = "/ocpp", longest: int = 48) -> str:
    found = read_target(target, prefix, longest)
    assert found.needs == ()
    return found.charge_point_id


class TestGrammar:
    @pytest.mark.parametrize(
        ("target", "expected"),
        [
            ("/ocpp/CP001", "CP001"),
            ("/ocpp/RDAM%20123", "RDAM 123"),
            ("/ocpp/RDAM%7C123", "RDAM|123"),
            ("/ocpp/RDAM%7c123", "RDAM|123"),
            ("/ocpp/RDAM|123", "RDAM|123"),
            ("/ocpp/%43P001", "CP001"),
            ("/ocpp/a:b", "a:b"),
            ("/ocpp/*-_=:+|@.", "*-_=:+|@."),
            ("/ocpp/...", "..."),
            ("/ocpp/.a", ".a"),
        ],
    )
    def test_one_percent_encoded_segment_behind_the_prefix_is_the_identity(self, target: str, expected: str) -> None:
        assert identity(target) == expected

    @pytest.mark.parametrize("prefix", ["/", "", "/a", "/a/", "/a/b", "/a/b/"])
    def test_a_prefix_means_the_same_with_and_without_its_last_slash(self, prefix: str) -> None:
        assert identity(prefix.rstrip("/") + "/CP", prefix) == "CP"

    @pytest.mark.parametrize("target", ["/CP", "/ocppx/CP", "/OCPP/CP", "/ocp/CP", "/%6Fcpp/CP", "/ocpp", "/"])
    def test_another_path_is_unknown_even_if_it_would_decode_to_the_prefix(self, target: str) -> None:
        assert refused(target) is Reason.PATH_UNKNOWN

    @pytest.mark.parametrize(
        "target",
        [
            "/ocpp/",
            "/ocpp//",
            "/ocpp//CP",
            "/ocpp/CP//",
            "/ocpp/CP/x",
            "/ocpp/x/../CP",
            "/ocpp/CP?x=1",
            "/ocpp/CP#x",
            "/ocpp/CP;x",
            "/ocpp/CP\\x",
        ],
    )
    def test_anything_but_one_segment_is_confusing(self, target: str) -> None:
        assert refused(target) is Reason.IDENTITY_CONFUSION

    @pytest.mark.parametrize("segment", ["%2F", "CP%2F1", "%5C", "%2E", "%2e%2E", "..", ".", "CP%3F", "CP%23", "CP%3B"])
    def test_what_separates_does_so_encoded_as_well(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_CONFUSION

    @pytest.mark.parametrize("segment", ["%2541", "%25", "CP%252F1", "%2525"])
    def test_double_encoding_is_refused_and_never_decoded_twice(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_CONFUSION

    @pytest.mark.parametrize("segment", ["%", "%4", "CP%", "CP%G1", "%4%311", "%%311", "%-1", "%+1", "% 1", "%u0041"])
    def test_incomplete_percent_encoding_is_refused(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_CONFUSION

    @pytest.mark.parametrize("segment", ["%00", "CP%00", "CP%0A", "CP%0d%0aX", "CP%1F", "CP%7F", "CP%09"])
    def test_control_characters_are_invalid(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_INVALID

    @pytest.mark.parametrize("segment", ["%FF", "%C3", "%C0%AF", "%ED%A0%80", "%F4%90%80%80"])
    def test_what_is_not_utf8_is_invalid(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_INVALID

    @pytest.mark.parametrize(
        "segment",
        ["%D0%A1P1", "C%C2%ADP1", "%EF%BC%A3P1", "CP1%E2%80%8B", "CP1%CC%81", "%E2%84%AAP", "СP1", "Ç", "\u20ac"],
    )
    def test_look_alikes_and_other_non_ascii_are_confusing(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_CONFUSION

    @pytest.mark.parametrize("segment", ["%20CP", "CP%20", "%20"])
    def test_blanks_at_the_ends_are_refused_and_one_in_the_middle_is_not(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_CONFUSION
        assert identity("/ocpp/C%20P") == "C P"


class TestLength:
    def test_48_characters_are_in_and_49_are_out(self) -> None:
        assert identity("/ocpp/" + 48 * "a") == 48 * "a"
        assert refused("/ocpp/" + 49 * "a") is Reason.IDENTITY_TOO_LONG

    def test_characters_are_counted_after_decoding(self) -> None:
        assert identity("/ocpp/" + 48 * "%7C") == 48 * "|"
        assert refused("/ocpp/" + 49 * "%7C") is Reason.IDENTITY_TOO_LONG

    @pytest.mark.parametrize("segment", [1_000 * "a", 1_000 * "%61", 1_000 * "%"])
    def test_an_absurd_length_is_refused_before_anything_is_decoded(self, segment: str) -> None:
        assert refused(f"/ocpp/{segment}") is Reason.IDENTITY_TOO_LONG

    def test_the_limit_is_configurable(self) -> None:
        assert identity("/ocpp/" + 64 * "a", longest=64) == 64 * "a"
        assert refused("/ocpp/ab", longest=1) is Reason.IDENTITY_TOO_LONG


class TestTolerances:
    @pytest.mark.parametrize("scheme", ["ws", "wss", "http", "HTTPS"])
    def test_absolute_form_is_read_and_says_that_it_needs_a_tolerance(self, scheme: str) -> None:
        found = read_target(f"{scheme}://gw.example.com:8443/ocpp/CP%7C1", "/ocpp", 48)
        assert found == Target(ChargePointId("CP|1"), ("absolute-form-target",))

    @pytest.mark.parametrize(
        "target", ["ocpp/CP", "*", "ftp://h/ocpp/CP", "ws://u:p@h/ocpp/CP", "ws://h", "ws:///ocpp/CP", ""]
    )
    def test_what_is_neither_a_path_nor_absolute_form_is_refused(self, target: str) -> None:
        assert refused(target) is Reason.IDENTITY_CONFUSION

    def test_one_trailing_slash_is_read_and_says_that_it_needs_a_tolerance(self) -> None:
        assert read_target("/ocpp/CP/", "/ocpp", 48) == Target(ChargePointId("CP"), ("trailing-slash",))

    def test_both_are_named(self) -> None:
        assert read_target("ws://h/ocpp/CP/", "/ocpp", 48).needs == ("absolute-form-target", "trailing-slash")

    @pytest.mark.parametrize(
        ("need", "reason"),
        [
            ("missing-connection-upgrade", Reason.HTTP_NOT_WEBSOCKET),
            ("missing-subprotocol", Reason.SUBPROTOCOL),
            ("empty-subprotocol-element", Reason.TOLERANCE_NOT_GRANTED),
            ("absolute-form-target", Reason.IDENTITY_CONFUSION),
            ("trailing-slash", Reason.IDENTITY_CONFUSION),
            ("no-pong", Reason.TOLERANCE_NOT_GRANTED),
        ],
    )
    def test_a_need_passes_only_where_it_is_granted(self, need, reason) -> None:
        require_tolerances((need,), ("deflate-1.6", need))
        with pytest.raises(Refusal) as caught:
            require_tolerances((need,), ("deflate-1.6",))
        assert caught.value.reason is reason
        assert need in caught.value.detail

    def test_no_need_needs_no_grant(self) -> None:
        require_tolerances((), ())


class TestTotality:
    @given(st.text(max_size=300))
    def test_any_text_is_a_target_or_a_refusal(self, text: str) -> None:
        for target in (text, "/ocpp/" + text, "ws://h/ocpp/" + text):
            try:
                found = read_target(target, "/ocpp", 48)
            except Refusal:
                continue
            verify_identity(found.charge_point_id, 48)

    @given(
        st.lists(
            st.sampled_from(["%", "2", "5", "F", "/", ".", "a", "%2F", "%25", "%C3", "%A4", ":", " "]), max_size=40
        )
    )
    def test_any_heap_of_escapes_is_a_target_or_a_refusal(self, pieces: list[str]) -> None:
        try:
            found = read_target("/ocpp/" + "".join(pieces), "/ocpp", 48)
        except Refusal:
            return
        assert not set(found.charge_point_id) & set("/\\%?#;")

    @given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=48))
    def test_what_is_encoded_decodes_to_the_same_identity(self, text: str) -> None:
        try:
            verify_identity(text, 48)
        except Refusal:
            return
        segment = encode_identity(ChargePointId(text))
        assert re.fullmatch(r"(?:[A-Za-z0-9\-._~]|%[0-9A-F]{2})+", segment)
        assert read_target("/" + segment, "/", 48) == Target(ChargePointId(text))


class TestVerifyIdentity:
    def test_the_registry_takes_what_an_url_may_say_and_nothing_else(self) -> None:
        verify_identity("RDAM|123")
        verify_identity(64 * "a")
        for wrong, reason in (
            ("", Reason.IDENTITY_CONFUSION),
            (65 * "a", Reason.IDENTITY_TOO_LONG),
            ("a/b", Reason.IDENTITY_CONFUSION),
            ("a%41", Reason.IDENTITY_CONFUSION),
            ("ä", Reason.IDENTITY_CONFUSION),
            ("a\n", Reason.IDENTITY_CONFUSION),
            ("..", Reason.IDENTITY_CONFUSION),
        ):
            with pytest.raises(Refusal) as caught:
                verify_identity(wrong)
            assert caught.value.reason is reason, wrong


class TestCase:
    def test_a_case_variant_is_the_same_key_of_the_registry(self) -> None:
        assert fold("Cp-1") == fold("cP-1")
        assert fold("Cp-1") != fold("cP-2")

    def test_only_a_record_of_2x_alone_ignores_case(self) -> None:
        assert ignores_case(make_record(ocpp_versions=ONLY_2X))
        assert not ignores_case(make_record(ocpp_versions=ALL))
        assert not ignores_case(make_record(ocpp_versions=()))

    @pytest.mark.parametrize(
        ("claimed", "versions", "expected"),
        [
            ("CP-1", ALL, True),
            ("cp-1", ALL, False),
            ("cp-1", (OCPPVersion.V1_6,), False),
            ("cp-1", ONLY_2X, True),
            ("cp-11", ONLY_2X, False),
            ("cp-", ONLY_2X, False),
            ("cp-1", (), False),
        ],
    )
    def test_another_case_is_the_same_charge_point_only_where_all_is_2x(self, claimed, versions, expected) -> None:
        assert matches(claimed, make_record("CP-1", ocpp_versions=versions)) is expected


class TestSubprotocols:
    @pytest.mark.requirement("TC_088_CSMS", "TC_B_58_CSMS")
    def test_the_charge_points_order_is_kept_and_what_nobody_knows_is_left_out(self) -> None:
        chosen = choose_subprotocols(("ocpp0.1", "ocpp2.1", "ocpp1.6"), make_record(), ALL)
        assert chosen == (("ocpp2.1", "ocpp1.6"), None)

    @pytest.mark.requirement("TC_088_CSMS", "TC_B_58_CSMS")
    @pytest.mark.parametrize("offered", [(), ("ocpp0.1",), ("OCPP1.6",), ("ocpp1.6 ",), ("ocpp16", "ocpp2.0")])
    def test_nothing_in_common_is_refused(self, offered: tuple[str, ...]) -> None:
        with pytest.raises(Refusal) as caught:
            choose_subprotocols(offered, make_record(), ALL)
        assert caught.value.reason is Reason.SUBPROTOCOL

    @pytest.mark.parametrize(
        ("of_record", "of_csms"),
        [(ONLY_2X, ALL), (ALL, ONLY_2X), ((OCPPVersion.V1_6,), (OCPPVersion.V2_1,)), ((), ALL), (ALL, ())],
    )
    def test_a_version_counts_only_if_the_registry_allows_it_and_the_csms_speaks_it(self, of_record, of_csms) -> None:
        with pytest.raises(Refusal) as caught:
            choose_subprotocols(("ocpp1.6",), make_record(ocpp_versions=of_record), of_csms)
        assert "offered ocpp1.6" in caught.value.detail

    def test_a_version_is_assumed_only_by_tolerance_with_a_default_and_only_if_nothing_was_offered(self) -> None:
        lenient = make_record(tolerances=("missing-subprotocol",), default_version=OCPPVersion.V1_6)
        assert choose_subprotocols((), lenient, ALL) == (("ocpp1.6",), OCPPVersion.V1_6)
        assert choose_subprotocols(("ocpp2.1",), lenient, ALL) == (("ocpp2.1",), None)
        for record, csms in (
            (make_record(default_version=OCPPVersion.V1_6), ALL),
            (make_record(tolerances=("missing-subprotocol",)), ALL),
            (lenient, ONLY_2X),
        ):
            with pytest.raises(Refusal) as caught:
                choose_subprotocols((), record, csms)
            assert caught.value.reason is Reason.SUBPROTOCOL
