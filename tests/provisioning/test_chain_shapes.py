"""Which shape of a chain is tried first, and how often another one is."""

from typing import Any

import pytest
from msgspec.structs import replace

from gateway.provisioning.chain_shapes import Shape, shapes_in_order, shapes_left
from gateway.provisioning.enrolment import Enrolment, rejected_in_shape, wanted
from gateway.provisioning.states import State
from tests.provisioning.campaigning import identity

THREE: dict[Shape, int] = {"leaf+subs": 2, "+root": 3, "leaf": 1}


def took(**chains: dict[str, int]) -> dict[str, dict[str, int]]:
    return {f"call:CertificateSigned chain of {name.removeprefix('of_')}": values for name, values in chains.items()}


@pytest.mark.parametrize(
    ("facts", "configured", "order"),
    [
        ({}, "leaf+subs", ("leaf+subs", "+root", "leaf")),
        ({}, "leaf", ("leaf", "leaf+subs", "+root")),
        (took(of_3={"Accepted": 1}), "leaf+subs", ("+root", "leaf+subs", "leaf")),
        (took(of_1={"Accepted": 1, "Rejected": 9}), "leaf+subs", ("leaf", "leaf+subs", "+root")),
        (took(of_2={"Rejected": 3}), "leaf+subs", ("+root", "leaf", "leaf+subs")),
        # The near-misses: too few to say anything, no answer to learn from, and the one that is configured among two.
        (took(of_2={"Rejected": 2}), "leaf+subs", ("leaf+subs", "+root", "leaf")),
        (took(of_2={"no answer": 9}), "leaf+subs", ("leaf+subs", "+root", "leaf")),
        (took(of_1={"Accepted": 99}, of_2={"Accepted": 1}), "leaf+subs", ("leaf+subs", "leaf", "+root")),
        ({"call:CertificateSigned": {"Accepted": 9}}, "leaf+subs", ("leaf+subs", "+root", "leaf")),
    ],
)
def test_what_the_kind_has_taken_comes_first(
    facts: dict[str, dict[str, int]], configured: Shape, order: tuple[Shape, ...]
) -> None:
    assert shapes_in_order(THREE, facts, configured) == order


@pytest.mark.parametrize(
    ("lengths", "configured", "order"),
    [
        ({"leaf+subs": 1, "+root": 2, "leaf": 1}, "leaf+subs", ("leaf+subs", "+root")),  # the root itself has issued it
        ({"leaf+subs": 1, "+root": 2, "leaf": 1}, "leaf", ("leaf", "+root")),
        ({"leaf+subs": 2, "leaf": 1}, "+root", ("leaf+subs", "leaf")),  # no root is known
    ],
)
def test_one_and_the_same_chain_is_tried_once(
    lengths: dict[Shape, int], configured: Shape, order: tuple[Shape, ...]
) -> None:
    assert shapes_in_order(lengths, {}, configured) == order


SENT = replace(wanted(identity(0), 1.0, ""), state=State.DELIVERY_SENT)
LENGTHS: dict[Shape, int] = {"leaf+subs": 2, "+root": 3, "leaf": 1}
ALL: tuple[Shape, ...] = ("+root", "leaf", "leaf+subs")


def tried(certificates: int) -> Enrolment:
    ended, again = rejected_in_shape(SENT, 2.0, certificates)
    assert again.state is State.TRIGGER_WANTED
    return ended


def row(state: State, detail: str = "") -> Enrolment:
    return replace(SENT, state=state, detail=detail)


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ((), ALL),
        ((tried(2),), ("+root", "leaf")),
        ((tried(1), tried(2)), ("+root",)),  # whatever the order was when they were tried
        ((tried(3), tried(1), tried(2)), ("leaf+subs",)),  # the last one says no once more, and that is the end
        ((row(State.SUPERSEDED, "another request has come"), tried(2)), ("+root", "leaf")),  # it has asked twice
        ((row(State.OLD_RETIRED), tried(2)), ALL),  # that was a year ago
        ((row(State.REJECTED_BY_STATION), tried(1), tried(2)), ALL),  # an operator tries it all once more
    ],
)
def test_what_was_turned_down_since_it_was_told_to_ask_is_not_tried_again(before: Any, left: tuple[Shape, ...]) -> None:
    assert shapes_left(ALL, LENGTHS, [SENT, *before]) == left


def test_a_kind_that_takes_one_shape_gets_it_although_others_change_the_order_meanwhile() -> None:
    rows: list[Enrolment] = []
    sent: list[Shape] = []
    kind: dict[str, dict[str, int]] = {}
    for fact in ({}, {"call:CertificateSigned chain of 3": {"Accepted": 1}}, {}):
        kind |= fact
        shape = shapes_left(shapes_in_order(LENGTHS, kind, "leaf+subs"), LENGTHS, [SENT, *rows])[0]
        sent.append(shape)
        if shape == "+root":
            break
        rows.insert(0, tried(LENGTHS[shape]))
    assert sent == ["leaf+subs", "+root"]
