"""Results as one JSON document or as tables and sentences for people.

Identities, names and details come from peers and files. On a terminal they are shown literally: no markup is
interpreted and nothing in them reaches the terminal as a control sequence (CWE-150).
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Failure", "console", "fail", "json_option", "print_json", "print_table", "shown", "warn"]

_PIPE_WIDTH = 4_000
"""Not a terminal: a line is a line, whatever it holds."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def shown(value: object) -> str:
    """Any text as one line that a terminal shows as it is: controls, line breaks and bidi marks as escapes."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def console() -> "Console":
    """For people; wide, plain and without colours when standard output is not a terminal."""
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # `main` decides, as for every other way of printing

    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return _Console(highlight=False, markup=False, emoji=False, width=width)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on standard output, with frames only on a terminal; its cells are shown literally."""
    cells = [tuple(map(shown, row)) for row in rows]
    if sys.stdout.isatty():
        _print_frames(title, columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    click.echo(title)
    for row in (tuple(columns), *cells):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_frames(title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console().print(table)


def print_json(value: Any) -> None:
    """Exactly one JSON document on standard output."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None, default=str))


def warn(messages: Iterable[str]) -> None:
    """One line each on standard error."""
    for message in messages:
        click.echo(f"warning: {message}", err=True)


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
