"""Audit logs for tests: keys that nobody keeps, disks that fail, directories to be read by a plain second opinion."""

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from typing_extensions import override

from gateway.audit.checkpoint import LogSigner
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Shard
from gateway.control.trail.recovery import Recovered, open_shard
from gateway.control.trail.shard_writer import ShardWriter

__all__ = ["NOW_S", "ORIGIN", "SIGNER", "FailingDisk", "Fault", "entries_on_disk", "grown_shard", "opened", "records"]

ORIGIN = "gateway.example/audit/0001"
NOW_S = 1_800_000_000
SIGNER = LogSigner(ORIGIN, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())


def records(first: int, count: int) -> list[bytes]:
    """Distinct records, some of them long."""
    return [b'{"n":%d,"x":"%s"}' % (n, b"x" * (n * 37 % 200)) for n in range(first, first + count)]


def opened(directory: Path, **more) -> tuple[ShardWriter, Recovered]:
    return open_shard(Shard(directory), more.pop("signer", SIGNER), more.pop("disk", Disk()), NOW_S, **more)


def grown_shard(directory: Path, *batches: int) -> ShardWriter:
    """A shard with batches of so many records, each published."""
    writer, _ = opened(directory)
    for count in batches:
        batch = records(writer.size, count)
        writer.commit(batch)
        writer.grow(batch)
        writer.publish(NOW_S)
    return writer


def entries_on_disk(directory: Path, size: int) -> list[bytes]:
    """The records of bundles, read without any code of the gateway."""
    found: list[bytes] = []
    while len(found) < size:
        number, width = len(found) // 256, min(256, size - len(found))
        groups = [f"{number % 1000:03d}"]
        while number >= 1000:
            number //= 1000
            groups.insert(0, f"x{number % 1000:03d}")
        path = directory / "tile" / "entries" / "/".join(groups)
        data = (path if width == 256 else Path(f"{path}.p") / str(width)).read_bytes()
        at = 0
        for _ in range(width):
            length = int.from_bytes(data[at : at + 2])
            found.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        assert at == len(data)
    return found


def plain_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, section 2.1, read literally."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + plain_root(leaves[:half]) + plain_root(leaves[half:])).digest()


class Fault:
    """When an operation fails, and how."""

    def __init__(self, operation: str, number: int, code: int = errno.EIO, *, written: int = -1) -> None:
        """The `number`-th call of `operation` fails (0: the first). `written`: bytes a write gets onto the disk first."""
        self.operation, self.number, self.code, self.written = operation, number, code, written


class FailingDisk(Disk):
    """A disk on which given calls fail, and that remembers what was asked of it."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self.calls: list[str] = []

    def _meet(self, operation: str) -> Fault | None:
        number = self.calls.count(operation)
        self.calls.append(operation)
        return next((f for f in self.faults if f.operation == operation and f.number == number), None)

    def _fail(self, operation: str) -> None:
        fault = self._meet(operation)
        if fault is not None:
            raise OSError(fault.code, os.strerror(fault.code))

    @override
    def write(self, descriptor: int, data: bytes) -> int:
        fault = self._meet("write")
        if fault is not None:
            if fault.written > 0:
                os.write(descriptor, data[: fault.written])
            raise OSError(fault.code, os.strerror(fault.code))
        return super().write(descriptor, data)

    @override
    def fdatasync(self, descriptor: int) -> None:
        self._fail("fdatasync")
        super().fdatasync(descriptor)

    @override
    def truncate(self, descriptor: int, size: int) -> None:
        self._fail("truncate")
        super().truncate(descriptor, size)

    @override
    def sync_directory(self, path: Path) -> None:
        self._fail("sync_directory")
        super().sync_directory(path)
