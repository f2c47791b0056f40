"""What a journal amounts to, in numbers: for `pki status`, whoever signs."""

import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.pki.ca import certificate_state

if TYPE_CHECKING:
    from pki.inventory import Inventory

__all__ = ["counts_of", "held_in", "print_counts"]

_RADAR_DAYS: Final = (7, 30, 90)
_RESPONDER: Final = "OCSPResponder"


def counts_of(inventory: "Inventory", moment: datetime.datetime) -> dict[str, Any]:
    """Certificates by state, and how many of the valid ones end within so many days."""
    states = dict.fromkeys(("valid", "expired", "revoked"), 0)
    ending = dict.fromkeys(_RADAR_DAYS, 0)
    for entry in inventory.issued():
        if entry.request.profile == _RESPONDER:
            continue  # they come and go with the gateway
        state = certificate_state(entry, moment)
        states[state] = states.get(state, 0) + 1
        if state == "valid" and entry.not_after is not None and entry.not_before is not None:
            left, life = entry.not_after - moment, entry.not_after - entry.not_before
            for days in _RADAR_DAYS:
                # One that lives a day always ends within a week: that says nothing.
                ending[days] += left <= datetime.timedelta(days=days) < life
    return {"certificates": states, "ending": {str(days): count for days, count in ending.items()}}


def held_in(inventory: "Inventory") -> tuple[int, list[str]]:
    """How many requests wait for a decision, and what is to be said of it."""
    held = sum(request.state.value == "held" for request in inventory.requests.values())
    return held, [f"{held} requests wait for a decision: ocpp-gateway pki list --requests"] if held else []


def print_counts(facts: dict[str, Any]) -> None:
    """The lines that every `pki status` has."""
    click.echo("Certificates: " + ", ".join(f"{count} {state}" for state, count in facts["certificates"].items()))
    ends = ", ".join(f"{count} within {days} days" for days, count in facts["ending"].items())
    click.echo(f"Valid ones that end: {ends}")
    click.echo(f"Requests that wait for a decision: {facts['held']}")
    click.echo(f"Journal: {facts['journal']['records']} records, head {facts['journal']['head']}")
