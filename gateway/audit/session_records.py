"""Records of sessions that begin and end, two for each time that a charge point comes back. Pure.

``session.opened`` and ``session.closed``; beside the fields that every record has (`gateway.audit.record`):

=========== ============================================================================================
``peer``    of the first: ``ip``, ``listener``, ``cert``
``auth``    of the first: ``profile`` and ``proof``, the kind of proof
``ocpp``    of the first: ``version``
``csms``    of the first: its name; ``group``: of the charge point
``dec``     of the second: ``reason``
``traffic`` of the second: ``cp_messages``, ``csms_messages``, ``cp_bytes``, ``csms_bytes``
=========== ============================================================================================

Made as structs in sorted order, which costs a third of `envelope`: a fleet that comes back is records of these.
"""

import msgspec

from gateway.audit.canonical import canonical_fields
from gateway.audit.record import Stamp

__all__ = ["Traffic", "session_closed_record", "session_opened_record"]


class Traffic(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a session has relayed."""

    cp_bytes: int
    cp_messages: int
    csms_bytes: int
    csms_messages: int


class _Auth(msgspec.Struct, frozen=True, gc=False):
    profile: int
    proof: str


class _Peer(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    cert: str = ""
    ip: str = ""
    listener: str = ""


class _Ocpp(msgspec.Struct, frozen=True, gc=False):
    version: str


class _Decision(msgspec.Struct, frozen=True, gc=False):
    reason: str


class _Opened(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`gateway.audit.record.envelope` of ``session.opened``, field by field in sorted order."""

    auth: _Auth
    boot: str
    cp: str = ""
    csms: str = ""
    group: str = ""
    id: str
    mono: int
    node: str
    ocpp: _Ocpp | None = None
    peer: _Peer | None = None
    proven: bool
    seq: int
    sess: str = ""
    sev: str
    ts: int
    type: str
    v: int
    worker: str


class _Closed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The same of ``session.closed``."""

    boot: str
    cp: str = ""
    dec: _Decision | None = None
    id: str
    mono: int
    node: str
    proven: bool
    seq: int
    sess: str = ""
    sev: str
    traffic: Traffic
    ts: int
    type: str
    v: int
    worker: str


def session_opened_record(  # noqa: PLR0913  the facts, by name
    stamp: Stamp,
    *,
    charge_point_id: str,
    session: str,
    address: str,
    listener: str,
    certificate_sha256: str,
    security_profile: int,
    proof: str,
    subprotocol: str,
    csms: str,
    group: str,
) -> bytes:
    """The canonical envelope of a charge point that is connected to its CSMS. Raises NotCanonical."""
    has_peer = address or listener or certificate_sha256
    return canonical_fields(
        _Opened(
            auth=_Auth(security_profile, proof),
            boot=stamp.boot,
            cp=charge_point_id,
            csms=csms,
            group=group,
            id=stamp.id,
            mono=stamp.mono_ns,
            node=stamp.node,
            ocpp=_Ocpp(subprotocol) if subprotocol else None,
            peer=_Peer(certificate_sha256, address, listener) if has_peer else None,
            proven=True,
            seq=stamp.seq,
            sess=session,
            sev="info",
            ts=stamp.ts_us,
            type="session.opened",
            v=1,
            worker=stamp.worker,
        )
    )


def session_closed_record(stamp: Stamp, *, charge_point_id: str, session: str, reason: str, traffic: Traffic) -> bytes:
    """The canonical envelope of one that is connected no longer. Raises NotCanonical."""
    return canonical_fields(
        _Closed(
            boot=stamp.boot,
            cp=charge_point_id,
            dec=_Decision(reason) if reason else None,
            id=stamp.id,
            mono=stamp.mono_ns,
            node=stamp.node,
            proven=True,
            seq=stamp.seq,
            sess=session,
            sev="info",
            traffic=traffic,
            ts=stamp.ts_us,
            type="session.closed",
            v=1,
            worker=stamp.worker,
        )
    )
