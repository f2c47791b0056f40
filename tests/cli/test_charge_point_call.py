"""`charge-point call`: what is said of an answer, of none, and of a gateway that fails."""

from typing import Any

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, UNREACHABLE, USAGE
from tests.cli.admin_socket import answering
from tests.cli.conftest import Cli, Place

CALL = ("charge-point", "call", "CP-1", "ClearCache")


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"outcome": "result", "payload": {"status": "Accepted"}}, OK, '"status": "Accepted"'),
        ({"outcome": "error", "error": "NotSupported", "description": "no"}, NOT_OK, "NotSupported: no"),
        ({"outcome": "timeout", "error": "no answer"}, NOT_OK, "No answer in time: no answer"),
        ({"outcome": "not_sent", "error": "others were waited for"}, NOT_OK, "Not sent: others were waited for"),
        ({"outcome": "gone"}, NOT_OK, "whether it was understood is not known"),
    ],
)
def test_what_became_of_it(cli: Cli, place: Place, answer: dict[str, Any], code: int, said: str) -> None:
    with answering(place.state, answer):
        result = cli(*CALL)
    assert (result.code, said in result.out) == (code, True)


@pytest.mark.parametrize(("status", "refused"), [(400, "no such action"), (404, "not connected"), (413, "too long")])
def test_what_is_refused_says_why(cli: Cli, place: Place, status: int, refused: str) -> None:
    with answering(place.state, {"refused": refused}, status):
        result = cli(*CALL)
    assert (result.code, f"Not sent: {refused}" in result.err) == (NOT_OK, True)


def test_a_gateway_that_fails_is_running(cli: Cli, place: Place) -> None:
    with answering(place.state, b"500 Internal Server Error\n\nServer got itself in trouble", 500):
        result = cli(*CALL)
    assert result.code == NOT_OK
    assert "HTTP status 500; see its log" in result.err
    assert "not running" not in result.err


def test_what_is_no_gateway_is_called_that(cli: Cli, place: Place) -> None:
    with answering(place.state, b"hello"):
        result = cli(*CALL)
    assert (result.code, "not a gateway of this release" in result.err) == (UNREACHABLE, True)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "0", "301", "x"])
def test_a_timeout_that_is_none(cli: Cli, seconds: str) -> None:
    assert cli(*CALL, "--timeout", seconds).code == USAGE


@pytest.mark.parametrize("seconds", ["0.5", "300"])
def test_a_timeout_that_is_one(cli: Cli, place: Place, seconds: str) -> None:
    with answering(place.state, {"outcome": "result", "payload": {}}):
        assert cli(*CALL, "--timeout", seconds).code == OK


@pytest.mark.usefixtures("place")
def test_a_payload_that_no_message_has_room_for(cli: Cli) -> None:
    long = '{"vendorId":"v","data":"' + "x" * 262_144 + '"}'
    result = cli("charge-point", "call", "CP-1", "DataTransfer", long)
    assert (result.code, "max_message_bytes, 262144 bytes" in result.err) == (USAGE, True)
