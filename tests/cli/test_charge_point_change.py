"""`charge-point set`, `enable`, `disable`, `remove`: every field, the floor, passwords, and what is refused."""

import datetime
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.registry import Registry
from tests.cli.conftest import Accepts, Cli, Filling, Place
from tests.support.records import make_record

SET = ("charge-point", "set")
ONE, TWO, THREE = SecurityProfile


pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture(scope="module")
def filling() -> Filling:
    return lambda registry: registry.add(make_record("CP-1", 2, serial_number="SN-1"))


def stored(registry: Registry) -> ChargePointRecord:
    record = registry.get("CP-1")
    assert record is not None
    return record


class TestFields:
    @pytest.mark.parametrize(
        ("options", "field", "value"),
        [
            (["--security-profile", "3"], "security_profile", THREE),
            (["--pending-security-profile", "3"], "pending_security_profile", THREE),
            (["--serial-number", "SN-2"], "serial_number", "SN-2"),
            (["--serial-number", ""], "serial_number", ""),
            (["--operator-name", "A", "--operator-name", "B", "--operator-name", "A"], "operator_names", ("A", "B")),
            (["--group", "depot"], "group", "depot"),
            (["--csms", "main"], "csms", "main"),
            (["--ocpp-version", "2.1"], "ocpp_versions", ("2.1",)),
            (["--default-version", "1.6"], "default_version", "1.6"),
            (["--tolerance", "no-pong"], "tolerances", ("no-pong",)),
            (["--notes", "x"], "notes", "x"),
            (["--disable"], "enabled", False),
        ],
    )
    def test_is_set_and_told(self, options: list[str], field: str, value: Any, cli: Cli, registry: Registry) -> None:
        result = cli(*SET, "CP-1", *options)
        assert result.code == OK
        assert getattr(stored(registry), field) == value
        assert f"{field}: " in result.out
        assert cli(*SET, "CP-1", *options).out == "Nothing was different.\n"

    @pytest.mark.parametrize(
        ("option", "field", "full", "empty"),
        [
            ("--operator-name", "operator_names", ("A",), ()),
            ("--tolerance", "tolerances", ("no-pong",), ()),
            ("--csms", "csms", "main", ""),
            ("--default-version", "default_version", "1.6", None),
            ("--pending-security-profile", "pending_security_profile", THREE, None),
            ("--notes", "notes", "x", ""),
        ],
    )
    def test_empty_text_clears(
        self, option: str, field: str, full: Any, empty: Any, cli: Cli, registry: Registry
    ) -> None:
        registry.update("CP-1", **{field: full})
        assert cli(*SET, "CP-1", option, "").code == OK
        assert getattr(stored(registry), field) == empty

    def test_empty_text_beside_others_is_refused(self, cli: Cli, registry: Registry) -> None:
        result = cli(*SET, "CP-1", "--tolerance", "", "--tolerance", "no-pong")
        assert (result.code, "--tolerance clears" in result.err) == (USAGE, True)
        assert stored(registry).tolerances == ()

    @pytest.mark.parametrize("option", ["--ocpp-version", "--security-profile"])
    def test_what_cannot_be_empty_is_not(self, option: str, cli: Cli) -> None:
        assert cli(*SET, "CP-1", option, "").code == USAGE

    def test_every_settable_field_of_the_record_has_an_option(self) -> None:
        from gateway.cli.charge_points.change import set_charge_point

        names = {parameter.name for parameter in set_charge_point.params}
        learnt = {"answers_pings", "vendor", "model", "firmware", "last_seen_at", "last_address", "password_reading"}
        of_their_own = {"charge_point_id", "floor", "password", "created_at", "updated_at"}
        assert set(ChargePointRecord.__struct_fields__) - learnt - of_their_own <= names

    def test_json_names_what_changed(self, cli: Cli) -> None:
        found = cli(*SET, "CP-1", "--group", "depot", "--json").json()
        assert found["changed"] == {"group": ["default", "depot"]}
        assert (found["group"], found["serial_number"]) == ("depot", "SN-1")

    def test_nothing_to_change_is_a_usage_error(self, cli: Cli) -> None:
        assert cli(*SET, "CP-1").code == USAGE

    @pytest.mark.parametrize("command", ["set", "enable", "disable", "show", "remove"])
    def test_unknown_identity_is_told_with_the_nearest(self, command: str, cli: Cli, registry: Registry) -> None:
        more = {"set": ["--group", "x"], "remove": ["--yes"]}.get(command, [])
        for typed in ("cp-1", "CP1", "CP-11"):
            result = cli("charge-point", command, typed, *more)
            assert (result.code, "Did you mean 'CP-1'?" in result.err) == (NOT_OK, True)
        assert "Did you mean" not in cli("charge-point", command, "zzzzzzzz", *more).err
        assert cli("charge-point", command, "cp-1", *more, "--json").json()["details"] == {"did_you_mean": "CP-1"}
        assert stored(registry).group == "default"


class TestContradictions:
    def test_profile_3_without_serial_number_is_refused(self, cli: Cli, registry: Registry) -> None:
        registry.update("CP-1", serial_number="")
        assert cli(*SET, "CP-1", "--security-profile", "3").code == NOT_OK
        assert stored(registry).security_profile is TWO
        assert cli(*SET, "CP-1", "--security-profile", "3", "--serial-number", "SN-9").code == OK

    def test_pending_profile_3_without_serial_number_is_refused(self, cli: Cli, registry: Registry) -> None:
        registry.update("CP-1", serial_number="")
        assert cli(*SET, "CP-1", "--pending-security-profile", "3").code == NOT_OK
        assert stored(registry).pending_security_profile is None

    def test_serial_number_cannot_be_taken_from_profile_3(self, cli: Cli, registry: Registry) -> None:
        registry.update("CP-1", security_profile=THREE)
        assert cli(*SET, "CP-1", "--serial-number", "").code == NOT_OK
        assert stored(registry).serial_number == "SN-1"

    def test_old_contradiction_does_not_stand_in_the_way_of_other_changes(self, cli: Cli, registry: Registry) -> None:
        registry.update("CP-1", security_profile=THREE, serial_number="")
        assert cli(*SET, "CP-1", "--disable").code == OK
        assert not stored(registry).enabled

    def test_unknown_csms_is_refused(self, cli: Cli, registry: Registry) -> None:
        assert cli(*SET, "CP-1", "--csms", "nain").code == NOT_OK
        assert stored(registry).csms == ""

    def test_profile_with_password_is_refused_for_an_identity_with_colon(self, cli: Cli, registry: Registry) -> None:
        registry.add(make_record("a:b", 3, serial_number="SN-2"))
        assert cli(*SET, "a:b", "--security-profile", "2").code == NOT_OK
        registry.add(make_record("c:d", 2))
        assert cli(*SET, "c:d", "--group", "x").code == OK


class TestPasswords:
    def test_new_one_is_shown_once_and_replaces_both(self, cli: Cli, registry: Registry, accepts: Accepts) -> None:
        registry.set_password("CP-1", "$argon2id$pending", "pending")
        registry.learn("CP-1", password_reading="raw")
        found = cli(*SET, "CP-1", "--new-password", "--json").json()
        assert accepts("CP-1", found["password"].encode()) == "current"
        record = stored(registry)
        assert (record.pending_password, record.password_reading) == (None, "")
        assert found["password"] not in cli("charge-point", "show", "CP-1", "--json").out

    def test_from_a_file_is_not_shown(self, cli: Cli, accepts: Accepts) -> None:
        result = cli(*SET, "CP-1", "--password-file", "-", stdin=b"correct-horse-battery\n")
        assert accepts("CP-1", b"correct-horse-battery") == "current"
        assert "horse" not in result.out + result.err

    def test_pending_one_is_accepted_beside_the_current(self, cli: Cli, registry: Registry, accepts: Accepts) -> None:
        before = stored(registry).password
        found = cli(*SET, "CP-1", "--pending-password", "--json").json()
        assert accepts("CP-1", found["password"].encode()) == "pending"
        assert stored(registry).password == before
        assert "password" not in cli(*SET, "CP-1", "--drop-pending-password", "--json").json()
        assert (stored(registry).password, stored(registry).pending_password) == (before, None)

    def test_pending_one_from_a_file(self, cli: Cli, accepts: Accepts) -> None:
        cli(*SET, "CP-1", "--pending-password-file", "-", stdin=b"correct-horse-battery")
        assert accepts("CP-1", b"correct-horse-battery") == "pending"

    def test_can_be_removed(self, cli: Cli, registry: Registry) -> None:
        registry.set_password("CP-1", "$argon2id$pending", "pending")
        result = cli(*SET, "CP-1", "--no-password")
        assert (stored(registry).password, stored(registry).pending_password) == (None, None)
        assert "needs a password" in result.err

    def test_two_at_once_are_a_usage_error(self, cli: Cli, registry: Registry) -> None:
        before = stored(registry)
        result = cli(*SET, "CP-1", "--new-password", "--no-password")
        assert (result.code, "exclude each other" in result.err) == (USAGE, True)
        assert stored(registry) == before

    def test_goes_with_the_profile_it_is_for(self, cli: Cli, registry: Registry) -> None:
        registry.update("CP-1", security_profile=THREE, password=None)
        assert cli(*SET, "CP-1", "--new-password").code == NOT_OK
        assert stored(registry).password is None
        assert cli(*SET, "CP-1", "--new-password", "--security-profile", "2").code == OK


@pytest.mark.requirement("A05.FR.09")
class TestFloor:
    @pytest.fixture(autouse=True)
    def proven(self, registry: Registry) -> None:
        registry.upgrades.prove("CP-1", THREE, 1.0, "")

    def test_profile_below_is_refused_and_the_way_out_is_named(self, cli: Cli, registry: Registry) -> None:
        result = cli(*SET, "CP-1", "--security-profile", "2", "--group", "depot")
        assert (result.code, "--lower-floor N --reason" in result.err) == (NOT_OK, True)
        assert (stored(registry).security_profile, stored(registry).group) == (THREE, "default")

    @pytest.mark.parametrize("reason", [[], ["--reason", " "]])
    def test_is_not_lowered_without_a_reason(self, reason: list[str], cli: Cli, registry: Registry) -> None:
        assert cli(*SET, "CP-1", "--lower-floor", "2", *reason).code == USAGE
        assert stored(registry).floor is THREE

    def test_reason_without_the_act_is_a_usage_error(self, cli: Cli) -> None:
        assert cli(*SET, "CP-1", "--reason", "x").code == USAGE

    def test_is_lowered_with_its_reason_on_record(self, cli: Cli, registry: Registry) -> None:
        words = (
            *SET,
            "CP-1",
            "--lower-floor",
            "2",
            "--reason",
            "new board",
            "--security-profile",
            "2",
            "--new-password",
        )
        assert cli(*words).code == OK
        assert (stored(registry).floor, stored(registry).security_profile) == (TWO, TWO)
        assert [act.reason for act in registry.lowered_floors("CP-1")] == ["new board"]
        assert "from 3 to 2: new board" in cli("charge-point", "show", "CP-1").out

    def test_can_be_taken_away(self, cli: Cli, registry: Registry) -> None:
        assert cli(*SET, "CP-1", "--lower-floor", "none", "--reason", "x").code == OK
        assert stored(registry).floor is None

    def test_is_not_lowered_when_the_profile_would_still_be_below(self, cli: Cli, registry: Registry) -> None:
        result = cli(*SET, "CP-1", "--lower-floor", "2", "--reason", "x", "--security-profile", "1", "--new-password")
        assert result.code == NOT_OK
        assert (stored(registry).floor, registry.lowered_floors("CP-1")) == (THREE, [])

    def test_cannot_be_lowered_to_what_it_is(self, cli: Cli, registry: Registry) -> None:
        cli(*SET, "CP-1", "--lower-floor", "2", "--reason", "x")
        assert cli(*SET, "CP-1", "--lower-floor", "2", "--reason", "x").code == NOT_OK
        assert len(registry.lowered_floors("CP-1")) == 1


def test_keys_are_unbound(cli: Cli, registry: Registry) -> None:
    registry.bind_key("ab" * 32, ChargePointId("CP-1"), 1.0)
    registry.add(make_record("CP-2"))
    registry.bind_key("cd" * 32, ChargePointId("CP-2"), 1.0)
    assert "Forgot 1 certificate key" in cli(*SET, "CP-1", "--unbind-keys").out
    assert registry.bound_keys() == {"cd" * 32: "CP-2"}
    assert cli(*SET, "CP-1", "--unbind-keys", "--json").json()["unbound_keys"] == 0


def test_disable_and_enable(cli: Cli, registry: Registry) -> None:
    before = registry.change_counter()
    assert "disconnects" in cli("charge-point", "disable", "CP-1").out
    assert not stored(registry).enabled
    assert registry.change_counter() > before, "or a running gateway would not notice"
    assert cli("charge-point", "enable", "CP-1", "--json").json()["enabled"] is True
    assert stored(registry).enabled


class TestRemove:
    def test_needs_yes_where_nobody_can_be_asked(self, cli: Cli, registry: Registry) -> None:
        assert cli("charge-point", "remove", "CP-1").code == USAGE
        assert "--yes" in cli("charge-point", "remove", "CP-1", "--json").json()["error"]
        assert registry.get("CP-1") is not None

    def test_takes_exactly_this_one(self, cli: Cli, registry: Registry) -> None:
        registry.add(make_record("CP-11"))
        assert cli("charge-point", "remove", "CP-1", "--yes", "--json").json() == {"removed": "CP-1"}
        assert list(registry.load_all()) == ["CP-11"]

    @pytest.mark.parametrize(("answer", "code", "left"), [(b"y\n", OK, []), (b"\n", NOT_OK, ["CP-1"])])
    def test_asks_on_a_terminal(
        self, answer: bytes, code: int, left: list[str], place: Place, registry: Registry
    ) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "charge-point", "remove", "CP-1"],
            cwd=place.directory,
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
        )
        os.close(theirs)
        asked = b""
        while b"[y/N]" not in asked:
            asked += os.read(ours, 1_000)
        os.write(ours, answer)
        process.communicate(timeout=120)
        os.close(ours)
        assert process.returncode == code
        assert list(registry.load_all()) == left


@pytest.mark.requirement("A00.FR.429")
class TestExpiredCertificate:
    TODAY = datetime.datetime.now(datetime.UTC).date()

    @pytest.mark.parametrize("days", [0, 1, 92])
    def test_the_permission_lasts_to_the_end_of_a_day_in_the_near_future(
        self, days: int, cli: Cli, registry: Registry
    ) -> None:
        day = self.TODAY + datetime.timedelta(days=days)
        assert cli(*SET, "CP-1", "--expired-certificate-until", day.isoformat()).code == OK
        end = datetime.datetime.fromtimestamp(stored(registry).expired_certificate_until, datetime.UTC)
        assert (end.date(), end.hour, end.minute) == (day, 23, 59)
        assert "let in until" in cli("charge-point", "show", "CP-1").out

    @pytest.mark.parametrize("days", [-1, 94, 4_000])
    def test_no_day_of_the_past_and_none_far_away(self, days: int, cli: Cli, registry: Registry) -> None:
        day = self.TODAY + datetime.timedelta(days=days)
        result = cli(*SET, "CP-1", "--expired-certificate-until", day.isoformat())
        assert (result.code, "within the next 92 days" in result.err) == (USAGE, True)
        assert stored(registry).expired_certificate_until == 0.0

    @pytest.mark.parametrize("text", ["tomorrow", "2027-02-30", "31.01.2027", "0"])
    def test_what_is_no_day_is_refused(self, text: str, cli: Cli) -> None:
        result = cli(*SET, "CP-1", "--expired-certificate-until", text)
        assert (result.code, "is not a day" in result.err) == (USAGE, True)

    def test_an_empty_text_takes_it_back(self, cli: Cli, registry: Registry) -> None:
        cli(*SET, "CP-1", "--expired-certificate-until", self.TODAY.isoformat())
        assert cli(*SET, "CP-1", "--expired-certificate-until", "").code == OK
        assert stored(registry).expired_certificate_until == 0.0
