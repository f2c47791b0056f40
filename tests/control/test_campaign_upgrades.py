"""A campaign's preparation of an upgrade: what leaves a charge point out, and what is only tried again."""

from typing import Any

import pytest

from gateway.control.campaign_upgrades import UpgradeOperation
from gateway.control.upgrade_wish import UpgradeWish
from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import Member, Said
from gateway.provisioning.campaign_plan import Plan
from gateway.provisioning.campaign_states import MemberState
from gateway.provisioning.preflight import Check, Preflight

CP = ChargePointId("CP-1")
MEMBER = Member(charge_point_id=CP, stratum=0, rank=0, state=MemberState.PREPARING, changed_at=1.0)


class Upgrades:
    def __init__(self, check: Check, *, is_heard: bool) -> None:
        self.found = Preflight((check,), "", "", is_heard=is_heard)

    async def newest(self, charge_point_id: str) -> None:
        del charge_point_id

    async def preflight(self, wish: UpgradeWish) -> Preflight:
        del wish
        return self.found


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
