"""`charge-point add`: what is stored, what is shown once, and what is refused."""

import asyncio
import re
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.control.credentials import PasswordVerifier
from gateway.identity.evidence import BasicCredentials
from gateway.store.registry import Registry
from tests.cli.conftest import Accepts, Cli, Place
from tests.support.records import make_record

ADD = ("charge-point", "add")


class TestPassword:
    def test_is_shown_once_in_both_forms_and_stored_as_a_hash(self, cli: Cli, accepts: Accepts, place: Place) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "2")
        assert (result.code, result.err) == (OK, "")
        (plain,) = re.findall(r"BasicAuthPassword +([A-Za-z0-9]{20})\n", result.out)
        (key,) = re.findall(r"AuthorizationKey +([0-9A-F]{40})\n", result.out)
        assert bytes.fromhex(key).decode() == plain
        assert accepts("CP-1", plain.encode()) == accepts("CP-1", key.encode()) == "current"
        assert accepts("CP-1", plain[:-1].encode() + b"!") is None
        assert plain not in cli("charge-point", "show", "CP-1").out
        stored = b"".join(path.read_bytes() for path in place.state.iterdir())
        assert b"CP-1" in stored
        assert plain.encode() not in stored

    def test_only_the_form_of_the_versions_it_speaks_is_shown(self, cli: Cli, registry: Registry) -> None:
        del registry
        old = cli(*ADD, "CP-1", "--security-profile", "2", "--ocpp-version", "1.6").out
        assert ("AuthorizationKey" in old, "BasicAuthPassword" in old) == (True, False)
        new = cli(*ADD, "CP-2", "--security-profile", "2", "--ocpp-version", "2.1", "--ocpp-version", "2.0.1").out
        assert ("AuthorizationKey" in new, "BasicAuthPassword" in new) == (False, True)

    def test_json_has_it_but_no_hash(self, cli: Cli, accepts: Accepts) -> None:
        found = cli(*ADD, "CP-1", "--security-profile", "2", "--json").json()
        assert accepts("CP-1", found["password"].encode())
        assert bytes.fromhex(found["authorization_key"]).decode() == found["password"]
        assert "argon2" not in str(found)
        assert found["created_at"] == found["updated_at"] > 0

    def test_comes_from_a_file_and_is_not_repeated(self, cli: Cli, accepts: Accepts, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("correct-horse-battery\r\n")
        result = cli(*ADD, "CP-1", "--security-profile", "2", "--password-file", tmp_path / "secret")
        assert accepts("CP-1", b"correct-horse-battery")
        assert "horse" not in result.out + result.err

    def test_comes_from_standard_input(self, cli: Cli, accepts: Accepts) -> None:
        words = (*ADD, "CP-1", "--security-profile", "2", "--password-file", "-", "--json")
        assert "password" not in cli(*words, stdin=b"correct-horse-battery\n").json()
        assert accepts("CP-1", b"correct-horse-battery")

    def test_hex_key_is_stored_as_its_bytes(self, cli: Cli, registry: Registry, verifier: PasswordVerifier) -> None:
        key = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"
        cli(*ADD, "CP-1", "--security-profile", "2", "--password-file", "-", stdin=key.encode())
        credentials = BasicCredentials(username_matches=True, password=bytes.fromhex(key))
        verified = asyncio.run(verifier.verify(registry.get("CP-1"), credentials))
        assert verified is not None
        assert verified.reading == "raw"

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"two\nlines\n", b"tab\there-and-long-enough", b"x" * 257, b"\xff" * 20],
        ids=["empty", "blank", "two-lines", "control", "too-long", "not-utf-8"],
    )
    def test_that_cannot_be_one_is_refused(self, content: bytes, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "2", "--password-file", "-", stdin=content)
        assert result.code == NOT_OK
        assert result.err.startswith("standard input")
        assert registry.get("CP-1") is None

    @pytest.mark.parametrize(("length", "warned"), [(15, True), (16, False), (40, False), (41, True)])
    def test_length_outside_ocpp_is_warned_about(self, length: int, warned: bool, cli: Cli, registry: Registry) -> None:
        del registry
        words = (*ADD, "CP-1", "--security-profile", "2", "--password-file", "-")
        assert ("OCPP allows 16 to 40" in cli(*words, stdin=b"x" * length).err) is warned

    def test_file_that_is_not_there_is_told(self, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "2", "--password-file", "/nonexistent")
        assert (result.code, result.err) == (NOT_OK, "/nonexistent: No such file or directory\n")
        assert registry.get("CP-1") is None

    def test_is_not_an_argument(self, cli: Cli, registry: Registry) -> None:
        assert cli(*ADD, "CP-1", "--security-profile", "2", "--password", "secret").code == USAGE
        assert registry.get("CP-1") is None

    def test_none_can_be_asked_for(self, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "1", "--no-password")
        assert result.code == OK
        assert "needs a password" in result.err
        record = registry.get("CP-1")
        assert record is not None
        assert record.password is None

    def test_from_a_file_and_none_exclude_each_other(self, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "2", "--no-password", "--password-file", "-", stdin=b"x" * 20)
        assert result.code == USAGE
        assert registry.get("CP-1") is None


class TestProfile3:
    def test_needs_a_serial_number(self, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "3")
        assert result.code == NOT_OK
        assert "--serial-number" in result.err
        assert registry.get("CP-1") is None

    def test_gets_no_password(self, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "3", "--serial-number", "SN-1", "--json")
        assert "password" not in result.json()
        record = registry.get("CP-1")
        assert record is not None
        assert (record.serial_number, record.password) == ("SN-1", None)

    def test_with_a_password_is_a_mistake(self, cli: Cli, registry: Registry) -> None:
        words = (*ADD, "CP-1", "--security-profile", "3", "--serial-number", "SN-1", "--password-file", "-")
        result = cli(*words, stdin=b"x" * 20)
        assert result.code == NOT_OK
        assert "certificate" in result.err
        assert registry.get("CP-1") is None


class TestIdentity:
    @pytest.mark.parametrize(
        "identity", ["", ".", "..", "a/b", "a%41", "a?b", "a#b", "a;b", "a\\b", "é", "a\nb", " a", "a ", "x" * 49]
    )
    def test_that_no_request_can_claim_is_refused(self, identity: str, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "--security-profile", "2", "--", identity)
        assert result.code == NOT_OK
        assert "cannot be an identity" in result.err
        assert registry.load_all() == {}

    @pytest.mark.parametrize("identity", ["x" * 48, "a.b", "RDAM|123", "-dash", "a@b+c=d*_"])
    def test_near_misses_are_fine_and_no_warning(self, identity: str, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "--security-profile", "2", "--", identity)
        assert (result.code, result.err) == (OK, "")
        assert registry.get(identity) is not None

    def test_limit_is_that_of_the_configuration(self, cli: Cli, registry: Registry, place: Place) -> None:
        place.replace("#max_identity_chars = 48", "max_identity_chars = 50")
        assert cli(*ADD, "x" * 50, "--security-profile", "2", "--ocpp-version", "1.6").code == OK
        result = cli(*ADD, "x" * 51, "--security-profile", "2")
        assert "51 characters, limits.max_identity_chars allows 50" in result.err
        assert list(registry.load_all()) == ["x" * 50]

    def test_colon_is_refused_with_a_password_and_fine_with_a_certificate(self, cli: Cli, registry: Registry) -> None:
        for profile in ("1", "2"):
            result = cli(*ADD, "a:b", "--security-profile", profile)
            assert (result.code, "colon" in result.err) == (NOT_OK, True)
        assert cli(*ADD, "a:b", "--security-profile", "3", "--serial-number", "S").code == OK
        assert list(registry.load_all()) == ["a:b"]

    @pytest.mark.parametrize(("versions", "warned"), [(["2.0.1"], True), (["1.6", "2.1"], True), (["1.6"], False)])
    def test_outside_identifier_string_is_warned_about_where_2_x_is_spoken(
        self, versions: list[str], warned: bool, cli: Cli, registry: Registry
    ) -> None:
        del registry
        options = [word for version in versions for word in ("--ocpp-version", version)]
        result = cli(*ADD, "RDAM 123", "--security-profile", "2", *options, "--json")
        assert any("identifierString" in each for each in result.json()["warnings"]) is warned

    def test_taken_one_and_its_case_variant_are_refused(self, cli: Cli, registry: Registry) -> None:
        assert cli(*ADD, "CP-1", "--security-profile", "2").code == OK
        assert "already registered" in cli(*ADD, "CP-1", "--security-profile", "2").err
        refused = cli(*ADD, "cp-1", "--security-profile", "2", "--json")
        assert refused.code == NOT_OK
        assert "upper and lower case" in refused.json()["error"]
        assert list(registry.load_all()) == ["CP-1"]


class TestFields:
    def test_all_of_them_are_stored(self, cli: Cli, registry: Registry) -> None:
        result = cli(
            *ADD, "CP-1", "--security-profile", "2", "--serial-number", "SN-1", "--operator-name", "A", "--operator-name",
            "Stadtwerke Übersee", "--group", "depot", "--csms", "main", "--ocpp-version", "1.6", "--default-version", "1.6",
            "--tolerance", "missing-subprotocol", "--tolerance", "no-pong", "--notes", "two\nlines",
        )  # fmt: skip
        assert (result.code, result.err) == (OK, "")
        record = registry.get("CP-1")
        assert record is not None
        assert (record.serial_number, record.operator_names) == ("SN-1", ("A", "Stadtwerke Übersee"))
        assert (record.group, record.csms, record.notes) == ("depot", "main", "two\nlines")
        assert (record.ocpp_versions, record.default_version) == (("1.6",), "1.6")
        assert record.tolerances == ("missing-subprotocol", "no-pong")

    @pytest.mark.parametrize(
        ("option", "value", "said"),
        [
            ("--security-profile", "0", "not one of 1, 2, 3"),
            ("--security-profile", "4", "not one of 1, 2, 3"),
            ("--ocpp-version", "1.5", "not one of 1.6, 2.0.1, 2.1"),
            ("--tolerance", "no-png", "Did you mean 'no-pong'?"),
            ("--serial-number", "x" * 65, "at most 64"),
            ("--serial-number", " x", "blanks"),
            ("--serial-number", "x\x1b", "control characters"),
            ("--notes", "x\x1b", "control characters"),
            ("--group", "", "cannot be empty"),
        ],
    )
    def test_wrong_value_is_a_usage_error(
        self, option: str, value: str, said: str, cli: Cli, registry: Registry
    ) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "2", option, value)
        assert result.code == USAGE
        assert said in result.err.replace("\n", " ")
        assert registry.get("CP-1") is None

    def test_unknown_csms_is_refused_with_the_nearest(self, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", "--security-profile", "2", "--csms", "mian")
        assert (result.code, "Did you mean 'main'" in result.err) == (NOT_OK, True)
        assert registry.get("CP-1") is None

    @pytest.mark.parametrize(
        ("options", "warning"),
        [
            (["--security-profile", "1"], "no listener serves security profile 1"),
            (["--security-profile", "2", "--serial-number", "x" * 26], "longer than the 25 characters"),
            (["--security-profile", "2", "--tolerance", "missing-subprotocol"], "--default-version"),
            (["--security-profile", "2"], ""),
            (["--security-profile", "2", "--serial-number", "x" * 25], ""),
        ],
    )
    def test_what_will_not_work_is_said(self, options: list[str], warning: str, cli: Cli, registry: Registry) -> None:
        result = cli(*ADD, "CP-1", *options)
        assert result.code == OK
        assert (warning in result.err) if warning else (result.err == "")
        assert registry.get("CP-1") is not None

    def test_serial_number_of_another_is_warned_about(self, cli: Cli, registry: Registry) -> None:
        registry.add(make_record("CP-1", serial_number="SN-1"))
        registry.add(make_record("CP-11", serial_number="SN-11"))
        result = cli(*ADD, "CP-2", "--security-profile", "3", "--serial-number", "SN-1")
        assert result.err == "warning: the serial number is also that of CP-1: one certificate fits all of them\n"
        assert cli("charge-point", "set", "CP-2", "--serial-number", "SN-11").err.count("CP-11") == 1
        assert cli("charge-point", "set", "CP-2", "--serial-number", "SN-2").err == ""

    def test_works_before_the_certificates_are_there(self, cli: Cli, place: Place, registry: Registry) -> None:
        place.replace("server-ecdsa.pem", "missing.pem")
        assert cli("check-config").code == USAGE
        assert cli(*ADD, "CP-1", "--security-profile", "2").code == OK
        assert registry.get("CP-1") is not None
