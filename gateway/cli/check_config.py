"""`check-config`: everything that is wrong with a configuration, with line and column."""

import contextlib
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import config_option, find_config
from gateway.cli.exit_codes import USAGE
from gateway.cli.output import json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.config.problems import Problem

__all__ = ["check_config"]


@click.command("check-config")
@config_option
@json_option
def check_config(config_path: str | None, as_json: bool) -> int:
    """Check a configuration and its rules without using them."""
    import msgspec

    from gateway.config.load import ConfigError, load_config_with_warnings, load_unchecked

    path = find_config(config_path, as_json=as_json)
    errors: list[Problem] = []
    warnings: list[Problem] = []
    config: Config | None = None
    try:
        config, warnings = load_config_with_warnings(path)
    except ConfigError as error:
        errors = list(error.problems)
        with contextlib.suppress(ConfigError):
            config = load_unchecked(path)
    if config is not None:
        wrong, unwise = _of_policy(config, path)
        errors += wrong
        warnings += unwise
    if as_json:
        print_json({"ok": not errors, "errors": msgspec.to_builtins(errors), "warnings": msgspec.to_builtins(warnings)})
    else:
        for problem in errors:
            click.echo(f"error: {shown(problem)}", err=True)
        for problem in warnings:
            click.echo(f"warning: {shown(problem)}", err=True)
        if not errors:
            click.echo(f"{shown(path)} is usable" + (f", {len(warnings)} warning(s)" if warnings else ""))
    return USAGE if errors else 0


def _of_policy(config: "Config", path: str) -> "tuple[list[Problem], list[Problem]]":
    """Errors and warnings of packs and site."""
    import time

    from gateway.config.policy_signature import signature_problem
    from gateway.config.policy_site import load_policy

    bundle = load_policy(config.policy, now=time.time(), config_path=path)
    found = bundle.problems
    errors: list[Problem] = [problem for problem in found if problem.severity == "error"]
    if not errors and (unsigned := signature_problem(config.policy, bundle.revision)) is not None:
        errors.append(unsigned)
    warnings: list[Problem] = [problem for problem in found if problem.severity != "error"]
    return errors, warnings
