"""Timers of live sessions without a timer per session: pings go round in a ring, deadlines are swept each second.

Both in small steps: a turn of the event loop that pings hundreds of sessions would hold up everybody's messages.
"""

import time
from typing import Final

from gateway.config.model import WebSocketSettings
from gateway.edge.pump import Bridge, Leg
from gateway.edge.refusals import CLOSE_CODES
from gateway.websocket.frames import FrameViolation

__all__ = ["STEPS_PER_S", "Deadlines"]

STEPS_PER_S: Final = 20
"""How often a second `tick` is to be called."""


class Deadlines:
    """Each step pings the sessions of one slot of the ring, and looks at one share of those that are watched."""

    def __init__(self, settings: WebSocketSettings) -> None:
        self._slots: list[set[Bridge]] = []
        self._slot_of: dict[Bridge, int] = {}
        self._next = 0
        self._watched: list[set[Bridge]] = [set() for _ in range(STEPS_PER_S)]
        """By the step of a second at which it is their turn."""
        self.use(settings)

    def use(self, settings: WebSocketSettings) -> None:
        """Put other settings into force, also for live sessions."""
        self.settings = settings
        slots = max(1, round(settings.ping_interval_s)) * STEPS_PER_S
        if slots == len(self._slots):
            return
        sessions, watched = list(self._slot_of), [bridge for share in self._watched for bridge in share]
        self._slots, self._slot_of, self._next = [set() for _ in range(slots)], {}, 0
        self._watched = [set() for _ in range(STEPS_PER_S)]
        for bridge in sessions:
            self.add(bridge)
        for bridge in watched:
            self.watch(bridge)

    def add(self, bridge: Bridge) -> None:
        """Start pinging this session: the first ones a whole interval from now, further ones spread over it."""
        slot = (self._next - 1 - len(self._slot_of)) % len(self._slots)
        self._slots[slot].add(bridge)
        self._slot_of[bridge] = slot

    def remove(self, bridge: Bridge) -> None:
        """Forget a finished session."""
        slot = self._slot_of.pop(bridge, None)
        if slot is not None:
            self._slots[slot].discard(bridge)
            self._watched[slot % STEPS_PER_S].discard(bridge)

    def watch(self, bridge: Bridge) -> None:
        """Look at it every second until nothing is due any more, or it is removed."""
        slot = self._slot_of.get(bridge)
        if slot is not None:
            self._watched[slot % STEPS_PER_S].add(bridge)

    def tick(self) -> None:
        """The next step of a second has come."""
        now = time.monotonic()
        watched = self._watched[self._next % STEPS_PER_S]
        for bridge in list(self._slots[self._next]):
            bridge.charge_point.send_ping(now)
            bridge.csms.send_ping(now)
            watched.add(bridge)
        self._next = (self._next + 1) % len(self._slots)
        for bridge in list(watched):
            if not self._check(bridge, now):
                watched.discard(bridge)

    def _check(self, bridge: Bridge, now: float) -> bool:
        """Enforce what is due; True while something is still pending."""
        if bridge.close_deadline:
            if now - bridge.close_deadline > self.settings.close_timeout_s:
                bridge.abort("close-timeout")
            return True
        pending = bridge.tick(now)
        if pending and self._leaves_all_unread(bridge, now):
            self._slow_reader(bridge, bridge.charge_point)
            return True
        for leg in (bridge.charge_point, bridge.csms):
            pending = self._check_leg(bridge, leg, now) or pending
        return pending

    def _leaves_all_unread(self, bridge: Bridge, now: float) -> bool:
        """True if commands have piled up for a charge point that has sent nothing at all meanwhile.

        Only one command is on the way at a time, so a peer that reads nothing does not fill the write buffer.
        """
        silent_s = now - bridge.charge_point.seen_at
        return bridge.relay.is_full_for_charge_point and silent_s > self.settings.write_deadline_s

    def _check_leg(self, bridge: Bridge, leg: Leg, now: float) -> bool:
        if leg.blocked_since:
            if now - leg.blocked_since > self.settings.write_deadline_s:
                self._slow_reader(bridge, leg)
            return True
        if leg.paused:
            leg.pinged_at = 0.0  # while we do not read, no answer can be seen: ask again afterwards
            return True
        if leg.reader.assembling_since is not None:
            try:
                leg.reader.check_deadline(now)
            except FrameViolation as violation:
                bridge.violated(leg, violation)
            return True
        if leg.pinged_at <= leg.seen_at:
            return False
        known_to_answer = leg.ponged or (leg is bridge.charge_point and bridge.admission.answers_pings)
        if known_to_answer and "no-pong" not in bridge.admission.tolerances:
            silent_too_long = now - leg.pinged_at > self.settings.ping_timeout_s
        else:
            silent_too_long = now - leg.seen_at > self.settings.silent_session_timeout_s
        if silent_too_long:
            self._silent(bridge, leg)
        return True

    @staticmethod
    def _slow_reader(bridge: Bridge, leg: Leg) -> None:
        who = leg.origin.value
        event = "net.slow_reader" if leg is bridge.charge_point else "upstream.slow_reader"
        bridge.owner.report(bridge, event, "medium", "disconnect", f"the {who} leaves its data unread")
        bridge.end_reason = f"slow-reader:{who}"
        leg.other.send_close(CLOSE_CODES["charge-point-lost" if leg is bridge.charge_point else "csms-lost"], "")
        leg.transport.abort()

    @staticmethod
    def _silent(bridge: Bridge, leg: Leg) -> None:
        who = leg.origin.value
        event = "net.keepalive" if leg is bridge.charge_point else "upstream.keepalive"
        bridge.owner.report(
            bridge,
            event,
            "low",
            "disconnect",
            f"no frame from the {who} since {round(time.monotonic() - leg.seen_at)} s",
        )
        bridge.end_reason = f"silent:{who}"
        leg.other.send_close(CLOSE_CODES["charge-point-lost" if leg is bridge.charge_point else "csms-lost"], "")
        leg.transport.abort()
