"""The rows of a part of the node, by when something may have to be done about each: a tick looks at no others.

Bounded in two ways, for everything may be due at once after a restart: at so many rows a tick looks, and for so many it
begins something, which admissions stand in line with at the registry. What is left waits for the next tick.
"""

import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import structlog

from gateway.control.enrolment_events import Report
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.agenda import Agenda
from gateway.store.errors import DamagedRow

__all__ = ["DueRows"]

_MAX_LOOKED_AT: Final = 1_000
"""Rows in one tick: some milliseconds of the event loop."""
_MAX_BEGUN: Final = 100
"""Tasks in one tick: some tenths of a second of the registry's thread."""
_AGAIN_S: Final = 1.0
_AWAY_S: Final = 300.0
"""Who cannot be reached is looked at when it comes; and after this, should nobody have said that it has."""
_BROKEN_S: Final = 300.0
_log = structlog.get_logger("control.due_rows")


class DueRows:
    """For one part, and one task at a time for each row.

    `has_step(identity)`: something is to be done about the row now. `go_on(identity)` does it. `plan(identity, has_step)`
    says when it is to be looked at again, with one of the methods here; it is asked whenever a row was looked at.
    """

    def __init__(
        self,
        what: str,
        has_step: Callable[[ChargePointId], bool],
        go_on: Callable[[ChargePointId], Coroutine[Any, Any, None]],
        plan: Callable[[ChargePointId, bool], None],
        report: Report,
        tasks: TaskOwner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._what = what
        self._has_step = has_step
        self._go_on = go_on
        self._plan = plan
        self._report = report
        self._tasks = tasks
        self._agenda: Agenda[ChargePointId] = Agenda()
        self._busy: set[ChargePointId] = set()
        self._woken: set[ChargePointId] = set()
        """While somebody was at it: it is looked at once more."""
        self._broken: set[ChargePointId] = set()
        self._damaged: list[DamagedRow] = []
        self._now = 0.0
        self.looked_at = 0
        """How many rows ticks have looked at so far."""

    # -- when

    def put(self, charge_point_id: ChargePointId, at: float) -> None:
        """Look at it at this time, and not before."""
        self._agenda.put(charge_point_id, at)

    def put_all(self, charge_point_ids: Iterable[ChargePointId], now: float) -> None:
        """Something has changed that may concern each of these."""
        self._agenda.bring_forward(charge_point_ids, now)

    def put_after(self, charge_point_id: ChargePointId, due_at: float, settles_at: float, now: float) -> None:
        """What is due later waits for its time, and what is due for the charge point, which settles then (NEVER: away)."""
        if due_at > now:
            self.put(charge_point_id, due_at)
        else:
            self.put(charge_point_id, settles_at if now < settles_at < now + _AWAY_S else now + _AWAY_S)

    def put_again(self, charge_point_id: ChargePointId, now: float) -> None:
        """What could not be done now, the registry being locked say, is tried again soon."""
        self.put(charge_point_id, now + _AGAIN_S)

    def damaged(self, error: DamagedRow) -> None:
        """A row that could not be read when the others were: the next tick puts it on record."""
        self._damaged.append(error)

    def drop(self, charge_point_id: ChargePointId) -> None:
        """Nothing is to be done about it any more."""
        self._agenda.drop(charge_point_id)
        self._broken.discard(charge_point_id)

    def is_busy(self, charge_point_id: ChargePointId) -> bool:
        """True while somebody is at it."""
        return charge_point_id in self._busy

    # -- what

    def work_off(self) -> None:
        """Look at what is due, the longest due first."""
        while self._damaged:
            error = self._damaged.pop()
            self._report("provisioning.stuck", "high", "allow_alert", str(error), error.charge_point_id)
        now = self._clock()
        if now < self._now:
            # The clock was set back. Nobody waits until it is again as late as it was thought to be.
            self._agenda.bring_all_forward(now)
        self._now = now
        looked_at = begun = 0
        while looked_at < _MAX_LOOKED_AT and begun < _MAX_BEGUN:
            identity = self._agenda.take(now)
            if identity is None:
                break
            looked_at += 1
            begun += self.wake(identity)
        self.looked_at += looked_at

    def wake(self, charge_point_id: ChargePointId) -> bool:
        """Do what is to be done about it, unless somebody is at it already. True if somebody is now."""
        if charge_point_id in self._busy:
            self._woken.add(charge_point_id)
            return False
        try:
            if not self._has_step(charge_point_id):
                self._plan(charge_point_id, False)
                return False
        except Exception as error:  # noqa: BLE001  one row that is broken does not stop all others
            self._failed(charge_point_id, error)
            return False
        self._busy.add(charge_point_id)
        self._tasks.start(self._drive(charge_point_id), self._what)
        return True

    async def _drive(self, charge_point_id: ChargePointId) -> None:
        try:
            await self._go_on(charge_point_id)
            self._plan(charge_point_id, self._has_step(charge_point_id))
            self._broken.discard(charge_point_id)
            if charge_point_id in self._woken:
                self.put(charge_point_id, self._clock())
        except Exception as error:  # noqa: BLE001  see above
            self._failed(charge_point_id, error)
        finally:
            self._busy.discard(charge_point_id)
            self._woken.discard(charge_point_id)

    def _failed(self, charge_point_id: ChargePointId, error: Exception) -> None:
        """A defect of ours, or a row that makes no sense: on record once, and left alone for a while."""
        _log.error("row_failed", what=self._what, charge_point=charge_point_id, error=repr(error), exc_info=error)
        if charge_point_id not in self._broken:
            self._broken.add(charge_point_id)
            detail = f"{self._what}: {type(error).__name__}, see the log of the gateway; it is tried again"
            self._report("provisioning.stuck", "high", "allow_alert", detail, charge_point_id)
        self.put(charge_point_id, self._clock() + _BROKEN_S)
