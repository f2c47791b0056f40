"""Writes what a ceremony has made: all of it or nothing, on the disk when it returns, in the place of nothing that is there."""

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from pki.errors import Misconfigured
from pki.keys import PrivateKey, write_key

__all__ = ["verify_nothing_there", "write_made"]

_PUBLIC_MODE: Final = 0o644


def verify_nothing_there(paths: Iterable[Path]) -> None:
    """Raises Misconfigured if one of them exists."""
    for path in paths:
        if path.is_symlink() or path.exists():
            raise Misconfigured(f"{path} is there already, and a ceremony replaces nothing")


def write_made(
    directory: Path,
    files: Mapping[str, bytes],
    keys: Iterable[tuple[Path, PrivateKey, bytes | None]],
    record_name: str,
    record: dict[str, Any],
) -> Path:
    """Keys by path, public files and the record by name. Returns the record's path. Raises OSError; nothing is left then."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    parts: dict[Path, Path] = {}
    done: list[Path] = []
    try:
        for path, key, secret in keys:
            parts[path] = _beside(path)
            write_key(key, parts[path], secret)
        text = msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"
        for name, data in {**files, record_name: text}.items():
            parts[directory / name] = _beside(directory / name)
            _write_public(parts[directory / name], data)
        for path, part in parts.items():
            part.rename(path)
            done.append(path)
        for place in {path.parent for path in parts}:
            _sync(place)
    except BaseException:
        for path in (*done, *parts.values()):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise
    return directory / record_name


def _beside(path: Path) -> Path:
    """Where it is written first."""
    return path.with_name(f".{path.name}.part")


def _write_public(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), _PUBLIC_MODE)
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
