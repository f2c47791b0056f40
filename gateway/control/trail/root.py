"""The audit directory as one thing: its lock, its keys, which shard goes on, and how a new history begins.

Beside the keys, away from the log, lies a note of the head that was published last. A log put back from an older copy
is found out by it at the next start. Whoever can replace both needs an outside anchor to be found out: a witness.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.checkpoint import LogSigner
from gateway.audit.note import NoteInvalid
from gateway.audit.record import envelope
from gateway.audit.tiles import MAX_ENTRY_BYTES
from gateway.control.trail.disk import Disk
from gateway.control.trail.keys import KeyUnusable, load_or_make_keys
from gateway.control.trail.layout import Published, Shard, read_file, shards_in
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded
from gateway.control.trail.recovery import HistoryDiffers, Recovered, open_shard
from gateway.control.trail.shard_writer import ShardWriter, TrailBroken
from gateway.control.trail.stamp import Stamper, node_name

__all__ = ["Anchor", "LogRefused", "TrailRoot", "begin_new_history"]

_FIRST: Final = "0001"
_MAX_CHECKPOINT_BYTES: Final = 16_384
_BEGUN: Final = "audit.new_history"


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
        self, origin: str, now_s: int, later: Callable[[Callable[[], None]], None] | None = None
    ) -> tuple[ShardWriter, Recovered]:
        """The newest shard, or the first one. Raises LogRefused, DiskFull, OSError."""
        shards = shards_in(self.directory)
        anchor = self._read_anchor()
        try:
            if not shards:
                if anchor is not None:
                    raise HistoryDiffers("smaller", f"the log had {anchor.size} records, and it is gone")
                return self._open(Shard(self.directory / _FIRST), origin, now_s, [], later, may_make_keys=True)
            shard = shards[-1]
            if anchor is not None and anchor.shard > shard.name:
                raise HistoryDiffers("smaller", f"shard {anchor.shard} was published, and it is gone")
            if shard.name != _FIRST:
                _require_named(shard)
            heads = [Published(anchor.size, anchor.root)] if anchor and anchor.shard == shard.name else []
            return self._open(shard, origin, now_s, heads, later, may_make_keys=False)
        except HistoryDiffers as error:
            name = shards[-1].name if shards else _FIRST
            raise LogRefused(
                f"The audit log in {self.directory} is not what was published ({error.state}): {error}. "
                f"Look at it with 'ocpp-gateway audit verify', keep a copy, and restore it; or give it up by name: "
                f"'ocpp-gateway audit new-history {name} --reason TEXT'"
            ) from error
        except KeyUnusable as error:
            raise LogRefused(f"{error}.") from error
        except TrailBroken as error:
            raise LogRefused(f"The disk of {self.directory} has failed: {error}.") from error

    def _open(
        self,
        shard: Shard,
        origin: str,
        now_s: int,
        heads: list[Published],
        later: Callable[[Callable[[], None]], None] | None,
        *,
        may_make_keys: bool,
    ) -> tuple[ShardWriter, Recovered]:
        signer = self._signer(shard, origin, may_make=may_make_keys or not shard.checkpoint.exists())
        return open_shard(shard, signer, self._disk, now_s, heads, later)

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
        signer = LogSigner(known[0].name if known else name, private.ed25519, private.ml_dsa_44)
        if known and known != signer.keys:
            raise KeyUnusable(
                f"the keys in {self._keys} are not those of the log: restore them, or begin a new history"
            )
        return signer

    # -- the note beside the keys

    @property
    def _anchor(self) -> Path:
        return self._keys / "last-head"

    def _read_anchor(self) -> Anchor | None:
        try:
            return msgspec.json.decode(self._anchor.read_bytes(), type=Anchor)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # never waited for: after a power cut it may be empty

    def note(self, shard: Shard, head: Published) -> None:
        """Remember a head that was published. Raises OSError."""
        anchor = Anchor(shard.name, head.size, head.root)
        self._disk.replace(self._anchor, msgspec.json.encode(anchor), durable=False)


def _last_words(shard: Shard) -> str:
    """The checkpoint of a shard that is given up, whatever it has become."""
    try:
        found = read_file(shard.checkpoint)
    except OSError:
        return ""
    return found.decode("utf-8", "replace") if len(found) <= _MAX_CHECKPOINT_BYTES else ""


def _require_named(shard: Shard) -> None:
    """A shard after the first begins with the record that somebody has begun it by name. Raises HistoryDiffers.

    Without this, an empty directory made beside a log that was cut off would be a new history that nobody asked for.
    """
    try:
        first = decoded(ShardReader(shard).record(0))
    except (RecordMissing, OSError) as error:
        raise HistoryDiffers("damaged", f"shard {shard.name} has no beginning: {error}") from error
    log = first.get("log")
    if first.get("type") != _BEGUN or not isinstance(log, dict) or log.get("shard") != shard.name:
        raise HistoryDiffers("different", f"nobody has begun shard {shard.name} by name")


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
        newest = shards[-1].name if shards else _FIRST
        if given_up != newest:
            raise LogRefused(f"The newest shard is {newest}, not {given_up}: name that one.")
        shard = Shard(directory / f"{int(newest) + 1:04d}")
        signer = root._signer(shard, origin, may_make=True)  # noqa: SLF001  of this module
        checkpoint = _last_words(shards[-1]) if shards else ""
        facts = {"shard": shard.name, "given_up": given_up, "reason": reason, "checkpoint": checkpoint}
        stamp = Stamper("audit", os.urandom(8).hex()).stamp()
        record = [envelope(_BEGUN, stamp, sev="critical", text=reason, log=facts)]
        if len(record[0]) > MAX_ENTRY_BYTES:
            raise LogRefused("The reason is too long for a record.")
        writer, _ = open_shard(shard, signer, disk, now_s)
        writer.commit(record)
        writer.grow(record)
        root.note(shard, writer.publish(now_s))
        writer.close()
    except KeyUnusable as error:
        raise LogRefused(f"{error}.") from error
    except (HistoryDiffers, TrailBroken) as error:
        raise LogRefused(f"The new history cannot be begun: {error}.") from error
    else:
        return shard
    finally:
        root.close()
