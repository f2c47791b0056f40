"""`policy`: rules are checked, proven, explained, tried on recorded traffic, and put into force."""

from typing import ClassVar

import click

from gateway.cli.lazy import LazyGroup

__all__ = ["policy"]


class _Commands(LazyGroup):
    modules: ClassVar = {
        "lint": ("gateway.cli.policy.lint", "lint"),
        "test": ("gateway.cli.policy.cases", "test"),
        "explain": ("gateway.cli.policy.explain", "explain"),
        "replay": ("gateway.cli.policy.replay", "replay"),
        "sign": ("gateway.cli.policy.sign", "sign"),
        "verify": ("gateway.cli.policy.verify", "verify"),
        "show": ("gateway.cli.policy.show", "show"),
        "reload": ("gateway.cli.policy.reload", "reload"),
    }


@click.group("policy", cls=_Commands)
def policy() -> None:
    """Check, test, explain, replay, sign and reload rules.

    A PACK is the name of a shipped pack, such as firmware, or a YAML file.
    """
