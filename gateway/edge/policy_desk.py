"""Policy in an edge worker: the snapshot in force, a judge per session, and questions to control about budgets."""

import asyncio
import time
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

import msgspec
import structlog

from gateway.config.ocpp_schemas import schema_gate
from gateway.config.policy_packs import policy_scopes
from gateway.edge.control_link import ControlLink
from gateway.identity.evidence import Admission
from gateway.link.messages import BudgetAnswer, BudgetRequest, PolicySettings, QuarantineChanged
from gateway.link.policy_counts import CountersKept, PolicyTallies
from gateway.link.turns import in_turns
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.policy.counter_table import Overflow
from gateway.policy.handover import Kept, hand_over, take_over
from gateway.policy.session import SessionFacts
from gateway.policy.snapshot import Snapshot
from gateway.policy.tallies import RuleTally
from gateway.policy.verdict import FleetAsk
from gateway.relay.effects import Effects
from gateway.relay.judge import Judge, PolicyInForce

if TYPE_CHECKING:
    from gateway.edge.pump import Leg

__all__ = ["PolicyDesk", "wall_offset_s"]

_log = structlog.get_logger("edge.policy")
_ANSWER_TIMEOUT_S = 2.0
"""A budget that control does not confirm by then counts as used up: a disruptive command can be sent again."""

_TALLIED_EVERY = 20
"""So many times `tell` is called."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode
_NO_OVERFLOW = Overflow(0, "")

_COMPILING_LIMIT_S = 4.0
"""Control waits longer. What is not compiled by then will be when it is needed."""


class PolicyDesk:
    """One per worker. Lives on its event loop."""

    def __init__(self, link: ControlLink, on_settled: "Callable[[Leg, int, Effects | None], None]") -> None:
        """`on_settled` hears what has become of a message that waited for control; None: its session has ended."""
        self._link = link
        self._on_settled = on_settled
        self._in_force: PolicyInForce | None = None
        self._maintenance_groups: set[str] = set()
        """Of the snapshot in force; every session looks in here."""
        self._numbers = count(1)
        self._waiting: dict[int, tuple[Leg, int, bytes, asyncio.TimerHandle]] = {}
        self._told: dict[str, str] = {}
        """Who is in quarantine, as control knows it: the rule by identity."""
        self._all_again = False
        self._early: dict[str, str] = {}
        """Told by control before its rule was in force here."""
        self._tallied: dict[str, tuple[int, int]] = {}
        """(evaluations, errors) by rule of the snapshot in force, as control knows them."""
        self._told_times = count(1)

    @property
    def revision(self) -> str:
        """Of the snapshot in force."""
        return self._in_force.snapshot.revision if self._in_force is not None else ""

    async def prepare(self, settings: PolicySettings) -> Snapshot | None:
        """What `use` is to put in force, None if it is. Live sessions hardly notice: it is made in small steps.

        Rules for the kinds of messages that they have met are compiled before, or the first ones after the change
        would have to wait for it.
        """
        if settings.revision == self.revision:
            return None
        snapshot, loading = Snapshot.in_steps(settings.revision, settings.packs, settings.site, policy_scopes())
        await in_turns(loading)
        if self._in_force is not None:
            await in_turns(snapshot.prepare(self._in_force.snapshot), limit_s=_COMPILING_LIMIT_S)
        return snapshot

    def use(self, settings: PolicySettings, prepared: Snapshot | None = None) -> None:
        """Put a snapshot in force, for live sessions at once. What decisions remember stays."""
        if settings.revision == self.revision:
            return
        self._tally()
        self._tallied = {}
        snapshot = prepared or Snapshot(settings.revision, settings.packs, settings.site, policy_scopes())
        if self._in_force is None:
            self._in_force = PolicyInForce(snapshot, schema_gate)
        else:
            self._in_force.use(snapshot)
            self._in_force.state.lift(snapshot)
        self._adopt()
        self._maintenance_groups.clear()
        self._maintenance_groups.update(settings.site.maintenance_groups)

    def judge(self, admission: Admission, version: OCPPVersion, address: str, opened_at: float) -> Judge | None:
        """The judge of a new session."""
        if self._in_force is None:
            return None
        session = SessionFacts(
            identity=admission.charge_point_id,
            group=admission.group,
            version=version,
            ip=address,
            security_profile=admission.security_profile,
            serial=admission.serial_number,
            vendor=admission.vendor,
            model=admission.model,
            firmware=admission.firmware,
            boot_state="none" if admission.boot_state == "unknown" else admission.boot_state,
            opened_at=opened_at,
            maintenance_groups=self._maintenance_groups,
        )
        return Judge(self._in_force, session, boot_state=admission.boot_state)

    def ask(self, leg: "Leg", ticket: int, asks: tuple[FleetAsk, ...], wire: bytes) -> None:
        """Ask control; the leg's bridge hears the answer, or an empty one when none comes."""
        number = next(self._numbers)
        timer = asyncio.get_running_loop().call_later(_ANSWER_TIMEOUT_S, self._answered, number, {})
        self._waiting[number] = (leg, ticket, wire, timer)
        if not self._link.send(BudgetRequest(number, asks)):
            self._answered(number, {})

    def hand_over(self, charge_point_id: ChargePointId) -> None:
        """A session ends: the next one may be at another worker."""
        if self._in_force is None:
            return
        kept = hand_over(self._in_force.state, charge_point_id, time.time())
        # Also that nothing is left: what another worker has told before is not true any more.
        told = (kept.until, _encode(kept)) if kept is not None else (0.0, b"")
        self._link.send(CountersKept(charge_point_id, *told))

    def _take_over(self, message: CountersKept) -> None:
        if self._in_force is None:
            return
        try:
            kept = _decode(message.kept)
        except msgspec.MsgspecError as error:  # of a worker of another release: no reason to end the link
            _log.error("counters_unreadable", error=str(error))
            return
        take_over(self._in_force.state, message.charge_point_id, kept, self._in_force.snapshot, time.time())

    def told(self, message: BudgetAnswer | QuarantineChanged | CountersKept) -> None:
        """Control has answered, or another worker has told of a quarantine, or of what it knew of a charge point."""
        if isinstance(message, BudgetAnswer):
            self._answered(message.request_id, message.answers)
        elif isinstance(message, CountersKept):
            self._take_over(message)
        elif message.rule:
            self._early[message.charge_point_id] = message.rule
            self._adopt()
        else:
            self._early.pop(message.charge_point_id, None)
            self._told.pop(message.charge_point_id, None)
            if self._in_force is not None:
                self._in_force.state.quarantined.pop(message.charge_point_id, None)

    def _adopt(self) -> None:
        """Quarantines of other workers; one whose rule is not enforced here yet waits for the policy that has it."""
        if self._in_force is not None:
            state, snapshot = self._in_force.state, self._in_force.snapshot
            for identity, rule in list(self._early.items()):
                if state.adopt(identity, rule, snapshot):
                    self._told[identity] = rule
                    del self._early[identity]

    def tell(self) -> None:
        """Say who has come into quarantine here, or is not any more, since the last time; now and then what was counted."""
        if next(self._told_times) % _TALLIED_EVERY == 0:
            self._tally()
        quarantined = self._in_force.state.quarantined if self._in_force is not None else {}
        if quarantined == self._told and not self._all_again:
            return
        for identity in self._told.keys() | quarantined.keys():
            rule = quarantined.get(identity, "")
            if self._all_again or rule != self._told.get(identity, ""):
                self._link.send(QuarantineChanged(ChargePointId(identity), rule))
        self._told, self._all_again = dict(quarantined), False

    def _tally(self) -> None:
        """Say what rules have been asked and could not say since the last time, and whose counters are too many."""
        if self._in_force is None or not self._link.connected:
            return
        overflows = self._in_force.state.take_overflows()
        tallies = self._in_force.snapshot.tallies
        counted = {rule: (tally.evaluations, tally.errors) for rule, tally in tallies.items()}
        rules = []
        for rule in counted.keys() | overflows.keys():
            evaluations, errors = counted.get(rule, (0, 0))
            evaluations_told, errors_told = self._tallied.get(rule, (0, 0))
            full = overflows.get(rule, _NO_OVERFLOW)
            if evaluations != evaluations_told or full.times:
                new = evaluations - evaluations_told, errors - errors_told
                rules.append(RuleTally(rule, *new, full.times, full.owner))
        if rules and self._link.send(PolicyTallies(self.revision, tuple(rules))):
            self._tallied = counted

    def tell_again(self) -> None:
        """Another control process may be there, which nobody has told anything yet; or the same, which has missed something."""
        self._all_again = True

    def _answered(self, number: int, answers: dict[str, bool]) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            leg, ticket, wire, timer = waiting
            timer.cancel()
            if not leg.lost:  # else the session has ended, and the leg has let go of it
                self._on_settled(leg, ticket, leg.bridge.answered(leg, ticket, answers, wire))


def wall_offset_s() -> float:
    """What to add to monotonic seconds for seconds since the epoch."""
    return time.time() - time.monotonic()
