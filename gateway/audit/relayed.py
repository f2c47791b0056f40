"""Records of frames that were relayed or refused: what a frame is, how much of it is kept, and its envelope. Pure.

``ocpp.message`` is one frame; beside the fields that every record has (`gateway.audit.record`):

=========== ============================================================================================
``ocpp``    ``version``, ``kind`` (call, result, error, result_error, send, malformed), ``action`` (of an answer: of
            the call), ``id``, ``from`` (charge-point, csms), ``bytes``, ``after_ms`` (of an answer: since its call)
``dec``     ``act``: forward, queue (waits its turn), refuse, close, own (answers a call of the gateway's), answer (the
            gateway has answered itself), ask;
            ``rule`` that decided, ``policy``
``rules``   every gate and rule that had something to say: ``event``, ``rule``, ``sev``, and ``act`` or, if it was
            not enforced, ``would``
``edge``    ``boot`` and ``frame``, the number that the edge has given to the frame
``subj``    pseudonyms of the drivers whose tokens are in it, each behind the year of its key
``body``    at level full: ``commit``, SHA-256 over a salt and the text, which lies encrypted outside the tree, by
            ``day``; or ``omitted``, why not; ``drivers``, how many are in the text, if ``subj`` does not name all
=========== ============================================================================================

``ocpp.counted`` stands for many of one session: ``counts`` by action, ``bytes``, ``since``. What was refused over and over for
the same reason is counted as ``ACTION: refuse`` after the first of them.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.audit.canonical import canonical_fields
from gateway.audit.event import Severity, printable
from gateway.audit.record import Stamp, envelope
from gateway.audit.redaction import is_plain_word
from gateway.ocpp.frames import Call, CallError, CallResult, CallResultError, Frame, Send
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.ocpp.wrapped import unsigned

__all__ = [
    "Head",
    "Level",
    "Levels",
    "Message",
    "RuleSaid",
    "counted_record",
    "head_of",
    "is_security_event",
    "message_record",
    "plain_name",
]

Level = Literal["full", "meta", "count"]
Kind = Literal["call", "result", "error", "result_error", "send", "malformed"]
_KINDS: Final[dict[type, Kind]] = {
    Call: "call",
    CallResult: "result",
    CallError: "error",
    CallResultError: "result_error",
    Send: "send",
}
_MAX_ID_CHARS: Final = 64
_MAX_ACTION_CHARS: Final = 64
_MAX_DETAIL_CHARS: Final = 256
_SECURITY_EVENT: Final = "SecurityEventNotification"
_SEVERITIES: Final[tuple[Severity, ...]] = ("info", "low", "medium", "high", "critical")


class Levels(msgspec.Struct, frozen=True, kw_only=True):
    """How much of which messages is kept. Answers go with their calls."""

    default: Level = "meta"
    full: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()

    def of(self, action: str, *, is_remarkable: bool) -> Level:
        """`is_remarkable`: it did not simply go on, or a rule had something to say. Then all of it is kept."""
        action = unsigned(action)
        if is_remarkable or action in self.full:
            return "full"
        return "count" if action in self.counted else self.default

    def is_told_as_number(self, action: str) -> bool:
        """True if nothing but a count is wanted of a message of this action that went on without a word."""
        return self.of(action, is_remarkable=False) == "count" and not is_security_event(action)


def is_security_event(action: str) -> bool:
    """What a charge point reports of itself is a record of its own, whatever the levels say."""
    return unsigned(action) == _SECURITY_EVENT


class Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a frame says about itself."""

    kind: Kind
    message_id: str = ""
    action: str = ""
    """Of a call or SEND; of an error its code. Empty for results, ``*`` for what cannot be a name."""


class RuleSaid(msgspec.Struct, frozen=True, kw_only=True):
    """A gate or rule that had something to say about a frame."""

    event: str
    rule: str = ""
    severity: str = ""
    effect: str = ""
    would: str = ""
    detail: str = ""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """All that a record says of one frame."""

    head: Head
    action: str
    """Of an answer: that of its call; empty where that is not known."""
    charge_point_id: str
    session: str
    version: OCPPVersion
    from_csms: bool
    size: int
    after_ms: int | None
    """Of an answer: since its call."""
    decision: str
    said: tuple[RuleSaid, ...]
    policy: str
    edge_boot: str
    number: int
    body: dict[str, Any] | None = None
    """At level full."""
    subjects: tuple[str, ...] = ()
    """Pseudonyms of the drivers whose tokens are in it."""


def head_of(frame: Frame | None) -> Head:
    """Of a decoded frame; None is what the strict codec did not take."""
    if frame is None:
        return Head("malformed")
    kind = _KINDS[type(frame)]
    if isinstance(frame, Call | Send):
        return Head(kind, frame.message_id, plain_name(frame.action))
    if isinstance(frame, CallError | CallResultError):
        return Head(kind, frame.message_id, plain_name(frame.code))
    return Head(kind, frame.message_id)


def plain_name(text: str) -> str:
    """Peers may write into it what they like: what is no name is not kept."""
    return text if is_plain_word(text) else "*"


class _Ocpp(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    action: str = ""
    after_ms: int | None = None
    bytes: int
    error: str = ""
    from_: str = msgspec.field(name="from")
    id: str = ""
    kind: str
    version: str


class _Decision(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    act: str = ""
    policy: str = ""
    rule: str = ""


class _Edge(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    boot: str = ""
    frame: int


class _Envelope(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`gateway.audit.record.envelope` of ``ocpp.message``, field by field in sorted order."""

    body: dict[str, Any] | None = None
    boot: str
    cp: str = ""
    dec: _Decision
    edge: _Edge
    id: str
    mono: int
    node: str
    ocpp: _Ocpp
    proven: bool
    rules: list[dict[str, str]] = []
    seq: int
    sess: str = ""
    sev: str = ""
    subj: tuple[str, ...] = ()
    ts: int
    type: str
    v: int
    worker: str


def message_record(stamp: Stamp, message: Message) -> bytes:
    """The canonical envelope of one frame. Raises NotCanonical."""
    head, said = message.head, message.said
    is_error = head.kind in {"error", "result_error"}
    return canonical_fields(
        _Envelope(
            body=message.body,
            boot=stamp.boot,
            cp=message.charge_point_id,
            dec=_Decision(act=message.decision, policy=message.policy, rule=_deciding(said) if said else ""),
            edge=_Edge(boot=message.edge_boot, frame=message.number),
            id=stamp.id,
            mono=stamp.mono_ns,
            node=stamp.node,
            ocpp=_Ocpp(
                action=printable(message.action, _MAX_ACTION_CHARS),
                after_ms=message.after_ms,
                bytes=message.size,
                error=printable(head.action, _MAX_ACTION_CHARS) if is_error else "",
                from_="csms" if message.from_csms else "charge-point",
                id=printable(head.message_id, _MAX_ID_CHARS),
                kind=head.kind,
                version=message.version.value,
            ),
            proven=True,
            rules=[_shown(each) for each in said],
            seq=stamp.seq,
            sess=message.session,
            sev=max((each.severity for each in said), key=_weight, default="info") if said else "info",
            subj=message.subjects,
            ts=stamp.ts_us,
            type="ocpp.message",
            v=1,
            worker=stamp.worker,
        )
    )


def counted_record(
    stamp: Stamp, *, charge_point_id: str, session: str, counts: dict[str, int], size: int, since_us: int
) -> bytes:
    """The canonical envelope of many frames of one session, none of which was remarkable by itself. Raises NotCanonical."""
    return envelope(
        "ocpp.counted",
        stamp,
        sev="info",
        cp=charge_point_id,
        proven=True,
        sess=session,
        counts=counts,
        bytes=size,
        since=since_us,
        n=sum(counts.values()),
    )


def _weight(severity: str) -> int:
    return _SEVERITIES.index(severity) if severity in _SEVERITIES else 0


def _deciding(said: Sequence[RuleSaid]) -> str:
    """The rule whose effect was performed, if it was one."""
    return next((each.rule for each in said if each.rule and each.effect), "")


def _shown(said: RuleSaid) -> dict[str, str]:
    shown = {
        "event": said.event,
        "rule": said.rule,
        "sev": said.severity,
        "act": said.effect,
        "would": said.would,
        "why": printable(said.detail, _MAX_DETAIL_CHARS),
    }
    return {name: each for name, each in shown.items() if each}
