"""Events that wait for the next flush: equal ones are one, and different ones are not."""

from typing import Any

import pytest

from gateway.audit.event import SecurityEvent
from gateway.edge.events import Counts, EventCollector


def event(**more: Any) -> SecurityEvent:
    given = {
        "event": "config.security_downgrade",
        "time": 1.0,
        "decision": "deny",
        "charge_point_id": "CP-1",
        "peer": "192.0.2.1",
        "connection": "0-1",
        "verified": True,
        "policy_revision": "ab12",
        "detail": "config/profile-downgrade: security profile 1 while 3 is in use",
        **more,
    }
    return SecurityEvent(**given)


def taken(*events: SecurityEvent) -> list[SecurityEvent]:
    collector = EventCollector(lambda: 1.0, Counts())
    for each in events:
        collector.add(each)
    return list(collector.take())


@pytest.mark.parametrize(
    "other",
    [
        {"decision": "would:deny", "detail": "config/protected-keys: SecurityProfile set over OCPP"},
        {"detail": "config/protected-keys: SecurityProfile set over OCPP"},
        {"decision": "would:deny"},
        {"connection": "0-2"},
    ],
)
def test_each_rule_and_decision_is_told(other: dict[str, str]) -> None:
    assert taken(event(**other), event(), event()) == [event(**other), event(count=2)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            "config/profile-downgrade: profile 1 while 3 is in use",
            "config/profile-downgrade: profile 2 while 3 is in use",
        ),
        ("config/profile-downgrade (exception of a)", "config/profile-downgrade (exception of b)"),
        ("more than 4 fragments", "more than 64 fragments"),
    ],
)
def test_what_differs_in_words_alone_is_told_once(first: str, second: str) -> None:
    assert taken(event(detail=first), event(detail=second)) == [event(detail=first, count=2)]


def test_what_a_peer_says_before_there_is_a_session_makes_no_further_event() -> None:
    """Its words are of its own choice, and places for events are few."""
    first, second = (event(policy_revision="", verified=False, detail=detail) for detail in ("Origin a", "Origin b"))
    assert len(taken(first, second)) == 1


def test_a_metric_tells_what_is_enforced_from_what_is_watched() -> None:
    counts = Counts()
    collector = EventCollector(lambda: 1.0, counts)
    for decision in ("deny", "would:deny", "would:callerror"):
        collector.add(event(decision=decision))
    name = 'ocpp_gateway_security_events_total{event="config.security_downgrade",mode="%s"}'
    assert {mode: counts.values[name % mode] for mode in ("enforce", "monitor")} == {"enforce": 1, "monitor": 2}
