"""A campaign as a state machine: events in, effects out. Pure; the time is in the events.

    ELIGIBLE > PREPARING > PREPARED > WINDOW > SWITCH > WAITING > VERIFIED > SOAK > COMMITTED | FELL_BACK | LOST

`StoreRows` is the first effect whenever something has changed. Who cannot perform it forgets this object and makes
a new one from the rows: that is also what happens after a crash. Nothing is kept here that could not be lost.

- In a stratum, wave after wave: the next one begins when everybody of this one has come to a good enough end.
- Nobody is told outside a maintenance window, while the campaign is paused, or after its stratum has halted.
- Those that were told are watched to their end whatever becomes of the campaign.
- A tick looks at so many charge points and no more: at all of a small campaign, and at those of a large one in turn.
"""

from collections.abc import Iterable
from itertools import islice

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.provisioning.campaign import (
    Answer,
    Campaign,
    CampaignEffect,
    CampaignEvent,
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
    obeyed,
)
from gateway.provisioning.campaign_plan import wave_size
from gateway.provisioning.campaign_states import FOLLOWS, CampaignState, MemberState
from gateway.provisioning.campaign_tally import Count, Tally, halt_reason
from gateway.provisioning.people import two_people

__all__ = ["CampaignRun"]

_SETTLE_S = 300.0
"""After a start of the gateway nobody is late or missing for so long: charge points take their time to come back."""
_DETAIL_CHARS = 300
_MAX_BACK_OFF = 6
_AT_A_TIME = 1_000
"""Charge points of one state, or strata together, that one tick looks at."""
_LEAST_AT_A_TIME = 20
"""Of a stratum, however many there are."""
_WATCHED_AT_A_TIME = {MemberState.SOAK: 200, MemberState.LOST: 200}
"""Who is watched in turn, if there are many: nobody waits for them, and there may be as many as the fleet has."""
_NOTES = {
    MemberState.COMMITTED: ("campaign.committed", "info", "allow"),
    MemberState.FELL_BACK: ("campaign.fell_back", "medium", "allow_alert"),
    MemberState.LOST: ("campaign.lost", "high", "allow_alert"),
}
_UNSEEN = Observation(Seen.UNDER_WAY)


class CampaignRun:
    """One campaign with its members, as their rows say. `now`: when they were read."""

    def __init__(self, campaign: Campaign, members: Iterable[Member], now: float) -> None:
        self.campaign = campaign
        self.members = {each.charge_point_id: each for each in sorted(members, key=lambda each: each.rank)}
        self._settled_at = now + min(_SETTLE_S, campaign.plan.proof_within_s)
        self._tally = Tally(self.members.values())
        self._by_state: dict[MemberState, dict[ChargePointId, None]] = {state: {} for state in MemberState}
        self._of_stratum: list[list[ChargePointId]] = [[] for _ in campaign.strata]
        self._eligible: list[dict[ChargePointId, None]] = [{} for _ in campaign.strata]
        for member in self.members.values():
            self._of_stratum[member.stratum].append(member.charge_point_id)
            self._put_in_line(member)
        self._asked: set[ChargePointId] = set()
        """Who is being prepared or told right now, by this process."""
        self._offline_since: dict[int, float] = {}
        self._counted = [Count() for _ in campaign.strata]
        self._share_of_tick = max(_LEAST_AT_A_TIME, _AT_A_TIME // max(1, len(campaign.strata)))
        self._turns: dict[MemberState, int] = {}
        self._looked_from = [0 for _ in campaign.strata]
        self._changed: dict[ChargePointId, Member] = {}
        self._effects: list[CampaignEffect] = []

    def handle(self, event: CampaignEvent) -> list[CampaignEffect]:
        """What is to be done, in order. Raises OrderRefused for an order that does not fit; nothing changes then."""
        before = self.campaign
        match event:
            case Tick():
                self._tick(event)
            case Ordered(now=now, order=order):
                self._ordered(order, now)
            case PrepareDone(now=now, charge_point_id=identity, answer=answer):
                self._prepared(identity, answer, now)
            case SwitchDone(now=now, charge_point_id=identity, answer=answer):
                self._switched(identity, answer, now)
        changed, effects = tuple(self._changed.values()), self._effects
        self._changed, self._effects = {}, []
        if changed or self.campaign is not before:
            return [StoreRows(self.campaign, changed), *effects]
        return effects

    def watched(self) -> list[Member]:
        """Those about whom the next tick has to know what is seen."""
        begun = [each for each in MemberState if each.has_begun and each not in _WATCHED_AT_A_TIME]
        found = [identity for state in begun for identity in self._by_state[state]]
        found += [identity for state in _WATCHED_AT_A_TIME for identity in self._in_turn(state)]
        return [self.members[identity] for identity in found]

    def counts(self) -> dict[MemberState, int]:
        """How many are where."""
        return {state: len(who) for state, who in self._by_state.items() if who}

    def _in_turn(self, state: MemberState) -> list[ChargePointId]:
        """All of a state, or those whose turn it is."""
        line, at_a_time = self._by_state[state], _WATCHED_AT_A_TIME.get(state, _AT_A_TIME)
        start = self._turns.get(state, 0) if len(line) > at_a_time else 0
        return list(islice(line, start, start + at_a_time))

    def _had_turn(self, state: MemberState) -> None:
        """The next tick looks at the next ones. Who has left the state meanwhile costs others a turn, not their place."""
        start = self._turns.get(state, 0) + _WATCHED_AT_A_TIME.get(state, _AT_A_TIME)
        self._turns[state] = start if start < len(self._by_state[state]) else 0

    # -- orders

    def _ordered(self, order: Order, now: float) -> None:
        self.campaign = obeyed(self.campaign, order, now)
        detail, decision = f"{self.campaign.name}: {order.what} by {order.by}", "allow"
        if order.what == "start":
            detail += f", planned by {self.campaign.planned_by}"
        if order.what == "start" and self.campaign.approved_by:
            evidence, may_be = two_people(self.campaign.planned_by, self.campaign.approved_by)
            detail += f", approved by {self.campaign.approved_by}: {evidence}"
            decision = "allow" if may_be else "allow_alert"
        if order.what == "resume":
            self._let_go_on(order.stratum, now)
        if order.what == "abort":
            self._withdraw(now)
        severity = "medium" if decision == "allow" else "high"
        self._effects.append(Note(f"campaign.{order.what}", severity, decision, detail))

    def _let_go_on(self, only: int, now: float) -> None:
        """Somebody has looked: what has happened so far counts no more, and the wave is repeated with others."""
        for index, progress in enumerate(self.campaign.strata):
            if progress.halted and only in {-1, index}:
                counts = self._tally.of_wave(index, progress.wave)
                self._progress(
                    index,
                    halted="",
                    offline_share=-1.0,
                    forgiven_ended=counts.ended,
                    forgiven_failed=counts.failed,
                    forgiven_lost=counts.lost,
                    forgiven_at=now,
                    repeated=counts.admitted,
                )
                self._offline_since.pop(index, None)
                self._counted[index] = Count()

    # -- time passes

    def _tick(self, tick: Tick) -> None:
        state = self.campaign.state
        if state is CampaignState.PLANNED or state.is_over:
            return
        for member in self.watched():
            self._watch(member, tick)
        for in_turn in _WATCHED_AT_A_TIME:
            self._had_turn(in_turn)
        if state is CampaignState.ABORTING:
            self._withdraw(tick.now)
        is_at_end = tick.now >= self.campaign.started_at + self.campaign.plan.ends_after_s
        if is_at_end:
            self._leave_out(MemberState.NOT_REACHED, "its turn did not come before the campaign ended", tick.now)
        for index in range(len(self.campaign.strata)):
            self._judge(index, tick)
            if self._goes_on(index) and not is_at_end:
                self._next_wave(index)
                self._admit(index, tick)
        if not is_at_end:
            self._move_window(tick)
            self._tell(tick)
        self._ask_again(tick)
        self._finish(tick.now)

    def _goes_on(self, stratum: int) -> bool:
        """True if something may begin in it."""
        return self.campaign.state is CampaignState.RUNNING and not self.campaign.strata[stratum].halted

    def _watch(self, member: Member, tick: Tick) -> None:
        """One that was told: what is seen of it, and whether it is late."""
        observed = tick.observations.get(member.charge_point_id, _UNSEEN)
        is_connected = member.charge_point_id in tick.connected
        is_late = tick.now >= max(member.due_at, self._settled_at)
        match member.state:
            case MemberState.WAITING if observed.seen is Seen.PROVEN:
                self._move(member, MemberState.VERIFIED, tick.now, observed.why, verified_at=tick.now)
            case MemberState.WAITING | MemberState.SOAK if observed.seen is Seen.BACK:
                self._move(member, MemberState.FELL_BACK, tick.now, observed.why or "it is on the old again")
            case MemberState.WAITING if self._has_longer(member, observed, tick.now):
                due_at = observed.waits_until + self.campaign.plan.proof_within_s
                self._move(member, MemberState.WAITING, tick.now, observed.why, due_at=due_at)
            case MemberState.WAITING if is_late:
                self._is_late(member, tick.now, observed.why, is_connected=is_connected)
            case MemberState.VERIFIED:
                due_at = member.verified_at + self.campaign.plan.soak_s
                self._move(member, MemberState.SOAK, tick.now, member.detail, due_at=due_at)
            case MemberState.SOAK if is_connected and tick.now >= member.due_at:
                self._move(member, MemberState.COMMITTED, tick.now, "it has stayed with the new")
            case MemberState.SOAK if is_late and tick.now >= member.due_at + self.campaign.plan.proof_within_s:
                self._move(
                    member, MemberState.LOST, tick.now, "it was seen with the new, and is not connected any more"
                )
            case MemberState.LOST if is_connected and observed.seen is Seen.PROVEN:
                self._move(member, MemberState.VERIFIED, tick.now, "it has come back", verified_at=tick.now)
            case MemberState.LOST if is_connected:
                self._move(member, MemberState.FELL_BACK, tick.now, "it has come back, on what it had before")
            case _:
                pass

    def _has_longer(self, member: Member, observed: Observation, now: float) -> bool:
        """True if its window has closed before it could be switched: it has its time in the next one, while the campaign runs."""
        is_over = now >= self.campaign.started_at + self.campaign.plan.ends_after_s
        proves_until = observed.waits_until + self.campaign.plan.proof_within_s
        return bool(observed.waits_until) and not is_over and proves_until > member.due_at + 1.0

    def _is_late(self, member: Member, now: float, why: str, *, is_connected: bool) -> None:
        if is_connected:
            detail = "it is connected, and has not proven itself in time"
            self._move(member, MemberState.FELL_BACK, now, f"{detail}: {why}" if why else detail)
        else:
            self._move(member, MemberState.LOST, now, "it was told, and is not connected any more")

    # -- halts and waves

    def _judge(self, stratum: int, tick: Tick) -> None:
        if not self._goes_on(stratum):
            return
        progress = self.campaign.strata[stratum]
        counts = self._tally.of_wave(stratum, progress.wave)
        is_done = self._is_done(stratum)
        why = halt_reason(self.campaign.plan.halt, progress, counts, is_done=is_done)
        why = why or self._too_many_offline(stratum, tick)
        if why:
            self._progress(stratum, halted=why)
            detail = f"{self.campaign.name}: {progress.stratum}: {why}"
            self._effects.append(Note("campaign.halted", "high", "allow_alert", detail))

    def _too_many_offline(self, stratum: int, tick: Tick) -> str:
        """Whether more are offline than at the start, of those that have no reason to be."""
        rules, progress = self.campaign.plan.halt, self.campaign.strata[stratum]
        if tick.now < self._settled_at or not self._count(stratum, tick):
            return ""
        count, self._counted[stratum] = self._counted[stratum], Count()
        quiet, offline = count.quiet, count.offline
        share = offline / quiet if quiet else 0.0
        if progress.offline_share < 0.0:
            self._progress(stratum, offline_share=share)
            return ""
        if share <= progress.offline_share + rules.max_offline_rise or offline < rules.min_ended:
            self._offline_since.pop(stratum, None)
            return ""
        since = self._offline_since.setdefault(stratum, tick.now)
        if tick.now < since + rules.offline_for_s:
            return ""
        return f"{offline} of {quiet} are offline; at the start {progress.offline_share:.0%} were"

    def _count(self, stratum: int, tick: Tick) -> bool:
        """Go on counting who is offline; True if everybody was asked."""
        count, line = self._counted[stratum], self._of_stratum[stratum]
        for identity in line[count.asked : count.asked + self._share_of_tick]:
            count.asked += 1
            if not self.members[identity].state.is_underway:
                count.quiet += 1
                count.offline += identity not in tick.connected
        return count.asked >= len(line)

    def _next_wave(self, stratum: int) -> None:
        if self._is_done(stratum) and self._eligible[stratum]:
            done = {"forgiven_ended": 0, "forgiven_failed": 0, "repeated": 0}
            self._progress(stratum, wave=self.campaign.strata[stratum].wave + 1, **done)

    def _is_done(self, stratum: int) -> bool:
        """True if everybody who belongs to the wave has come to an end."""
        progress = self.campaign.strata[stratum]
        counts = self._tally.of_wave(stratum, progress.wave)
        is_full = counts.admitted >= self._size(stratum) + progress.repeated or not self._eligible[stratum]
        return is_full and counts.ended == counts.admitted > 0

    def _size(self, stratum: int) -> int:
        """Of the wave in which a stratum is."""
        return wave_size(self.campaign.plan.waves, self.campaign.strata[stratum].wave)

    def _admit(self, stratum: int, tick: Tick) -> None:
        progress, waves = self.campaign.strata[stratum], self.campaign.plan.waves
        admitted = self._tally.of_wave(stratum, progress.wave).admitted
        room = self._size(stratum) + progress.repeated - admitted
        room = min(room, waves.max_at_once - self._tally.in_all(MemberState.PREPARING))
        start = self._looked_from[stratum]
        for identity in self._candidates(stratum) if room > 0 else ():
            member = self.members[identity]
            if identity in tick.connected and member.due_at <= tick.now:
                moved = self._move(member, MemberState.PREPARING, tick.now, "", wave=progress.wave)
                self._ask(Prepare(moved))
                room -= 1
                if room == 0:
                    self._looked_from[stratum] = 0
                    break
            else:
                start += 1
        else:
            self._looked_from[stratum] = start if start < len(self._eligible[stratum]) else 0

    def _candidates(self, stratum: int) -> list[ChargePointId]:
        """In the first wave those that the plan names, as long as there are any; else those that are eligible, in turn."""
        eligible = self._eligible[stratum]
        if self.campaign.strata[stratum].wave == 0:
            named = [each for each in self.campaign.plan.first if each in eligible]
            if named:
                return sorted(named, key=lambda each: self.members[each].rank)
        start = self._looked_from[stratum] if len(eligible) > self._share_of_tick else 0
        return list(islice(eligible, start, start + self._share_of_tick))

    # -- one charge point

    def _prepared(self, identity: ChargePointId, answer: Answer, now: float) -> None:
        self._asked.discard(identity)
        member = self.members.get(identity)
        if member is None or member.state is not MemberState.PREPARING:
            return
        if answer.said is Said.DONE:
            self._move(member, MemberState.PREPARED, now, answer.why, mark=answer.mark, attempts=0, due_at=0.0)
        elif answer.said is Said.REFUSED or member.attempts + 1 >= self.campaign.plan.max_attempts:
            self._move(member, MemberState.INELIGIBLE, now, answer.why, wave=-1)
        else:
            self._move(member, MemberState.ELIGIBLE, now, answer.why, wave=-1, **self._later(member, now))

    def _move_window(self, tick: Tick) -> None:
        """Whose window opens waits for its turn, and back again when it closes."""
        before = MemberState.PREPARED if tick.in_window else MemberState.WINDOW
        after = MemberState.WINDOW if tick.in_window else MemberState.PREPARED
        for identity in self._in_turn(before):
            member = self.members[identity]
            if self._goes_on(member.stratum) or not tick.in_window:
                self._move(member, after, tick.now, member.detail)
        self._had_turn(before)

    def _tell(self, tick: Tick) -> None:
        """In line, as many as there is room for."""
        if not tick.in_window:
            return
        for identity in self._in_turn(MemberState.WINDOW):
            member = self.members[identity]
            if not self._goes_on(member.stratum) or member.due_at > tick.now:
                continue
            if identity not in tick.connected:
                self._wait_for_connection(member, tick.now)
                continue
            if self._tally.underway() >= self.campaign.plan.waves.max_at_once:
                return
            if self._tally.underway(member.stratum) < self._size(member.stratum):
                self._ask(Switch(self._move(member, MemberState.SWITCH, tick.now, "", switched_at=tick.now)))
        self._had_turn(MemberState.WINDOW)

    def _wait_for_connection(self, member: Member, now: float) -> None:
        """For a while; then another one has its place, so that a wave does not hang on one that is away."""
        if now >= max(member.changed_at + self.campaign.plan.proof_within_s, self._settled_at):
            self._move(member, MemberState.ELIGIBLE, now, "it was not connected when its turn came", wave=-1)

    def _switched(self, identity: ChargePointId, answer: Answer, now: float) -> None:
        self._asked.discard(identity)
        member = self.members.get(identity)
        if member is None or member.state is not MemberState.SWITCH:
            return
        if answer.said is Said.NOT_NOW:
            self._move(member, MemberState.WINDOW, now, answer.why, **self._later(member, now))
        elif answer.said is Said.REFUSED:
            self._move(member, MemberState.FELL_BACK, now, answer.why or "it has refused")
        else:
            self._wait_for(member, now, answer.why)

    def _wait_for(self, member: Member, now: float, why: str) -> None:
        due_at = now + self.campaign.plan.proof_within_s
        self._move(member, MemberState.WAITING, now, why, attempts=0, due_at=due_at)

    def _ask_again(self, tick: Tick) -> None:
        """What a process before this one was about: again where it may be, for asking twice is harmless."""
        for identity in list(self._by_state[MemberState.PREPARING]):
            member = self.members[identity]
            if identity not in self._asked and self._goes_on(member.stratum):
                self._ask(Prepare(member))
        for identity in list(self._by_state[MemberState.SWITCH]):
            member = self.members[identity]
            if identity in self._asked:
                continue
            seen = tick.observations.get(identity, _UNSEEN).seen
            if seen is not Seen.NOTHING:
                self._wait_for(member, tick.now, "the gateway was restarted while it was told")
            elif tick.in_window and self._goes_on(member.stratum) and identity in tick.connected:
                self._ask(Switch(member))
            else:
                self._move(member, MemberState.WINDOW, tick.now, "the gateway was restarted before it was told")

    def _ask(self, effect: Prepare | Switch) -> None:
        self._asked.add(effect.member.charge_point_id)
        self._effects.append(effect)

    def _later(self, member: Member, now: float) -> dict[str, float]:
        wait_s = self.campaign.plan.retry_s * float(1 << min(member.attempts, _MAX_BACK_OFF))
        return {"attempts": member.attempts + 1, "due_at": now + wait_s}

    # -- ends

    def _withdraw(self, now: float) -> None:
        self._leave_out(MemberState.WITHDRAWN, "the campaign was aborted before its turn", now)

    def _leave_out(self, state: MemberState, why: str, now: float) -> None:
        """As many as one tick can; the next one goes on."""
        for before in (each for each in MemberState if each.is_before):
            for identity in list(islice(self._by_state[before], _AT_A_TIME)):
                self._move(self.members[identity], state, now, why)

    def _finish(self, now: float) -> None:
        if all(state.is_over or not self._by_state[state] for state in MemberState):
            is_aborted = self.campaign.state is CampaignState.ABORTING
            state = CampaignState.ABORTED if is_aborted else CampaignState.FINISHED
            self.campaign = msgspec.structs.replace(self.campaign, state=state, changed_at=now)
            self._effects.append(Note("campaign.finished", "info", "allow", f"{self.campaign.name}: {state.value}"))

    # -- keeping

    def _progress(self, stratum: int, **fields: object) -> None:
        strata = list(self.campaign.strata)
        changed: Progress = msgspec.structs.replace(strata[stratum], **fields)
        strata[stratum] = changed
        self.campaign = msgspec.structs.replace(self.campaign, strata=tuple(strata))

    def _move(self, member: Member, state: MemberState, now: float, why: str, /, **fields: object) -> Member:
        """`member` in its new state. Raises ValueError for a state that cannot follow: a defect of ours."""
        if state not in FOLLOWS[member.state]:
            raise ValueError(f"{state.value} cannot follow {member.state.value}")
        detail = why[:_DETAIL_CHARS]
        after = msgspec.structs.replace(member, state=state, changed_at=now, detail=detail, **fields)
        if member.state is MemberState.LOST:
            self._not_lost_any_more(member, state)
        identity = member.charge_point_id
        self.members[identity] = self._changed[identity] = after
        self._tally.moved(member, after)
        del self._by_state[member.state][identity]
        self._eligible[member.stratum].pop(identity, None)
        self._put_in_line(after)
        if state in _NOTES:
            event, severity, decision = _NOTES[state]
            self._effects.append(Note(event, severity, decision, f"{self.campaign.name}: {detail}", identity))
        return after

    def _not_lost_any_more(self, member: Member, state: MemberState) -> None:
        """What was forgiven and has not happened, after all, must not hide what happens next."""
        progress = self.campaign.strata[member.stratum]
        if member.changed_at > progress.forgiven_at:
            return
        self._progress(member.stratum, forgiven_lost=max(0, progress.forgiven_lost - 1))
        if member.wave == progress.wave and state is not MemberState.FELL_BACK:
            ended, failed = progress.forgiven_ended, progress.forgiven_failed
            self._progress(member.stratum, forgiven_ended=max(0, ended - 1), forgiven_failed=max(0, failed - 1))

    def _put_in_line(self, member: Member) -> None:
        self._by_state[member.state][member.charge_point_id] = None
        if member.state is MemberState.ELIGIBLE:
            self._eligible[member.stratum][member.charge_point_id] = None
