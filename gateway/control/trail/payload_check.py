"""Whether the texts that records commit to are there, are what was committed to, or are gone for good."""

from collections.abc import Iterable

import msgspec

from gateway.control.trail.layout import Shard
from gateway.control.trail.payloads import PayloadGone, Payloads, PayloadStore
from gateway.control.trail.reader import ShardReader, decoded

__all__ = ["PayloadReport", "check_payloads"]

_MOST_FINDINGS = 100


class PayloadReport(msgspec.Struct, kw_only=True):
    """What is known about texts after reading all of them."""

    readable: int = 0
    destroyed: int = 0
    """Their keys are not there any more: they were shredded, or are too old."""
    findings: list[str] = []
    """Texts that are altered, or missing although their key is there."""


def check_payloads(shards: Iterable[Shard], store: PayloadStore) -> PayloadReport:
    """Decrypt every text. Raises RecordMissing, OSError."""
    report, day, payloads = PayloadReport(), "", None
    for shard in shards:
        for index, data in ShardReader(shard).records():
            if b'"commit"' not in data:
                continue
            body = decoded(data).get("body") or {}
            if body.get("day") != day or payloads is None:
                day, payloads = str(body["day"]), store.of(str(body["day"]))
            _check(report, payloads, str(body["commit"]), f"{shard.name}/{index}")
    return report


def _check(report: PayloadReport, payloads: Payloads, commit: str, place: str) -> None:
    try:
        payloads.text(commit)
        report.readable += 1
    except PayloadGone as gone:
        if gone.is_destroyed:
            report.destroyed += 1
        elif len(report.findings) < _MOST_FINDINGS:
            report.findings.append(f"the text of record {place}: {gone}")
