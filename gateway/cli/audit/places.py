"""Where the log is that a command is about, and which keys are trusted."""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, shown

if TYPE_CHECKING:
    from gateway.audit.note import VerifierKey
    from gateway.control.trail.layout import Shard

__all__ = ["directory_argument", "directory_option", "is_written", "log_directory", "read_vkeys", "shards_of"]

directory_argument = click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
directory_option = click.option(
    "--dir", "directory", metavar="DIR", type=click.Path(path_type=Path), help="The log, if not the configured one."
)


def log_directory(directory: Path | None, config_path: str | None, *, as_json: bool) -> Path:
    """The directory given, or that of the configuration."""
    return directory or Path(read_config(config_path, as_json=as_json).audit.directory)


def shards_of(directory: Path, *, as_json: bool) -> "list[Shard]":
    """The shards of a log, oldest first. Ends the command if there is none."""
    from gateway.control.trail.layout import shards_in

    found = shards_in(directory)
    if not found:
        fail(f"There is no audit log in {shown(directory)}.", NOT_OK, as_json=as_json)
    return found


def is_written(directory: Path) -> bool:
    """True if a gateway holds the lock of a log."""
    for place in (directory, directory.parent):
        try:
            descriptor = os.open(place / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
    return False


def read_vkeys(files: Iterable[Path], *, as_json: bool) -> "tuple[VerifierKey, ...]":
    """Keys from files with one vkey a line. Ends the command if one cannot be read."""
    from gateway.audit.note import NoteInvalid, parse_vkey

    found: list[Any] = []
    for file in files:
        try:
            lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
            found += map(parse_vkey, lines)
        except (OSError, UnicodeDecodeError, NoteInvalid) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            fail(f"{shown(file)}: {why}", USAGE, as_json=as_json)
        if not lines:
            fail(f"{shown(file)} holds no key.", USAGE, as_json=as_json)
    return tuple(found)
