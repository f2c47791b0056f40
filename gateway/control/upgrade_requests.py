"""What `ocpp-gateway charge-point upgrade` asks of a running node."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from gateway.control.operator_requests import OperatorRequest
from gateway.control.upgrade_wish import UpgradeAbort, UpgradeWish
from gateway.provisioning.preflight import Preflight
from gateway.provisioning.upgrade import Upgrade

__all__ = ["upgrade_requests"]


class _Upgrades(Protocol):
    async def start(self, wish: UpgradeWish) -> Upgrade: ...

    async def preflight(self, wish: UpgradeWish) -> Preflight: ...

    async def abort(self, charge_point_id: str) -> None: ...


def upgrade_requests(upgrades: _Upgrades) -> Sequence[OperatorRequest]:
    """Start, look before, and stop. Their handlers raise UpgradeRefused, StoreError."""

    async def start(wish: UpgradeWish) -> dict[str, str]:
        await upgrades.start(wish)
        return {"refused": ""}

    async def preflight(wish: UpgradeWish) -> dict[str, Any]:
        found = await upgrades.preflight(wish)
        return {"refused": "", "verdict": found.verdict, "why": found.why, **msgspec.to_builtins(found)}

    async def abort(asked: UpgradeAbort) -> dict[str, str]:
        await upgrades.abort(asked.charge_point_id)
        return {"refused": ""}

    return (
        OperatorRequest("/upgrade/start", UpgradeWish, start),
        OperatorRequest("/upgrade/preflight", UpgradeWish, preflight, changes=False),
        OperatorRequest("/upgrade/abort", UpgradeAbort, abort, stops=True),
    )
