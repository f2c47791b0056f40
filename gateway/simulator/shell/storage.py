"""The non-volatile memory as a file, so that a process can be killed and its charge points go on."""

import os
import urllib.parse
from pathlib import Path

import msgspec

from gateway.simulator.core.memory import Memory, restore

__all__ = ["MemoryFile", "MemoryUnreadable"]


class MemoryUnreadable(Exception):  # noqa: N818  the state of a file
    """A file that is none of ours; says which."""


class MemoryFile:
    """Of one charge point, in `directory`. It holds keys and passwords: only its owner may read it."""

    def __init__(self, directory: Path, identity: str) -> None:
        self.path = directory / f"{urllib.parse.quote(identity, safe='')}.json"

    def load(self) -> Memory | None:
        """What was kept, or None. Raises MemoryUnreadable, OSError."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return restore(data)
        except msgspec.MsgspecError as error:
            raise MemoryUnreadable(f"{self.path} is no memory of a simulated charge point: {error}") from None

    def store(self, memory: bytes) -> None:
        """All or nothing, also if the process is killed here. Raises OSError."""
        beside = self.path.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(memory)
        beside.replace(self.path)
