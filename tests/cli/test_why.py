"""`why`: plain words for an identity or an address, and nothing interpreted."""

import pytest

from gateway.cli.exit_codes import NOT_OK, OK
from gateway.identity.refusal import Reason
from gateway.store.refusals import RefusalEntry
from gateway.store.registry import Registry
from tests.cli.admin_socket import answering, status
from tests.cli.conftest import Cli, Filling, Place
from tests.support.records import make_record

BASE = 1_795_560_000.0


pytestmark = pytest.mark.usefixtures("registry")


def refuse_some(registry: Registry) -> None:
    registry.add(make_record("CP-1"))
    registry.add(make_record("10.0.0.1"))
    registry.record_refusals(
        [
            RefusalEntry(time=BASE, charge_point_id="CP-1", address="::1", listener="tls", reason="password-wrong"),
            RefusalEntry(
                time=BASE + 1, charge_point_id="CP-1", address="10.0.0.9", reason="identity-confusion", count=7,
                detail="path [red]x[/red]\x1b[31m",
            ),
            RefusalEntry(time=BASE + 2, charge_point_id="nobody", address="10.0.0.9", reason="identity-unknown"),
            RefusalEntry(time=BASE + 3, address="10.0.0.9", reason="made-by-a-newer-release", detail="d"),
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def filling() -> Filling:
    return refuse_some


def test_reason_comes_with_its_meaning_and_remedy_newest_first(cli: Cli) -> None:
    result = cli("why", "CP-1")
    assert result.code == OK
    assert result.out.startswith("CP-1 is registered.\n")
    newer, older = result.out.split("\n\n")[1:]
    assert "identity-confusion" in newer
    assert "7 times" in newer
    assert Reason.PASSWORD_WRONG.meaning in older
    assert Reason.PASSWORD_WRONG.remedy in older
    assert "times" not in older


def test_detail_is_shown_as_text(cli: Cli) -> None:
    assert r"Detail: path [red]x[/red]\x1b[31m" in cli("why", "CP-1").out


def test_limit(cli: Cli) -> None:
    assert len(cli("why", "CP-1", "--limit", "1", "--json").json()["refusals"]) == 1
    assert cli("why", "CP-1", "--limit", "0").code != OK


def test_json(cli: Cli) -> None:
    found = cli("why", "CP-1", "--json").json()
    assert (found["registered"], found["enabled"], found["connected"]) == (True, True, None)
    assert [entry["reason"] for entry in found["refusals"]] == ["identity-confusion", "password-wrong"]
    assert found["refusals"][0]["stage"] == "identify"


class TestAddress:
    def test_is_told_from_an_identity(self, cli: Cli) -> None:
        result = cli("why", "10.0.0.9")
        assert (result.code, "registered" in result.out.splitlines()[0]) == (OK, False)
        assert "as nobody: identity-unknown" in result.out
        found = cli("why", "10.0.0.9", "--json").json()
        assert (found["registered"], found["connected"], len(found["refusals"])) == (None, None, 3)

    def test_in_another_spelling_is_the_same(self, cli: Cli) -> None:
        assert len(cli("why", "0:0:0::1", "--json").json()["refusals"]) == 1

    def test_that_is_a_registered_identity_is_that(self, cli: Cli) -> None:
        assert cli("why", "10.0.0.1").out.startswith("10.0.0.1 is registered.")

    def test_without_refusals_has_exit_code_1(self, cli: Cli) -> None:
        result = cli("why", "10.0.0.10")
        assert (result.code, result.out) == (NOT_OK, "No refusal is on record.\n")


def test_reason_of_a_newer_release_is_shown_as_it_is(cli: Cli) -> None:
    assert "made-by-a-newer-release" in cli("why", "10.0.0.9").out


class TestUnregistered:
    def test_with_refusals_is_explained(self, cli: Cli) -> None:
        result = cli("why", "nobody")
        assert (result.code, Reason.IDENTITY_UNKNOWN.meaning in result.out) == (OK, True)

    def test_without_is_not_found_and_the_nearest_named(self, cli: Cli) -> None:
        result = cli("why", "cp-1")
        assert (result.code, "Did you mean 'CP-1'?" in result.out) == (NOT_OK, True)
        assert "Does it reach this gateway" in result.out
        found = cli("why", "cp-1", "--json").json()
        assert (found["registered"], found["enabled"], found["did_you_mean"]) == (False, None, "CP-1")

    def test_like_nothing_else_suggests_nothing(self, cli: Cli) -> None:
        assert "Did you mean" not in cli("why", "zzzzzzzz").out


def test_state_of_the_charge_point_is_told(cli: Cli, registry: Registry, place: Place) -> None:
    registry.update("CP-1", enabled=False)
    assert cli("why", "CP-1").out.startswith("CP-1 is registered, but disabled.\n")
    registry.update("CP-1", enabled=True)
    with answering(place.state, status()):
        assert cli("why", "CP-1").out.startswith("CP-1 is registered and connected now.")
        assert cli("why", "cp-1").out.startswith("cp-1 is not registered and not connected now.")


class TestBrokenRegistry:
    @pytest.mark.parametrize(
        "command", [["why", "CP-1"], ["charge-point", "list"], ["charge-point", "disable", "CP-1"]]
    )
    def test_that_is_no_database_is_told(self, command: list[str], cli: Cli, registry: Registry, place: Place) -> None:
        registry.close()
        for path in place.state.iterdir():
            path.unlink()
        place.database.write_bytes(b"garbage" * 1_000)
        result = cli(*command)
        assert (result.code, result.out) == (NOT_OK, "")
        assert "not a database of this gateway" in result.err
        assert "error" in cli(*command, "--json").json()

    def test_that_lost_a_row_it_must_have_is_told(self, cli: Cli, registry: Registry, place: Place) -> None:
        import sqlite3

        registry.close()
        with sqlite3.connect(place.database) as connection:
            connection.execute("DELETE FROM meta")
        connection.close()
        result = cli("charge-point", "disable", "CP-1")
        assert (result.code, "damaged" in result.err) == (NOT_OK, True)

    def test_that_is_newer_is_told(self, cli: Cli, registry: Registry, place: Place) -> None:
        import sqlite3

        registry.close()
        with sqlite3.connect(place.database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        result = cli("why", "CP-1", "--json")
        assert (result.code, "newer release" in result.json()["error"]) == (NOT_OK, True)

    def test_directory_in_its_place_is_told(self, cli: Cli, registry: Registry, place: Place) -> None:
        registry.close()
        for path in place.state.iterdir():
            path.unlink()
        place.database.mkdir()
        result = cli("charge-point", "list")
        assert (result.code, "not a file" in result.err) == (NOT_OK, True)
