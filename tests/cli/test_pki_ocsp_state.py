"""`pki ocsp` without --out: how the responses stand that a gateway has in memory. With a running one: tests/interop."""

import pytest

from gateway.cli.exit_codes import UNREACHABLE
from gateway.cli.pki.ocsp_state import ocsp_of_running, ocsp_problems, print_ocsp
from tests.cli.conftest import Cli, Place

FACTS = {
    "issuer": "charge-points",
    "responses": 3,
    "revoked": 1,
    "waiting": 0,
    "stale": 0,
    "first_ends": "2026-12-01T10:20:30+00:00",
    "signed_next": "2026-11-29T10:20:30+00:00",
    "responder_ends": None,
}


@pytest.mark.usefixtures("place")
def test_where_no_gateway_runs_it_is_said_how_to_sign_some(cli: Cli) -> None:
    result = cli("pki", "ocsp")
    assert (result.code, "--out DIR" in result.err) == (UNREACHABLE, True)


def test_status_has_nothing_to_say_where_nobody_can_be_asked(place: Place) -> None:
    assert ocsp_of_running("ca", None) is None
    place.replace("[pki]\n", '[pki]\nca = "ca"\n')
    assert ocsp_of_running("ca", None) is None
    assert ocsp_of_running("ca", "no-such-file.toml") is None


def test_what_has_run_out_needs_attention_and_nothing_else_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert ocsp_problems([FACTS]) == []
    [problem] = ocsp_problems([FACTS, {**FACTS, "stale": 2}])
    assert "2 of 3 responses have run out" in problem
    print_ocsp([FACTS])
    assert "2026-11-29 10:20" in capsys.readouterr().out
