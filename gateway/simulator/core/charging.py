"""Transactions: every message of one is kept until the CSMS has confirmed it, also over power cuts (E04, E08; 1.6, 4.1)."""

from typing import Final

import msgspec

from gateway.simulator.core.memory import QueuedCall, Transaction
from gateway.simulator.core.station import Payload, Station

__all__ = ["filled_in", "measure", "start", "started", "status", "stop", "values"]

_STEP_WH: Final = 100
_STOP_REASONS_1_6: Final = {
    "ImmediateReset": "HardReset",
    "Remote": "Remote",
    "PowerLoss": "PowerLoss",
    "DeAuthorized": "DeAuthorized",
}


def start(station: Station, id_token: str, *, remote_id: int | None = None) -> None:
    """Begin, if there is nothing being charged."""
    memory = station.memory
    if memory.transaction is not None:
        return
    number = memory.next_number()
    name = f"{memory.identity[:18]}-{memory.boots}-{number}"
    memory.transaction = Transaction(number=number, name=name, id_token=id_token)
    station.note("charging", transaction=number)
    if station.is_1_6:
        wire = {"connectorId": 1, "idTag": id_token[:20], "meterStart": 0, "timestamp": station.timestamp()}
        station.call_surely("StartTransaction", wire, transaction=number)
    else:
        trigger = "CablePluggedIn" if remote_id is None else "RemoteStart"
        info = {} if remote_id is None else {"remoteStartId": remote_id}
        _event(station, "Started", trigger, {"chargingState": "Charging", **info}, with_token=True)
    status(station)
    _measure_later(station)
    if station.model.charge_every_s:
        station.timer("charged", station.model.charge_for_s)


def measure(station: Station) -> None:
    """One sample of the meter."""
    memory = station.memory
    if memory.transaction is None:
        return
    memory.transaction = msgspec.structs.replace(memory.transaction, meter_wh=memory.transaction.meter_wh + _STEP_WH)
    if station.is_1_6:
        station.call_surely("MeterValues", values(station), transaction=memory.transaction.number)
    else:
        _event(station, "Updated", "MeterValuePeriodic", {"chargingState": "Charging"})
    _measure_later(station)


def values(station: Station) -> Payload:
    """Of a MeterValues."""
    transaction = station.memory.transaction
    meter_wh = transaction.meter_wh if transaction is not None else 0
    sampled: Payload = {"value": str(meter_wh) if station.is_1_6 else float(meter_wh)}
    sample = {"timestamp": station.timestamp(), "sampledValue": [sampled]}
    return {"connectorId" if station.is_1_6 else "evseId": 1, "meterValue": [sample]}


def stop(station: Station, reason: str) -> None:
    """End what is being charged. `reason`: Local, Remote, PowerLoss, ImmediateReset, DeAuthorized."""
    memory = station.memory
    transaction = memory.transaction
    if transaction is None:
        return
    station.note("charged", transaction=transaction.number, reason=reason)
    if station.is_1_6:
        wire = {
            "transactionId": 0,  # filled in when it is sent
            "meterStop": transaction.meter_wh,
            "timestamp": station.timestamp(),
            "reason": _STOP_REASONS_1_6.get(reason, "Local"),
        }
        station.call_surely("StopTransaction", wire, transaction=transaction.number)
    else:
        trigger = {"Remote": "RemoteStop", "Local": "EVDeparted", "ImmediateReset": "ResetCommand"}.get(
            reason, "AbnormalCondition"
        )
        _event(station, "Ended", trigger, {"stoppedReason": reason})
    memory.transaction = None
    for timer in ("meter", "charged"):
        station.stop_timer(timer)
    if station.model.charge_every_s:
        station.timer("charge", station.model.charge_every_s)
    status(station)
    if station.live.reset_when_idle:
        station.reboot("ScheduledReset")


def status(station: Station, *, triggered: bool = False) -> None:
    """A StatusNotification of the one connector."""
    charges = station.memory.transaction is not None
    if station.is_1_6:
        what: Payload = {"connectorId": 1, "errorCode": "NoError", "status": "Charging" if charges else "Available"}
    else:
        what = {"evseId": 1, "connectorId": 1, "connectorStatus": "Occupied" if charges else "Available"}
    station.call("StatusNotification", {**what, "timestamp": station.timestamp()}, triggered=triggered)


def started(station: Station, queued: QueuedCall, answer: Payload) -> None:
    """1.6: the CSMS has named the transaction, and may not like the token."""
    given = answer.get("transactionId")
    memory = station.memory
    if isinstance(given, int) and queued.transaction is not None:
        memory.transaction_ids[queued.transaction] = given
    info = answer.get("idTagInfo")
    accepted = not isinstance(info, dict) or info.get("status", "Accepted") == "Accepted"
    if not accepted and memory.transaction is not None and memory.transaction.number == queued.transaction:
        stop(station, "DeAuthorized")


def filled_in(station: Station, queued: QueuedCall) -> Payload:
    """The payload as it is sent now: 1.6 names the transaction as the CSMS has, or leaves it out."""
    if not station.is_1_6 or queued.transaction is None or queued.action == "StartTransaction":
        return queued.payload
    given = station.memory.transaction_ids.get(queued.transaction)
    if queued.action == "StopTransaction":
        return {**queued.payload, "transactionId": -1 if given is None else given}
    return queued.payload if given is None else {**queued.payload, "transactionId": given}


def _measure_later(station: Station) -> None:
    interval = station.number("TxUpdatedInterval")
    if interval:
        station.timer("meter", float(interval))


def _event(station: Station, kind: str, trigger: str, info: Payload, *, with_token: bool = False) -> None:
    """A TransactionEvent of 2.x, numbered without gaps (E01.FR.07)."""
    memory = station.memory
    transaction = memory.transaction
    assert transaction is not None
    wire: Payload = {
        "eventType": kind,
        "timestamp": station.timestamp(),
        "triggerReason": trigger,
        "seqNo": transaction.sequence,
        "transactionInfo": {"transactionId": transaction.name, **info},
        "evse": {"id": 1, "connectorId": 1},
        "meterValue": values(station)["meterValue"],
    }
    if station.live.link != "up":
        wire["offline"] = True
    if with_token:
        wire["idToken"] = {"idToken": transaction.id_token[:36], "type": "Central"}
    memory.transaction = msgspec.structs.replace(transaction, sequence=transaction.sequence + 1)
    station.call_surely("TransactionEvent", wire, transaction=transaction.number)
