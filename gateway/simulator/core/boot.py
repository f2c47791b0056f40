"""Registration: BootNotification until it is accepted, then heartbeats (part 2, B01 to B03; 1.6, 4.2)."""

import datetime
from typing import Final

from gateway.simulator.core import charging, connection, enrolment, network, security_events
from gateway.simulator.core.station import Payload, Station

__all__ = ["answered", "booted_before", "heartbeat_answered", "payload", "send_heartbeat", "start"]

_OWN_RETRY_S: Final = 60
"""The CSMS may leave the interval to the charge point (B02.FR.07)."""
_CLOCK_TOLERANCE_S: Final = 5.0


def start(station: Station) -> None:
    """The firmware runs: what was cut off is finished, then there is a connection to make."""
    memory, live, quirks = station.memory, station.live, station.quirks
    memory.boots += 1
    network.apply_staged(station)
    if "clock-1970" in quirks:
        live.clock_offset_s = -station.now
    elif "clock-off" in quirks:
        live.clock_offset_s = 60.0 * quirks.number("clock-off")
    station.note("started", reason=memory.boot_reason)
    if "no-boot-after-reset" in quirks and booted_before(station):
        live.wants_boot, live.registration = False, "accepted"
    security_events.report(station, "StartupOfTheDevice")
    if memory.transaction is not None:
        charging.stop(station, "PowerLoss")
    connection.dial(station)


def booted_before(station: Station) -> bool:
    """True after a reset that the CSMS has asked for."""
    return station.memory.boot_reason == "RemoteReset"


def payload(station: Station) -> Payload:
    """Of a BootNotification."""
    model, memory = station.model, station.memory
    if station.is_1_6:
        return {
            "chargePointVendor": model.vendor[:20],
            "chargePointModel": model.model[:20],
            "chargePointSerialNumber": memory.serial_number[:25],
            "firmwareVersion": model.firmware[:50],
        }
    return {
        "chargingStation": {
            "vendorName": model.vendor[:50],
            "model": model.model[:20],
            "serialNumber": memory.serial_number[:25],
            "firmwareVersion": model.firmware[:50],
        },
        "reason": "Triggered" if station.live.boot_triggered else memory.boot_reason,
    }


def answered(station: Station, answer: Payload) -> None:
    """Accepted, Pending or Rejected, and what follows from it."""
    live, status_said, interval = station.live, answer.get("status"), answer.get("interval")
    interval = interval if isinstance(interval, int) and interval > 0 else 0
    _set_clock(station, answer.get("currentTime"))
    station.note("registration", status=status_said, interval_s=interval)
    live.boot_triggered = False
    if status_said != "Accepted":
        live.registration = "pending" if status_said == "Pending" else "rejected"
        station.timer("boot", float(interval or _OWN_RETRY_S))
        return
    live.registration = "accepted"
    if interval:
        station.memory.settings["HeartbeatInterval"] = str(interval)
    station.memory.boot_reason = "PowerUp"
    connection.settle(station)
    station.timer("heartbeat", float(station.number("HeartbeatInterval")))
    charging.status(station)
    if station.model.charge_every_s:
        station.timer("charge", station.model.charge_every_s)
    enrolment.renew_if_due(station)


def send_heartbeat(station: Station) -> None:
    """One, and the next is timed."""
    if station.live.registration == "accepted":
        station.call("Heartbeat", {})
        station.timer("heartbeat", float(station.number("HeartbeatInterval")))


def heartbeat_answered(station: Station, answer: Payload) -> None:
    """It carries the time."""
    _set_clock(station, answer.get("currentTime"))


def _set_clock(station: Station, told: object) -> None:
    if not isinstance(told, str) or "clock-off" in station.quirks:
        return
    try:
        moment = datetime.datetime.fromisoformat(told)
    except ValueError:
        return
    if moment.tzinfo is None:
        return
    difference = moment.timestamp() - station.clock()
    if abs(difference) > _CLOCK_TOLERANCE_S:
        station.live.clock_offset_s += difference
        security_events.report(station, "SettingSystemTime", f"{difference:+.0f} s")
