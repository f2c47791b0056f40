"""The entry point. Nothing an operator types ends in a traceback; a defect of ours says so and where to find it."""

import contextlib
import io
import os
import pwd
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import click

from gateway import __version__
from gateway.cli.exit_codes import INTERNAL, INTERRUPTED, NOT_OK, READER_GONE, USAGE
from gateway.cli.lazy import LazyGroup
from gateway.cli.output import json_option, print_json

__all__ = ["main"]

_PROGRAM = "ocpp-gateway"
_COMPLETION = "_OCPP_GATEWAY_COMPLETE"


class _Commands(LazyGroup):
    modules: ClassVar = {
        "init": ("gateway.cli.init", "init"),
        "run": ("gateway.cli.run", "run"),
        "check-config": ("gateway.cli.check_config", "check_config"),
        "demo": ("gateway.cli.demo", "demo"),
        "simulate": ("gateway.cli.simulate", "simulate"),
        "charge-point": ("gateway.cli.charge_points", "charge_point"),
        "campaign": ("gateway.cli.campaigns", "campaign"),
        "capability": ("gateway.cli.capabilities", "capability"),
        "policy": ("gateway.cli.policy", "policy"),
        "firmware": ("gateway.cli.firmware", "firmware"),
        "pki": ("gateway.cli.pki", "pki"),
        "rollover": ("gateway.cli.rollover", "rollover"),
        "audit": ("gateway.cli.audit", "audit"),
        "report": ("gateway.cli.report", "report"),
        "why": ("gateway.cli.why", "why"),
        "status": ("gateway.cli.status", "status"),
        "doctor": ("gateway.cli.doctor", "doctor"),
    }


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM)
def _gateway() -> None:
    """OCPP security gateway: the box in front of an unmodified CSMS."""


@_gateway.command("version")
@json_option
def _version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        click.echo(__version__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command with these words (default: those of the process). Returns the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _prepare_streams()
    as_json = "--json" in words
    try:
        return _outcome(words, as_json=as_json)
    except BrokenPipeError:
        _let_go_of_stdout()
        return READER_GONE
    except (click.exceptions.Abort, KeyboardInterrupt, EOFError):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except OSError as error:
        # The surroundings, not the program: a full disk under standard output, a directory without permission.
        _show_traceback_if_wanted()
        _let_go_of_stdout()
        return _failed(_in_words(error), NOT_OK, as_json=as_json)
    except Exception:  # noqa: BLE001  the last line of defence before a traceback
        _show_traceback_if_wanted()
        return _defect(as_json=as_json)


def _outcome(words: list[str], *, as_json: bool) -> int:
    if not all(map(_is_text, words)):
        return _failed("Arguments must be UTF-8 text.", USAGE, as_json=as_json)
    if _COMPLETION in os.environ:
        _gateway.main(args=words, prog_name=_PROGRAM)
    try:
        with _gateway.make_context(_PROGRAM, words) as context:
            result: Any = _gateway.invoke(context)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except click.UsageError as error:
        if not as_json:
            error.show()
            return USAGE
        usage = error.ctx.get_usage() if error.ctx is not None else ""
        return _failed(error.format_message(), USAGE, as_json=True, usage=usage)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    """A closed stream is as good as an empty one; what a terminal cannot show becomes an escape, not an error."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_words(error: OSError) -> str:
    what = error.strerror or str(error)
    if not error.filename:
        return what
    owner = _owner_of(error.filename) if isinstance(error, PermissionError) and isinstance(error.filename, str) else ""
    return f"{error.filename}: {what}" + (f". It belongs to {owner}: run the command as that user" if owner else "")


def _owner_of(path: str) -> str:
    """Whose it is, or what of the way to it can be seen; empty if it is our own."""
    for each in (Path(path), *Path(path).absolute().parents):
        try:
            uid = each.stat().st_uid
        except OSError:
            continue
        if uid == os.geteuid():
            return ""
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"
    return ""


def _failed(message: str, code: int, *, as_json: bool, **more: Any) -> int:
    with contextlib.suppress(OSError):
        if as_json:
            print_json({"error": message, **more})
            return code
    # Not wanted as JSON, or standard output is what failed.
    with contextlib.suppress(OSError):
        click.echo(message, err=True)
    return code


def _show_traceback_if_wanted() -> None:
    if os.environ.get("OCPP_GATEWAY_DEBUG") == "1":
        traceback.print_exc()


def _let_go_of_stdout() -> None:
    """If standard output takes nothing any more, the interpreter must not stumble over it again at its end."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        return
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _defect(*, as_json: bool) -> int:
    message = "This is a defect in ocpp-gateway, not in what you typed."
    report = ""
    with (
        contextlib.suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w", prefix="ocpp-gateway-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file,
    ):
        traceback.print_exc(file=file)
        report = file.name
    where = f"Details are in {report}" if report else "OCPP_GATEWAY_DEBUG=1 shows the details."
    return _failed(f"{message} {where}", INTERNAL, as_json=as_json, report=report)
