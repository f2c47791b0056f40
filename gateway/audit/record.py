"""Records: the canonical envelope of one thing that happened, and how durable it has to be.

An envelope is one JSON object, version 1. Fields that do not apply are left out. It holds no secret and no payload.

=========== ============================================================================================
``v``       1
``type``    stable dotted name: of the event, or ``audit.*`` for the log's own records
``id``      UUIDv7
``ts``      microseconds since the epoch, UTC
``mono``    nanoseconds of a clock that never jumps, comparable within one ``boot`` and ``worker``
``node``    host that wrote it; ``boot``: one run of ``worker``; ``seq``: counts up by one in each of them
``sev``     info, low, medium, high, critical
``cp``      charge point; ``proven``: true if its identity was proven, not only claimed
``sess``    connection id, the same in every record of one connection
``peer``    ``ip``, ``port``, ``listener``, ``sni``, ``tls``, ``offered``, ``cert`` (SHA-256 of the client certificate)
``auth``    ``profile`` 0 to 3
``ocpp``    ``version``, ``action``, ``event`` (OCPP's own name of a security event)
``dec``     ``act`` (what was done), ``reason``, ``stage``, ``rule``, ``policy`` (revision), ``status`` (HTTP)
``ref``     of a detection: ``subject``, and ``records`` that it rests on, as ``SHARD/INDEX``
``n``       how many equal things it stands for, if more than one
``text``    a sentence of ours
``actor``   who has asked for it: ``name`` for people, ``known_by`` (`gateway.audit.event.Actor`), ``user``, ``uid``, ``pid``,
            ``login``; ``sudo`` and ``named`` are claims
``log``     facts of the log itself, in ``audit.*`` records
=========== ============================================================================================
"""

import enum
import re
from typing import Any, Final

import msgspec

from gateway.audit.canonical import canonical
from gateway.audit.event import SecurityEvent

__all__ = ["RecordClass", "Stamp", "class_of_event", "envelope", "envelope_of_event", "part", "uuid7"]

_RANDOM_BYTES: Final = 10
_SYNC_EVENTS: Final = re.compile(
    r"(config|credential|admin|privacy)\..+|(certificate|password)\.(?!not_yours$|not_learnt$|rejected$).+|gateway\.call|policy\.reload_failed|profile\.(taken|proven|upgraded)|cert\.(issued|revoked)|session\.revoked"
)
_RULE: Final = re.compile(r"([a-z0-9-]+/[a-z0-9-]+)(?:: .*)?", re.ASCII)
"""The detail of an event that a rule has raised begins with the rule."""


class RecordClass(enum.IntEnum):
    """When a record has to be on disk. What matters least is given up first."""

    LOSSY = 0
    """Repeats and aggregates: may be dropped when much else waits."""
    GROUP = 1
    """Within 50 ms; nobody waits for it."""
    SYNC = 2
    """Before its effect: changes by administrators, credentials, dangerous commands."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when a record was made, taken by the shell."""

    id: str
    ts_us: int
    mono_ns: int
    node: str
    boot: str
    worker: str
    seq: int


def uuid7(time_ms: int, random: bytes) -> str:
    """A UUID that sorts by time (RFC 9562, section 5.7). `random`: 10 bytes."""
    if len(random) != _RANDOM_BYTES:
        raise ValueError("10 random bytes are needed")
    time, rest = f"{time_ms & (1 << 48) - 1:012x}", random.hex()
    variant = "89ab"[random[2] >> 4 & 3]
    return f"{time[:8]}-{time[8:]}-7{rest[1:4]}-{variant}{rest[5:8]}-{rest[8:]}"


def part(record: dict[str, Any], name: str) -> dict[str, Any]:
    """An object in a record that was read; empty if there is none, or something else in its place."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def envelope(kind: str, stamp: Stamp, **fields: Any) -> bytes:
    """The canonical bytes of a record; fields that are empty are left out. Raises NotCanonical."""
    value: dict[str, Any] = {
        "v": 1,
        "type": kind,
        "id": stamp.id,
        "ts": stamp.ts_us,
        "mono": stamp.mono_ns,
        "node": stamp.node,
        "boot": stamp.boot,
        "worker": stamp.worker,
        "seq": stamp.seq,
    }
    value.update(_present(fields))
    return canonical(value)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, also one level down. False and 0 say something, except where 0 means unknown."""
    kept = {}
    for name, given in fields.items():
        each = _present(given) if type(given) is dict else given
        if each or isinstance(each, int):
            kept[name] = each
    return kept


def envelope_of_event(event: SecurityEvent, stamp: Stamp) -> bytes:
    """A security event as a record. `stamp.ts_us` should be the event's own time."""
    rule = _RULE.fullmatch(event.detail) if event.stage == "relay" else None
    return envelope(
        event.event,
        stamp,
        sev=event.severity,
        cp=event.charge_point_id,
        proven=event.verified if event.charge_point_id else None,
        sess=event.connection,
        peer={
            "ip": event.peer,
            "port": event.peer_port or None,
            "listener": event.listener,
            "sni": event.server_name,
            "tls": event.tls_version,
            "offered": list(event.tls_offered),
            "cert": event.certificate_sha256,
        },
        auth={"profile": event.security_profile or None},
        ocpp={"event": event.ocpp_event},
        dec={
            "act": event.decision,
            "reason": event.reason,
            "stage": event.stage,
            "rule": rule[1] if rule else "",
            "policy": event.policy_revision,
            "status": event.http_status or None,
        },
        ref={"subject": event.subject, "records": list(event.evidence)},
        n=event.count if event.count > 1 else None,
        text=event.detail,
        actor=msgspec.to_builtins(event.actor),
    )


def class_of_event(event: SecurityEvent) -> RecordClass:
    """Changes of configuration, policy and credentials are for `SYNC`; repeats that were folded are `LOSSY`."""
    if _SYNC_EVENTS.fullmatch(event.event):
        return RecordClass.SYNC
    return RecordClass.LOSSY if event.decision == "rate_limit" else RecordClass.GROUP
