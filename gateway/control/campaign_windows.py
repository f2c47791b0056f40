"""May what a campaign has begun go on now? Asked by whoever drives the row, at whichever node; the database says."""

import datetime
import time
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.control.store_thread import StoreThread
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.campaign_window import closed_until
from gateway.provisioning.window_hold import is_begun_by

__all__ = ["CampaignWindows", "opens_at", "zone_of"]

_UNKNOWN_ZONE_S: Final = 600.0


class CampaignWindows:
    """Of the campaigns of one kind."""

    def __init__(self, store: StoreThread, kind: str) -> None:
        self._store = store
        self._kind = kind

    async def closed_until(self, charge_point_id: ChargePointId, created_at: float) -> float:
        """When a row that was created at `created_at` may go on, in seconds since the epoch; 0.0: now. Raises StoreError."""
        found = await self._store.call(lambda registry: registry.campaigns.told_last(charge_point_id, self._kind))
        if found is None:
            return 0.0
        campaign, member = found
        is_held = is_begun_by(member, created_at, is_over=campaign.state.is_over)
        return opens_at(campaign.plan, time.time()) if is_held else 0.0


def opens_at(plan: Plan, now: float) -> float:
    """When a window of the plan opens; 0.0 while one is open, or where it has none."""
    try:
        return closed_until(plan.windows, now, zone_of(plan)) if plan.windows else 0.0
    except ZoneInfoNotFoundError:
        return now + _UNKNOWN_ZONE_S  # the campaign says so


def zone_of(plan: Plan) -> datetime.tzinfo:
    """Of its windows. Raises ZoneInfoNotFoundError where this machine does not know it."""
    return datetime.UTC if plan.time_zone == "UTC" else ZoneInfo(plan.time_zone)
