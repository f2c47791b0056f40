"""`audit`: the trail verified, read, searched, handed out, and witnessed."""

from typing import ClassVar

import click

from gateway.cli.lazy import LazyGroup

__all__ = ["audit"]


class _Commands(LazyGroup):
    modules: ClassVar = {
        "verify": ("gateway.cli.audit.verify", "verify"),
        "tail": ("gateway.cli.audit.read", "tail"),
        "show": ("gateway.cli.audit.read", "show"),
        "search": ("gateway.cli.audit.search", "search"),
        "export": ("gateway.cli.audit.export", "export"),
        "prove": ("gateway.cli.audit.prove", "prove"),
        "checkpoint": ("gateway.cli.audit.checkpoint", "checkpoint"),
        "subject": ("gateway.cli.audit.privacy", "subject"),
        "shred": ("gateway.cli.audit.privacy", "shred"),
        "hold": ("gateway.cli.audit.hold", "hold"),
        "witness": ("gateway.cli.audit.witness", "witness"),
        "prune": ("gateway.cli.audit.prune", "prune"),
        "rotate": ("gateway.cli.audit.rotate", "rotate"),
        "new-history": ("gateway.cli.audit.new_history", "new_history"),
    }


@click.group("audit", cls=_Commands)
def audit() -> None:
    """Verify, read, search and prove the audit log.

    DIR is the directory of an audit log, or of one of its shards. Without it, that of the configuration is taken.
    """
