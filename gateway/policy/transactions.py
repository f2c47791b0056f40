"""Which transactions a charge point has open, learnt from its messages and the CSMS's answers. Pure and bounded.

`history_complete` is False until the tracker has seen the charge point from a BootNotification on: before that an
unknown transaction may stem from before a restart, and a rule must not take it for a stranger's.
"""

from typing import Any

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy import metering

__all__ = ["Transaction", "TransactionView", "Transactions"]

Payload = dict[str, Any]
_MAX_OPEN = 64


TransactionId = int | str
"""A number that the CSMS gives (1.6), or a text that the charge point makes (2.x)."""


class Transaction(msgspec.Struct):
    """One that is open."""

    id: TransactionId
    connector: int
    meter_start_wh: float
    last_meter_wh: float
    token: str = ""


class TransactionView:
    """What rules see as `tx` for one message. Attributes of a transaction are those of the one the message names."""

    __slots__ = ("_named", "_tracker")

    def __init__(self, tracker: "Transactions", named: TransactionId | None) -> None:
        self._tracker = tracker
        self._named = tracker.open.get(named) if named is not None else None

    @property
    def open_ids(self) -> list[TransactionId]:
        """Ids of open transactions."""
        return list(self._tracker.open)

    @property
    def history_complete(self) -> bool:
        """True if every transaction since the charge point booted has been seen."""
        return self._tracker.history_complete

    @property
    def known(self) -> bool:
        """True if the transaction that the message names is open here."""
        return self._named is not None

    @property
    def meter_start(self) -> float:
        """Wh at its start; -1 where unknown."""
        return self._named.meter_start_wh if self._named else -1.0

    @property
    def last_meter(self) -> float:
        """Wh last read in it; -1 where unknown."""
        return self._named.last_meter_wh if self._named else -1.0

    @property
    def connector(self) -> int:
        """Its connector or EVSE; -1 where unknown."""
        return self._named.connector if self._named else -1

    @property
    def open_count(self) -> int:
        """How many are open."""
        return len(self._tracker.open)


class Transactions:
    """The tracker of one charge point."""

    __slots__ = ("history_complete", "open")

    def __init__(self) -> None:
        self.open: dict[TransactionId, Transaction] = {}
        self.history_complete = False

    def view(self, action: str, payload: Payload) -> TransactionView:
        """For judging a message, before it is `seen`."""
        return TransactionView(self, named_transaction(action, payload))

    def seen(self, version: OCPPVersion, action: str, payload: Payload, result: Payload | None = None) -> None:
        """A message was relayed; `result` is its answer where that has come (StartTransaction needs it)."""
        if action == "BootNotification" and result is not None and result.get("status") == "Accepted":
            self.history_complete = True
            if version is OCPPVersion.V1_6:
                return
        if action == "StartTransaction" and result is not None:
            self._started(_identity(result.get("transactionId")), payload)
        elif action == "StopTransaction" and result is None:
            self.open.pop(_identity(payload.get("transactionId")) or "", None)
        elif action == "TransactionEvent" and result is None:
            self._event(payload)
        elif action == "MeterValues" and result is None:
            self._metered(named_transaction(action, payload), action, payload)

    def _started(self, identity: TransactionId | None, payload: Payload) -> None:
        if identity is None:
            return
        if len(self.open) >= _MAX_OPEN:
            self.open.pop(next(iter(self.open)))
            self.history_complete = False
        readings = metering.energies_wh("StartTransaction", payload)
        first = readings[0] if readings else -1.0
        connector = payload.get("connectorId")
        token = payload.get("idTag")
        self.open[identity] = Transaction(
            id=identity,
            connector=connector if isinstance(connector, int) else -1,
            meter_start_wh=first,
            last_meter_wh=readings[-1] if readings else -1.0,
            token=token if isinstance(token, str) else "",
        )

    def _event(self, payload: Payload) -> None:
        identity = named_transaction("TransactionEvent", payload)
        kind = payload.get("eventType")
        if kind == "Started":
            evse = payload.get("evse")
            connector = evse.get("id") if isinstance(evse, dict) else -1
            self._started(identity, {**payload, "connectorId": connector})
        elif kind == "Ended":
            self.open.pop(identity or "", None)
        else:
            self._metered(identity, "TransactionEvent", payload)

    def _metered(self, identity: TransactionId | None, action: str, payload: Payload) -> None:
        known = self.open.get(identity) if identity is not None else None
        readings = metering.energies_wh(action, payload)
        if known is not None and readings:
            known.last_meter_wh = readings[-1]
            if known.meter_start_wh < 0:
                known.meter_start_wh = readings[0]


def _identity(value: Any) -> TransactionId | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def named_transaction(action: str, payload: Payload) -> TransactionId | None:
    """Id of the transaction that a message is about; None where it names none."""
    if action == "TransactionEvent":
        info = payload.get("transactionInfo")
        return _identity(info.get("transactionId")) if isinstance(info, dict) else None
    return _identity(payload.get("transactionId"))
