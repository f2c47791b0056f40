"""Records what live sessions relay, where the configuration asks for it: for a replay under another policy.

Off, it costs nothing: a leg then calls its relay directly. On, frames are gathered as they came and made into lines, without
what must not be kept, when the worker flushes; what comes faster than that is counted as missing, and never delays anything.
"""

import hashlib
import hmac
import math
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import msgspec
import structlog

from gateway.audit.redaction import redacted, token_pseudonym
from gateway.edge.control_link import ControlLink
from gateway.edge.decisions import decision_of, match_of, reports_of, to_be_redacted
from gateway.edge.events import Counts
from gateway.edge.pump import Bridge, Leg
from gateway.identity.evidence import Admission
from gateway.link.messages import RecordedLines, RecordingSettings
from gateway.ocpp.vocabulary import OCPPVersion, Origin
from gateway.policy.recording import Recorded, line_of
from gateway.relay.effects import AskFleet, Effects, Judging, NoteRegistered

__all__ = ["LOST", "Recorder"]

LOST: Final = "ocpp_gateway_recording_lost_total"
"""Counter of frames that are missing in the recording."""
_RECORDED: Final = "ocpp_gateway_recorded_total"
_UNREADABLE: Final = "ocpp_gateway_recording_unreadable_total"
_MAX_WAITING_BYTES: Final = 8 * 1024 * 1024
_FRAME_COST_BYTES: Final = 400
"""What a frame costs beside its own bytes: about 250 measured, and what it has of effects of its own."""
_MAX_BATCH_BYTES: Final = 65_536
_MAX_BATCH_FRAMES: Final = 64
"""So many are made into lines in one turn: some milliseconds."""
_MAX_ASKED_S: Final = 5.0
"""Control's answer, or that there is none, comes sooner."""
_REVISION_DIGITS: Final = 12
_log = structlog.get_logger("edge.recorder")


class _Taken(msgspec.Struct):
    """A frame and what was decided about it. No part of its session is kept that the session could miss memory for."""

    admission: Admission
    version: OCPPVersion
    address: str
    boot: NoteRegistered | None
    origin: Origin
    data: bytes
    time: float
    effects: Effects
    revision: str
    asked_at: float = 0.0
    """Monotonic seconds since when it waits for control; 0: it does not."""


class Recorder:
    """One per worker. `clock`: seconds since the epoch; `monotonic`: the clock of what is judged."""

    def __init__(
        self,
        link: ControlLink,
        counts: Counts,
        revision: Callable[[], str],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        outside: Callable[[Leg, Judging], Judging] = lambda _, judge: judge,
    ) -> None:
        """`outside`: what listens to a leg around the recording, whether or not there is one."""
        self._link = link
        self._counts = counts
        self._revision = revision
        self._clock = clock
        self._monotonic = monotonic
        self._outside = outside
        self._settings: RecordingSettings | None = None
        self._waiting: deque[_Taken] = deque()
        """In the order in which they came, those that wait for control too."""
        self._waiting_bytes = 0
        self._asked: dict[tuple[str, int], _Taken] = {}
        """By session and ticket."""
        self._lost = 0

    def use(self, settings: RecordingSettings | None, bridges: Iterable[Bridge]) -> None:
        """Record, or stop recording, live sessions from now on."""
        if settings == self._settings:
            return
        self.flush_all()  # under the settings that it was recorded under
        self._settings = settings
        for bridge in bridges:
            self.attach(bridge)

    def attach(self, bridge: Bridge) -> None:
        """Listen to this session, or no longer."""
        settings = self._settings
        wanted = settings is not None and (not settings.groups or bridge.admission.group in settings.groups)
        for leg in (bridge.charge_point, bridge.csms):
            judge = bridge.relay.judging(leg.origin)
            leg.judge = self._outside(leg, partial(self._judged, leg, judge) if wanted else judge)

    def _judged(self, leg: Leg, judge: Judging, data: bytes, now: float) -> Effects:
        revision = self._revision()
        effects = judge(data, now)
        if self._waiting_bytes + _size(data) > _MAX_WAITING_BYTES:
            self._lost += 1
            self._counts.add(LOST)
            return effects
        self._waiting_bytes += _size(data)
        bridge = leg.bridge
        address, boot = bridge.transport_facts.peer.address, bridge.relay.boot
        taken = _Taken(
            bridge.admission, bridge.version, address, boot, leg.origin, data, self._clock(), effects, revision
        )
        self._waiting.append(taken)
        ticket = next((each.ticket for each in effects if isinstance(each, AskFleet)), 0)
        if ticket:
            taken.asked_at = now
            self._asked[bridge.admission.session, ticket] = taken
        return effects

    def settled(self, leg: Leg, ticket: int, effects: Effects | None) -> None:
        """What has become of a frame that waited for control, None: the session ended before; until then it is not written."""
        taken = self._asked.pop((leg.bridge.admission.session, ticket), None)
        if taken is not None:
            taken.asked_at = 0.0
            if effects is not None:
                before = tuple(effect for effect in taken.effects if not isinstance(effect, AskFleet))
                taken.effects = (*before, *effects)

    def _give_up(self, since: float) -> None:
        """Sessions that ended while they waited for control."""
        for key, taken in list(self._asked.items()):
            if taken.asked_at <= since:
                taken.asked_at = 0.0
                del self._asked[key]

    def flush(self) -> bool:
        """Hand a batch to control. True if more could be handed over now."""
        if self._asked:
            self._give_up(self._monotonic() - _MAX_ASKED_S)
        lines, size, taken = [], 0, 0
        while self._may_be_written() and size < _MAX_BATCH_BYTES and taken < _MAX_BATCH_FRAMES:
            each = self._waiting.popleft()
            self._waiting_bytes -= _size(each.data)
            taken += 1
            size += len(each.data)
            line = self._line_or_none(each)
            if line:
                lines.append(line)
        if lines:
            sent = self._link.send(RecordedLines(b"".join(lines), len(lines)))
            self._counts.add(_RECORDED if sent else LOST, len(lines))
            self._lost += 0 if sent else len(lines)
        return self._may_be_written()

    def _may_be_written(self) -> bool:
        """What waits for control holds up all behind it, for some seconds at most."""
        return bool(self._waiting) and not self._waiting[0].asked_at

    def _line_or_none(self, taken: _Taken) -> bytes:
        try:
            return self._line(taken)
        except Exception:  # noqa: BLE001  whatever a peer has sent, the frames behind it are recorded
            _log.exception("frame_not_recorded", session=taken.admission.session)
            self._lost += 1
            self._counts.add(LOST)
            return b""

    def flush_all(self) -> None:
        """Everything that waits, at the end; for control nobody waits any more."""
        self._give_up(math.inf)
        while self.flush():
            pass

    def _line(self, taken: _Taken) -> bytes:
        """One line; empty for a frame that no rule has seen, because nobody can say what of it may be kept."""
        settings = self._settings
        if settings is None:
            return b""
        reports = reports_of(taken.effects)
        also = to_be_redacted(reports)
        try:
            text = redacted(taken.data, taken.version, partial(token_pseudonym, settings.key), also).decode()
        except ValueError:
            self._counts.add(_UNREADABLE)
            return b""
        lost, self._lost = self._lost, 0
        admission, boot = taken.admission, taken.boot
        if also:  # a BootNotification's values may be among what a rule wants to have taken out
            vendor, model, firmware, serial = "", "", "", ""
        else:
            serial, told = admission.serial_number, boot or admission
            vendor, model, firmware = told.vendor, told.model, told.firmware
        return line_of(
            Recorded(
                time=taken.time,
                identity=admission.charge_point_id,
                group=admission.group,
                version=taken.version,
                security_profile=admission.security_profile,
                origin="charge-point" if taken.origin is Origin.CHARGE_POINT else "csms",
                text=text,
                vendor=vendor,
                model=model,
                firmware=firmware,
                serial=serial,
                ip=taken.address,
                session=admission.session,
                size=len(taken.data),
                digest=hmac.new(settings.key, taken.data, hashlib.sha256).hexdigest()[:32],
                decision=decision_of(taken.effects),
                revision=taken.revision[:_REVISION_DIGITS],
                matches=tuple(match_of(report) for report in reports),
                lost=lost,
            )
        )


def _size(data: bytes) -> int:
    return len(data) + _FRAME_COST_BYTES
