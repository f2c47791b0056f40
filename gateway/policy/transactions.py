"""What a charge point has going on: open transactions, last meter readings, set-points, certificate request, event streams.

Learnt from its messages and the CSMS's; pure and bounded.

`history_complete` is False until the tracker has seen the charge point from a BootNotification on: before that an
unknown transaction may stem from before a restart, and a rule must not take it for a stranger's. A BootNotification
that the CSMS has asked for (TriggerMessage) begins nothing.
"""

import math
from typing import Any, Final

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy import carriers, metering
from gateway.policy.boot_times import BootTimes
from gateway.policy.lazy import lazy
from gateway.policy.metering import Reading
from gateway.policy.set_points import SetPoint, SetPoints
from gateway.policy.shared_empty import SharedEmpty

__all__ = ["Transaction", "TransactionId", "TransactionView", "Transactions", "learns_from", "named_transaction"]

Payload = dict[str, Any]
TransactionId = int | str
"""A number that the CSMS gives (1.6), or a text that the charge point makes (2.x)."""

_MAX_OPEN = 64
_MAX_STREAMS = 64


class Transaction(msgspec.Struct):
    """One that is open."""

    id: TransactionId
    connector: int
    meter_start_wh: float
    last_meter_wh: float
    token: str = ""


class TransactionView:
    """What rules see as `tx` for one message. Attributes of a transaction are those of the one the message names."""

    def __init__(self, tracker: "Transactions", named: TransactionId | None, payload: Payload, now: float) -> None:
        self._tracker = tracker
        self._now = now
        self._named = tracker.open.get(named) if named is not None else None
        self._payload = payload

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

    @property
    def open_connectors(self) -> list[int]:
        """Connectors (1.6) or EVSEs (2.x) with an open transaction."""
        return [each.connector for each in self._tracker.open.values()]

    @property
    def tokens(self) -> list[str]:
        """Tokens of open transactions."""
        return [each.token for each in self._tracker.open.values() if each.token]

    @lazy
    def power_w(self) -> float:
        """Largest mean power that the readings in the message stand for, from the last one of that connector on.

        0 where there is no earlier reading.
        """
        last = self._tracker.readings.get(_connector(self._payload, self._named))
        return metering.largest_power_w(last, self._tracker.readings_in(self._payload))

    @property
    def setpoint_w(self) -> float:
        """What the CSMS last made this connector draw or feed, and the charge point accepted; -1 where unknown."""
        return self._set_point[0]

    @property
    def last_change_w(self) -> float:
        """How much it changed then, and in which direction; 0 where unknown."""
        return self._set_point[1]

    @property
    def _set_point(self) -> SetPoint:
        return self._tracker.set_points.find(self._tracker.identity, _connector(self._payload, self._named))

    @property
    def csr_pending(self) -> bool:
        """True if the charge point has asked for a certificate and got none yet."""
        return self._tracker.csr_pending

    @property
    def open_streams(self) -> list[int]:
        """Ids of periodic event streams that the CSMS has accepted."""
        return list(self._tracker.streams)

    @property
    def boot_due(self) -> bool:
        """True if the CSMS has told the charge point when to send a BootNotification, and that moment has come."""
        return self._tracker.boot_times.is_due(self._tracker.identity, self._now)

    @property
    def boot_early(self) -> bool:
        """True if the CSMS has told it to wait with the next BootNotification, and it is too early for one."""
        return self._tracker.boot_times.is_early(self._tracker.identity, self._now)


_LEARNT_FROM_CALLS: Final = frozenset(
    {
        "BootNotification",
        "CertificateSigned",
        "ClosePeriodicEventStream",
        "MeterValues",
        "SignCertificate",
        "StopTransaction",
        "TransactionEvent",
        "TriggerMessage",
    }
)
_LEARNT_FROM_RESULTS: Final = carriers.TAKES_SET_POINT | {
    "BootNotification",
    "OpenPeriodicEventStream",
    "Reset",
    "SignCertificate",
    "StartTransaction",
}


def learns_from(action: str, *, result: bool) -> bool:
    """Whether `Transactions.seen` does anything for a call of this action, or for its result."""
    return action in (_LEARNT_FROM_RESULTS if result else _LEARNT_FROM_CALLS)


_NOTHING_OPEN: Final = SharedEmpty[TransactionId, Transaction]()
_NO_READINGS: Final = SharedEmpty[int, Reading]()
"""Both of all sessions that have none; nobody puts anything into them."""
_NOTHING_READ: Final[tuple[Payload, list[Reading]]] = ({}, [])


class Transactions:
    """The tracker of one session. `set_points` and `boot_times` are shared: those of an identity outlive its sessions."""

    __slots__ = (
        "_boot", "_read", "boot_times", "csr_pending", "elsewhere", "history_complete", "identity", "open", "readings", "set_points",
        "streams",
    )  # fmt: skip

    def __init__(
        self, set_points: SetPoints | None = None, identity: str = "", boot_times: BootTimes | None = None
    ) -> None:
        self.set_points = SetPoints() if set_points is None else set_points
        self.boot_times = BootTimes() if boot_times is None else boot_times
        self.identity = identity
        self._boot = ""
        """The first of two in this session: seen (a BootNotification of the charge point's own), asked (by the CSMS)."""
        self.open: dict[TransactionId, Transaction] = _NOTHING_OPEN
        self.elsewhere: TransactionId | None = None
        """The last one that was spoken of and not seen starting, until it ends or the charge point starts anew."""
        self.history_complete = False
        self.readings: dict[int, Reading] = _NO_READINGS
        """Last reading by connector (1.6) or EVSE (2.x)."""
        self.csr_pending = False
        self.streams: tuple[int, ...] = ()
        self._read = _NOTHING_READ

    def readings_in(self, payload: Payload) -> list[Reading]:
        """Readings of a message; worked out once for judging and remembering it."""
        if self._read[0] is not payload:
            self._read = (payload, metering.readings(payload))
        return self._read[1]

    def view(self, action: str, payload: Payload, now: float = 0.0) -> TransactionView:
        """For judging a message that comes `now`, before it is `seen`."""
        return TransactionView(self, named_transaction(action, payload), payload, now)

    def seen(
        self,
        version: OCPPVersion,
        action: str,
        payload: Payload,
        result: Payload | None = None,
        *,
        keep_readings: bool = True,
        called_at: float = 0.0,
    ) -> None:
        """A call was relayed; once more with its `result` when that is relayed.

        `keep_readings`: also of connectors without an open transaction. Only `power_w` looks at those. `called_at`: of a call
        that is answered, when it came, in seconds.
        """
        if result is None:
            self._called(action, payload, keep_readings)
        else:
            if action == "BootNotification":
                self.boot_times.answered(self.identity, result, called_at)
            self._answered(version, action, payload, result)
        self._read = _NOTHING_READ  # an idle session holds no decoded message

    def _answered(self, version: OCPPVersion, action: str, payload: Payload, result: Payload) -> None:
        accepted = result.get("status") == "Accepted"
        if action == "BootNotification":
            self._booted(accepted, triggered=payload.get("reason") == "Triggered")
        elif action in carriers.TAKES_SET_POINT and accepted:
            watt = carriers.set_point_w(action, payload)
            if 0 <= watt < math.inf:
                self.set_points.accepted(self.identity, _connector(payload, None), watt)
        elif action == "StartTransaction" and version is OCPPVersion.V1_6:
            self._started(_identity(result.get("transactionId")), payload)
        elif action == "Reset" and accepted:
            self.boot_times.asked(self.identity)
        elif action == "SignCertificate" and not accepted:
            self.csr_pending = False
        elif action == "OpenPeriodicEventStream" and accepted:
            stream = _stream(payload)
            if stream is not None and stream not in self.streams and len(self.streams) < _MAX_STREAMS:
                self.streams = (*self.streams, stream)

    def _called(self, action: str, payload: Payload, keep_readings: bool) -> None:
        match action:
            case "StopTransaction":
                known = self._ended(named_transaction(action, payload))
                if known is not None or keep_readings:
                    self._metered(known, payload)
            case "TransactionEvent":
                self._event(payload)
            case "MeterValues":
                named = named_transaction(action, payload)
                known = self.open.get(named) if named is not None else None
                self._goes_on(named)
                if known is not None or keep_readings:
                    self._metered(known, payload)
            case "SignCertificate":
                self.csr_pending = True
            case "CertificateSigned":
                self.csr_pending = False
            case "ClosePeriodicEventStream":
                closed = _identity_number(payload.get("id"))
                self.streams = tuple(each for each in self.streams if each != closed)
            case "TriggerMessage" if payload.get("requestedMessage") == "BootNotification":
                self._boot = self._boot or "asked"
                self.boot_times.asked(self.identity)
            case "BootNotification":
                self.boot_times.sent(self.identity)
            case _:
                pass

    def _booted(self, accepted: bool, *, triggered: bool) -> None:
        self._boot = self._boot or ("asked" if triggered else "seen")
        if accepted and self._boot == "seen":
            self.history_complete = True
        if accepted and not triggered and self._boot == "seen":
            self.elsewhere = None

    def _started(self, identity: TransactionId | None, payload: Payload) -> None:
        if identity is None:
            return
        if identity not in self.open and len(self.open) >= _MAX_OPEN:
            del self.open[next(iter(self.open))]
            self.history_complete = False
        energies = metering.energies_wh(payload)
        transaction = Transaction(
            id=identity,
            connector=_connector(payload, None),
            meter_start_wh=energies[0] if energies else -1.0,
            last_meter_wh=energies[-1] if energies else -1.0,
            token=next(iter(carriers.tokens(payload)), ""),
        )
        self.open = self.open or {}
        self.open[identity] = transaction
        self._metered(transaction, payload)

    def _event(self, payload: Payload) -> None:
        identity = named_transaction("TransactionEvent", payload)
        kind = payload.get("eventType")
        if kind == "Started":
            self._started(identity, payload)
            return
        known = self.open.get(identity) if identity is not None else None
        if kind != "Ended":
            self._goes_on(identity)
        token = next(iter(carriers.tokens(payload)), "")
        if known is not None and token:
            known.token = token
        self._metered(known, payload)
        if kind == "Ended":
            self._ended(identity)

    def _goes_on(self, named: TransactionId | None) -> None:
        if named is not None and named not in self.open:
            self.elsewhere = named

    def _ended(self, identity: TransactionId | None) -> Transaction | None:
        if identity == self.elsewhere:
            self.elsewhere = None
        return self.open.pop(identity, None) if identity is not None else None

    def _metered(self, known: Transaction | None, payload: Payload) -> None:
        steps = self.readings_in(payload)
        self._read = _NOTHING_READ
        if not steps:
            return
        connector = _connector(payload, known)
        if connector not in self.readings and len(self.readings) >= _MAX_OPEN:
            del self.readings[next(iter(self.readings))]
        self.readings = self.readings or {}
        self.readings[connector] = steps[-1]
        if known is not None:
            known.last_meter_wh = steps[-1].wh
            if known.meter_start_wh < 0:
                known.meter_start_wh = steps[0].wh


def _connector(payload: Payload, known: Transaction | None) -> int:
    """Connector (1.6) or EVSE (2.x) that readings belong to; -1 where nobody says."""
    evse = payload.get("evse")
    for value in (
        payload.get("evseId"),
        evse.get("id") if isinstance(evse, dict) else None,
        payload.get("connectorId"),
    ):
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return known.connector if known is not None else -1


def _identity(value: Any) -> TransactionId | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _identity_number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _stream(payload: Payload) -> int | None:
    data = payload.get("constantStreamData")
    value = data.get("id") if isinstance(data, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def named_transaction(action: str, payload: Payload) -> TransactionId | None:
    """Id of the transaction that a message is about; None where it names none."""
    if action == "TransactionEvent":
        info = payload.get("transactionInfo")
        return _identity(info.get("transactionId")) if isinstance(info, dict) else None
    return _identity(payload.get("transactionId"))
