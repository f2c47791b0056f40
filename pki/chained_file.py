"""A file of records that is only ever appended to, each bound to all before it. The journal and the signer's list are such files.

One record a line: SHA-256 of the previous line's digest and this line's record, in hex; a space; the record as JSON. It can be
read with a pager and checked with three lines of any language. An append is on the disk before it returns.

What a crash leaves: a last line without its end, or with contents that were never written. It is cut off, and kept beside the
file; whoever relied on it was never told that it is written. A line that is wrong anywhere else is damage, and refused.

What a long file amounts to is kept beside it (`pki.snapshot`); then only the bytes before are compared, and the rest is read.
"""

import contextlib
import fcntl
import hashlib
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

import msgspec

from pki.errors import JournalDamaged, JournalInUse
from pki.file_modes import verify_only_owner_writes
from pki.snapshot import Folded, Snapshot, give_to_owner, read_snapshot, uncollected, write_snapshot

__all__ = ["START", "ChainedFile", "Position", "chain_digest"]

_T = TypeVar("_T")
_DIGEST_HEX: Final = 64
_MAX_LINE_BYTES: Final = 1_000_000
_SNAPSHOT_EVERY: Final = 5_000
"""Records that are read rather than written down anew: a tenth of a second."""
_COMPARED_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file: how many records there are up to here, and the digest of the last one."""

    sequence: int
    digest: bytes


START: Final = Position(0, bytes(32))


def chain_digest(previous: bytes, record: bytes) -> bytes:
    """32 bytes: what binds a record to everything before it."""
    return hashlib.sha256(previous + record).digest()


class ChainedFile(Generic[_T]):
    """The file, opened by one process at a time. `apply` is called for each record, old and new, with its sequence number."""

    def __init__(
        self,
        path: Path,
        kind: "type[_T] | object",
        apply: Callable[[_T, int], None],
        *,
        read_only: bool = False,
        folded: Folded | None = None,
        whole: bool = False,
    ) -> None:
        """Opens or creates it, cuts off a torn tail, reads it. Raises JournalDamaged, JournalInUse, Misconfigured, OSError.

        `read_only`: another process may be writing; what it has not finished is not seen, and nothing of it is changed.
        `folded`: what `apply` makes, to be kept in a snapshot and taken from there, where `apply` is not called. `whole`:
        the snapshot is not taken but compared, and made anew if it is wrong.
        """
        self.path = path
        self.has_wrong_snapshot = False
        """There was one that fitted the file and did not say what its records say."""
        self._read_only = read_only
        self.head = START
        self.cut_off_bytes = 0
        """What a crash had left behind, in this opening."""
        self._apply = apply
        self._decoder: msgspec.json.Decoder[_T] = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()
        self._offsets = array("Q")
        self._size = 0
        self._broken = False
        self._folded = folded
        self._hash = None if folded is None else hashlib.sha256()
        """Of all records so far, as bytes."""
        existed = path.exists()
        flags = os.O_RDONLY if read_only else os.O_RDWR | os.O_CREAT
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            if not existed:
                give_to_owner(self._descriptor, path.parent)
                _sync_directory(path.parent)
            verify_only_owner_writes(path, os.fstat(self._descriptor))
            if not read_only:
                self._lock()
            self._load_from_snapshot(whole=whole)
        except BaseException:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Lets others open it. A second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def append(self, record: _T) -> Position:
        """Writes the record; it is durable when this returns. Raises OSError, and then nothing has been appended."""
        if self._read_only:
            raise RuntimeError(f"{self.path} was opened for reading only")
        if self._broken:
            raise JournalDamaged(f"{self.path}: an earlier write failed half-way; start again")
        body = self._encoder.encode(record)
        digest = chain_digest(self.head.digest, body)
        line = digest.hex().encode() + b" " + body + b"\n"
        if len(line) > _MAX_LINE_BYTES:
            raise ValueError("a record that is too long")
        self._write(line)
        self._accept(record, digest, line)
        return self.head

    def read(self, sequence: int) -> _T:
        """The record with this number, from 1. Raises JournalDamaged."""
        body = self._line(sequence)[_DIGEST_HEX + 1 :]
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, ValueError) as error:
            raise JournalDamaged(f"{self.path}, record {sequence}: {error}") from None

    def digest_at(self, sequence: int) -> bytes | None:
        """The digest of the record with this number; None if there is none yet."""
        if sequence == 0:
            return START.digest
        if sequence > self.head.sequence:
            return None
        return bytes.fromhex(self._line(sequence)[:_DIGEST_HEX].decode("ascii"))

    @property
    def size_bytes(self) -> int:
        """Of the records read and written so far, without a torn tail."""
        return self._size

    def catch_up(self) -> None:
        """Read what another process has appended since. Raises JournalDamaged, OSError; open it anew after that."""
        if os.fstat(self._descriptor).st_size < self._size:
            raise JournalDamaged(f"{self.path} has become shorter")
        self._load()

    def _line(self, sequence: int) -> bytes:
        start = self._offsets[sequence - 1]
        end = self._offsets[sequence] if sequence < len(self._offsets) else self._size
        return os.pread(self._descriptor, end - start, start)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalInUse(f"{self.path} is in use by another process") from None

    def _load_from_snapshot(self, *, whole: bool) -> None:
        folded = self._folded
        if folded is None:
            self._load()
            return
        found, begun = self._fitting_snapshot(folded)
        if found is None or begun is None:
            kept = 0
            self._load()
        elif whole:
            kept = found.sequence
            self._load(compare_with=found)
        else:
            kept = found.sequence if self._restore(found, begun, folded) else 0
            self._load()
        if self.has_wrong_snapshot or self.head.sequence - kept > _SNAPSHOT_EVERY:
            with contextlib.suppress(OSError):  # it may be read-only here, or full
                self._keep(folded)

    def _fitting_snapshot(self, folded: Folded) -> "tuple[Snapshot | None, hashlib._Hash | None]":
        """One that was made of what the file begins with, byte for byte, and the hash of that."""
        found = read_snapshot(self._snapshot_path, folded.form)
        begun = None if found is None else self._hash_of_beginning(found.size_bytes)
        if found is None or begun is None or begun.digest() != found.sha256:
            return None, None
        return found, begun

    @property
    def _snapshot_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.snapshot")

    def _hash_of_beginning(self, size: int) -> "hashlib._Hash | None":
        """SHA-256 of so many bytes; None if there are fewer."""
        seen, done = hashlib.sha256(), 0
        while done < size:
            piece = os.pread(self._descriptor, min(_COMPARED_AT_ONCE, size - done), done)
            if not piece:
                return None
            seen.update(piece)
            done += len(piece)
        return seen

    def _restore(self, snapshot: Snapshot, begun: "hashlib._Hash", folded: Folded) -> bool:
        """All of it, or nothing: then False."""
        offsets = array("Q", snapshot.offsets)
        start = os.pread(self._descriptor, _DIGEST_HEX, offsets[-1])
        if start != snapshot.digest.hex().encode():
            return False
        try:
            with uncollected():
                folded.restore(snapshot.state)
        except ValueError:
            return False
        self._offsets, self._size = offsets, snapshot.size_bytes
        self.head, self._hash = Position(snapshot.sequence, snapshot.digest), begun
        return True

    def _keep(self, folded: Folded) -> None:
        assert self._hash is not None
        write_snapshot(
            self._snapshot_path,
            folded.form,
            self._offsets,
            folded.dump(),
            sequence=self.head.sequence,
            digest=self.head.digest,
            size_bytes=self._size,
            sha256=self._hash.digest(),
        )

    def _load(self, compare_with: Snapshot | None = None) -> None:
        # Up to where it reaches now: a line that is being written meanwhile is the last one, not one with others behind it.
        end = os.fstat(self._descriptor).st_size
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(self._size)
            lines = iter(lambda: file.readline(min(_MAX_LINE_BYTES + 1, end - file.tell())), b"")
            for line in lines:
                record = self._checked(line)
                if record is None:
                    self._torn(line, more=next(lines, b""))
                    return
                self._accept(record, bytes.fromhex(line[:_DIGEST_HEX].decode("ascii")), line)
                if compare_with is not None and self.head.sequence == compare_with.sequence:
                    assert self._folded is not None
                    self.has_wrong_snapshot = self._folded.dump() != compare_with.state

    def _checked(self, line: bytes) -> _T | None:
        """The record of a line that continues the chain."""
        body = line[_DIGEST_HEX + 1 : -1]
        whole = line.endswith(b"\n") and line[_DIGEST_HEX : _DIGEST_HEX + 1] == b" "
        if not whole or chain_digest(self.head.digest, body).hex().encode() != line[:_DIGEST_HEX]:
            return None
        try:
            return self._decoder.decode(body)
        except (msgspec.MsgspecError, ValueError) as error:
            # It continues the chain, so it was written like this: by a later release.
            raise JournalDamaged(f"{self.path}, record {self.head.sequence + 1}: {error}") from None

    def _torn(self, line: bytes, more: bytes) -> None:
        if more:
            raise JournalDamaged(
                f"{self.path}: record {self.head.sequence + 1} is not what was written, and others follow it"
            )
        self.cut_off_bytes = len(line)
        if self._read_only:
            return
        _keep(self.path.with_name(f"{self.path.name}.torn-{self._size}"), line)
        os.ftruncate(self._descriptor, self._size)
        os.fsync(self._descriptor)

    def _write(self, line: bytes) -> None:
        try:
            done = 0
            while done < len(line):
                done += os.pwrite(self._descriptor, line[done:], self._size + done)
            os.fdatasync(self._descriptor)
        except OSError:
            # After a failed fsync nobody knows what the disk has; what was acknowledged before is not touched.
            self._broken = True
            try:
                os.ftruncate(self._descriptor, self._size)
                os.fsync(self._descriptor)
                self._broken = False
            except OSError:
                pass
            raise

    def _accept(self, record: _T, digest: bytes, line: bytes) -> None:
        self._offsets.append(self._size)
        self._size += len(line)
        if self._hash is not None:
            self._hash.update(line)
        self.head = Position(self.head.sequence + 1, digest)
        self._apply(record, self.head.sequence)


def _keep(path: Path, data: bytes) -> None:
    """For whoever wants to know what it was. On a full disk it cannot be kept, and cutting it off needs no space."""
    try:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
