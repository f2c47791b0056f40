"""Records what live sessions relay, where the configuration asks for it: for a replay under another policy.

Off, it costs nothing: a leg then calls its relay directly. On, frames are gathered as they came and made into lines, without
what must not be kept, when the worker flushes; what comes faster than that is counted as missing, and never delays anything.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import msgspec

from gateway.audit.redaction import redacted, token_pseudonym
from gateway.edge.control_link import ControlLink
from gateway.edge.events import Counts
from gateway.edge.pump import Bridge, Leg
from gateway.link.messages import RecordedLines, RecordingSettings
from gateway.ocpp.vocabulary import Origin
from gateway.policy.recording import Decision, Match, Recorded, line_of
from gateway.relay.effects import Answered, AskFleet, CloseBoth, Effects, Forward, Judging, Reply, ReportEvent

__all__ = ["LOST", "Recorder"]

LOST: Final = "ocpp_gateway_recording_lost_total"
"""Counter of frames that are missing in the recording."""
_RECORDED: Final = "ocpp_gateway_recorded_total"
_UNREADABLE: Final = "ocpp_gateway_recording_unreadable_total"
_MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
_MAX_BATCH_BYTES: Final = 65_536
_MAX_BATCH_FRAMES: Final = 64
"""So many are made into lines in one turn: some milliseconds."""
_MAX_ASKED_S: Final = 5.0
"""Control's answer, or that there is none, comes sooner."""
_REVISION_DIGITS: Final = 12


class _Taken(msgspec.Struct, frozen=True):
    """A frame and what was decided about it."""

    bridge: Bridge
    origin: Origin
    data: bytes
    time: float
    effects: Effects
    revision: str


class Recorder:
    """One per worker."""

    def __init__(
        self, link: ControlLink, counts: Counts, revision: Callable[[], str], clock: Callable[[], float]
    ) -> None:
        self._link = link
        self._counts = counts
        self._revision = revision
        self._clock = clock
        self._settings: RecordingSettings | None = None
        self._waiting: list[_Taken] = []
        self._waiting_bytes = 0
        self._asked: dict[tuple[str, int], _Taken] = {}
        """By session and ticket, oldest first."""
        self._lost = 0

    def use(self, settings: RecordingSettings | None, bridges: Iterable[Bridge]) -> None:
        """Record, or stop recording, live sessions from now on."""
        if settings == self._settings:
            return
        self._settings = settings
        for bridge in bridges:
            self.attach(bridge)

    def attach(self, bridge: Bridge) -> None:
        """Listen to this session, or no longer."""
        settings = self._settings
        wanted = settings is not None and (not settings.groups or bridge.admission.group in settings.groups)
        for leg in (bridge.charge_point, bridge.csms):
            judge = bridge.relay.judging(leg.origin)
            leg.judge = partial(self._judged, leg, judge) if wanted else judge

    def _judged(self, leg: Leg, judge: Judging, data: bytes, now: float) -> Effects:
        revision = self._revision()
        effects = judge(data, now)
        if self._waiting_bytes + len(data) > _MAX_WAITING_BYTES:
            self._lost += 1
            self._counts.add(LOST)
            return effects
        self._waiting_bytes += len(data)
        taken = _Taken(leg.bridge, leg.origin, data, self._clock(), effects, revision)
        ticket = next((each.ticket for each in effects if isinstance(each, AskFleet)), 0)
        if ticket:
            self._asked[taken.bridge.admission.session, ticket] = taken
        else:
            self._waiting.append(taken)
        return effects

    def settled(self, leg: Leg, ticket: int, effects: Effects) -> None:
        """What has become of a frame that waited for control; until then it is not written."""
        taken = self._asked.pop((leg.bridge.admission.session, ticket), None)
        if taken is not None:
            before = tuple(effect for effect in taken.effects if not isinstance(effect, AskFleet))
            self._waiting.append(msgspec.structs.replace(taken, effects=(*before, *effects)))

    def _give_up(self) -> None:
        """Sessions that ended while they waited for control."""
        over = self._clock() - _MAX_ASKED_S
        for key, taken in list(self._asked.items()):
            if taken.time >= over:
                break
            self._waiting.append(self._asked.pop(key))

    def flush(self) -> bool:
        """Hand a batch to control. True if more is waiting."""
        if self._asked:
            self._give_up()
        lines, size, taken = [], 0, 0
        for each in self._waiting:
            if size >= _MAX_BATCH_BYTES or taken >= _MAX_BATCH_FRAMES:
                break
            taken += 1
            size += len(each.data)
            line = self._line(each)
            if line:
                lines.append(line)
        del self._waiting[:taken]
        self._waiting_bytes -= size
        if lines:
            sent = self._link.send(RecordedLines(b"".join(lines), len(lines)))
            self._counts.add(_RECORDED if sent else LOST, len(lines))
            self._lost += 0 if sent else len(lines)
        return bool(self._waiting)

    def flush_all(self) -> None:
        """Everything that waits, at the end."""
        while self.flush():
            pass

    def _line(self, taken: _Taken) -> bytes:
        """One line; empty for a frame that no rule has seen, because nobody can say what of it may be kept."""
        settings = self._settings
        if settings is None:
            return b""
        reports = [effect for effect in taken.effects if isinstance(effect, ReportEvent)]
        also = {path for report in reports if report.rule is not None for path in report.rule.redact}
        try:
            text = redacted(taken.data, taken.bridge.version, partial(token_pseudonym, settings.key), also).decode()
        except ValueError:
            self._counts.add(_UNREADABLE)
            return b""
        lost, self._lost = self._lost, 0
        bridge, boot = taken.bridge, taken.bridge.relay.boot
        admission = bridge.admission
        return line_of(
            Recorded(
                time=taken.time,
                identity=admission.charge_point_id,
                group=admission.group,
                version=bridge.version,
                security_profile=admission.security_profile,
                origin="charge-point" if taken.origin is Origin.CHARGE_POINT else "csms",
                text=text,
                vendor=boot.vendor if boot is not None and not also else "",
                model=boot.model if boot is not None and not also else "",
                ip=bridge.transport_facts.peer.address,
                session=admission.session,
                size=len(taken.data),
                digest=hmac.new(settings.key, taken.data, hashlib.sha256).hexdigest()[:32],
                decision=_decision(taken.effects),
                revision=taken.revision[:_REVISION_DIGITS],
                matches=tuple(_match(report) for report in reports),
                lost=lost,
            )
        )


def _decision(effects: Effects) -> Decision:
    kinds = {type(effect) for effect in effects}
    if Forward in kinds:
        return "forward"
    if CloseBoth in kinds:
        return "close"
    if AskFleet in kinds:
        return "ask"
    if Answered in kinds:
        return "own"
    refused = any(isinstance(each, ReportEvent) and _is_refusal(each.decision) for each in effects)
    return "refuse" if Reply in kinds or refused else "queue"


def _is_refusal(decision: str) -> bool:
    return not decision.startswith("would:") and decision not in {"allow_alert", "allow", "alert"}


def _match(report: ReportEvent) -> Match:
    watches = report.decision.startswith("would:")
    return Match(
        event=report.event,
        rule=report.rule.id if report.rule is not None else "",
        severity=report.severity,
        effect="" if watches else report.decision,
        would=report.decision.removeprefix("would:") if watches else "",
        # What a rule says about a match may repeat what the message says.
        detail=report.detail if report.rule is None else "",
    )
