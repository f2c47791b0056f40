"""`charge-point certificate`: what an operator is told, with and without a running gateway."""

import pytest

from gateway.cli.charge_points.certificate import _NEXT
from gateway.cli.exit_codes import NOT_OK, OK, UNREACHABLE
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning import enrolment as core
from gateway.provisioning.enrolment import CertificateRequested, Given
from gateway.provisioning.states import State
from gateway.store.registry import Registry
from tests.cli.conftest import Cli, Filling
from tests.support.records import make_record

COMMAND = ("charge-point", "certificate")
CP = ChargePointId("CP-1")
REQUEST = CertificateRequested(charge_point_id=CP, csr="secret csr", csr_sha256="c", method="security profile 2")
GIVEN = Given(request="r-17", serial="1f", sha256="aa", spki_sha256="bb", not_after=2e9, chain="pem")

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture(scope="module")
def filling() -> Filling:
    return lambda registry: registry.apply(add=[make_record("CP-1"), make_record("CP-2")])


def hold(registry: Registry) -> None:
    (stored,) = registry.enrolments.put(core.asked_for(REQUEST, 1_000.0, None)[0])
    registry.enrolments.put(core.held(stored, 1_001.0, "r-17", "first-enrolment"))


def test_every_state_has_a_next_step() -> None:
    assert set(_NEXT) == {state.value for state in State}


def test_what_is_held_names_the_command_that_releases_it(cli: Cli, registry: Registry) -> None:
    hold(registry)
    result = cli(*COMMAND, "CP-1")
    assert result.code == OK
    assert "an operator looks at it: ocpp-gateway pki approve r-17" in result.out
    assert "first-enrolment" in result.out
    assert "secret csr" not in result.out


def test_json_has_state_next_step_and_history_in_order(cli: Cli, registry: Registry) -> None:
    hold(registry)
    held = registry.enrolments.newest("CP-1")
    assert held is not None
    registry.enrolments.put(core.issued(held, 1_002.0, GIVEN))
    found = cli(*COMMAND, "CP-1", "--json").json()
    assert (found["state"], found["serial"], found["request"], found["not_after"]) == ("issued", "1f", "r-17", 2e9)
    assert [(step["state"], step["at"]) for step in found["history"]] == [
        ("csr-received", 1_000.0),
        ("held", 1_001.0),
        ("issued", 1_002.0),
    ]


def test_a_charge_point_without_one(cli: Cli) -> None:
    assert cli(*COMMAND, "CP-2", "--json").json() == {
        "charge_point_id": "CP-2",
        "state": None,
        "next_step": "--renew",
        "history": [],
    }
    assert "the gateway has given it no certificate" in cli(*COMMAND, "CP-2").out


def test_an_unknown_one_is_answered_with_the_one_that_may_be_meant(cli: Cli) -> None:
    result = cli(*COMMAND, "cp-1")
    assert (result.code, "Did you mean 'CP-1'?" in result.err) == (NOT_OK, True)


def test_renewing_needs_a_running_gateway(cli: Cli) -> None:
    result = cli(*COMMAND, "CP-1", "--renew")
    assert (result.code, "The gateway is not running" in result.err) == (UNREACHABLE, True)
