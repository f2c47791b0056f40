"""Finds and loads the configuration for commands, and opens the registry that it names."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.actor import actor
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, shown, warn

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.store.registry import Registry

__all__ = ["PLACES", "config_option", "find_config", "open_registry", "read_config", "read_whereabouts"]

PLACES = (Path("gateway.toml"), Path("/etc/ocpp-gateway/gateway.toml"))


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--config, with the usual places as default."""
    return click.option(
        "--config",
        "config_path",
        metavar="FILE",
        default=None,
        help="Configuration file. Default: $OCPP_GATEWAY_CONFIG, ./gateway.toml, /etc/ocpp-gateway/gateway.toml.",
    )(function)


def find_config(given: str | None, *, as_json: bool = False) -> str:
    """The file to use. Raises Failure if there is none."""
    chosen = given or os.environ.get("OCPP_GATEWAY_CONFIG")
    if chosen:
        return chosen
    for place in PLACES:
        if place.exists():
            return str(place)
    return fail(
        "No configuration found. Name one with --config, or make one: ocpp-gateway init", USAGE, as_json=as_json
    )


def read_config(given: str | None, *, as_json: bool = False) -> "Config":
    """The configuration, well-formed but not cross-checked. Raises Failure with every problem.

    For commands that need to know where things are: a missing certificate file must not stand in the way of disabling
    a charge point or of asking for the status.
    """
    from gateway.config.load import ConfigError, load_unchecked

    try:
        return load_unchecked(find_config(given, as_json=as_json))
    except ConfigError as error:
        fail(str(error), USAGE, as_json=as_json, details=[str(problem) for problem in error.problems])


def read_whereabouts(given: str | None, *, as_json: bool = False) -> "Config":
    """As `read_config`; of a file with a mistake in it at least where the gateway is, with a warning.

    For commands that only look: a gateway whose reload has failed goes on, and is asked for the reason.
    """
    from gateway.config.load import ConfigError, load_unchecked
    from gateway.config.whereabouts import find_whereabouts

    path = find_config(given, as_json=as_json)
    try:
        return load_unchecked(path)
    except ConfigError as error:
        config = find_whereabouts(path)
        if config is None:
            fail(str(error), USAGE, as_json=as_json, details=[str(problem) for problem in error.problems])
        warn([f"{shown(problem)}: a gateway that runs has kept its last good state" for problem in error.problems])
        return config


@contextmanager
def open_registry(config: "Config", *, as_json: bool = False) -> Iterator["Registry"]:
    """The registry named by the configuration. Store errors end the command with their sentence."""
    from sqlalchemy.exc import SQLAlchemyError

    from gateway.store.errors import StoreError
    from gateway.store.registry import Registry

    try:
        registry = Registry.open(config.database_url, actor=actor())
        try:
            yield registry
        finally:
            registry.close()
    except StoreError as error:
        fail(str(error), NOT_OK, as_json=as_json)
    except SQLAlchemyError as error:
        # A database whose tables are there but do not hold what every registry holds.
        fail(f"The database is damaged; restore it from a backup ({type(error).__name__}).", NOT_OK, as_json=as_json)
