"""`charge-point`: the registry's operator. What a running gateway should know reaches it within a second by itself."""

from typing import ClassVar

import click

from gateway.cli.lazy import LazyGroup

__all__ = ["charge_point"]


class _Commands(LazyGroup):
    modules: ClassVar = {
        "add": ("gateway.cli.charge_points.add", "add"),
        "list": ("gateway.cli.charge_points.show", "list_charge_points"),
        "show": ("gateway.cli.charge_points.show", "show"),
        "set": ("gateway.cli.charge_points.change", "set_charge_point"),
        "enable": ("gateway.cli.charge_points.change", "enable"),
        "disable": ("gateway.cli.charge_points.change", "disable"),
        "remove": ("gateway.cli.charge_points.remove", "remove"),
        "import": ("gateway.cli.charge_points.transfer", "import_charge_points"),
        "export": ("gateway.cli.charge_points.transfer", "export_charge_points"),
        "call": ("gateway.cli.charge_points.call", "call"),
        "password": ("gateway.cli.charge_points.password", "password"),
        "roots": ("gateway.cli.charge_points.roots", "roots"),
        "certificate": ("gateway.cli.charge_points.certificate", "certificate"),
        "upgrade": ("gateway.cli.charge_points.upgrade", "upgrade"),
        "revoke-certificate": ("gateway.cli.charge_points.revoke", "revoke_certificate"),
    }


@click.group("charge-point", cls=_Commands)
def charge_point() -> None:
    """Register charge points, change them, and take them away.

    A running gateway follows within a second; nothing has to be reloaded.
    """
