"""`charge-point password` and `rollover status`: what an operator is told, with and without a running gateway."""

import pytest

from gateway.cli.charge_points.password import _NEXT
from gateway.cli.exit_codes import NOT_OK, OK, UNREACHABLE, USAGE
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import password as core
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.rollover import RolloverState, RolloverStation
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry
from gateway.store.roots import Rollover, RootTables
from tests.cli.conftest import Cli, Filling
from tests.support.records import make_record

COMMAND = ("charge-point", "password")
CP = ChargePointId("CP-1")

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture(scope="module")
def filling() -> Filling:
    return lambda registry: registry.apply(add=[make_record("CP-1"), make_record("CP-2", group="g")])


def test_every_state_has_a_next_step() -> None:
    assert set(_NEXT) == {state.value for state in PasswordState}


def test_state_and_history_without_the_hash(cli: Cli, registry: Registry) -> None:
    table = PasswordChangeTable(registry.database)
    (stored,) = table.put(core.sent(core.wanted(CP, 1.0), 2.0, "$argon2id$secret", "s"))
    result = cli(*COMMAND, "CP-1", "--json")
    assert (result.code, result.json()["state"]) == (OK, "sent")
    assert "both are accepted" in result.json()["next_step"]
    assert "argon2" not in result.out
    table.put(core.answered(stored, 3.0, "refused", "ChangeConfiguration: result"))
    shown = cli(*COMMAND, "CP-1").out
    assert "refused" in shown
    assert "the old one stays" in shown


def test_a_group(cli: Cli) -> None:
    found = cli(*COMMAND, "--group", "g", "--json").json()
    assert [(each["charge_point_id"], each["state"]) for each in found["charge_points"]] == [("CP-2", None)]
    assert cli(*COMMAND, "--group", "nobody").code == NOT_OK


@pytest.mark.parametrize("words", [(), ("CP-1", "--group", "g")])
def test_one_or_a_group(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli(*COMMAND, *words).code == USAGE


def test_rotating_needs_a_running_gateway(cli: Cli) -> None:
    result = cli(*COMMAND, "CP-1", "--rotate")
    assert (result.code, "The gateway is not running" in result.err) == (UNREACHABLE, True)


def test_roots_need_a_running_gateway(cli: Cli) -> None:
    assert cli("charge-point", "roots", "list", "CP-1").code == UNREACHABLE


class TestRolloverStatus:
    def test_none(self, cli: Cli) -> None:
        result = cli("rollover", "status")
        assert (result.code, "There has been no rollover." in result.err) == (NOT_OK, True)

    def test_no_go_and_go(self, cli: Cli, registry: Registry) -> None:
        tables = RootTables(registry.database)
        made = Rollover(group="g", created_at=1.0, threshold=0.5, old="o", new="n")
        stored = tables.start(made, [CP, ChargePointId("CP-2")])
        result = cli("rollover", "status")
        assert (result.code, "NO-GO: 0 of 2" in result.out) == (NOT_OK, True)
        confirmed = RolloverStation(rollover=stored.number, charge_point_id=CP, state=RolloverState.CONFIRMED)
        tables.put(confirmed)
        result = cli("rollover", "status", "1")
        assert (result.code, "GO: 1 of 2" in result.out) == (OK, True)
        assert "CP-2" in result.out
        assert "CP-1" not in result.out


def test_a_plan_of_what_is_no_material(cli: Cli) -> None:
    result = cli("rollover", "plan", "--group", "g", "--old", "-", "--new", "/dev/null", stdin=b"nonsense")
    assert (result.code, "not one old root" in result.err) == (NOT_OK, True)
