"""`check-config`: everything that is wrong with a configuration, with line and column."""

import click

from gateway.cli.configuration import config_option, find_config
from gateway.cli.exit_codes import USAGE
from gateway.cli.output import json_option, print_json, shown

__all__ = ["check_config"]


@click.command("check-config")
@config_option
@json_option
def check_config(config_path: str | None, as_json: bool) -> int:
    """Check a configuration without using it."""
    import msgspec

    from gateway.config.load import ConfigError, Problem, load_config_with_warnings

    path = find_config(config_path, as_json=as_json)
    errors: list[Problem] = []
    try:
        _, warnings = load_config_with_warnings(path)
    except ConfigError as error:
        errors, warnings = error.problems, []
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
