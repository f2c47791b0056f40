"""Which shape of a chain is tried first, and how often another one is."""

from typing import Any

import pytest

from gateway.provisioning.chain_shapes import Shape, shapes_in_order, tries_before
from gateway.provisioning.enrolment import ANOTHER_SHAPE, Enrolment
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


def row(state: State, detail: str = "") -> Enrolment:
    return Enrolment(charge_point_id=identity(0), state=state, created_at=1.0, changed_at=1.0, detail=detail)


NOW, TRIED = row(State.DELIVERY_SENT), row(State.SUPERSEDED, ANOTHER_SHAPE)


@pytest.mark.parametrize(
    ("before", "tries"),
    [
        ((), 0),
        ((TRIED,), 1),
        ((TRIED, TRIED), 2),
        ((row(State.SUPERSEDED, "another request has come"), TRIED), 1),  # it has asked twice in between
        ((row(State.OLD_RETIRED), TRIED), 0),  # that was a year ago
        ((row(State.REJECTED_BY_STATION), TRIED, TRIED), 0),  # an operator tries it all once more
    ],
)
def test_tries_are_counted_since_it_was_told_to_ask(before: Any, tries: int) -> None:
    assert tries_before([NOW, *before]) == tries
