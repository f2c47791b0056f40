"""`charge-point roots`: which roots a charge point has, and one more or one less."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.output import console, fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config

__all__ = ["roots"]

_WAIT_S = 300.0
"""Each call to the charge point waits for its turn; there are up to seven."""
_KINDS = ("csms", "manufacturer", "v2g", "mo", "oem")


@click.group("roots")
def roots() -> None:
    """Ask it for its roots; install or delete one.

    The charge point must be connected. Guards keep the last root, and the one that this gateway is known by.
    """


@roots.command("list")
@click.argument("charge_point_id", metavar="ID")
@config_option
@json_option
def list_roots(charge_point_id: str, config_path: str | None, as_json: bool) -> int:
    """Ask which roots it has."""
    config = read_config(config_path, as_json=as_json)
    return _order(config, "/roots", {"charge_point_id": charge_point_id}, as_json=as_json)


@roots.command("install")
@click.argument("charge_point_id", metavar="ID")
@click.argument("certificate", metavar="PEM")
@click.option("--kind", type=click.Choice(_KINDS), default="csms", show_default=True, help="What it is trusted for.")
@click.option(
    "--signed-by",
    metavar="PEM",
    help="The root that has signed it, for a charge point that demands a link (AdditionalRootCertificateCheck).",
)
@config_option
@json_option
def install_root(
    charge_point_id: str, certificate: str, kind: str, signed_by: str | None, config_path: str | None, as_json: bool
) -> int:
    """Install a root from a PEM file, and see whether it is there then.

    Nothing is sent that is no root, expired, too long, or does not fit into its store.
    """
    from gateway.cli.files import read_text

    config = read_config(config_path, as_json=as_json)
    question = {
        "charge_point_id": charge_point_id,
        "kind": kind,
        "certificate": read_text(certificate, as_json=as_json),
    }
    if signed_by is not None:
        question["signed_by"] = read_text(signed_by, as_json=as_json)
    return _order(config, "/install-root", question, as_json=as_json)


@roots.command("delete")
@click.argument("charge_point_id", metavar="ID")
@click.argument("root", metavar="ROOT")
@config_option
@json_option
def delete_root(charge_point_id: str, root: str, config_path: str | None, as_json: bool) -> int:
    """Delete a root, named as in the list, and see whether it is gone then."""
    config = read_config(config_path, as_json=as_json)
    return _order(config, "/delete-root", {"charge_point_id": charge_point_id, "root": root}, as_json=as_json)


def _order(config: "Config", path: str, question: dict[str, Any], *, as_json: bool) -> int:
    from gateway.cli.gateway_client import GatewayFailed, GatewayUnreachable, order

    try:
        found = order(config, path, question, _WAIT_S)
    except GatewayFailed as error:
        fail(f"It is not known whether it was done: {error}", NOT_OK, as_json=as_json)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if found["refused"]:
        fail(f"Not done: {shown(found['refused'])}", NOT_OK, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return 0


def _print(found: dict[str, Any]) -> None:
    out = console()
    for root in found["roots"]:
        line = f"{root['root']}  {root['kind']:<12}  serial {root['serial_number']}  ({root['hash_algorithm']})"
        out.print(shown(line), soft_wrap=True)
    if not found["roots"]:
        out.print("It has no roots.")
    room = f"; room for {found['capacity']}" if found["capacity"] else ""
    link = "demands that a new CSMS root is signed by the old one" if found["demands_link"] else "demands no link"
    out.print(f"It {link}{room}.", soft_wrap=True)
