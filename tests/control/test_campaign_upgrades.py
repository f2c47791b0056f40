"""A campaign's preparation of an upgrade: what leaves a charge point out, and what is only tried again."""

import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest

from gateway.control.campaign_upgrades import UpgradeOperation
from gateway.control.upgrade_wish import UpgradeWish
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.campaign import Member, Said
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.campaign_window import Window
from gateway.provisioning.preflight import Check, Preflight
from gateway.provisioning.upgrade import Upgrade
from gateway.provisioning.upgrade_states import UpgradeState

CP = ChargePointId("CP-1")
OPEN = Window(from_minute=0, to_minute=1_440)
CLOSED = Window(days=(), from_minute=0, to_minute=1)
"""One that never opens."""
MEMBER = Member(charge_point_id=CP, stratum=0, rank=0, state=MemberState.PREPARING, changed_at=1.0)


class Upgrades:
    def __init__(self, check: Check, *, is_heard: bool) -> None:
        self.found = Preflight((check,), "", "", is_heard=is_heard)

    async def newest(self, charge_point_id: str) -> None:
        del charge_point_id

    async def preflight(self, wish: UpgradeWish) -> Preflight:
        del wish
        return self.found


class UnderWay:
    """One upgrade, to which nothing more happens but that it is stopped."""

    def __init__(self) -> None:
        self.upgrade = Upgrade(
            charge_point_id=CP, state=UpgradeState.TOLD, from_profile=SecurityProfile(1), to_profile=SecurityProfile(2),
            created_at=1.0, changed_at=1.0, number=1, priority_before="1", detail="it may be charging",
        )  # fmt: skip
        self.stopped: list[str] = []

    async def call_later(self, read: Callable[[Any], Any]) -> Any:
        del read
        return {CP: self.upgrade}

    async def abort(self, charge_point_id: str, why: str) -> None:
        assert charge_point_id == CP
        self.stopped.append(why)


class Cluster:
    def is_elsewhere(self, charge_point_id: ChargePointId) -> bool:
        del charge_point_id
        return False


@pytest.mark.parametrize(
    ("check", "is_heard", "said"),
    [
        (Check("root", "ok", "it is there"), True, Said.DONE),
        (Check("idle", "wait", "a transaction runs"), True, Said.DONE),
        (Check("answers", "wait", "it has not answered"), False, Said.NOT_NOW),
        (Check("root", "no", "it has 0 roots"), True, Said.REFUSED),
        (Check("root", "no", "it has 0 roots"), False, Said.REFUSED),
    ],
)
async def test_who_has_not_answered_is_asked_again_and_not_left_out(check: Check, is_heard: bool, said: Said) -> None:
    nothing: Any = None
    upgrades: Any = Upgrades(check, is_heard=is_heard)
    cluster: Any = Cluster()
    operation = UpgradeOperation(upgrades, nothing, nothing, nothing, cluster)
    assert (await operation.prepare(MEMBER, Plan(to_profile=2))).said is said


@pytest.mark.parametrize(("left_s", "is_stopped"), [(10.0, True), (50.0, False)])
async def test_who_will_not_be_there_in_time_is_stopped_and_why_is_said(left_s: float, is_stopped: bool) -> None:
    under_way: Any = UnderWay()
    nothing: Any = None
    cluster: Any = Cluster()
    operation = UpgradeOperation(under_way, nothing, {CP: "its session"}, under_way, cluster)  # type: ignore[arg-type]
    due_at = time.time() + left_s
    member = msgspec.structs.replace(MEMBER, state=MemberState.WAITING, switched_at=due_at - 100.0, due_at=due_at)
    await operation.observe([member], Plan(to_profile=2, proof_within_s=100.0))
    said = "stopped by the campaign, as its time was nearly over: told it may be charging"
    assert under_way.stopped == ([said] if is_stopped else [])


@pytest.mark.parametrize(
    ("state", "window", "waits"),
    [
        (UpgradeState.WANTED, CLOSED, True),
        (UpgradeState.TOLD, CLOSED, True),
        (UpgradeState.TOLD, OPEN, False),
        (UpgradeState.SWITCHING, CLOSED, False),  # it was sent to restart within the window
    ],
)
async def test_who_waits_for_the_window_has_longer(state: UpgradeState, window: Window, waits: bool) -> None:
    under_way, nothing, cluster = UnderWay(), cast("Any", None), cast("Any", Cluster())
    under_way.upgrade = msgspec.structs.replace(under_way.upgrade, state=state)
    operation = UpgradeOperation(cast("Any", under_way), nothing, cast("Any", {}), cast("Any", under_way), cluster)
    member = msgspec.structs.replace(MEMBER, state=MemberState.WAITING, due_at=time.time() + 50.0)
    found = await operation.observe([member], Plan(to_profile=2, proof_within_s=100.0, windows=(window,)))
    assert (found[CP].waits_until > time.time()) is waits
