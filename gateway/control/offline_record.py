"""One record in a log that no gateway writes just now: opened as a gateway does, and closed again. Blocks."""

import os
from pathlib import Path

from gateway.audit.event import SecurityEvent
from gateway.audit.record import RecordClass, envelope_of_event
from gateway.config.model import Audit
from gateway.control.audit_writer import AuditUnavailable, AuditWriter, LogRefused
from gateway.control.trail.layout import shards_in
from gateway.control.trail.shard_writer import DiskFull, TrailBroken
from gateway.control.trail.stamp import Stamper

__all__ = ["record_offline"]


def record_offline(audit: Audit, event: SecurityEvent) -> None:
    """On the disk when it returns. Raises AuditUnavailable with a sentence, whatever is wrong; then nobody has read it."""
    directory = Path(audit.directory)
    try:
        _verify_usable(directory)
        writer = AuditWriter(audit, Path(audit.keys_directory))
        writer.open()
    except (LogRefused, DiskFull, TrailBroken, OSError) as error:
        raise AuditUnavailable(str(error)) from error
    written: list[int | None] = []
    stamp = Stamper("command", os.urandom(8).hex()).stamp(int(event.time * 1_000_000))
    try:
        writer.append(RecordClass.SYNC, envelope_of_event(event, stamp), written.append)
    finally:
        writer.close()
    if not written or written[0] is None:
        raise AuditUnavailable(writer.why or "it was not written")


def _verify_usable(directory: Path) -> None:
    """Nothing is begun here, and nothing left that the gateway's user cannot write. Raises AuditUnavailable, OSError."""
    if not shards_in(directory):
        raise AuditUnavailable(f"there is no audit log in {directory}")
    if directory.stat().st_uid != os.geteuid():
        raise AuditUnavailable(f"{directory} belongs to another user: run this as the user of the gateway")
