"""The recording of relayed traffic: one file of JSON lines and the one before it, each at most as long as configured.

Nothing waits for it: what cannot be written is counted and complained about. The lines hold no secret
(`gateway.audit.redaction`); who may read them still knows when which charge point was used, so the file is the gateway's alone.
"""

import asyncio
import contextlib
import os
import secrets
from collections import deque
from pathlib import Path
from typing import Any, Final

import structlog

from gateway.config.model import Config
from gateway.link.messages import RecordedLines, RecordingSettings

__all__ = ["Recordings", "recording_settings"]

_KEY_BYTES: Final = 32
_MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
_log = structlog.get_logger("control.recordings")


def recording_settings(config: Config) -> RecordingSettings | None:
    """What edges need to record, None if they are not to. The key is made where there is none. Raises OSError.

    It stays the same over restarts, so that a token has one pseudonym in the whole recording; whoever gives recordings
    away keeps the key.
    """
    if not config.recording.enabled:
        return None
    path = Path(config.state_dir) / "recording.key"
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{path} is not a key of {_KEY_BYTES} bytes; remove it to have a new one made")
    return RecordingSettings(key, config.recording.groups)


class Recordings:
    """Takes lines from edges; `flush` writes them in a thread."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._max_bytes = 0
        self._waiting: deque[RecordedLines] = deque()
        self._waiting_bytes = 0
        self._torn = False
        self.count = 0
        self.lost = 0
        self.error = ""

    def use(self, config: Config) -> None:
        """Write where the configuration says from the next flush on, or nowhere."""
        recording = config.recording
        path = Path(recording.path) if recording.path else Path(config.state_dir) / "recording.jsonl"
        self._path = path if recording.enabled else None
        self._max_bytes, self._torn, self.error = recording.max_bytes, False, ""

    def add(self, recording: RecordedLines) -> None:
        """Take lines of an edge."""
        if self._path is None or self._waiting_bytes + len(recording.lines) > _MAX_WAITING_BYTES:
            self.lost += recording.count
            return
        self._waiting.append(recording)
        self._waiting_bytes += len(recording.lines)

    async def flush(self) -> None:
        """Write what waits."""
        path = self._path
        if path is None or not self._waiting:
            return
        batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._waiting_bytes = 0
        count = sum(each.count for each in batch)
        try:
            await asyncio.to_thread(self._write, path, b"".join(each.lines for each in batch))
        except OSError as error:
            if not self.error:
                _log.error("recording_failed", path=str(path), error=str(error))
            self.lost, self.error = self.lost + count, str(error)
        else:
            self.count, self.error = self.count + count, ""

    def _write(self, path: Path, lines: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if (size := os.fstat(descriptor).st_size) and size + len(lines) > self._max_bytes:
                path.replace(path.with_name(path.name + ".1"))
                os.close(descriptor)
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            text, done = (b"\n" if self._torn else b"") + lines, 0
            self._torn = True
            while done < len(text):
                done += os.write(descriptor, memoryview(text)[done:])
            self._torn = False
        finally:
            os.close(descriptor)

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status`; empty where nothing is recorded."""
        if self._path is None:
            return {}
        return {"path": str(self._path), "frames": self.count, "lost": self.lost, "error": self.error}
