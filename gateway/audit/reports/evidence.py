"""Kinds of evidence: which records count as what. One pass over the log fills all of them, in bounded memory."""

import datetime
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from gateway.audit.detections.model import Seen, seen
from gateway.audit.record import part
from gateway.audit.reports.model import Evidence, Shown
from gateway.audit.tree import leaf_hash

__all__ = ["KINDS", "Tally", "moment"]

_MAX_CHARGE_POINTS: Final = 100_000
_ENDS: Final = 4
"""So many of the first and of the latest records are referred to."""
_MAX_TIMELINE: Final = 200
_TLS_PROFILE: Final = 2
_CERTIFICATE_PROFILE: Final = 3
_GRAVE: Final = frozenset({"high", "critical"})
_Test = Callable[[Seen], bool]


def _types(pattern: str) -> _Test:
    compiled = re.compile(pattern)
    return lambda one: compiled.fullmatch(one.kind) is not None


def _session(low: int, high: int) -> _Test:
    return lambda one: one.kind == "session.opened" and low <= _profile(one) <= high


def _profile(one: Seen) -> int:
    profile = part(one.record, "auth").get("profile")
    return profile if type(profile) is int else 0


def _rule(prefix: str) -> _Test:
    """Of a rule whose name begins so. The record of the message itself says the same once more, and does not count."""

    def test(one: Seen) -> bool:
        rule = part(one.record, "dec").get("rule")
        return isinstance(rule, str) and rule != "" and rule.startswith(prefix) and one.kind != "ocpp.message"

    return test


def _action(name: str) -> _Test:
    """A call, not its answer."""
    return lambda one: part(one.record, "ocpp").get("action") == name and part(one.record, "ocpp").get("kind") == "call"


KINDS: Final[dict[str, tuple[str, _Test]]] = {
    "encrypted": ("sessions over TLS (security profile 2 or 3)", _session(_TLS_PROFILE, _CERTIFICATE_PROFILE)),
    "certificate": ("sessions with a client certificate (profile 3)", _session(_CERTIFICATE_PROFILE, _CERTIFICATE_PROFILE)),
    "unencrypted": ("sessions without TLS (profile 0 or 1)", _session(0, _TLS_PROFILE - 1)),
    "tls-refused": ("TLS handshakes refused or failed", _types(r"tls\..+")),
    "credential-refused": ("logins refused: password or identity", _types(r"(auth|identity)\..+")),
    "certificate-refused": ("client certificates refused", _types(r"cert\.(?!issued|renewal).+")),
    "downgrade-refused": ("attempts with less security than required", _types(r"profile\.(downgrade|mismatch)")),
    "input-refused": ("inputs refused as invalid", _types(r"(schema|http|frame|json|size)\..+|time\.poison")),
    "message-judged": ("messages that a rule denied or flagged", _rule("")),
    "firmware-judged": ("firmware messages that a rule denied or flagged", _rule("firmware/")),
    "firmware-image": ("firmware images held against their signatures", _types(r"firmware\.image_.+")),
    "charging-judged": ("charging limits that a rule denied or flagged", _types(r"charging\..+")),
    "limit": ("connections or messages over a limit", _types(r"net\.(connect_rate|connection_limit|slow_reader)|.*\.limit|rate\..+")),
    "configuration": ("changes of configuration or policy", _types(r"(config|policy|admin)\.(reload.*|changed|.*_changed)|admin\..+")),
    "credential-changed": ("credentials and certificates changed", _types(r"credential\..+|cert\.(issued|renewed)|profile\.upgraded")),
    "revoked": ("sessions or certificates revoked", _types(r"session\.revoked|cert\.revoked|trust\..+")),
    "detection": ("detections", _types(r"detect\.(?!clock_wrong|flapping).+")),
    "clock": ("wrong clocks told", _types(r"detect\.clock_wrong|time\.implausible")),
    "station-event": ("security events that charge points sent", _action("SecurityEventNotification")),
    "upstream": ("failures of the back end", _types(r"upstream\..+")),
    "session": ("sessions opened", _types(r"session\.opened")),
    "log-kept": ("starts and ends of the audit log and its shards", _types(r"audit\.(start|stop|recovered|closed|continued)")),
    "log-gap": ("losses in the audit log, histories given up, and old records deleted", _types(r"audit\.(gap|new_history|pruned)")),
}  # fmt: skip


def moment(ts_us: int) -> str:
    """RFC 3339, seconds, UTC; a dash for what is no time."""
    try:
        found = datetime.datetime.fromtimestamp(ts_us // 1_000_000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        return "-"
    return found.isoformat().replace("+00:00", "Z")


class _Kept:
    def __init__(self) -> None:
        self.count = 0
        self.charge_points: set[str] = set()
        self.first: list[tuple[int, str]] = []
        self.last: deque[tuple[int, str]] = deque(maxlen=_ENDS)


class Tally:
    """Counts records of a period."""

    def __init__(self, since_us: int, until_us: int) -> None:
        """`until_us` is exclusive."""
        self._since_us, self._until_us = since_us, until_us
        self._kept = {kind: _Kept() for kind in KINDS}
        self._shown: dict[str, Shown] = {}
        self.records = 0
        self.timeline: list[Shown] = []
        """Grave records, the first of them, in order."""
        self.grave = 0
        self.addresses: dict[str, int] = {}
        self.charge_points: set[str] = set()
        """Of grave records: where they came from, and whom they are about."""

    def add(self, place: str, data: bytes, record: dict[str, Any]) -> None:
        """One record: its bytes, and its value."""
        one = seen(place, record)
        if not self._since_us <= one.ts_us < self._until_us:
            return
        self.records += 1
        for kind, (_, test) in KINDS.items():
            if test(one):
                self._keep(self._kept[kind], one, data)
        if record.get("sev") in _GRAVE:
            self._grave(one, data)

    def _keep(self, kept: _Kept, one: Seen, data: bytes) -> None:
        kept.count += one.count
        if one.charge_point_id and len(kept.charge_points) < _MAX_CHARGE_POINTS:
            kept.charge_points.add(one.charge_point_id)
        where = (one.ts_us, one.place)
        if len(kept.first) < _ENDS:
            kept.first.append(where)
        kept.last.append(where)
        self._shown[one.place] = _shown(one, data)
        if len(self._shown) > 8 * _ENDS * len(KINDS):
            self._forget()

    def _forget(self) -> None:
        """Records that nothing refers to any more."""
        wanted = {place for kept in self._kept.values() for _, place in (*kept.first, *kept.last)}
        self._shown = {place: shown for place, shown in self._shown.items() if place in wanted}

    def _grave(self, one: Seen, data: bytes) -> None:
        self.grave += one.count
        if len(self.timeline) < _MAX_TIMELINE:
            self.timeline.append(_shown(one, data))
        if one.charge_point_id and len(self.charge_points) < _MAX_CHARGE_POINTS:
            self.charge_points.add(one.charge_point_id)
        if one.address and (one.address in self.addresses or len(self.addresses) < _MAX_CHARGE_POINTS):
            self.addresses[one.address] = self.addresses.get(one.address, 0) + one.count

    def evidence(self, kind: str) -> Evidence:
        """What there is of one kind. Raises KeyError."""
        label, kept = KINDS[kind][0], self._kept[kind]
        ends = list(dict.fromkeys((*kept.first, *kept.last)))
        return Evidence(
            kind=kind,
            label=label,
            count=kept.count,
            charge_points=len(kept.charge_points),
            first=moment(ends[0][0]) if ends else "",
            last=moment(ends[-1][0]) if ends else "",
            places=[place for _, place in ends],
        )

    def shown(self, places: Iterable[str]) -> tuple[Shown, ...]:
        """The records at these places, each once, in order."""
        return tuple(self._shown[place] for place in sorted(set(places), key=_order) if place in self._shown)


def _order(place: str) -> tuple[str, int]:
    shard, _, index = place.rpartition("/")
    return shard, int(index)


def _shown(one: Seen, data: bytes) -> Shown:
    return Shown(
        one.place,
        moment(one.ts_us),
        one.kind,
        str(one.record.get("sev") or ""),
        one.charge_point_id,
        one.address,
        str(one.record.get("text") or one.reason),
        leaf_hash(data).hex(),
    )
