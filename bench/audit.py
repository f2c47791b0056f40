"""The audit log against what others would use: a hash-chained JSON-lines file, and a table in SQLite.

    python -m bench.audit [--records N] [--repeat N]
    python -m bench.audit --search 10000000 --directory PLACE

All take the same records in the same order and wait for the disk every thousand records; they take turns, so that what
else the machine does hits all of them. CPU time is that of this process. Ratios are what can be compared.
"""

import argparse
import hashlib
import itertools
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec
from typing_extensions import override

from gateway.audit.checkpoint import LogSigner
from gateway.audit.record import RecordClass, envelope
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
from gateway.control.trail.disk import Disk
from gateway.control.trail.index import Query, SearchIndex
from gateway.control.trail.keys import load_or_make_keys
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.reader import ShardReader
from gateway.control.trail.recovery import open_shard
from gateway.control.trail.stamp import Stamper
from gateway.control.trail.verify import verify_shard

_BATCH = 1000
_BEGIN_US = 1_795_000_000_000_000


def make_records(count: int) -> list[bytes]:
    """Records such as a relayed message leaves, of about 600 bytes."""
    stamper = Stamper("edge-0", "bench")
    return [
        envelope(
            "ocpp.msg",
            stamper.stamp(),
            sev="info",
            cp=f"CP-{number % 10_000}",
            proven=True,
            sess=f"0-{number % 10_000}",
            peer={"ip": f"10.0.{number % 250}.{number % 199}", "listener": "tls"},
            ocpp={"version": "ocpp1.6", "action": ("Heartbeat", "StatusNotification", "MeterValues")[number % 3]},
            dec={"verdict": "allow", "policy": "0123456789ab"},
            text="x" * 250,
        )
        for number in range(count)
    ]


def write_log(records: list[bytes], place: Path) -> None:
    """Through the writer and its thread, as control does it."""
    writer = AuditWriter(
        Audit(directory=str(place / "audit"), reserve_bytes=0, max_queue_bytes=1 << 31), place / "keys"
    )
    writer.open()
    for record in records:
        writer.append(RecordClass.GROUP, record)
    writer.close(600.0)
    assert sum(writer.status()["lost"].values()) == 0


def write_chain(records: list[bytes], place: Path) -> None:
    """Each line has the hash of the one before."""
    before = b""
    with (place / "chain.jsonl").open("wb") as file:
        for start in range(0, len(records), _BATCH):
            for record in records[start : start + _BATCH]:
                line = b'{"previous":"%s","record":%s}\n' % (before, record)
                before = hashlib.sha256(line).hexdigest().encode()
                file.write(line)
            file.flush()
            os.fdatasync(file.fileno())


def write_table(records: list[bytes], place: Path) -> None:
    """A row a record, committed in batches."""
    db = sqlite3.connect(place / "table.sqlite", isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = full")
    db.execute("create table record (at integer primary key, body blob)")
    for start in range(0, len(records), _BATCH):
        db.execute("begin")
        db.executemany("insert into record (body) values (?)", ((each,) for each in records[start : start + _BATCH]))
        db.execute("commit")
    db.close()


def timed(work: Callable[[], object], count: int) -> tuple[float, float]:
    """Records per second, by the clock and by CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


def _turn(records: list[bytes], figures: dict[str, list[tuple[float, float]]]) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-audit-", dir=".") as name:
        place = Path(name)
        for label, write in (("write: log", write_log), ("write: chain", write_chain), ("write: table", write_table)):
            figures.setdefault(label, []).append(timed(lambda write=write: write(records, place), len(records)))  # type: ignore[misc]
        (shard,) = shards_in(place / "audit")
        report = None

        def verify() -> None:
            nonlocal report
            report = verify_shard(shard)

        figures.setdefault("verify", []).append(timed(verify, len(records)))
        assert report is not None
        assert report.ok
        index = SearchIndex(place / "index")
        figures.setdefault("index", []).append(timed(lambda: index.follow([shard]), len(records)))
        began = time.perf_counter()
        found = index.search(Query(identity="CP-77", since_us=0))
        seconds = time.perf_counter() - began
        print(f"search by identity and time: {len(found)} of {len(records)} records in {seconds * 1000:.1f} ms")
        index.close()
        shutil.rmtree(place / "audit")


def _stream(count: int, span_us: int) -> Iterator[bytes]:
    """Records like those of `make_records`, cheap to make, spread over a time: ten thousand charge points by turns."""
    actions = ("Heartbeat", "StatusNotification", "MeterValues", "BootNotification")
    for number in range(count):
        yield (
            b'{"boot":"b","cp":"CP-%d","dec":{"policy":"0123456789ab","verdict":"%s"},"id":"0190%012d","mono":%d,"node":"n","ocpp":'
            b'{"action":"%s","version":"ocpp1.6"},"peer":{"ip":"10.0.%d.%d","listener":"tls"},"proven":true,"seq":%d,"sess":"0-%d",'
            b'"sev":"info","text":"%s","ts":%d,"type":"ocpp.msg","v":1,"worker":"edge-0"}'
        ) % (
            number * 7919 % 10_000,
            b"deny" if number % 5000 == 0 else b"allow",
            number,
            number * 1000,
            actions[number % 4].encode(),
            number % 250,
            number % 199,
            number + 1,
            number * 7919 % 10_000,
            b"x" * 100,
            _BEGIN_US + number * span_us // count,
        )


def _grown(place: Path, count: int, span_us: int) -> Shard:
    """A log of so many records, without waiting for the disk each time: what is measured here is reading."""
    shard = Shard(place / "0001")
    keys = load_or_make_keys(place / "keys", may_make=True)
    writer, _ = open_shard(shard, LogSigner("bench/0001", keys.ed25519, keys.ml_dsa_44), _Impatient(), 1)
    records = _stream(count, span_us)
    while batch := list(itertools.islice(records, 10_000)):
        writer.commit(batch)
        writer.grow(batch)
        writer.write_tiles()
        writer.publish(1)
    writer.close()
    return shard


class _Impatient(Disk):
    @override
    def fdatasync(self, descriptor: int) -> None:
        return


def search_large(count: int, place: Path) -> int:
    """Search and verification of a log of so many records of ten thousand charge points, and the same question to peers."""
    span_us = 24 * 3_600 * 1_000_000 * max(1, count // 1_000_000)
    print(f"{count} records over {span_us // 3_600_000_000} hours, load average {os.getloadavg()[0]:.1f}", flush=True)
    _tell("made", timed(lambda: _grown(place, count, span_us), count))
    shard, index = Shard(place / "0001"), SearchIndex(place / "index.sqlite")
    _tell("index", timed(lambda: index.follow([shard]), count))
    hour = (_BEGIN_US + span_us // 2, _BEGIN_US + span_us // 2 + 3_600_000_000)
    _ask_all(index, shard, hour)
    index.close()
    size = sum(path.stat().st_size for path in (place / "0001/tile").rglob("*") if path.is_file())
    print(f"log {size / count:.0f} bytes a record, index {(place / 'index.sqlite').stat().st_size / count:.0f}")
    _tell("verify", timed(lambda: _sound(shard), count))
    _search_lines(count, span_us, place, hour)
    _search_table(count, span_us, place, hour)
    return 0


def _tell(what: str, rates: tuple[float, float]) -> None:
    print(f"{what}: {rates[0]:,.0f} records/s by the clock, {rates[1]:,.0f} per second of CPU", flush=True)


def _ask_all(index: SearchIndex, shard: Shard, hour: tuple[int, int]) -> None:
    within = partial(Query, since_us=hour[0], until_us=hour[1])
    for label, query in (
        ("identity and hour", within(identity="CP-77")),
        ("identity, whole time", Query(identity="CP-77")),
        ("identity, hour and verdict", within(identity="CP-77", verdict="deny")),
        ("action and hour", within(action="BootNotification")),
        ("words and hour", within(text="10.0.17.")),
        ("session", Query(session="0-4242")),
    ):
        asked = [_asked(index, shard, query) for _ in range(9)]
        ms = [seconds * 1000 for _, seconds in asked]
        told = f"{statistics.median(ms):.1f} ms with reading them, at worst {max(ms):.1f} ms"
        print(f"search by {label}: {asked[0][0]} found, {told}", flush=True)


def _asked(index: SearchIndex, shard: Shard, query: Query) -> tuple[int, float]:
    """How many were found, and the seconds until they were read."""
    began = time.perf_counter()
    found, reader = index.search(query), ShardReader(shard)
    for hit in found:
        reader.record(hit.index)
    return len(found), time.perf_counter() - began


def _sound(shard: Shard) -> None:
    assert verify_shard(shard).ok


def _search_lines(count: int, span_us: int, place: Path, hour: tuple[int, int]) -> None:
    """The same question to a file of JSON lines, which has to be read."""
    lines = place / "lines.jsonl"
    with lines.open("wb") as file:
        file.writelines(record + b"\n" for record in _stream(count, span_us))
    began = time.perf_counter()
    with lines.open("rb") as file:
        times = [msgspec.json.decode(line)["ts"] for line in file if b'"cp":"CP-77",' in line]
    found = sum(hour[0] <= ts < hour[1] for ts in times)
    print(f"peer, JSON lines: {found} found in {time.perf_counter() - began:.1f} s", flush=True)
    lines.unlink()


def _search_table(count: int, span_us: int, place: Path, hour: tuple[int, int]) -> None:
    """And to a table that holds the records themselves, with the one index that this question needs."""
    db = sqlite3.connect(place / "table.sqlite", isolation_level=None)
    db.execute("pragma journal_mode = wal")
    db.execute("pragma synchronous = off")
    db.execute("create table record (at integer primary key, ts integer, cp text, body blob)")

    def fill() -> None:
        db.execute("begin")
        for record in _stream(count, span_us):
            one = msgspec.json.decode(record)
            db.execute("insert into record (ts, cp, body) values (?,?,?)", (one["ts"], one["cp"], record))
        db.execute("commit")
        db.execute("create index by_charge_point on record (cp, ts)")

    wall, cpu = timed(fill, count)
    began = time.perf_counter()
    found = db.execute("select body from record where cp = 'CP-77' and ts >= ? and ts < ?", hour).fetchall()
    seconds = time.perf_counter() - began
    print(
        f"peer, table: {wall:,.0f} records/s, {cpu:,.0f} per second of CPU; {len(found)} found in {seconds * 1000:.1f} ms"
    )
    db.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--search", type=int, default=0, metavar="N", help="only search and verify, in a log of N records"
    )
    parser.add_argument("--directory", type=Path, default=Path(), help="where that log is made")
    arguments = parser.parse_args()
    if arguments.search:
        with tempfile.TemporaryDirectory(prefix="bench-search-", dir=arguments.directory) as name:
            return search_large(arguments.search, Path(name))
    records = make_records(arguments.records)
    size = sum(map(len, records)) / len(records)
    print(f"{len(records)} records of {size:.0f} bytes, load average {os.getloadavg()[0]:.1f}")
    figures: dict[str, list[tuple[float, float]]] = {}
    for turn in range(arguments.repeat):
        print(f"turn {turn + 1}", file=sys.stderr)
        _turn(records, figures)
    chain = statistics.median(cpu for _, cpu in figures["write: chain"])
    for label, values in figures.items():
        wall, cpu = (statistics.median(each[which] for each in values) for which in (0, 1))
        ratio = f", {chain / cpu:.2f}x the CPU of the chain" if label.startswith("write") else ""
        print(f"{label}: {wall:,.0f} records/s by the clock, {cpu:,.0f} per second of CPU{ratio}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
