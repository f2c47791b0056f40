"""What was seen of charge points that have to be asked for it: asked beside the campaigns' loop, with patience."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Member, Observation, Seen
from gateway.provisioning.campaign_states import MemberState

__all__ = ["Looks"]

_AGAIN_S: Final = 15.0
_AT_ONCE: Final = 20
_log = structlog.get_logger("control.campaign_looks")


class Looks:
    """Of one operation. What was proven is kept while its campaign watches the charge point."""

    def __init__(self, tasks: TaskOwner) -> None:
        self._tasks = tasks
        self._seen: dict[ChargePointId, Observation] = {}
        self._asked_at: dict[ChargePointId, float] = {}
        self._asking: set[ChargePointId] = set()

    def saw(self, charge_point_id: ChargePointId, observation: Observation) -> None:
        """Whoever has told it has seen it as well."""
        self._seen[charge_point_id] = observation

    def at(
        self, members: Sequence[Member], look: Callable[[ChargePointId], Awaitable[Observation | None]]
    ) -> Mapping[ChargePointId, Observation]:
        """What is known by now; whoever is not known is looked at, and known later.

        Whether one that was being told by a process before this one was told, nobody knows: it counts as not told, for telling
        it twice is harmless.
        """
        watched = {each.charge_point_id for each in members}
        for gone in self._seen.keys() - watched:
            del self._seen[gone]
        for gone in self._asked_at.keys() - watched:
            del self._asked_at[gone]
        found = {}
        for member in members:
            identity = member.charge_point_id
            if identity in self._seen:
                found[identity] = self._seen[identity]
            elif member.state is MemberState.SWITCH:
                found[identity] = Observation(Seen.NOTHING)
            elif member.state in {MemberState.WAITING, MemberState.LOST}:
                self._look(identity, look)
        return found

    def _look(self, identity: ChargePointId, look: Callable[[ChargePointId], Awaitable[Observation | None]]) -> None:
        is_due = time.monotonic() >= self._asked_at.get(identity, 0.0) + _AGAIN_S
        if is_due and identity not in self._asking and len(self._asking) < _AT_ONCE:
            self._asking.add(identity)
            self._tasks.start(self._asked(identity, look), "campaign-look")

    async def _asked(
        self, identity: ChargePointId, look: Callable[[ChargePointId], Awaitable[Observation | None]]
    ) -> None:
        try:
            found = await look(identity)
            if found is not None:
                self._seen[identity] = found
        except Exception as error:  # noqa: BLE001  one charge point does not end a campaign, whatever it has met
            _log.error("campaign_look_failed", error=repr(error), exc_info=error)
        finally:
            self._asked_at[identity] = time.monotonic()
            self._asking.discard(identity)
