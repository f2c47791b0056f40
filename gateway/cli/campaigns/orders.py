"""`campaign approve`, `start`, `pause`, `resume`, `abort`, `remove`: orders, left in the registry for the gateway."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import click

from gateway.cli.campaigns.announce import announce
from gateway.cli.campaigns.fields import by_option, name_argument
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.provisioning.campaign import Campaign
    from gateway.store.registry import Registry

__all__ = ["abort", "approve", "pause", "remove", "resume", "start"]

_What = Literal["start", "pause", "resume", "abort"]


@click.command()
@name_argument
@by_option
@config_option
@json_option
def start(name: str, by: str, config_path: str | None, as_json: bool) -> int:
    """Begin with the first wave of each kind."""
    return _order("start", name, by, config_path, as_json=as_json)


@click.command()
@name_argument
@by_option
@config_option
@json_option
def pause(name: str, by: str, config_path: str | None, as_json: bool) -> int:
    """Begin nothing new; what has begun is watched to its end."""
    return _order("pause", name, by, config_path, as_json=as_json)


@click.command()
@name_argument
@click.option("--stratum", type=click.IntRange(0), help="Only this one, by its number in `campaign status`.")
@by_option
@config_option
@json_option
def resume(name: str, stratum: int | None, by: str, config_path: str | None, as_json: bool) -> int:
    """Go on after a pause, or after somebody has looked at what halted.

    A wave that halted is repeated with other charge points before the next one begins.
    """
    return _order("resume", name, by, config_path, stratum=-1 if stratum is None else stratum, as_json=as_json)


@click.command()
@name_argument
@by_option
@config_option
@json_option
def abort(name: str, by: str, config_path: str | None, as_json: bool) -> int:
    """Begin nothing any more; what has begun is watched to its end."""
    return _order("abort", name, by, config_path, as_json=as_json)


@click.command()
@name_argument
@by_option
@config_option
@json_option
def approve(name: str, by: str, config_path: str | None, as_json: bool) -> int:
    """Agree to what cannot be undone, as somebody else than who has planned it."""
    config = read_config(config_path, as_json=as_json)
    lacks = announce(config, "approve", name, by, as_json=as_json)
    campaign = _changing(config, as_json=as_json)(lambda registry: registry.campaigns.approve(name, by, time.time()))
    from gateway.provisioning.people import name_of

    _say(
        {"name": name, "approved_by": name_of(campaign.approved_by), **lacks},
        f"{name} is approved by {shown(by)}.",
        as_json=as_json,
    )
    return 0


@click.command()
@name_argument
@config_option
@json_option
def remove(name: str, config_path: str | None, as_json: bool) -> int:
    """Forget one that is not under way, with its report."""
    config = read_config(config_path, as_json=as_json)
    lacks = announce(config, "remove", name, as_json=as_json)
    _changing(config, as_json=as_json)(lambda registry: registry.campaigns.remove(name))
    _say({"name": name, "removed": True, **lacks}, f"{name} is removed.", as_json=as_json)
    return 0


def _order(what: _What, name: str, by: str, config_path: str | None, *, stratum: int = -1, as_json: bool) -> int:
    from gateway.provisioning.campaign import Order

    order = Order(what=what, by=by, stratum=stratum)
    config = read_config(config_path, as_json=as_json)
    campaign = _changing(config, as_json=as_json)(lambda registry: registry.campaigns.order(name, order, time.time()))
    running = _is_running(config)
    then = "The gateway does it within a second." if running else "No gateway runs: the one that starts next does it."
    result = {"name": name, "ordered": what, "state_before": campaign.state.value, "gateway_running": running}
    _say(result, f"{name}: {what}. {then}", as_json=as_json)
    return 0


def _changing(config: "Config", *, as_json: bool) -> "Callable[[Callable[[Registry], Any]], Any]":
    """Does something with the registry; what is refused ends the command with its sentence."""

    def change(function: "Callable[[Registry], Campaign | None]") -> Any:
        from gateway.provisioning.campaign import OrderRefused

        with open_registry(config, as_json=as_json) as registry:
            try:
                return function(registry)
            except OrderRefused as refused:
                fail(f"Refused: {shown(refused)}.", NOT_OK, as_json=as_json)

    return change


def _is_running(config: "Config") -> bool:
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    try:
        get_status(config)
    except GatewayUnreachable:
        return False
    return True


def _say(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        click.echo(text)
