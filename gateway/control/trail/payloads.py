"""Texts of messages, outside the tree: encrypted, each with a key of its own, and committed to by its record.

A record holds SHA-256 over a random salt and the text (``body.commit``). Salt and text lie in a file for each day beside the
shards, the keys in another one beside the signing keys. A text whose key is destroyed is gone, in every copy of the log; its
record, and every proof, stays what it was.

======== ===================================================================================
payloads frames of: first 16 bytes of the commitment, u32 length, 12 bytes nonce, AES-256-GCM
keys     rows of 48 bytes: first 16 bytes of the commitment, key
======== ===================================================================================
"""

import hashlib
import hmac
import os
import re
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import read_file

__all__ = ["SALT_BYTES", "Disclosed", "PayloadGone", "PayloadStore", "Payloads"]

_ID_BYTES: Final = 16
SALT_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_ROW_BYTES: Final = _ID_BYTES + _KEY_BYTES
_HEADER: Final = struct.Struct(">16sI")
_WINDOW_BYTES: Final = 1 << 20
_ROWS_AT_ONCE: Final = 8192
"""Some milliseconds, in which other threads wait."""
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class PayloadGone(Exception):  # noqa: N818  a state
    """A text that cannot be read any more. `is_destroyed`: its key is not there; else it is missing or altered."""

    def __init__(self, why: str, *, is_destroyed: bool = False) -> None:
        super().__init__(why)
        self.is_destroyed = is_destroyed


class Disclosed(msgspec.Struct, frozen=True):
    """A text, and the salt with which its record commits to it: SHA-256 over both is ``body.commit``."""

    salt: bytes
    """`SALT_BYTES` of them, no more: otherwise a part of the text could be called salt."""
    text: bytes

    def __repr__(self) -> str:
        return "Disclosed(<hidden>)"


class _New(msgspec.Struct):
    """What is written at the next flush."""

    frames: bytearray
    rows: bytearray


class Payloads:
    """What there is of one day, to be read."""

    def __init__(self, payloads: Path, keys: Path) -> None:
        """Raises OSError."""
        self._data = read_file(payloads) if payloads.exists() else b""
        self._keys = dict(_rows(read_file(keys) if keys.exists() else b""))
        self._places = {name: (at, size) for name, at, size in _frames(self._data)}

    def text(self, commit: str) -> bytes:
        """The text that a record commits to. Raises PayloadGone."""
        return self.disclosed(commit).text

    def disclosed(self, commit: str) -> Disclosed:
        """The text that a record commits to, and what convinces others of that. Raises PayloadGone."""
        whole = bytes.fromhex(commit)
        name = whole[:_ID_BYTES]
        key, place = self._keys.get(name), self._places.get(name)
        if key is None:
            raise PayloadGone("its key is destroyed (shredded, or too old)", is_destroyed=True)
        if place is None:
            raise PayloadGone("it is not there")
        sealed = self._data[place[0] : place[0] + place[1]]
        try:
            salted = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
        except InvalidTag:
            raise PayloadGone("it was altered") from None
        if not hmac.compare_digest(hashlib.sha256(salted).digest(), whole):
            raise PayloadGone("it is not what the record commits to")
        return Disclosed(salted[:SALT_BYTES], salted[SALT_BYTES:])


class PayloadStore:
    """One writer at a time: the gateway, or a command while none runs. One thread adds, another one may destroy."""

    def __init__(
        self, directory: Path, keys: Path, disk: Disk | None = None, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._disk = disk or Disk()
        self._random = random
        self._new: dict[str, _New] = {}
        self._whole: set[Path] = set()
        """Files whose end was looked at."""
        self._lock = threading.Lock()
        """Held by who appends to a file of keys, and by who puts another one in its place."""

    # -- writing

    def add(self, day: str, text: bytes) -> str:
        """Keep a text, from the next flush on; its commitment in hexadecimal."""
        salted = self._random(SALT_BYTES) + text
        whole = hashlib.sha256(salted).digest()
        key, nonce, name = self._random(_KEY_BYTES), self._random(_NONCE_BYTES), whole[:_ID_BYTES]
        sealed = nonce + AESGCM(key).encrypt(nonce, salted, name)
        new = self._new.setdefault(day, _New(bytearray(), bytearray()))
        new.frames += _HEADER.pack(name, len(sealed)) + sealed
        new.rows += name + key
        return whole.hex()

    def flush(self) -> None:
        """Wait until all that was added is on the disk. Raises OSError; then it is given up."""
        added, self._new = self._new, {}
        for day, new in added.items():
            payloads, keys = self._directory / day, self._keys / day
            self._append(payloads, new.frames, partial(_end_of_frames, keys=keys))
            with self._lock:
                self._append(keys, new.rows, _end_of_rows)

    def _append(self, path: Path, data: bytearray, end_of: Callable[[int], int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if path not in self._whole:
                # A crash may have left the beginning of a frame, behind which nothing could be found any more.
                self._disk.truncate(descriptor, end_of(descriptor))
            self._whole.discard(path)
            self._disk.write_all(descriptor, bytes(data))
            self._disk.fdatasync(descriptor)
            self._whole.add(path)
        finally:
            os.close(descriptor)
        if is_new:
            self._disk.sync_directory(path.parent)

    # -- reading

    def days(self) -> list[str]:
        """Days of which there are keys, oldest first."""
        return sorted(path.name for path in _named(self._keys))

    def of(self, day: str) -> Payloads:
        """What there is of a day. Raises OSError."""
        return Payloads(self._directory / day, self._keys / day)

    # -- destroying, in a thread that need not be the one that writes

    def destroy(self, day: str, commits: Collection[str]) -> int:
        """Destroy the keys of these texts; how many there were. On the disk when this returns. Raises OSError.

        Who writes waits for what has come meanwhile, not for the whole file. The old keys are overwritten before their file
        goes: what a disk keeps of old blocks nobody knows.
        """
        path = self._keys / day
        if not path.exists():
            return 0
        names = {bytes.fromhex(commit)[:_ID_BYTES] for commit in commits}
        old = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            gone = self._replace_keys(path, old, names)
            if gone:
                self._overwrite(old)
        finally:
            os.close(old)
        return gone

    def _replace_keys(self, path: Path, old: int, names: Collection[bytes]) -> int:
        """A file without the keys of `names` comes into the place of the `old` one; how many that were."""
        part = _part(path)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            done, gone = self._copy_rows(old, 0, descriptor, names)
            if not gone:
                part.unlink()
                return 0
            self._disk.fdatasync(descriptor)
            with self._lock:
                _, more = self._copy_rows(old, done, descriptor, names)
                self._disk.fdatasync(descriptor)
                part.replace(path)
                self._disk.sync_directory(path.parent)
                self._whole.discard(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        return gone + more

    def _copy_rows(self, old: int, start: int, to: int, without: Collection[bytes]) -> tuple[int, int]:
        """From `start` on; where it ended, and how many were left out."""
        at, end, gone = start, _end_of_rows(old), 0
        while at < end:
            data = os.pread(old, min(end - at, _ROWS_AT_ONCE * _ROW_BYTES), at)
            left = b"".join(name + key for name, key in _rows(data) if name not in without)
            at, gone = at + len(data), gone + (len(data) - len(left)) // _ROW_BYTES
            self._disk.write_all(to, left)
        return at, gone

    def destroy_day(self, day: str) -> int:
        """Destroy all keys of a day, and what they are for; how many there were. Raises OSError."""
        path, count = self._keys / day, 0
        if not path.parent.exists():
            return 0
        for keys in (path, _part(path)):
            if keys.exists():
                descriptor = os.open(keys, os.O_RDWR | os.O_CLOEXEC)
                try:
                    count += _end_of_rows(descriptor) // _ROW_BYTES if keys == path else 0
                    self._forget(keys)
                    self._overwrite(descriptor)
                finally:
                    os.close(descriptor)
        self._forget(self._directory / day)
        return count

    def _forget(self, path: Path) -> None:
        with self._lock:
            self._disk.remove(path)
            self._disk.sync_directory(self._keys)
            self._whole.discard(path)

    def _overwrite(self, descriptor: int) -> None:
        left = os.fstat(descriptor).st_size
        while left:
            some = min(left, _WINDOW_BYTES)
            self._disk.write_all(descriptor, bytes(some))
            left -= some
        self._disk.fdatasync(descriptor)


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _named(directory: Path) -> Iterator[Path]:
    return (path for path in directory.glob("*") if _DAY.fullmatch(path.name))


def _rows(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for at in range(0, len(data) - len(data) % _ROW_BYTES, _ROW_BYTES):
        yield data[at : at + _ID_BYTES], data[at + _ID_BYTES : at + _ROW_BYTES]


def _frames(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Names, and where what they name lies and how long it is."""
    at = 0
    while at + _HEADER.size <= len(data):
        name, size = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        if at + size > len(data):
            return
        yield name, at, size
        at += size


def _end_of_rows(descriptor: int) -> int:
    """Where the last whole row ends."""
    size = os.fstat(descriptor).st_size
    return size - size % _ROW_BYTES


def _last_name(keys: Path) -> bytes:
    """Of the text whose key was written last; empty if there is none. Raises OSError."""
    try:
        descriptor = os.open(keys, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        end = _end_of_rows(descriptor)
        return os.pread(descriptor, _ID_BYTES, end - _ROW_BYTES) if end else b""
    finally:
        os.close(descriptor)


def _end_of_frames(descriptor: int, keys: Path) -> int:
    """Where the last whole frame ends. Raises OSError.

    Frames can be told apart only from where one begins: where that of the last key does. Its name is the beginning of a hash
    over a salt, and stands nowhere else by chance. So it takes as long for a large file as for a small one.
    """
    size, last = os.fstat(descriptor).st_size, _last_name(keys)
    at = _last_place(descriptor, size, last) if last else 0
    while at + _HEADER.size <= size:
        end = at + _HEADER.size + _HEADER.unpack(os.pread(descriptor, _HEADER.size, at))[1]
        if end > size:
            break
        at = end
    return at


def _last_place(descriptor: int, size: int, name: bytes) -> int:
    """Where a name stands, looked for from the end; 0 if it does not."""
    end = size
    while end:
        start = max(0, end - _WINDOW_BYTES)
        found = os.pread(descriptor, end - start + len(name) - 1, start).rfind(name)
        if found >= 0:
            return start + found
        end = start
    return 0
