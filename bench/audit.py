"""The audit log against what others would use: a hash-chained JSON-lines file, and a table in SQLite.

    python -m bench.audit [--records N] [--repeat N]

All take the same records in the same order and wait for the disk every thousand records; they take turns, so that what
else the machine does hits all of them. CPU time is that of this process. Ratios are what can be compared.
"""

import argparse
import hashlib
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gateway.audit.record import RecordClass, envelope
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditWriter
from gateway.control.trail.index import Query, SearchIndex
from gateway.control.trail.layout import shards_in
from gateway.control.trail.stamp import Stamper
from gateway.control.trail.verify import verify_shard

_BATCH = 1000


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
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
