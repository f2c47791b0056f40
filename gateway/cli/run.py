"""`run`: the gateway itself."""

import click

from gateway.cli.configuration import config_option, find_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail

__all__ = ["run"]


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
def run(config_path: str | None, as_json: bool) -> int:
    """Run the gateway until SIGTERM. SIGHUP reloads."""
    from gateway.app.supervisor import run as run_gateway
    from gateway.config.load import ConfigError

    path = find_config(config_path, as_json=as_json)
    try:
        return run_gateway(path, json_output=as_json)
    except ConfigError as error:
        fail(str(error), USAGE, as_json=as_json, details=[str(problem) for problem in error.problems])
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        fail(f"The gateway cannot start: {place}{error.strerror or error}", NOT_OK, as_json=as_json)
