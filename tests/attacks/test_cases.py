"""Every case of the supported layers against a running gateway; and the judge fails where a case says something else."""

from collections.abc import Iterator

import msgspec
import pytest

from tests.attacks.case import Case, Expected, shipped_cases
from tests.attacks.judge import judge_play
from tests.attacks.observed import Observed
from tests.attacks.play_http import GOOD_UPSTREAM, dial, valid_upgrade
from tests.attacks.run import Worlds, run_case

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="session")]


def _other_expectations(expected: Expected) -> Iterator[Expected]:
    """What the same case could have demanded instead: each of them is wrong."""
    yield msgspec.structs.replace(expected, forwarded=not expected.forwarded)
    if expected.event:
        yield msgspec.structs.replace(expected, event="no.such_event")
        yield msgspec.structs.replace(
            expected, decision="drop" if expected.decision == "allow_alert" else "allow_alert"
        )
    if expected.statuses and expected.decision == "http_reject":
        yield msgspec.structs.replace(expected, http_status=418)
    if expected.tls_alert:
        yield msgspec.structs.replace(expected, tls_alert="internal_error")
    if expected.ws_close:
        yield msgspec.structs.replace(expected, ws_close=1000)
    if expected.callerror:
        yield msgspec.structs.replace(expected, callerror=dict.fromkeys(expected.callerror, "InternalError"))


@pytest.mark.parametrize("case", list(shipped_cases()), ids=lambda case: case.id)
async def test_the_gateway_behaves_as_the_case_says_and_not_otherwise(case: Case, worlds: Worlds) -> None:
    result = await run_case(case, worlds)
    assert (result.outcome, result.differences) == ("as expected", [])
    assert result.seen
    for expected in _other_expectations(case.expected):
        wrong = msgspec.structs.replace(case, expected=expected)
        for observed, events in result.seen:
            assert judge_play(wrong, observed, events), f"{observed.label}: {expected} would have passed"


@pytest.mark.parametrize(
    ("chosen", "status"),
    [(b"Sec-WebSocket-Protocol: ocpp2.0.1\r\n", 502), (b"Sec-WebSocket-Protocol: soap\r\n", 502), (b"", 400)],
    ids=["not offered", "unknown", "none"],
)
async def test_a_csms_that_picks_a_subprotocol_of_its_own_gets_no_session(
    worlds: Worlds, chosen: bytes, status: int
) -> None:
    """What the title of HTTP-23 says of the CSMS; the case itself is only what the charge point sends."""
    world = await worlds.get("ordinary")
    world.hostile.raw_answer = GOOD_UPSTREAM.replace(b"Sec-WebSocket-Protocol: ocpp1.6\r\n", chosen)
    before, seen = len(world.hostile.behind), Observed(label="", source=world.new_source())
    await dial(world, seen.source, valid_upgrade(), seen)
    assert seen.answer is not None
    assert (seen.answer.status, seen.closed) == (status, True)
    assert b"Sec-WebSocket-Protocol: ocpp1.6\r\n" in world.hostile.heads[-1]
    assert not any(world.hostile.behind[before:])


async def test_no_secret_stands_in_anything_that_the_gateways_have_written(worlds: Worlds) -> None:
    await worlds.get("ordinary")
    assert worlds.leaks() == []
