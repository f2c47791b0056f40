"""Who can change a file. What others can write proves nothing, however well its records are chained."""

import os
import stat
from pathlib import Path
from typing import Final

from pki.errors import Misconfigured

__all__ = ["verify_only_owner_writes"]

_WRITE_OF_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def verify_only_owner_writes(path: Path, facts: os.stat_result) -> None:
    """Raises Misconfigured, with the remedy, if it is no file, or others than we and root can change it or put another in its place.

    `facts`: of the file, opened. Root works for the owner of the directory.
    """
    if not stat.S_ISREG(facts.st_mode):
        raise Misconfigured(f"{path} is not a file")
    directory = path.parent.stat()
    trusted = {0, os.geteuid()} | ({directory.st_uid} if os.geteuid() == 0 else set())
    if facts.st_uid not in trusted:
        raise Misconfigured(f"{path} belongs to another user, who can change it")
    if facts.st_mode & _WRITE_OF_OTHERS:
        raise Misconfigured(f"{path} can be changed by others: chmod go-w {path}")
    if directory.st_mode & _WRITE_OF_OTHERS and not directory.st_mode & stat.S_ISVTX:
        raise Misconfigured(f"{path} can be replaced by others: chmod go-w {path.parent}")
