"""`doctor` as a whole, and its looks at registry and running gateway."""

import errno
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.checkup.check import Check, ok
from gateway.cli.checkup.own_authority import check_certificates_in_use
from gateway.cli.checkup.registry import read_registry
from gateway.cli.doctor import _as_far_as_may_be_read
from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.config.load import load_unchecked
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.store.registry import Registry
from tests.cli.admin_socket import answering, status
from tests.cli.conftest import Cli, Place
from tests.support.records import make_record

pytestmark = pytest.mark.usefixtures("place")


def examine(cli: Cli) -> dict[str, dict[str, Any]]:
    """Findings by check; of several the worst."""
    found: dict[str, dict[str, Any]] = {}
    for check in cli("doctor", "--json").json()["checks"]:
        if check["level"] != "ok" or check["check"] not in found:
            found[check["check"]] = check
    return found


class TestAsAWhole:
    def test_exit_code_and_counts_go_with_the_findings(self, cli: Cli, registry: Registry, place: Place) -> None:
        del registry
        broken = cli("doctor", "--json")
        found = broken.json()
        assert (broken.code, found["ok"], found["errors"]) == (NOT_OK, False, 1), "no CSMS listens at port 1"
        assert found["warnings"] == sum(check["level"] == "warning" for check in found["checks"]) > 0
        with socket.create_server(("127.0.0.1", 0)) as server:
            place.replace("ws://127.0.0.1:1/ocpp", f"ws://127.0.0.1:{server.getsockname()[1]}/ocpp")
            fine = cli("doctor", "--json")
        assert (fine.code, fine.json()["ok"], fine.json()["errors"]) == (OK, True, 0)

    def test_every_fault_has_a_remedy(self, cli: Cli) -> None:
        found = cli("doctor", "--json").json()["checks"]
        assert [check for check in found if check["level"] != "ok" and not check["remedy"]] == []
        assert {"ok", "warning", "error"} == {check["level"] for check in found}

    def test_people_see_level_message_and_remedy(self, cli: Cli) -> None:
        out = cli("doctor").out
        assert (
            "error   csms: CSMS main at ws://127.0.0.1:1/ocpp: cannot be reached: Connection refused\n        Check urls"
            in out
        )
        found = cli("doctor", "--json").json()
        last = f"{len(found['checks'])} checks: {found['errors']} error(s), {found['warnings']} warning(s)."
        assert out.splitlines()[-1] == last

    def test_broken_configuration_does_not_stop_the_rest(self, cli: Cli, place: Place) -> None:
        place.replace('csms = "main"', 'csms = "nain"')
        found = examine(cli)
        assert (found["configuration"]["level"], "nain" in found["configuration"]["message"]) == ("error", True)
        assert {"certificate", "registry", "port", "csms"} <= set(found)

    def test_unreadable_configuration_leaves_what_needs_none(self, cli: Cli, place: Place) -> None:
        place.config.write_text("[")
        assert set(examine(cli)) - {"clock-synchronised"} == {"configuration", "clock"}

    def test_no_configuration_at_all_is_a_usage_error(self, cli: Cli, place: Place) -> None:
        place.config.unlink()
        assert cli("doctor").code == USAGE

    def test_warnings_of_the_configuration_are_passed_on_once(self, cli: Cli, place: Place) -> None:
        place.replace("#danger_accept_any_certificate = false", "danger_accept_any_certificate = true")
        found = cli("doctor", "--json").json()["checks"]
        assert sum("anybody can pose" in check["message"] for check in found) == 1

    def test_faults_of_certificates_are_told_once(self, cli: Cli, place: Place, certificates: Path) -> None:
        place.replace(f"{certificates}/server-rsa", f"{certificates}/server-ecdsa")
        # Leaf, root, in between: out of order.
        chain = (certificates / "server-ecdsa.pem").read_bytes()
        (place.directory / "wrong.pem").write_bytes(chain + chain)
        place.replace(
            f'certificate = "{certificates}/server-ecdsa.pem"', f'certificate = "{place.directory}/wrong.pem"'
        )
        found = [check for check in cli("doctor", "--json").json()["checks"] if check["level"] != "ok"]
        assert sum("RSA" in check["message"] for check in found) == 1
        about_order = [
            check["check"]
            for check in found
            if "order" in check["message"] or "in the file did not" in check["message"]
        ]
        assert about_order == ["certificate-chain", "certificate-chain"], "one for each of the two files"

    def test_development_certificates_are_a_warning(self, cli: Cli, place: Place) -> None:
        assert examine(cli)["dangers"]["level"] == "warning"
        place.replace("unsafe_dev_certificates = true", "unsafe_dev_certificates = false")
        assert "dangers" not in examine(cli)

    def test_makes_nothing(self, cli: Cli, place: Place) -> None:
        before = sorted(place.directory.rglob("*"))
        cli("doctor")
        assert sorted(place.directory.rglob("*")) == before


class TestRegistry:
    def test_none_yet(self, cli: Cli) -> None:
        assert examine(cli)["registry"]["level"] == "warning"

    def test_good(self, cli: Cli, registry: Registry) -> None:
        registry.add(make_record("CP-1"))
        found = examine(cli)
        assert (found["registry"]["level"], "1 charge points" in found["registry"]["message"]) == ("ok", True)
        assert found["charge-points"]["level"] == "ok"

    def test_that_is_no_database(self, cli: Cli, registry: Registry, place: Place) -> None:
        registry.close()
        for path in place.state.iterdir():
            path.unlink()
        place.database.write_bytes(b"garbage" * 1_000)
        assert examine(cli)["registry"]["level"] == "error"

    def test_without_a_schema_is_told_and_left_alone(self, cli: Cli, place: Place) -> None:
        place.state.mkdir(mode=0o700)
        place.database.touch(0o600)
        assert (examine(cli)["registry"]["level"], "no schema" in examine(cli)["registry"]["message"]) == (
            "error",
            True,
        )
        with sqlite3.connect(place.database) as connection:
            assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
        connection.close()

    @pytest.mark.parametrize(
        ("statement", "said"),
        [
            ("UPDATE alembic_version SET version_num = '0000'", "has schema 0000"),
            ("DROP TABLE charge_points", "no such table"),
            ("UPDATE charge_points SET tolerances = 'x'", "row of charge point 'CP-1' is damaged"),
        ],
    )
    def test_that_is_not_as_it_should_be(
        self, statement: str, said: str, cli: Cli, registry: Registry, place: Place
    ) -> None:
        registry.add(make_record("CP-1"))
        registry.close()
        connection = sqlite3.connect(place.database)
        connection.execute(statement)
        connection.commit()
        connection.close()
        check = examine(cli)["registry"]
        assert (check["level"], said in check["message"]) == ("error", True)


class TestChargePoints:
    @pytest.mark.parametrize(
        ("kind", "fault", "cure"),
        [
            ("no-password", {"password": None}, {"security_profile": 3, "serial_number": "S"}),
            ("no-serial-number", {"security_profile": 3}, {"serial_number": "S"}),
            ("security-profile-not-served", {"security_profile": 1}, {"security_profile": 2}),
            ("csms-unknown", {"csms": "nain"}, {"csms": "main"}),
            ("no-common-ocpp-version", {"ocpp_versions": ()}, {"ocpp_versions": (OCPPVersion.V1_6,)}),
        ],
    )
    def test_that_can_never_connect_are_named(
        self, kind: str, fault: dict[str, Any], cure: dict[str, Any], cli: Cli, registry: Registry
    ) -> None:
        registry.add(make_record("CP-1", **fault))
        registry.add(make_record("CP-2"))
        check = examine(cli)[f"charge-points-{kind}"]
        assert (check["level"], check["message"].endswith(": CP-1")) == ("warning", True)
        registry.update("CP-1", **cure)
        assert f"charge-points-{kind}" not in examine(cli)

    def test_without_an_operator_name(self, cli: Cli, registry: Registry, place: Place) -> None:
        registry.add(make_record("CP-1", 3, serial_number="S"))
        assert "charge-points-no-operator-name" not in examine(cli)
        place.replace('operator_names = ["Demo Operator"]', "operator_names = []")
        assert "charge-points-no-operator-name" in examine(cli)

    def test_that_share_a_serial_number(self, cli: Cli, registry: Registry) -> None:
        registry.apply(add=[make_record("CP-1", serial_number="S"), make_record("CP-2"), make_record("CP-3")])
        assert "serial-numbers" not in examine(cli)
        registry.update("CP-3", serial_number="S")
        check = examine(cli)["serial-numbers"]
        assert (check["level"], "S (CP-1, CP-3)" in check["message"]) == ("warning", True)

    def test_that_are_disabled_are_left_alone(self, cli: Cli, registry: Registry) -> None:
        registry.add(make_record("CP-1", password=None, enabled=False))
        assert examine(cli)["charge-points"]["level"] == "ok"

    def test_many_are_counted_and_a_few_named(self, cli: Cli, registry: Registry) -> None:
        registry.apply(add=[make_record(f"CP-{n}", password=None) for n in range(6)])
        message = examine(cli)["charge-points-no-password"]["message"]
        assert message.startswith("6 charge point(s)")
        assert message.endswith("CP-0, CP-1, CP-2, CP-3, CP-4, ...")


class TestRunningGateway:
    @pytest.fixture
    def healthy(self, place: Place) -> dict[str, Any]:
        return status(config=str(place.config))

    def test_none_is_a_warning(self, cli: Cli) -> None:
        assert examine(cli)["gateway"]["level"] == "warning"

    def test_ready(self, cli: Cli, place: Place, healthy: dict[str, Any]) -> None:
        with answering(place.state, healthy):
            found = examine(cli)
        assert (found["gateway"]["level"], "1 session" in found["gateway"]["message"]) == ("ok", True)
        assert not {"last-reload", "edge", "version", "configuration-file"} & set(found)

    @pytest.mark.parametrize(
        ("changes", "check", "level"),
        [
            ({"ready": False}, "gateway", "error"),
            ({"last_reload": {"ok": False, "why": "no"}}, "last-reload", "error"),
            ({"edges": [{"slot": 0, "pid": 1, "error": "no key"}]}, "edge", "error"),
            ({"version": "0.0.1"}, "version", "warning"),
            ({"config": "/etc/other.toml"}, "configuration-file", "warning"),
        ],
    )
    def test_not_well(
        self, changes: dict[str, Any], check: str, level: str, cli: Cli, place: Place, healthy: dict[str, Any]
    ) -> None:
        with answering(place.state, {**healthy, **changes}):
            assert examine(cli)[check]["level"] == level

    def test_its_ports_are_not_taken_by_somebody_else(
        self, cli: Cli, place: Place, certificates: Path, healthy: dict[str, Any]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            place.write(certificates, listener={"address": address})
            assert examine(cli)["port"]["level"] == "error"
            listeners = [{"name": "tls", "address": address, "security_profiles": [2, 3]}]
            with answering(place.state, {**healthy, "listeners": listeners}):
                assert examine(cli)["port"]["level"] == "ok"


def test_what_may_not_be_looked_at_is_an_error_like_others(place: Place) -> None:
    def checks() -> Iterator[Check]:
        yield ok("certificate", "good")
        raise PermissionError(errno.EACCES, "Permission denied", "/etc/secret.pem")

    first, second = _as_far_as_may_be_read(checks())
    assert (first.level, second.level, second.message) == ("ok", "error", "/etc/secret.pem: Permission denied")
    assert "user of the gateway" in second.remedy
    config = msgspec.structs.replace(load_unchecked(place.config), database_url=f"sqlite:////{'x' * 300}")
    (check,), records = read_registry(config)
    assert (check.level, list(records)) == ("error", [])
    assert list(check_certificates_in_use(config)) == []
