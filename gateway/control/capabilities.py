"""Learns what kinds of charge points really do, in passing: nobody waits for it, and a full disk costs only that."""

import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import structlog

from gateway.control.own_calls import CallAnswer
from gateway.control.part import NodePart
from gateway.control.sessions import Entry
from gateway.control.store_thread import StoreThread
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign_plan import Stratum
from gateway.provisioning.capability import Count, Fact, call_fact, enrolment_facts, took
from gateway.provisioning.enrolment import Enrolment
from gateway.provisioning.messages import status_of
from gateway.store.errors import StoreError
from gateway.store.registry import Registry

__all__ = ["Capabilities"]

_MAX_WAITING: Final = 10_000


def _variable(payload: dict[str, Any]) -> str:
    """What is set, where it is one thing; not to what."""
    items = payload.get("setVariableData")
    if not isinstance(items, list) or len(items) != 1 or not isinstance(items[0], dict):
        return ""
    named = [items[0].get(part) for part in ("component", "variable")]
    return ".".join(str(each.get("name")) for each in named if isinstance(each, dict))


_DETAILS: Final[dict[str, Callable[[dict[str, Any]], Any]]] = {
    "TriggerMessage": lambda payload: payload.get("requestedMessage"),
    "ExtendedTriggerMessage": lambda payload: payload.get("requestedMessage"),
    "ChangeConfiguration": lambda payload: payload.get("key"),
    "CertificateSigned": lambda payload: f"chain of {payload.get('certificateChain', '').count('BEGIN CERTIFICATE')}",
    "InstallCertificate": lambda payload: payload.get("certificateType"),
    "Reset": lambda payload: payload.get("type"),
    "SetVariables": _variable,
}
"""What of a call makes a difference to what comes of it. Never a value that is a secret or names a charge point."""
_log = structlog.get_logger("control.capabilities")


class _Seen(NamedTuple):
    times: int
    first_at: float
    last_at: float


class Capabilities(NodePart):
    """One per node."""

    name = "capabilities"
    tick_every_s = 5.0

    def __init__(self, store: StoreThread) -> None:
        self._store = store
        self._waiting: dict[tuple[Stratum | ChargePointId, Fact], _Seen] = {}
        """Of whom the kind is looked up when it is written: what it has said of itself is in the registry by then."""
        self._reset_at: dict[ChargePointId, float] = {}

    # -- what is seen

    def saw(self, who: Stratum | ChargePointId, fact: Fact) -> None:
        """Once more."""
        key, now = (who, fact), time.time()
        known = self._waiting.get(key)
        if known is None and len(self._waiting) >= _MAX_WAITING:
            return
        count, first_at = (known.times, known.first_at) if known is not None else (0, now)
        self._waiting[key] = _Seen(count + 1, first_at, now)

    def answered(self, charge_point_id: str, payload: Any, answer: CallAnswer) -> None:
        """A call of the gateway's own has ended."""
        told = payload if isinstance(payload, dict) else {}
        detail = _DETAILS[answer.action](told) if answer.action in _DETAILS else ""
        status = status_of(answer.payload) or _set_status(answer.payload)
        fact = call_fact(answer.action, str(detail or ""), answer.outcome, status, answer.error)
        if fact is not None:
            self.saw(ChargePointId(charge_point_id), fact)
        if answer.action == "Reset" and status in {"Accepted", "Scheduled"}:
            self._reset_at[ChargePointId(charge_point_id)] = time.time()

    def changed(self, before: Enrolment | None, after: Enrolment) -> None:
        """An enrolment has come into another state."""
        for fact in enrolment_facts(before, after):
            self.saw(after.charge_point_id, fact)

    def registered(self, entry: Entry) -> None:
        """It is back, perhaps from a reset that it was asked for."""
        at = self._reset_at.pop(entry.charge_point_id, None)
        if at is not None:
            self.saw(entry.charge_point_id, Fact("back-after-reset", took(time.time() - at)))

    # -- keeping it

    async def tick(self) -> None:
        """Write what was seen."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        try:
            lost = await self._store.call_later(
                lambda registry: registry.capabilities.learn(_counts(registry, waiting))
            )
        except StoreError as error:
            _log.warning("capabilities_lost", count=len(waiting), error=str(error))
            return
        if lost:
            _log.warning("capabilities_full", count=lost)

    async def close(self) -> None:
        """Write the last of it."""
        await self.tick()


def _set_status(answer: Any) -> str:
    """The status of the one variable that was set; empty where it is not one."""
    results = answer.get("setVariableResult") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != 1 or not isinstance(results[0], dict):
        return ""
    status = results[0].get("attributeStatus")
    return status if isinstance(status, str) else ""


def _counts(registry: Registry, waiting: dict[tuple[Stratum | ChargePointId, Fact], _Seen]) -> list[Count]:
    """By kind. Of a charge point whose kind is not known nothing is learnt."""
    records = registry.load({who for who, _ in waiting if isinstance(who, str)})
    kinds = {identity: Stratum(each.vendor, each.model, each.firmware) for identity, each in records.items()}
    found = []
    for (who, fact), seen in waiting.items():
        stratum = who if isinstance(who, Stratum) else kinds.get(who)
        if stratum is not None and any(stratum):
            found.append(
                Count(
                    stratum=stratum,
                    fact=fact.name,
                    value=fact.value,
                    count=seen.times,
                    first_at=seen.first_at,
                    last_at=seen.last_at,
                )
            )
    return found
