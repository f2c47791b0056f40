"""One simulated charge point: `handle(event) -> effects`. The only door to the core.

Whatever changes the non-volatile memory puts `Store` before every effect that relies on it, so that a process can be
killed between any two effects and the charge point is still a possible one.
"""

from typing import Final

from gateway.ocpp.build import build_call_error, build_call_result
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.error_codes import ErrorMeaning, meaning_of
from gateway.ocpp.frames import Call, CallError, CallResult
from gateway.ocpp.schema_gate import SchemaGate
from gateway.simulator.core import boot, calls, charging, commands, connection, enrolment, firmware
from gateway.simulator.core.effects import Drop, Effect, Send, Store
from gateway.simulator.core.events import (
    ChargingStarted,
    ChargingStopped,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    KeyMade,
    PowerCut,
    Received,
    Started,
    TimerDue,
)
from gateway.simulator.core.memory import Memory, save
from gateway.simulator.core.model import Model
from gateway.simulator.core.quirks import Quirks
from gateway.simulator.core.settings import SETTINGS
from gateway.simulator.core.station import CallRefused, Payload, Station

__all__ = ["ChargePoint"]

_CALL: Final = 2


class ChargePoint:
    """See the module. `gate`: the schemas of its version; what does not fit them is refused like by a real one."""

    def __init__(self, memory: Memory, model: Model, quirks: Quirks, gate: SchemaGate) -> None:
        for setting in SETTINGS:
            if setting.default:
                memory.settings.setdefault(setting.name, setting.default)
        self._station = Station(memory, model, quirks)
        self._gate = gate
        self._stored = b""

    @property
    def memory(self) -> Memory:
        """What survives; `restore(save(memory))` is the same charge point after a power cut."""
        return self._station.memory

    @property
    def is_registered(self) -> bool:
        """True while the CSMS has accepted it and the connection stands."""
        return self._station.live.registration == "accepted" and self._station.live.link == "up"

    def handle(self, event: Event) -> list[Effect]:
        """What is to be done about an event, in order."""
        station = self._station
        station.now, station.out = event.now, []
        station.live.steps += 1
        if isinstance(event, PowerCut) or self._power_fails():
            station.lose_power(station.model.reboot_s)
        else:
            self._dispatch(event)
            calls.next_calls(station)
        return self._stored_first(station.out)

    def _power_fails(self) -> bool:
        station = self._station
        quirks = station.quirks
        if "reboots-at" not in quirks or station.live.steps != int(quirks.number("reboots-at")):
            return False
        return station.once("reboots-at")

    def _stored_first(self, effects: list[Effect]) -> list[Effect]:
        saved = save(self.memory)
        if saved == self._stored:
            return effects
        self._stored = saved
        return [Store(saved), *effects]

    def _dispatch(self, event: Event) -> None:
        station = self._station
        match event:
            case Started():
                boot.start(station)
            case Connected():
                connection.connected(station, event)
            case ConnectFailed():
                connection.failed(station, event)
            case Disconnected():
                connection.disconnected(station, event.detail)
            case Received() if station.live.link == "up":
                self._received(event.text)
            case TimerDue():
                self._timer(event.timer)
            case KeyMade():
                enrolment.key_made(station, event)
            case ChargingStarted():
                charging.start(station, event.id_token)
            case ChargingStopped():
                charging.stop(station, "Local")
            case _:
                pass

    # -- timers

    def _timer(self, timer: str) -> None:
        station, live = self._station, self._station.live
        name, _, rest = timer.partition(":")
        if name == "answer":
            calls.timed_out(station, rest)
        elif name == "held":
            station.out.extend(live.held.pop(timer, []))
        elif name == "queue":
            live.queue_rests = False
        elif name == "boot":
            live.wants_boot = True
        elif name == "charge":
            charging.start(station, "SIMULATED-TOKEN")
        elif name == "charged":
            charging.stop(station, "Local")
        elif name == "apply-profile":
            station.reboot("ApplicationReset")
        else:
            _TIMERS[name](station)

    # -- messages

    def _received(self, text: bytes) -> None:
        station = self._station
        try:
            frame, payload = decode_message(text, station.memory.version)
        except MalformedFrame as malformed:
            station.note("malformed message", event=malformed.event)
            if malformed.message_type == _CALL and malformed.message_id is not None:
                self._send_error(malformed.message_id, ErrorMeaning.FORMAT, "not understood")
            return
        if isinstance(frame, Call):
            self._answer(frame.message_id, frame.action, payload)
        elif isinstance(frame, CallResult):
            self._result(frame.message_id, payload)
        elif isinstance(frame, CallError):
            calls.refused(station, frame.message_id, frame.code)

    def _result(self, message_id: str, payload: Payload) -> None:
        """An answer that does not fit the schema is none."""
        station = self._station
        call = station.live.open.get(message_id)
        if call is not None and self._gate.check(call.action, "result", payload) is not None:
            station.note("invalid answer", action=call.action)
            calls.refused(station, message_id, "FormatViolation")
            return
        calls.answered(station, message_id, payload)

    def _send_error(self, message_id: str, meaning: ErrorMeaning, description: str) -> None:
        self._station.out.append(Send(build_call_error(self._station.memory.version, message_id, meaning, description)))

    def _answer(self, message_id: str, action: str, payload: Payload) -> None:
        station = self._station
        if station.quirks.concerns("silent", action):
            station.note("call ignored", action=action)
            return
        before, station.out = station.out, []
        try:
            self._check(action, payload)
            does = commands.rejection if station.quirks.concerns("rejects", action) else commands.answer
            result = does(station, action, payload)
            station.note("answered", action=action, **({"status": result["status"]} if "status" in result else {}))
            answer = Send(build_call_result(message_id, result))
        except CallRefused as refused:
            station.note("call refused", action=action, code=refused.code)
            meaning = meaning_of(refused.code) or ErrorMeaning.INTERNAL
            answer = Send(build_call_error(station.memory.version, message_id, meaning, refused.description))
        follows, station.out = station.out, before
        self._deliver(action, answer, follows)

    def _check(self, action: str, payload: Payload) -> None:
        """Raises CallRefused before anything is done."""
        station = self._station
        if not station.is_1_6 and station.live.registration == "rejected":
            raise CallRefused("SecurityError", "not registered")  # B03.FR.08
        if "no-security-actions" in station.quirks and action in commands.SECURITY_ACTIONS:
            raise CallRefused("NotSupported", "not by this charge point")
        violation = self._gate.check(action, "call", payload)
        if violation is not None:
            raise CallRefused(violation.meaning.value, violation.path)

    def _deliver(self, action: str, answer: Send, follows: list[Effect]) -> None:
        """The answer, then what the call has caused; or what a quirk makes of it."""
        station, quirks = self._station, self._station.quirks
        if quirks.concerns("reboots-on", action) and station.once(f"reboots-on {action}"):
            station.lose_power(station.model.reboot_s)
        elif quirks.concerns("reboots-after", action) and station.once(f"reboots-after {action}"):
            station.out.append(answer)
            station.lose_power(station.model.reboot_s)
        elif quirks.concerns("drops-before-answer", action) and station.once(f"drops-before-answer {action}"):
            station.out += [Drop(), *follows]
        elif quirks.concerns("drops-after-answer", action) and station.once(f"drops-after-answer {action}"):
            station.out += [answer, Drop(), *follows]
        elif "slow-answers" in quirks:
            timer = f"held:{station.live.steps}"
            station.live.held[timer] = [answer, *follows]
            station.timer(timer, quirks.number("slow-answers"))
        else:
            station.out += [answer, *follows]


_TIMERS: Final = {
    "connect": connection.dial,
    "heartbeat": boot.send_heartbeat,
    "meter": charging.measure,
    "csr": enrolment.resend,
    "csr-key": enrolment.forget_key,
    "firmware": firmware.proceed,
}
