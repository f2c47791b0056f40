"""What a sink has given up on: where it lies in the log, and why. The record itself stays there."""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.siem import Located

__all__ = ["DeadLetters"]

_MAX_BYTES: Final = 1 << 20
_MAX_WHY_CHARS: Final = 300


class DeadLetters:
    """A file of JSON lines, of bounded size. What does not fit, or cannot be written, is in the gateway's own log only."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, where: Located, why: str) -> None:
        """One more."""
        line = {"time": int(time.time()), "origin": where.origin, "index": where.index, "why": why[:_MAX_WHY_CHARS]}
        with contextlib.suppress(OSError):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                if os.fstat(descriptor).st_size < _MAX_BYTES:
                    os.write(descriptor, msgspec.json.encode(line) + b"\n")
            finally:
                os.close(descriptor)
