"""Reads and writes the files that commands are given. Every problem is a sentence."""

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, shown

__all__ = ["is_interactive", "read_bytes", "read_text", "shown_name", "write_text"]

_MAX_BYTES = 256 * 1024 * 1024
"""More than any fleet, less than the memory: `/dev/zero` must end in a sentence, too."""


def shown_name(name: str) -> str:
    """A file's name for people."""
    return "standard input" if name == "-" else shown(name)


def read_bytes(name: str, *, as_json: bool = False) -> bytes:
    """The bytes of a file, or of standard input for ``-``. Raises Failure."""
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        fail(f"{shown_name(name)}: {error.strerror or error}", NOT_OK, as_json=as_json)
    if len(data) > _MAX_BYTES:
        fail(f"{shown_name(name)} is too large", NOT_OK, as_json=as_json)
    return data


def read_text(name: str, *, hint: str = "", as_json: bool = False) -> str:
    """A file, or standard input, as UTF-8 text; a byte order mark is dropped. Raises Failure.

    `hint`: what to do about text in another encoding.
    """
    data = read_bytes(name, as_json=as_json)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        fail(f"{shown_name(name)} is not UTF-8 text (line {line}).{hint}", NOT_OK, as_json=as_json)


def write_text(
    path: Path,
    text: str,
    *,
    mode: int,
    overwrite: bool,
    make_directory: bool = False,
    as_json: bool = False,
    remedy: str = "--force replaces it",
) -> None:
    """The whole text or nothing: another file beside it takes its place. Raises Failure.

    `mode` is reduced by the umask. What exists and is no regular file is never replaced. `remedy`: for a file that exists.
    """
    try:
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode) and not path.is_file():
                fail(f"{shown(path)} exists and is not a file.", NOT_OK, as_json=as_json)
            if not overwrite:
                fail(f"{shown(path)} exists already; {remedy}.", NOT_OK, as_json=as_json)
        target = path.resolve()
        if make_directory:
            target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode & ~_umask())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        fail(f"{shown(path)} cannot be written: {error.strerror or error}", NOT_OK, as_json=as_json)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def is_interactive() -> bool:
    """True if somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()
