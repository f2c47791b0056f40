"""The audit directory as one thing: its lock, its keys, which shard goes on, and how a new history begins.

Beside the keys, away from the log, lies a note of the head that was published last. A log put back from an older copy
is found out by it at the next start. Whoever can replace both needs an outside anchor to be found out: a witness.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.audit.checkpoint import LogSigner
from gateway.audit.note import NoteInvalid
from gateway.audit.record import envelope
from gateway.audit.succession import BEGUN, CONTINUED, Closing, beginning_facts, renamed, successor_of
from gateway.audit.tiles import MAX_ENTRY_BYTES
from gateway.control.trail.disk import Disk
from gateway.control.trail.keys import KeyUnusable, load_or_make_keys, make_next_keys, take_next_keys
from gateway.control.trail.layout import FIRST, Published, Shard, read_file, shards_in
from gateway.control.trail.reader import RecordMissing
from gateway.control.trail.recovery import HistoryDiffers, Recovered, open_shard
from gateway.control.trail.shard_writer import DiskFull, ShardWriter, TrailBroken
from gateway.control.trail.stamp import Stamper, node_name
from gateway.control.trail.successor import (
    closing_in,
    make_shard,
    require_beginning,
    signer_of,
    unproven_before,
)

__all__ = ["Anchor", "LogRefused", "TrailRoot", "begin_new_history"]

_MAX_CHECKPOINT_BYTES: Final = 16_384
Later = Callable[[Callable[[], None]], None]


def _not() -> None:
    """There is nothing to wait for."""


class LogRefused(Exception):  # noqa: N818  a state
    """The log cannot be continued; the text says why and what to do."""


class Anchor(msgspec.Struct, frozen=True):
    """The head published last, kept away from the log."""

    shard: str
    size: int
    root: bytes


class TrailRoot:
    """An audit directory that we hold the lock of."""

    def __init__(self, directory: Path, keys: Path, disk: Disk) -> None:
        """Take the lock. Raises LogRefused, OSError."""
        self.directory = directory
        self._keys = keys
        self._disk = disk
        self.reserve = directory / "reserve"
        disk.make_directory(directory)
        self._lock = _locked(directory / "lock")

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._lock)

    def open_current(
        self, origin: str, now_s: int, stamper: Stamper, later: Later | None = None, wait: Callable[[], None] = _not
    ) -> tuple[ShardWriter, Recovered]:
        """The newest shard, or the first one. Raises LogRefused, DiskFull, OSError.

        One that was closed is finished, and the next one begun. `wait`: until what was given to `later` is done.
        """
        shards = shards_in(self.directory)
        name = shards[-1].name if shards else FIRST
        try:
            if not shards:
                return self._open_first(origin, now_s, later)
            writer, recovered = self._open_newest(shards[-1], origin, now_s, later)
            closing = closing_in(writer.shard, writer.size)
            if closing is not None:
                writer = self._succeeded(writer, closing, now_s, stamper, later, wait)
        except HistoryDiffers as error:
            raise LogRefused(
                f"The audit log in {self.directory} is not what was published ({error.state}): {error}. "
                f"Look at it with 'ocpp-gateway audit verify', keep a copy, and restore it; or give it up by name: "
                f"'ocpp-gateway audit new-history {name} --reason TEXT'"
            ) from error
        except (KeyUnusable, RecordMissing) as error:
            raise LogRefused(f"{str(error).removesuffix('.')}.") from error
        except TrailBroken as error:
            raise LogRefused(f"The disk of {self.directory} has failed: {error}.") from error
        else:
            return writer, recovered

    def _succeeded(self, writer: ShardWriter, *how: Any) -> ShardWriter:
        try:
            return self.succeed(writer, *how)
        except BaseException:
            writer.close()
            raise

    def _open_first(self, origin: str, now_s: int, later: Later | None) -> tuple[ShardWriter, Recovered]:
        anchor = self._read_anchor()
        if anchor is not None:
            raise HistoryDiffers("smaller", f"the log had {anchor.size} records, and it is gone")
        shard = Shard(self.directory / FIRST)
        return open_shard(shard, self._signer(shard, origin, may_make=True), self._disk, now_s, [], later)

    def _open_newest(self, shard: Shard, origin: str, now_s: int, later: Later | None) -> tuple[ShardWriter, Recovered]:
        anchor = self._read_anchor()
        if anchor is not None and anchor.shard > shard.name:
            raise HistoryDiffers("smaller", f"shard {anchor.shard} was published, and it is gone")
        if shard.name != FIRST:
            require_beginning(shard)
        heads = [Published(anchor.size, anchor.root)] if anchor and anchor.shard == shard.name else []
        signer = self._signer(shard, origin, may_make=not shard.checkpoint.exists())
        opened = open_shard(shard, signer, self._disk, now_s, heads, later)
        self._take_keys(signer)
        return opened

    # -- one shard after the other

    def plan(self, shard: Shard, origin: str, *, new_keys: bool) -> Closing:
        """What the last record of a shard is to say. New keys are on the disk then. Raises LogRefused, OSError."""
        following = successor_of(shard.name)
        if following is None:
            raise LogRefused("There are no more names for shards.")
        try:
            known = shard.read_keys()
            prefix = origin or known[0].name.rpartition("/")[0]
            if not new_keys:
                return Closing(following, renamed(known, f"{prefix}/{following}"))
            made = make_next_keys(self._keys)
            return Closing(following, LogSigner(f"{prefix}/{following}", made.ed25519, made.ml_dsa_44).keys)
        except (NoteInvalid, IndexError, KeyUnusable, ValueError) as error:
            raise LogRefused(f"The next shard cannot be named: {error}.") from error

    def succeed(
        self,
        writer: ShardWriter,
        closing: Closing,
        now_s: int,
        stamper: Stamper,
        later: Later | None,
        wait: Callable[[], None],
    ) -> ShardWriter:
        """Finish a shard whose last record is `closing`, and open the one that it names. May be called again.

        Raises DiskFull, TrailBroken, KeyUnusable, HistoryDiffers, OSError.
        """
        shard, target = writer.shard, Shard(self.directory / closing.next)
        signer = signer_of(self._keys, closing.keys)
        if not target.directory.exists():
            is_new = signer.keys != renamed(shard.read_keys(), signer.origin)
            origin = shard.read_keys()[0].name
            writer.finish(now_s, wait, signer.named(origin) if is_new else None)
            facts = beginning_facts(target.name, shard.name, read_file(shard.checkpoint))
            record = envelope(CONTINUED, stamper.stamp(), sev="info", text="the log goes on in a new shard", log=facts)
            try:
                head = make_shard(target, signer, self._disk, now_s, record)
            except DiskFull:
                stamper.take_back()
                raise
            self.note(target, head, durable=True)
        self._take_keys(signer)
        opened, _ = open_shard(target, signer, self._disk, now_s, [], later)
        writer.close()
        return opened

    def _take_keys(self, signer: LogSigner) -> None:
        """If a shard is signed with the keys that were next, they are those in use. Raises OSError, KeyUnusable."""
        private = load_or_make_keys(self._keys, may_make=False)
        if LogSigner(signer.origin, private.ed25519, private.ml_dsa_44).keys != signer.keys:
            take_next_keys(self._keys)

    def unproven_before(self) -> list[str]:
        """Older shards that are missing, or do not end where the next one says."""
        return unproven_before(shards_in(self.directory))

    def _signer(self, shard: Shard, origin: str, *, may_make: bool) -> LogSigner:
        """Raises KeyUnusable."""
        private = load_or_make_keys(self._keys, may_make=may_make)
        name = f"{origin or node_name() + '/ocpp-gateway'}/{shard.name}"
        try:
            known = shard.read_keys()
        except FileNotFoundError:
            known = ()
        except NoteInvalid as error:
            raise KeyUnusable(f"{shard.keys}: {error}") from error
        if known:
            return signer_of(self._keys, known)
        return LogSigner(name, private.ed25519, private.ml_dsa_44)

    # -- the note beside the keys

    @property
    def _anchor(self) -> Path:
        return self._keys / "last-head"

    def _read_anchor(self) -> Anchor | None:
        try:
            return msgspec.json.decode(self._anchor.read_bytes(), type=Anchor)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # never waited for: after a power cut it may be empty

    def note(self, shard: Shard, head: Published, *, durable: bool = False) -> None:
        """Remember a head that was published. Raises OSError."""
        anchor = Anchor(shard.name, head.size, head.root)
        self._disk.replace(self._anchor, msgspec.json.encode(anchor), durable=durable)


def _last_words(shard: Shard) -> str:
    """The checkpoint of a shard that is given up, whatever it has become."""
    try:
        found = read_file(shard.checkpoint)
    except OSError:
        return ""
    return found.decode("utf-8", "replace") if len(found) <= _MAX_CHECKPOINT_BYTES else ""


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise
        raise LogRefused(f"Another process writes the audit log in {path.parent}.") from error
    return descriptor


def begin_new_history(directory: Path, keys: Path, origin: str, given_up: str, reason: str, now_s: int) -> Shard:
    """Give up the newest shard, named by `given_up`, and begin another one whose first record says so.

    Nothing of the old one is changed. Raises LogRefused, DiskFull, OSError.
    """
    disk = Disk()
    root = TrailRoot(directory, keys, disk)
    try:
        shards = shards_in(directory)
        newest = shards[-1].name if shards else FIRST
        if given_up != newest:
            raise LogRefused(f"The newest shard is {newest}, not {given_up}: name that one.")
        following = successor_of(newest)
        if following is None:
            raise LogRefused("There are no more names for shards.")
        shard = Shard(directory / following)
        signer = root._signer(shard, origin, may_make=True)  # noqa: SLF001  of this module
        checkpoint = _last_words(shards[-1]) if shards else ""
        facts = {"shard": shard.name, "given_up": given_up, "reason": reason, "checkpoint": checkpoint}
        stamp = Stamper("audit", os.urandom(8).hex()).stamp()
        record = envelope(BEGUN, stamp, sev="critical", text=reason, log=facts)
        if len(record) > MAX_ENTRY_BYTES:
            raise LogRefused("The reason is too long for a record.")
        root.note(shard, make_shard(shard, signer, disk, now_s, record), durable=True)
    except KeyUnusable as error:
        raise LogRefused(f"{error}.") from error
    except (HistoryDiffers, TrailBroken) as error:
        raise LogRefused(f"The new history cannot be begun: {error}.") from error
    else:
        return shard
    finally:
        root.close()
