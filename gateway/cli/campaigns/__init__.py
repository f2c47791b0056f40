"""`campaign`: one change for a whole fleet, in waves that halt by themselves. A running gateway performs it."""

from typing import ClassVar

import click

from gateway.cli.lazy import LazyGroup

__all__ = ["campaign"]


class _Commands(LazyGroup):
    modules: ClassVar = {
        "plan": ("gateway.cli.campaigns.plan", "plan"),
        "approve": ("gateway.cli.campaigns.orders", "approve"),
        "start": ("gateway.cli.campaigns.orders", "start"),
        "status": ("gateway.cli.campaigns.status", "status"),
        "watch": ("gateway.cli.campaigns.watch", "watch"),
        "pause": ("gateway.cli.campaigns.orders", "pause"),
        "resume": ("gateway.cli.campaigns.orders", "resume"),
        "abort": ("gateway.cli.campaigns.orders", "abort"),
        "switch": ("gateway.cli.campaigns.switch", "switch"),
        "report": ("gateway.cli.campaigns.report", "report"),
        "remove": ("gateway.cli.campaigns.orders", "remove"),
    }


@click.group("campaign", cls=_Commands)
def campaign() -> None:
    """Change a whole fleet, in waves that halt by themselves.

    Plans and orders are in the registry: a running gateway follows within a second, one that starts goes on.
    """
