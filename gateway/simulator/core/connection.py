"""Connecting, failing, falling back: which slot, which certificate, which root, and how long to wait.

Numbers of attempts, order of slots and return to the first one: B10.FR.03 to 08; back-off: part 4 5.3.
"""

import urllib.parse
from typing import Final

from gateway.simulator.core import enrolment, security_events
from gateway.simulator.core.credentials import certificate_in_use, show
from gateway.simulator.core.effects import Drop, Send
from gateway.simulator.core.events import Connected, ConnectFailed
from gateway.simulator.core.station import Station

__all__ = ["connected", "dial", "disconnected", "failed", "settle"]

CSMS_ROOT: Final = "CSMSRootCertificate"
_TLS: Final = 2
_CLIENT_CERTIFICATE: Final = 3


def dial(station: Station) -> None:
    """Try to connect, with what is valid now."""
    live = station.live
    if live.link != "down":
        return
    live.link = "connecting"
    live.dials += 1
    slot, number = station.slot, station.memory.priority[live.place]
    if "falls-back" in station.quirks and number != station.memory.active_slot:
        failed(station, ConnectFailed(now=station.now, failure="unreachable", detail="quirk falls-back"))
        return
    name = urllib.parse.quote(slot.identity or station.memory.identity, safe="")
    url = f"{slot.url}/{name}" + ("/" if "trailing-slash" in station.quirks else "")
    token = station.memory.version.subprotocol
    station.note("connecting", url=url, security_profile=slot.security_profile)
    subprotocols = f",{token}" if "empty-subprotocol" in station.quirks else token
    station.out.append(show(station, url, _roots(station), subprotocols))


def _roots(station: Station) -> tuple[str, ...]:
    """The CSMS roots to trust; with AdditionalRootCertificateCheck one of the two at a time (M05.FR.13)."""
    if station.slot.security_profile < _TLS:
        return ()
    roots = [root for root in station.memory.roots if root.certificate_type == CSMS_ROOT]
    if any(root.is_fallback for root in roots):
        roots = [root for root in roots if root.is_fallback == station.live.uses_fallback_root]
    return tuple(root.pem for root in roots)


def connected(station: Station, event: Connected) -> None:
    """There is a WebSocket; is it to be trusted, and what does it prove about certificates and roots?"""
    live = station.live
    if live.link != "connecting":
        return
    if not _is_valid_now(station, event):
        security_events.report(station, "InvalidCsmsCertificate", "outside its validity")
        station.out.append(Drop())
        detail = "by its own clock the server's certificate is not valid"
        failed(station, ConnectFailed(now=station.now, failure="tls", detail=detail))
        return
    live.link = "up"
    station.note("connected", security_profile=station.slot.security_profile)
    _settle_certificates(station)
    _settle_roots(station)
    live.attempts = live.failures = live.trust_failures = 0
    _switch_slot(station)
    if live.registration == "accepted":
        enrolment.resume(station)


def _is_valid_now(station: Station, event: Connected) -> bool:
    if event.server_valid_from is None or event.server_valid_until is None:
        return True
    return event.server_valid_from <= station.clock() <= event.server_valid_until


def _switch_slot(station: Station) -> None:
    """Another slot than before: B10.FR.10 wants a BootNotification; 1.6 has fallen back for good (A05.FR.08)."""
    memory, live = station.memory, station.live
    number = memory.priority[live.place]
    if station.is_1_6 and live.place:
        station.note("fell back", security_profile=station.slot.security_profile)
        _forget_slots(station, {slot for slot in memory.slots if slot != number})
    if number != memory.active_slot:
        live.registration, live.wants_boot = "unknown", True
    elif live.place:
        station.note("uses an earlier network profile", slot=number)


def settle(station: Station) -> None:
    """Registered: this slot is the good one, and there is no way back to a lower security profile (A05.FR.06)."""
    memory, live = station.memory, station.live
    number, slot = memory.priority[live.place], station.slot
    raised = slot.security_profile > memory.security_profile
    memory.active_slot = number
    memory.security_profile = max(memory.security_profile, slot.security_profile)
    _forget_slots(
        station, {key for key, other in memory.slots.items() if other.security_profile < slot.security_profile}
    )
    if station.is_1_6:
        _forget_slots(station, {key for key in memory.slots if key != number})
    if raised:
        station.note("security profile raised", security_profile=memory.security_profile)
    if (
        not station.is_1_6
        and slot.security_profile == _CLIENT_CERTIFICATE
        and "alternates-certificates" not in station.quirks
    ):
        del memory.certificates[1:]  # A02.FR.10 of the erratum: the new one works


def _forget_slots(station: Station, numbers: set[int]) -> None:
    memory, live = station.memory, station.live
    current = memory.priority[live.place]
    for number in numbers:
        del memory.slots[number]
    memory.priority = [number for number in memory.priority if number in memory.slots]
    memory.next_priority = [number for number in memory.next_priority if number in memory.slots]
    live.place = memory.priority.index(current)


def _settle_certificates(station: Station) -> None:
    """The one in use works; if that is the older one, the newer is worth nothing (A02.FR.29)."""
    memory = station.memory
    if station.slot.security_profile < _CLIENT_CERTIFICATE or "alternates-certificates" in station.quirks:
        return
    in_use = certificate_in_use(station)
    if in_use is not None and in_use != memory.certificates[0]:
        memory.certificates = [in_use]
        security_events.report(station, "DiscardedRenewedClientCertificate")


def _settle_roots(station: Station) -> None:
    """A connection under the new root is the end of the old one (M05.FR.12)."""
    memory, live = station.memory, station.live
    if station.slot.security_profile >= _TLS and not live.uses_fallback_root:
        memory.roots = [root for root in memory.roots if not root.is_fallback]


def failed(station: Station, event: ConnectFailed) -> None:
    """No WebSocket: the next attempt is timed, perhaps with the other slot, certificate or root."""
    live = station.live
    if live.link != "connecting":
        return
    live.link = "down"
    station.note("connection failed", failure=event.failure, detail=event.detail)
    live.attempts += 1
    live.failures += 1
    if event.failure != "unreachable":
        live.trust_failures += 1
    if event.failure == "tls":
        live.uses_fallback_root = not live.uses_fallback_root and any(root.is_fallback for root in station.memory.roots)
    if live.attempts >= station.number("NetworkProfileConnectionAttempts"):
        live.attempts = 0
        _next_place(station)
    _dial_later(station, live.failures - 1)


def _next_place(station: Station) -> None:
    """The next entry of the list; at its end the last one that has worked, even if it is not listed (B10.FR.07)."""
    memory, live = station.memory, station.live
    at_the_end = live.place + 1 >= len(memory.priority)
    if at_the_end and memory.active_slot not in memory.priority and memory.active_slot in memory.slots:
        memory.priority.append(memory.active_slot)
    live.place = (live.place + 1) % len(memory.priority)


def _dial_later(station: Station, failures: int) -> None:
    doublings = min(failures, station.number("RetryBackOffRepeatTimes"))
    at_least_s = max(float(station.number("RetryBackOffWaitMinimum")), station.model.redials_after_s)
    station.timer(
        "connect",
        at_least_s * 2.0**doublings,
        jitter_s=float(station.number("RetryBackOffRandomRange")),
    )


def disconnected(station: Station, detail: str) -> None:
    """The connection is gone. What must get through stays queued; everything else on the way is forgotten."""
    live = station.live
    for timer, effects in live.held.items():
        live.held[timer] = [effect for effect in effects if not isinstance(effect, Send)]
    if live.link != "up":
        return
    live.link = "down"
    station.note("disconnected", detail=detail)
    for message_id in live.open:
        station.stop_timer(f"answer:{message_id}")
    if any(call.action == "BootNotification" for call in live.open.values()):
        live.wants_boot = True
    live.open.clear()
    live.waiting.clear()
    if "boot-after-reconnect" in station.quirks:
        live.registration, live.wants_boot = "unknown", True
    if "never-reconnects" in station.quirks:
        station.note("stays away")
    elif live.reconnects_now:
        station.timer("connect", 0.0)
    else:
        _dial_later(station, 0)
    live.reconnects_now = False
