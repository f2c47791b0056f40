"""Arguments of the campaign commands: durations, windows, zones, names, and who gives the command."""

import getpass
import os
import re
from collections.abc import Callable
from typing import Any

import click

__all__ = ["DURATION", "WINDOW", "ZONE", "by_option", "name_argument"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_MAX_PERSON_CHARS = 100


class _Duration(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = _DURATION.fullmatch(str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no duration: write 90s, 15m, 2h or 1d.", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class _Window(click.ParamType):  # type: ignore[type-arg]
    name = "window"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from gateway.provisioning.campaign_window import Window, parse_window

        if isinstance(value, Window):
            return value
        try:
            return parse_window(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class _Zone(click.ParamType):  # type: ignore[type-arg]
    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        text = str(value)
        try:
            if text != "UTC":
                ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(f"This machine knows no time zone {text!r}; it is written like Europe/Berlin.", param, ctx)
        return text


class _Name(click.ParamType):  # type: ignore[type-arg]
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _NAME.fullmatch(str(value)):
            self.fail(f"{value!r} is no name: letters, digits, '.', '_' and '-', at most 64.", param, ctx)
        return str(value)


class _Person(click.ParamType):  # type: ignore[type-arg]
    name = "person"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = " ".join(str(value).split())
        if not text or not text.isprintable() or len(text) > _MAX_PERSON_CHARS:
            self.fail(f"A name of 1 to {_MAX_PERSON_CHARS} characters is needed.", param, ctx)
        return text


DURATION = _Duration()
WINDOW = _Window()
ZONE = _Zone()


def _myself() -> str:
    """Whoever has become the gateway's user, or that user."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def name_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """NAME of a campaign."""
    return click.argument("name", metavar="NAME", type=_Name())(function)


def _noted(_: click.Context, __: click.Parameter, name: str) -> str:
    """With the account and login session of this command."""
    from gateway.control.accounts import login_of, user_name
    from gateway.provisioning.people import noted

    return noted(name, user_name(os.getuid()), login_of("self"))


def by_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """--by, who gives the command; it goes on record and is not verified. Beside it stands who the system says it is."""
    return click.option(
        "--by",
        metavar="PERSON",
        type=_Person(),
        default=_myself,
        callback=_noted,
        help="Who says so, for the record. Default: your login.",
    )(function)
