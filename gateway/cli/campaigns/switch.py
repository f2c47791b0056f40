"""`campaign switch`: listeners show their next server chains, once the charge points have the root above them."""

from typing import Any

import click

from gateway.cli.campaigns.fields import by_option, name_argument
from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE, USAGE
from gateway.cli.finite import FiniteRange
from gateway.cli.output import console, fail, json_option, print_json, shown

__all__ = ["switch"]

_TIMEOUT_S = 60.0
_SHOWN_LACKING = 20


@click.command()
@name_argument
@click.option("--dry-run", is_flag=True, help="Say who has listed the new root, and whether it would be done.")
@click.option("--share", type=FiniteRange(0, 1, min_open=True), default=1.0, show_default=True, help="Who must have.")
@click.option("--except", "exceptions", multiple=True, metavar="ID", help="It need not have the new root. Repeatable.")
@click.option("--back", is_flag=True, help="Show the chains before again.")
@click.option(
    "--unsafe-strand",
    is_flag=True,
    help="Though those without the root cannot verify the chain: there is no link in it.",
)
@by_option
@config_option
@json_option
def switch(  # noqa: PLR0913  one for each option
    name: str,
    *,
    dry_run: bool,
    share: float,
    exceptions: tuple[str, ...],
    back: bool,
    unsafe_strand: bool,
    by: str,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Show charge points the chains under the new root of a campaign of kind root.

    By what each of them has listed, members of the campaign or not. Exit code 1 if it is not done, or would not be.
    """
    if back and (dry_run or exceptions):
        fail("--back has nothing to do with --dry-run and --except", USAGE, as_json=as_json)
    config = read_config(config_path, as_json=as_json)
    question = {"campaign": name, "by": by, "share": share, "exceptions": exceptions, "dry_run": dry_run, "back": back}
    found = _asked(config, question | {"unsafe_strand": unsafe_strand}, as_json=as_json)
    if as_json:
        print_json(found)
    elif back:
        click.echo("The chains before are shown again.")
    else:
        _print(found, dry_run=dry_run)
    return 0 if found["go"] else NOT_OK


def _asked(config: Any, question: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    from gateway.cli.gateway_client import GatewayUnreachable, order

    try:
        answer = order(config, "/switch-chain", question, _TIMEOUT_S)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if answer["refused"]:
        fail(f"Not done: {shown(answer['refused'])}.", NOT_OK, as_json=as_json)
    return answer


def _print(found: dict[str, Any], *, dry_run: bool) -> None:
    out = console()
    out.print(f"{found['have']} of {found['total']} charge points have listed the new root.")
    for identity in found["lacking"][:_SHOWN_LACKING]:
        then = "would verify the new chain by its link" if found["has_link"] else "would be lost"
        out.print(f"  {shown(identity)} has not, and {then}", soft_wrap=True)
    if found["why_not"]:
        out.print(f"NO-GO: {shown(found['why_not'])}.", soft_wrap=True)
    elif dry_run:
        out.print("GO. Nothing was changed.")
    else:
        out.print(
            "The new chains are shown." if found["in_force"] else "It is written, and not in force yet: see status."
        )
