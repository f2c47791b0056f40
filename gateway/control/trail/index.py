"""A search index over the log, rebuilt from it whenever it is not there or not of this log. It is never the truth.

Hits name records by shard and index; whoever shows one reads it from the log.
"""

import contextlib
import errno
import hashlib
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.audit.record import part
from gateway.audit.tree import leaf_hash
from gateway.control.trail.layout import Shard, read_file
from gateway.control.trail.reader import RecordMissing, ShardReader, decoded

__all__ = ["Cursor", "Hit", "Query", "SearchIndex"]

_APPLICATION: Final = 0x4F435058
"""Marks the file as ours."""
_VERSION: Final = 2
_BATCH: Final = 10_000
_COMMIT: Final = 200_000
"""Records a transaction takes: each charge point has its own place in an index, and a page that gets one record costs as much to
write as one that gets twenty."""
_CACHE_KIB: Final = 262_144
_MAX_TEXT_CHARS: Final = 400
_END_OF_TIME_US: Final = 1 << 62
_TABLES: Final = """
create table record (
    shard text, at integer, ts integer, cp text, kind text, action text, verdict text, rule text, session text,
    words text, primary key (shard, at)) without rowid;
create table known (shard text primary key, keys text, size integer, last text);
"""
_INDEXES: Final = {
    "by_time": "ts",
    "by_charge_point": "cp, ts",
    "by_kind": "kind, ts",
    "by_action": "action, ts",
    "by_rule": "rule, ts",
    "by_session": "session, ts",
}


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended."""

    ts_us: int
    shard: str
    index: int

    @property
    def text(self) -> str:
        """For the command line."""
        return f"{self.ts_us}:{self.shard}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Raises ValueError."""
        ts_us, shard, index = text.split(":")
        found = cls(int(ts_us), shard, int(index))
        if max(abs(found.ts_us), abs(found.index)) > _END_OF_TIME_US:
            raise ValueError("no place in a log")
        return found


class Hit(msgspec.Struct, frozen=True):
    """A record that was found."""

    shard: str
    index: int
    ts_us: int


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for; empty fields match everything. Times are microseconds since the epoch, `until` exclusive."""

    since_us: int = 0
    until_us: int = 1 << 62
    identity: str = ""
    event: str = ""
    """A whole type, or the beginning of one if it ends in ``.``."""
    action: str = ""
    verdict: str = ""
    rule: str = ""
    session: str = ""
    text: str = ""
    """Words somewhere in text, reason, address and subjects, upper and lower case alike."""
    after: Cursor | None = None
    limit: int = 100


class SearchIndex:
    """One SQLite file."""

    def __init__(self, path: Path, *, may_replace: bool = False) -> None:
        """Open or make it. Raises OSError, sqlite3.Error.

        `may_replace`: whatever lies there may go, because nothing but an index has a place there. Without it a file that
        is no index of ours is FileExistsError.
        """
        self._path = path
        path.touch(mode=0o600, exist_ok=True)
        self._db = self._opened(may_replace=may_replace)

    def _opened(self, *, may_replace: bool) -> sqlite3.Connection:
        kind, version = _kind_of(self._path)
        if (kind, version) == (_APPLICATION, _VERSION):
            return _connected(self._path)
        if kind != _APPLICATION and self._path.stat().st_size and not may_replace:
            raise FileExistsError(errno.EEXIST, "is there already, and no search index", str(self._path))
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)
        self._path.touch(mode=0o600)
        db = _connected(self._path)
        db.executescript(
            f"begin; {_TABLES} pragma application_id = {_APPLICATION}; pragma user_version = {_VERSION}; commit;"
        )
        return db

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    # -- following the log

    def follow(self, shards: Iterable[Shard], progress: Callable[[str, int], None] | None = None) -> None:
        """Take in what has come since the last time. Raises RecordMissing, OSError, sqlite3.Error.

        `progress`: called with the shard and the records taken in.
        """
        self._db.execute(f"pragma cache_size = -{_CACHE_KIB}")
        if self._db.execute("select 1 from known").fetchone() is None:
            # Sorting millions of records once is several times faster than putting each in its place.
            for name in _INDEXES:
                self._db.execute(f"drop index if exists {name}")
        for shard in shards:
            self._follow(shard, progress or (lambda *_: None))
        for name, columns in _INDEXES.items():
            self._db.execute(f"create index if not exists {name} on record ({columns})")

    def _follow(self, shard: Shard, progress: Callable[[str, int], None]) -> None:
        reader = ShardReader(shard)
        records = reader.records(self._known_size(shard, reader))
        while self._take(shard, itertools.islice(records, _COMMIT), progress):
            pass

    def _take(self, shard: Shard, records: Iterator[tuple[int, bytes]], progress: Callable[[str, int], None]) -> bool:
        """One transaction. False if there was nothing to take."""
        end: tuple[int, bytes] | None = None
        self._db.execute("begin immediate")
        try:
            while chunk := list(itertools.islice(records, _BATCH)):
                rows = [_row(shard.name, index, record) for index, record in chunk]
                self._db.executemany("insert or replace into record values (?,?,?,?,?,?,?,?,?,?)", rows)
                end = chunk[-1]
                progress(shard.name, end[0] + 1)
            if end is not None:
                known = (shard.name, _fingerprint(shard), end[0] + 1, leaf_hash(end[1]).hex())
                self._db.execute("insert or replace into known values (?,?,?,?)", known)
            self._db.execute("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("rollback")
            raise
        return end is not None

    def _known_size(self, shard: Shard, reader: ShardReader) -> int:
        """How much of the shard is in; nothing if what is in is of another log."""
        row = self._db.execute("select keys, size, last from known where shard = ?", (shard.name,)).fetchone()
        if row is None:
            return 0
        keys, size, last = row
        with contextlib.suppress(RecordMissing):
            if keys == _fingerprint(shard) and leaf_hash(reader.record(size - 1)).hex() == last:
                return int(size)
        self._db.execute("delete from record where shard = ?", (shard.name,))
        self._db.execute("delete from known where shard = ?", (shard.name,))
        return 0

    # -- asking

    def search(self, query: Query) -> list[Hit]:
        """Newest first, at most `query.limit`."""
        where, values = _conditions(query)
        found = self._db.execute(
            f"select shard, at, ts from record where {where} order by ts desc, shard desc, at desc limit ?",  # noqa: S608  made of our own words
            (*values, query.limit),
        )
        return [Hit(*row) for row in found]


def _kind_of(path: Path) -> tuple[int, int]:
    """Application id and version of an SQLite file, -1 for what is none. Changes nothing."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            ((kind,), (version,)) = (
                db.execute(f"pragma {each}").fetchone() for each in ("application_id", "user_version")
            )
    except sqlite3.DatabaseError:
        return -1, -1
    return kind, version


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, timeout=60.0)
    db.execute("pragma journal_mode = wal")
    # A crash costs nothing but the time to build it again.
    db.execute("pragma synchronous = off")
    return db


def _fingerprint(shard: Shard) -> str:
    try:
        return hashlib.sha256(read_file(shard.keys)).hexdigest()
    except OSError:
        return ""


class _Ocpp(msgspec.Struct, frozen=True):
    action: str = ""


class _Decision(msgspec.Struct, frozen=True):
    verdict: str = ""
    act: str = ""
    rule: str = ""
    reason: str = ""


class _Peer(msgspec.Struct, frozen=True):
    ip: str = ""


class _Record(msgspec.Struct, frozen=True):
    """What is searched for in a record as the gateway makes them; anything else takes the slow way."""

    ts: int = 0
    cp: str = ""
    type: str = ""
    sess: str = ""
    text: str = ""
    subj: tuple[str, ...] = ()
    ocpp: _Ocpp = _Ocpp()
    dec: _Decision = _Decision()
    peer: _Peer = _Peer()


_decode: Final = msgspec.json.Decoder(_Record).decode


def _row(shard: str, index: int, data: bytes) -> tuple[Any, ...]:
    try:
        one = _decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _row_of_odd(shard, index, data)
    decision = one.dec
    words = " ".join(filter(None, (one.text, decision.reason, one.peer.ip, *one.subj)))[:_MAX_TEXT_CHARS]
    ts = one.ts if abs(one.ts) < _END_OF_TIME_US else 0
    verdict = decision.verdict or decision.act
    return (shard, index, ts, one.cp, one.type, one.ocpp.action, verdict, decision.rule, one.sess, words)


def _row_of_odd(shard: str, index: int, data: bytes) -> tuple[Any, ...]:
    """Of a record that has something else in a field than it should, or is none."""
    record = decoded(data)
    ocpp, decision, peer = (part(record, name) for name in ("ocpp", "dec", "peer"))
    subjects = record.get("subj")
    words = [
        record.get("text"),
        decision.get("reason"),
        peer.get("ip"),
        *(subjects if isinstance(subjects, list) else ()),
    ]
    ts = record.get("ts")
    return (
        shard,
        index,
        ts if isinstance(ts, int) and abs(ts) < _END_OF_TIME_US else 0,
        str(record.get("cp") or ""),
        str(record.get("type") or ""),
        str(ocpp.get("action") or ""),
        str(decision.get("verdict") or decision.get("act") or ""),
        str(decision.get("rule") or ""),
        str(record.get("sess") or ""),
        " ".join(str(each) for each in words if each)[:_MAX_TEXT_CHARS],
    )


def _conditions(query: Query) -> tuple[str, list[Any]]:
    """The where clause and its values."""
    parts, values = ["ts >= ?", "ts < ?"], list[Any]((query.since_us, query.until_us))
    for column, wanted in (
        ("cp", query.identity),
        ("action", query.action),
        ("verdict", query.verdict),
        ("rule", query.rule),
        ("session", query.session),
    ):
        if wanted:
            parts.append(f"{column} = ?")
            values.append(wanted)
    if query.event.endswith("."):
        parts.append("kind >= ? and kind < ?")
        values += [query.event, query.event[:-1] + "/"]
    elif query.event:
        parts.append("kind = ?")
        values.append(query.event)
    if query.text:
        parts.append(r"words like ? escape '\'")
        escaped = query.text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
        values.append(f"%{escaped}%")
    if query.after is not None:
        parts.append("(ts, shard, at) < (?, ?, ?)")
        values += [query.after.ts_us, query.after.shard, query.after.index]
    return " and ".join(parts), values
