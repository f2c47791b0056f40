"""The entry point. Nothing an operator types ends in a traceback; a defect of ours says so and where to find it."""

import importlib
import os
import sys
import tempfile
import traceback
from typing import Final

import click

from gateway import __version__
from gateway.cli.exit_codes import INTERNAL, INTERRUPTED, USAGE

__all__ = ["main"]

_COMMANDS: Final = {
    "init": ("gateway.cli.init", "init"),
    "run": ("gateway.cli.run", "run"),
    "check-config": ("gateway.cli.check_config", "check_config"),
    "demo": ("gateway.cli.demo", "demo"),
    "charge-point": ("gateway.cli.charge_points", "charge_point"),
    "why": ("gateway.cli.why", "why"),
    "status": ("gateway.cli.status", "status"),
    "doctor": ("gateway.cli.doctor", "doctor"),
}


class _Lazy(click.Group):
    """Imports a command when it is used, so that --help and the short ones start fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*_COMMANDS, "version"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from gateway.config.suggest import did_you_mean

        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            hint = did_you_mean(args[0], self.list_commands(ctx))
            ctx.fail(f"No such command {args[0]!r}." + (f" Did you mean {hint!r}?" if hint else ""))
        return super().resolve_command(ctx, args)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ocpp-gateway")
def _gateway() -> None:
    """OCPP security gateway: the box in front of an unmodified CSMS."""


@_gateway.command("version")
def _version() -> None:
    """Print the version."""
    click.echo(__version__)


def main() -> int:
    """Run a command. Returns the exit code."""
    try:
        result = _gateway.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception:  # noqa: BLE001  the last line of defence before a traceback
        return _defect()
    return result if isinstance(result, int) else 0


def _defect() -> int:
    if os.environ.get("OCPP_GATEWAY_DEBUG") == "1":
        traceback.print_exc()
        return INTERNAL
    with tempfile.NamedTemporaryFile("w", prefix="ocpp-gateway-", suffix=".txt", delete=False) as report:
        traceback.print_exc(file=report)
    click.echo(f"This is a defect in ocpp-gateway, not in what you typed. Details are in {report.name}", err=True)
    return INTERNAL
