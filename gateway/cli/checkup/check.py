"""What one look at an installation found."""

from typing import Literal

import msgspec

__all__ = ["AS_ITS_USER", "Check", "Level", "error", "ok", "warning"]

Level = Literal["ok", "warning", "error"]
AS_ITS_USER = "Run this as the user of the gateway."


class Check(msgspec.Struct, frozen=True):
    """One finding; `remedy` says what to do about it, and is empty only if nothing is to be done."""

    check: str
    """What was looked at: a stable name in kebab-case."""
    level: Level
    message: str
    remedy: str = ""


def ok(check: str, message: str) -> Check:
    """As it should be."""
    return Check(check, "ok", message)


def warning(check: str, message: str, remedy: str) -> Check:
    """It runs, but something will go wrong or is unwise."""
    return Check(check, "warning", message, remedy)


def error(check: str, message: str, remedy: str) -> Check:
    """It does not run, or charge points cannot connect."""
    return Check(check, "error", message, remedy)
