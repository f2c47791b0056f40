"""The verdict on a campaign of simulated charge points: who ends otherwise than it has to is named, and nobody else."""

from typing import Any

import pytest

from bench.campaign_ways import GOOD, REFUSES, WAYS, Way, cast_of, ends, faults, stranded
from gateway.simulator.core.quirks import read_quirks

FALLS_BACK = Way(("falls-back",), {"fell-back": "it can be reached, .*: it came back"})
STAYS_AWAY = Way(("never-reconnects",), {"lost": "it was told"})
PLAYED = {"GOOD": GOOD, "BACK": FALLS_BACK, "AWAY": STAYS_AWAY}


def report(**changed: dict[str, Any]) -> dict[str, Any]:
    """As it has to be, but for what is given."""
    found: dict[str, dict[str, Any]] = {
        "GOOD": {"state": "committed", "explanation": "it is on the new, and has stayed with it: 0123456789abcdef0"},
        "BACK": {"state": "fell-back", "explanation": "it can be reached, on the old: it came back"},
        "AWAY": {"state": "lost", "explanation": "it was told, and is gone"},
    }
    rows = []
    for identity, usual in found.items():
        row = usual | changed.get(identity, {})
        rows.append({"charge_point_id": identity, "history": [{"state": row["state"]}], **row})
    return {"charge_points": rows}


def test_as_it_has_to_be() -> None:
    assert (faults(PLAYED, report()), stranded(PLAYED, report())) == ([], [])
    assert ends(PLAYED, report()) == [
        "1 x falls-back (2.0.1): fell-back: it can be reached, on the old: it came back",
        "1 x never-reconnects (2.0.1): lost: it was told, and is gone",
    ]


@pytest.mark.parametrize(
    ("identity", "changed"),
    [
        ("GOOD", {"state": "fell-back"}),
        ("GOOD", {"explanation": ""}),
        ("GOOD", {"history": [{"state": "committed"}, {"state": "verified"}, {"state": "committed"}]}),
        ("BACK", {"explanation": "it can be reached, on the old"}),
        ("BACK", {"state": "committed"}),
        ("AWAY", {"state": "committed"}),
    ],
)
def test_who_ends_otherwise_or_without_its_reason_is_named(identity: str, changed: dict[str, Any]) -> None:
    (named,) = faults(PLAYED, report(**{identity: changed}))
    assert named.startswith(identity)


def test_who_is_missing_in_the_report_is_named() -> None:
    (named,) = faults({**PLAYED, "CP-9": GOOD}, report())
    assert named.startswith("CP-9")


@pytest.mark.parametrize("identity", ["GOOD", "BACK"])
def test_lost_is_stranded_where_there_was_something_to_fall_back_to(identity: str) -> None:
    assert stranded(PLAYED, report(**{identity: {"state": "lost"}})) == [identity]


@pytest.mark.parametrize("kind", WAYS)
def test_every_way_is_played_by_about_so_many(kind: str) -> None:
    cast = cast_of(kind, 2_000, 0.05, 4)
    odd = [way for way, _ in cast.values() if way is not GOOD]
    assert len(odd) == 100
    assert set(map(id, odd)) == set(map(id, WAYS[kind]))
    assert {each.version for way, each in cast.values() if way is GOOD} == {"1.6", "2.0.1", "2.1"}
    assert {each.model for way, each in cast.values() if way is not GOOD} == {f"Model {n}" for n in range(4)}
    for way in WAYS[kind]:
        read_quirks(way.quirks)
    (canary,) = [way for way in WAYS[kind] if way.quirks == (REFUSES[kind],)]
    assert set(canary.ends) == {"fell-back"}


def test_nobody_misbehaves_in_a_fleet_that_behaves() -> None:
    assert {id(way) for way, _ in cast_of("certificate", 50, 0.0, 4).values()} == {id(GOOD)}
