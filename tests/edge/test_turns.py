"""One peer's input does not keep a worker from its other sessions."""

import asyncio

import pytest

from gateway.websocket.deflate import DeflateParameters, deflate
from gateway.websocket.frames import TEXT, build_frame
from tests.support.sessions import SilentOwner, make_session

_MESSAGES = 12


def _expensive_call(number: int) -> bytes:
    """A kilobyte on the wire that inflates to 240 kB, which takes tens of milliseconds to decode."""
    values = b",".join([b'{"timestamp":"2026-01-01T00:00:00Z"}'] * 6_500)
    text = b'[2,"%d","MeterValues",{"connectorId":1,"meterValue":[%b]}]' % (number, values)
    frame = build_frame(TEXT, deflate(text, 15), b"mask", rsv1=True)
    assert len(frame) < 2_000
    return frame


async def test_few_bytes_that_cost_much_are_taken_in_turns_with_everybody_else() -> None:
    bridge = make_session(deflate=DeflateParameters())

    bridge.charge_point.data_received(b"".join(map(_expensive_call, range(_MESSAGES))))
    at_once = bridge.charge_point.message_count
    others = 0
    while bridge.charge_point.message_count < _MESSAGES:
        await asyncio.sleep(0.001)
        others += 1

    assert at_once < _MESSAGES
    assert others >= _MESSAGES - at_once  # others had a turn between any two


async def test_what_waits_for_its_turn_is_not_sent_on_behind_the_end() -> None:
    owner = SilentOwner()
    bridge = make_session(owner, deflate=DeflateParameters())
    bridge.charge_point.data_received(b"".join(map(_expensive_call, range(_MESSAGES))))

    bridge.charge_point.transport.close()
    bridge.charge_point.connection_lost(None)
    at_the_end = bridge.charge_point.message_count
    await asyncio.sleep(0.5)

    assert bridge.charge_point.message_count == at_the_end
    assert owner.finished_sessions == []  # the CSMS has not closed yet


async def test_a_single_message_that_costs_much_makes_its_sender_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.edge.pump._MAX_TURN_S", 0.0001)
    bridge = make_session()
    values = b",".join([b'{"timestamp":"2026-01-01T00:00:00Z"}'] * 1_500)
    text = b'[2,"1","MeterValues",{"connectorId":1,"meterValue":[%b]}]' % values

    bridge.charge_point.data_received(build_frame(TEXT, text, b"mask"))

    assert bridge.charge_point.message_count == 1
    assert bridge.charge_point.paused
    while bridge.charge_point.paused:
        await asyncio.sleep(0.001)
