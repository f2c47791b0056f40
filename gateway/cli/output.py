"""Results as one JSON document or as tables and sentences for people."""

import json
import sys
from typing import Any, NoReturn

import click
from rich.console import Console

__all__ = ["Failure", "console", "fail", "json_option", "print_json"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def console() -> Console:
    """For people; plain when standard output is not a terminal."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(value: Any) -> None:
    """Exactly one JSON document on standard output."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str))


class Failure(click.ClickException):
    """Ends a command with a sentence and an exit code."""

    def __init__(self, message: str, exit_code: int, *, as_json: bool = False, details: Any = None) -> None:
        super().__init__(message)
        self.__dict__["exit_code"] = exit_code
        self._as_json = as_json
        self._details = details

    def show(self, file: Any = None) -> None:
        """The sentence on standard error, or a JSON object on standard output."""
        del file
        if self._as_json:
            error: dict[str, Any] = {"error": self.message}
            if self._details is not None:
                error["details"] = self._details
            print_json(error)
        else:
            click.echo(self.message, err=True)


def fail(message: str, exit_code: int, *, as_json: bool = False, details: Any = None) -> NoReturn:
    """Raise Failure."""
    raise Failure(message, exit_code, as_json=as_json, details=details)
