"""The live terminal view of the demo: who is in, and who is not, and why."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gateway.demo.cast import ACTORS
from gateway.demo.charge_point import Progress
from gateway.demo.misfits import Refused
from gateway.demo.upgrades import Upgraded

__all__ = ["render"]

_SERIAL_DIGITS = 12


def _admitted(progress: dict[str, Progress]) -> Table:
    table = Table(title="Charge points", title_justify="left", expand=True, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("identity", "OCPP", "security\nprofile", "key", "state", "msgs", "charged", "CSMS call"):
        table.add_column(column, no_wrap=column != "state", overflow="fold")
    for actor in ACTORS:
        one = progress[actor.id]
        colour = "red" if one.error else "green" if one.admitted else "yellow"
        table.add_row(
            actor.id,
            str(actor.version),
            f"{int(actor.security_profile)}",
            actor.key_kind or "password",
            Text(one.error or one.state, style=colour),
            str(one.messages),
            str(one.transactions),
            "answered" if one.csms_call_answered else "-",
        )
    return table


def _refused(refused: Sequence[Refused], expected: int) -> Table:
    title = f"Refused ({len(refused)} of {expected})"
    table = Table(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("claims to be", "case", "sees", "recorded stage", "and reason"):
        table.add_column(column, no_wrap=column in {"claims to be", "sees"}, overflow="fold")
    for one in refused:
        style = "green" if one.as_expected else "red"
        table.add_row(
            one.misfit.id, one.misfit.case, one.seen or "got in!", one.stage, Text(one.reason or "?", style=style)
        )
    return table


def _upgraded(upgraded: Sequence[Upgraded]) -> Table:
    title = "Moved to another security profile by the gateway, with their first certificate"
    table = Table(title=title, title_justify="left", expand=True, box=SIMPLE_HEAD, pad_edge=False)
    for column in ("identity", "OCPP", "from", "to", "state", "certificate", "renewed"):
        table.add_column(column, no_wrap=column == "identity", overflow="fold")
    for one in upgraded:
        style = "red" if one.error else "green" if one.is_proven else "yellow"
        table.add_row(
            one.actor.id,
            str(one.actor.version),
            str(one.from_profile),
            str(one.to_profile),
            Text(one.error or one.state, style=style),
            one.certificate_serial[:_SERIAL_DIGITS] or "-",
            one.renewed_serial[:_SERIAL_DIGITS] or "-",
        )
    return table


def render(
    progress: dict[str, Progress],
    refused: Sequence[Refused],
    expected: int,
    upgraded: Sequence[Upgraded],
    footer: str,
) -> RenderableType:
    """The whole screen."""
    return Group(_admitted(progress), _upgraded(upgraded), _refused(refused, expected), Text(footer, style="dim"))
