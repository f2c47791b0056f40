"""Plays a campaign in a world of a few lines: who is connected, what is seen, and a clock that is turned by hand."""

from collections.abc import Iterable
from typing import Any, Self

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import (
    Answer,
    Campaign,
    CampaignEffect,
    Member,
    Note,
    Observation,
    Order,
    Ordered,
    Prepare,
    PrepareDone,
    Progress,
    Said,
    Seen,
    StoreRows,
    Switch,
    SwitchDone,
    Tick,
)
from gateway.provisioning.campaign_plan import HaltRules, Plan, Stratum, Waves
from gateway.provisioning.campaign_run import CampaignRun
from gateway.provisioning.campaign_states import CampaignState, MemberState

START = 1_000_000.0
DONE = Answer(Said.DONE)


def plan(**fields: Any) -> Plan:
    """Short times; fields of `Waves` and `HaltRules` by their names."""
    waves = {name: fields.pop(name) for name in Waves.__struct_fields__ if name in fields}
    halt = {name: fields.pop(name) for name in HaltRules.__struct_fields__ if name in fields}
    values: dict[str, Any] = {"proof_within_s": 100.0, "soak_s": 50.0, "retry_s": 10.0, "ends_after_s": 1e6} | fields
    return Plan(waves=Waves(**waves), halt=HaltRules(**halt), **values)


def identity(number: int) -> ChargePointId:
    return ChargePointId(f"CP-{number}")


def campaign_of(sizes: Iterable[int], the_plan: Plan) -> tuple[Campaign, list[Member]]:
    """One stratum for each size."""
    strata: list[Progress] = []
    members: list[Member] = []
    for index, size in enumerate(sizes):
        strata.append(Progress(stratum=Stratum("V", f"M{index}", "1")))
        for _ in range(size):
            rank = len(members)
            members.append(
                Member(
                    charge_point_id=identity(rank),
                    stratum=index,
                    rank=rank,
                    state=MemberState.ELIGIBLE,
                    changed_at=START,
                )
            )
    campaign = Campaign(
        name="test",
        kind="certificate",
        state=CampaignState.PLANNED,
        plan=the_plan,
        strata=tuple(strata),
        created_at=START,
        changed_at=START,
        planned_by="anna",
        number=1,
    )
    return campaign, members


class World:
    """`rows` is the disk: what was stored. Prepares and switches are answered at once unless `answers` says otherwise."""

    def __init__(self, sizes: Iterable[int] = (5,), **fields: Any) -> None:
        self.campaign, members = campaign_of(sizes, plan(**fields))
        self.rows = {each.charge_point_id: each for each in members}
        self.now = START
        self.connected = set(self.rows)
        self.in_window = True
        self.seen: dict[ChargePointId, Observation] = {}
        self.prepare_answers: dict[ChargePointId, Answer] = {}
        self.switch_answers: dict[ChargePointId, Answer | None] = {}
        self.switched: list[ChargePointId] = []
        self.prepared: list[ChargePointId] = []
        self.notes: list[Note] = []
        self.committed: list[ChargePointId] = []
        self.run = CampaignRun(self.campaign, members, self.now)

    def crash(self) -> Self:
        """The process dies; another one reads the rows."""
        self.run = CampaignRun(self.campaign, self.rows.values(), self.now)
        return self

    def order(self, what: Any, stratum: int = -1) -> Self:
        self._perform(self.run.handle(Ordered(self.now, Order(what=what, by="anna", stratum=stratum))))
        return self

    def tick(self, seconds: float = 1.0, times: int = 1) -> Self:
        for _ in range(times):
            self.now += seconds
            self._perform(self.run.handle(Tick(self.now, self.in_window, self.connected, dict(self.seen))))
        return self

    def prove(self, *numbers: int) -> Self:
        """They are seen with the new; without numbers all that wait."""
        waiting = [each for each in self.rows.values() if each.state is MemberState.WAITING]
        for each in [identity(number) for number in numbers] or [each.charge_point_id for each in waiting]:
            self.seen[each] = Observation(Seen.PROVEN)
        return self

    def finish_wave(self) -> Self:
        """Whoever is waiting proves itself and soaks."""
        return self.tick(times=3).prove().tick(times=2).tick(60.0).tick()

    def states(self) -> list[str]:
        return [self.rows[identity(number)].state.value for number in range(len(self.rows))]

    def count(self, state: MemberState) -> int:
        return self.states().count(state.value)

    def is_in(self, state: CampaignState) -> bool:
        return self.campaign.state is state

    def events(self) -> list[str]:
        return [note.event for note in self.notes]

    def _perform(self, effects: list[CampaignEffect]) -> None:
        for position, effect in enumerate(effects):
            match effect:
                case StoreRows(campaign=campaign, members=members):
                    assert position == 0
                    self.campaign = campaign
                    for each in members:
                        if each.state is MemberState.COMMITTED:
                            self.committed.append(each.charge_point_id)
                        self.rows[each.charge_point_id] = each
                case Prepare(member=member):
                    self.prepared.append(member.charge_point_id)
                    answer = self.prepare_answers.get(member.charge_point_id, DONE)
                    self._perform(self.run.handle(PrepareDone(self.now, member.charge_point_id, answer)))
                case Switch(member=member):
                    assert self.rows[member.charge_point_id].state is MemberState.SWITCH, (
                        "told before it was on the disk"
                    )
                    self.switched.append(member.charge_point_id)
                    said = self.switch_answers.get(member.charge_point_id, DONE)
                    if said is not None:
                        self._perform(self.run.handle(SwitchDone(self.now, member.charge_point_id, said)))
                case Note():
                    self.notes.append(effect)
