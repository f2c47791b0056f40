"""Limits per source address: what they stop and whom they leave alone."""

from gateway.edge.source_limits import SourceLimits


def limits(**changes: int) -> SourceLimits:
    values = {"max_handshakes": 10, "handshakes_per_address": 3, "connects_per_minute": 60} | changes
    return SourceLimits(**values)


def test_open_handshakes_of_one_address_are_capped_but_not_those_of_another() -> None:
    subject = limits()
    assert [subject.begin_handshake("192.0.2.1", 0.0) for _ in range(4)] == [True, True, True, False]
    assert subject.begin_handshake("192.0.2.2", 0.0)


def test_ended_handshake_makes_room() -> None:
    subject = limits(handshakes_per_address=1)
    assert subject.begin_handshake("192.0.2.1", 0.0)
    assert not subject.begin_handshake("192.0.2.1", 0.0)
    subject.end_handshake("192.0.2.1")
    assert subject.begin_handshake("192.0.2.1", 0.0)


def test_all_handshakes_together_are_capped() -> None:
    subject = limits()
    taken = [subject.begin_handshake(f"192.0.2.{n}", 0.0) for n in range(11)]
    assert taken == [True] * 10 + [False]
    subject.end_handshake("192.0.2.0")
    assert subject.begin_handshake("192.0.2.200", 0.0)


def test_connects_are_paced_and_the_budget_comes_back() -> None:
    subject = limits()
    assert all(subject.may_connect("192.0.2.1", 0.0) for _ in range(60))
    assert not subject.may_connect("192.0.2.1", 0.5)
    assert subject.may_connect("192.0.2.1", 2.0)
    assert subject.may_connect("192.0.2.9", 0.5)


def test_forgetting_never_drops_an_address_with_open_handshakes() -> None:
    subject = limits(max_handshakes=100_000, handshakes_per_address=1)
    assert subject.begin_handshake("held", 0.0)
    for n in range(65_600):
        subject.may_connect(str(n), 0.0)
    assert not subject.begin_handshake("held", 0.0)
    subject.end_handshake("held")
    assert subject.handshakes == 0


def test_a_whole_ipv6_network_of_one_peer_is_one_source() -> None:
    limits = SourceLimits(max_handshakes=100, handshakes_per_address=2, connects_per_minute=3)
    addresses = [f"2001:db8:1:2::{number:x}" for number in range(1, 5)]

    assert [limits.may_connect(address, 0.0) for address in addresses] == [True, True, True, False]
    assert [limits.begin_handshake(address, 0.0) for address in addresses] == [True, True, False, False]
    assert limits.begin_handshake("2001:db8:1:3::1", 0.0)

    limits.end_handshake(addresses[0])
    assert limits.begin_handshake(addresses[3], 0.0)
