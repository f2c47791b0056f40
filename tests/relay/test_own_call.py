"""Sent only while no transaction runs: what counts as one, and the near-misses."""

import json
from typing import Any, NamedTuple

import pytest

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy.transactions import Transactions
from gateway.relay.effects import Answered, Deliver
from gateway.relay.lanes import Lane
from gateway.relay.own_call import why_not_idle
from tests.relay.scenario import CSMS, ChargePoint, Scenario

V16, V201 = OCPPVersion.V1_6, OCPPVersion.V2_0_1
LONG, SHORT = True, False


class Knows(NamedTuple):
    transactions: Transactions


def tracked(*messages: tuple[str, dict[str, Any], dict[str, Any] | None], version: OCPPVersion = V201) -> Knows:
    tracker = Transactions()
    for action, payload, result in messages:
        tracker.seen(version, action, payload)
        if result is not None:
            tracker.seen(version, action, payload, result)
    return Knows(tracker)


def event(kind: str, name: str = "T1") -> tuple[str, dict[str, Any], dict[str, Any]]:
    return "TransactionEvent", {"eventType": kind, "transactionInfo": {"transactionId": name}}, {}


BOOT = ("BootNotification", {"reason": "PowerUp"}, {"status": "Accepted"})
START = ("StartTransaction", {"connectorId": 1}, {"transactionId": 7})
STOP: tuple[str, dict[str, Any], dict[str, Any]] = ("StopTransaction", {"transactionId": 7}, {})


@pytest.mark.parametrize(
    ("messages", "version", "is_old", "why"),
    [
        ([BOOT], V201, SHORT, ""),
        ([], V201, SHORT, "it has not been connected"),
        ([], V201, LONG, ""),
        ([BOOT, event("Started")], V201, SHORT, "a transaction runs"),
        ([BOOT, event("Started"), event("Ended")], V201, SHORT, ""),
        ([event("Updated")], V201, LONG, "a transaction runs"),
        ([event("Updated"), event("Ended", "T0")], V201, LONG, "a transaction runs"),
        ([event("Updated"), event("Ended")], V201, LONG, ""),
        ([event("Updated"), BOOT], V201, LONG, ""),
        ([BOOT, START], V16, SHORT, "a transaction runs"),
        ([BOOT, START, STOP], V16, SHORT, ""),
        ([("MeterValues", {"transactionId": 7}, {})], V16, LONG, "a transaction runs"),
        ([("MeterValues", {"connectorId": 1}, {})], V16, LONG, ""),
        ([("MeterValues", {"transactionId": 7}, {}), STOP], V16, LONG, ""),
    ],
)
def test_transactions(messages: Any, version: OCPPVersion, is_old: bool, why: str) -> None:
    found = why_not_idle(tracked(*messages, version=version), Lane(), Lane(), is_old=is_old)
    assert found.startswith(why) and bool(found) == bool(why)


def test_a_boot_that_the_csms_has_asked_for_ends_no_transaction() -> None:
    tracker = tracked(
        ("TriggerMessage", {"requestedMessage": "BootNotification"}, None),
        event("Updated"),
        ("BootNotification", {"reason": "Triggered"}, {"status": "Accepted"}),
    )
    assert why_not_idle(tracker, Lane(), Lane(), is_old=LONG) == "a transaction runs"


def test_one_that_is_just_starting_counts_and_so_does_a_command_on_its_way() -> None:
    script = Scenario()
    starting = json.dumps([2, "1", "StartTransaction", {"connectorId": 1}])
    assert script.feed(ChargePoint(starting))
    assert (
        why_not_idle(tracked(BOOT), script.relay._charge_point, Lane(), is_old=SHORT) == "a transaction may be starting"
    )
    assert script.feed(CSMS('[2,"1","RemoteStartTransaction",{"idTag":"T"}]'))
    assert why_not_idle(tracked(BOOT), Lane(), script.relay._csms, is_old=SHORT) == "the CSMS is talking to it"


def test_what_is_not_sent_is_answered_at_once_and_never_sent_later() -> None:
    """A relay without a judge knows of no transactions."""
    script = Scenario()
    (answered,) = script.relay.ask("own", "Reset", {"type": "Hard"}, script.now, is_old=True)
    assert isinstance(answered, Answered)
    assert (answered.is_sent, script.relay.tick(script.now + 60.0)) == (False, [])
    assert isinstance(script.relay.ask("own", "Reset", {"type": "Hard"}, script.now)[0], Deliver)
