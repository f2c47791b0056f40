"""A relay test is a script: `Scenario(...) >> event << effects`, bytes on both sides, no sockets and no clock.

`>>` feeds an event, `<<` states the effects of the last event, all of them and in order. Whatever was not stated is an
error at the next event and at the end of the `with` block. `FORWARD` means the very constant: the hot path depends on it.
"""

from types import TracebackType
from typing import Self

from gateway.identity.evidence import Admission, PasswordProof
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.relay.effects import FORWARD, NOTHING, Effect, Effects, ReportEvent
from gateway.relay.lanes import LaneLimits
from gateway.relay.relay import Relay, RelayLimits

__all__ = ["CSMS", "LIMITS", "ChargePoint", "Scenario", "Wait", "make_admission", "report"]

FOUR_AT_ONCE = LaneLimits(max_open=4, max_waiting=0, call_timeout_s=600.0)
LIMITS = RelayLimits(messages_per_s=10.0, messages_burst=100, flood_grace_s=5.0, calls=FOUR_AT_ONCE)


class ChargePoint(str):
    """A text message of the charge point."""

    __slots__ = ()


class CSMS(str):
    """A text message of the CSMS."""

    __slots__ = ()


class Wait(float):
    """So many seconds pass."""

    __slots__ = ()


Event = ChargePoint | CSMS | Wait


def make_admission(expected_serial_number: str = "") -> Admission:
    """What `admit` would have returned; the serial number is set on security profile 3 only."""
    return Admission(
        charge_point_id=ChargePointId("CP-1"),
        security_profile=SecurityProfile(3 if expected_serial_number else 2),
        subprotocols=("ocpp1.6",),
        assumed_version=None,
        csms="main",
        group="",
        generation=1,
        session="s-1",
        proof=PasswordProof(slot="current", reading="raw"),
        expected_serial_number=expected_serial_number,
        tolerances=(),
        upgrade_pending=False,
        answers_pings=True,
    )


def report(event: str, severity: str, decision: str, detail: str = "") -> ReportEvent:
    """A security event, for the right side of `<<`."""
    return ReportEvent(event, severity, decision, detail)  # type: ignore[arg-type]


class Scenario:
    """One relay and what has happened to it."""

    def __init__(
        self,
        version: OCPPVersion = OCPPVersion.V1_6,
        *,
        expected_serial_number: str = "",
        limits: RelayLimits = LIMITS,
    ) -> None:
        self.relay = Relay(make_admission(expected_serial_number), version, limits)
        self.now = 1_000.0
        self._unstated: Effects = NOTHING

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            assert self._unstated == NOTHING, "effects that the script does not state"

    def feed(self, event: Event) -> Effects:
        """What the relay wants done about an event."""
        data = str(event).encode()
        match event:
            case ChargePoint():
                return self.relay.from_charge_point(data, self.now)
            case CSMS():
                return self.relay.from_csms(data, self.now)
            case Wait():
                self.now += event
                return NOTHING

    def effects(self) -> Effects:
        """The effects of the last event, for a script that looks at them more closely than `<<` can."""
        effects, self._unstated = self._unstated, NOTHING
        return effects

    def __rshift__(self, event: Event) -> Self:
        assert self._unstated == NOTHING, f"effects that the script does not state before {event!r}"
        self._unstated = self.feed(event)
        return self

    def __lshift__(self, expected: Effect | Effects) -> Self:
        effects = self.effects()
        if expected is FORWARD:
            assert effects is FORWARD, effects
        else:
            assert effects == (expected if isinstance(expected, tuple) else (expected,))
        return self
