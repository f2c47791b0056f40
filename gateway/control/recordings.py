"""The recording of relayed traffic: one file of JSON lines and the one before it, each at most as long as configured.

Nothing waits for it: what cannot be written is counted and complained about. The lines hold no secret
(`gateway.audit.redaction`); who may read them still knows when which charge point was used, so the file is the gateway's alone.
"""

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from gateway.config.model import Config
from gateway.identity.record import ChargePointRecord
from gateway.link.messages import RecordedLines, RecordingSettings

__all__ = ["Recordings", "recording_path", "recording_settings"]

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
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise OSError(f"{path} is not a key of {_KEY_BYTES} bytes; remove it to have a new one made, and reload")
    return RecordingSettings(key, config.recording.groups)


def _make_key(path: Path) -> None:
    """All of it or nothing, whenever we are killed and however full the disk is; one that is there already stays."""
    descriptor, name = tempfile.mkstemp(prefix=path.name + ".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def recording_path(config: Config) -> Path:
    """Where a configuration puts the file."""
    return Path(config.recording.path or Path(config.state_dir) / "recording.jsonl")


class _Target(msgspec.Struct, frozen=True):
    path: Path
    max_bytes: int


class Recordings:
    """Takes lines from edges; `flush` writes them in a thread."""

    def __init__(self) -> None:
        self._target: _Target | None = None
        self._groups: frozenset[str] = frozenset()
        self._waiting: deque[tuple[_Target, RecordedLines]] = deque()
        """With the file that was asked for when they were recorded."""
        self._waiting_bytes = 0
        self._torn: Path | None = None
        self.count = 0
        self.lost = 0
        self.error = ""

    def use(self, config: Config, settings: RecordingSettings | None, why: str = "") -> None:
        """Write what comes from now on where the configuration says, or nowhere.

        `settings`: what edges have been given; `why` they have been given none although the configuration asks for it.
        """
        recording = config.recording
        self._target = _Target(recording_path(config), recording.max_bytes) if recording.enabled else None
        self._groups, self.error = frozenset(recording.groups), ""
        if self._target is None:
            return
        if settings is None:
            self.error = why or "there was no key when this configuration was put into force; reload"
        else:
            try:
                os.close(_open(self._target.path))
            except OSError as error:
                self.error = str(error)
        if self.error:
            _log.error("recording_failed", path=str(self._target.path), error=self.error)

    def add(self, recording: RecordedLines) -> None:
        """Take lines of an edge."""
        if self._target is None or self._waiting_bytes + len(recording.lines) > _MAX_WAITING_BYTES:
            self.lost += recording.count
            return
        self._waiting.append((self._target, recording))
        self._waiting_bytes += len(recording.lines)

    async def flush(self) -> None:
        """Write what waits, also what waited when recording was switched off or sent elsewhere."""
        while self._waiting:
            target, batch = self._waiting[0][0], []
            while self._waiting and self._waiting[0][0] == target:
                batch.append(self._waiting.popleft()[1])
            self._waiting_bytes -= sum(len(each.lines) for each in batch)
            await self._write_batch(target, batch)

    async def _write_batch(self, target: _Target, batch: list[RecordedLines]) -> None:
        count = sum(each.count for each in batch)
        try:
            await asyncio.to_thread(self._write, target, b"".join(each.lines for each in batch))
        except OSError as error:
            if not self.error:
                _log.error("recording_failed", path=str(target.path), error=str(error))
            self.lost, self.error = self.lost + count, str(error)
        else:
            self.count, self.error = self.count + count, ""

    def _write(self, target: _Target, lines: bytes) -> None:
        path = target.path
        descriptor = _open(path)
        try:
            if (size := os.fstat(descriptor).st_size) and size + len(lines) > target.max_bytes:
                path.replace(path.with_name(path.name + ".1"))
                full, descriptor = descriptor, _open(path)
                os.close(full)
            text, done = (b"\n" if self._torn == path else b"") + lines, 0
            self._torn = path
            while done < len(text):
                done += os.write(descriptor, memoryview(text)[done:])
            self._torn = None
        finally:
            os.close(descriptor)

    def status(self, records: Iterable[ChargePointRecord] = ()) -> dict[str, Any]:
        """For `ocpp-gateway status`; empty where nothing is recorded. `records`: all registered charge points."""
        if self._target is None:
            return {}
        error = self.error
        if not error and (missing := self._groups - {record.group for record in records}):
            error = f"no charge point is registered in the group {', '.join(sorted(missing))}"
        return {"path": str(self._target.path), "frames": self.count, "lost": self.lost, "error": error}


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
