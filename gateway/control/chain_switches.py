"""Switches the server chain of listeners to another root, on an operator's word and the charge points' evidence.

Written first, then shown: a switch that is on the disk is brought into force until it is, by this process or the next one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog
from cryptography import x509

from gateway.audit.event import printable
from gateway.config.model import Config
from gateway.control.background import in_background
from gateway.control.directory import Directory
from gateway.control.enrolment_events import Report
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.part import NodePart
from gateway.control.rollover_material import RolloverMaterial
from gateway.control.server_chain import is_under, links
from gateway.control.shown_chains import ChainSwitch, read_switches, write_switches
from gateway.control.store_thread import StoreThread
from gateway.link.messages import EdgeSettings
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning.chain_switch import SwitchVerdict, judge_switch
from gateway.provisioning.roots import CSMS_ROOT, RootName, has
from gateway.store.errors import StoreError
from gateway.store.registry import Registry
from gateway.store.roots import RootTables

__all__ = ["ChainSwitches", "SwitchOrder"]

_SAY_AFTER: Final = 3
"""Edges that come and go are no event; edges that go on refusing are."""
_log = structlog.get_logger("control.chain_switches")


class SwitchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Of an operator: show the chains under the new root of this campaign, or (`back`) those before again."""

    campaign: str
    by: str
    share: float = 1.0
    exceptions: tuple[str, ...] = ()
    unsafe_strand: bool = False
    dry_run: bool = False
    back: bool = False


class ChainSwitches(NodePart):
    """One per node."""

    name = "server_chains"
    tick_every_s = 3.0

    def __init__(
        self,
        config: Config,
        store: StoreThread,
        directory: Directory,
        report: Report,
        recertify: Callable[[], Awaitable[str]],
    ) -> None:
        """`recertify`: gives the edges what is to be shown now; empty, or why they keep what they have."""
        self._config = config
        self._store = store
        self._directory = directory
        self._report = report
        self._recertify = recertify
        self._switches: tuple[ChainSwitch, ...] = ()
        self._shown: dict[str, list[list[x509.Certificate]]] = {}
        """By listener."""
        self._refused = 0
        self._is_checked = False
        """What is shown is what was switched to: a control before us may have died before it could hand that over."""
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """What was switched before us. Raises OSError."""
        self._switches = await in_background(partial(read_switches, self._config))

    def use(self, config: Config) -> None:
        """Put a configuration into force."""
        self._config = config

    def follow(self, settings: EdgeSettings) -> None:
        """What the edges show."""
        self._shown = {
            each.listener.name: [x509.load_pem_x509_certificates(pem.chain) for pem in each.certificates]
            for each in settings.listeners
        }

    async def tick(self) -> None:
        """A switch that is written, and perhaps not in force yet."""
        is_in_force = self._is_checked and all(each.in_force_at for each in self._switches)
        if self._switches and not is_in_force and not self._changing.locked():
            async with self._changing:
                await self._bring_into_force()

    def status(self) -> Any:
        """Which roots the listeners' next chains were switched to."""
        return [
            {name: value for name, value in msgspec.structs.asdict(each).items() if name != "root"}
            for each in self._switches
        ] or None

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway campaign switch`."""
        return (OperatorRequest("/switch-chain", SwitchOrder, self._answer, stops=lambda order: order.back),)

    def shown_since(self, listener: str, root: x509.Certificate) -> float:
        """Since when a listener has shown chains under this root alone, after a switch; 0: it does not, or nobody knows."""
        chains = self._shown.get(listener, [])
        if not chains or not all(is_under(chain, root) for chain in chains):
            return 0.0
        return max((each.in_force_at for each in self._switches if _is_to(each, root)), default=0.0)

    # -- an operator's order

    async def _answer(self, order: SwitchOrder) -> dict[str, Any]:
        async with self._changing:
            material = await self._store.call(lambda registry: _material(registry, order.campaign))
            if order.back:
                return await self._switch_back(order, material.new_root)
            verdict, has_link = await self._judged(order, material)
            found = msgspec.to_builtins(verdict) | {"has_link": has_link, "go": not verdict.why_not}
            if verdict.why_not and not order.dry_run:
                raise RequestRefused(verdict.why_not)
            if order.dry_run:
                return {"refused": "", **found, "in_force": False}
            await self._switch(order, material, verdict)
            return {"refused": "", **found, "in_force": all(each.in_force_at for each in self._switches)}

    async def _judged(self, order: SwitchOrder, material: RolloverMaterial) -> tuple[SwitchVerdict, bool]:
        """By what each charge point that would see the new chains has listed last."""
        staged = [each for each in self._config.listeners if each.tls is not None and each.tls.next_certificates]
        files = [pair.certificate for each in staged if each.tls is not None for pair in each.tls.next_certificates]
        chains = await in_background(
            lambda: [x509.load_pem_x509_certificates(Path(file).read_bytes()) for file in files]
        )
        if not chains:
            raise RequestRefused("no listener has [[listener.tls.next_certificates]] to switch to")
        if not all(is_under(chain, material.new_root) for chain in chains):
            raise RequestRefused("a chain in next_certificates is not under the new root of this campaign")
        profiles = {profile for each in staged for profile in each.security_profiles}
        concerned = self._concerned(profiles)
        names = (*material.names.new, *material.names.link)
        lists_new = await self._store.call(lambda registry: _lists(registry, concerned, names))
        has_link = all(links(chain, material.old_root, material.new_root) for chain in chains)
        verdict = judge_switch(
            lists_new, order.exceptions, order.share, has_link=has_link, strands_by_name=order.unsafe_strand
        )
        return verdict, has_link

    def _concerned(self, profiles: set[SecurityProfile]) -> list[ChargePointId]:
        """Everybody who is let in on one of these, or may be tomorrow, whatever its group."""
        return [
            each.charge_point_id
            for each in self._directory.records()
            if each.enabled and {each.security_profile, each.pending_security_profile} & profiles
        ]

    async def _switch(self, order: SwitchOrder, material: RolloverMaterial, verdict: SwitchVerdict) -> None:
        if any(_is_to(each, material.new_root) for each in self._switches):
            raise RequestRefused("that is done already")
        switch = ChainSwitch(
            root=material.plain().new,
            campaign=order.campaign,
            by=order.by,
            ordered_at=time.time(),
            exceptions=order.exceptions,
            lacking=len(verdict.lacking),
        )
        detail = f"{order.campaign}: by {order.by}; {verdict.have} of {verdict.total} have listed the new root"
        self._report("server_chain.switch", "high", "allow_alert", printable(detail, 400), "")
        await self._write((*self._switches, switch))
        await self._bring_into_force()

    async def _switch_back(self, order: SwitchOrder, root: x509.Certificate) -> dict[str, Any]:
        """Nobody who still has the old root is lost by it, so nothing is asked but that no old root was deleted."""
        left = tuple(each for each in self._switches if not _is_to(each, root))
        if left == self._switches:
            raise RequestRefused("there is nothing to switch back")
        deleted = await self._store.call(lambda registry: _deleted(registry, root))
        if deleted and not order.unsafe_strand:
            raise RequestRefused(f"{deleted} charge points may not have the old root any more (--unsafe-strand)")
        self._report("server_chain.switch_back", "high", "allow_alert", f"{order.campaign}: by {order.by}", "")
        await self._write(left)
        why = await self._recertify()
        if why:
            raise RequestRefused(f"written, and not in force yet: {why}")
        return {"refused": "", "go": True, "in_force": True, "why_not": "", "have": 0, "total": 0, "lacking": []}

    async def _write(self, switches: tuple[ChainSwitch, ...]) -> None:
        await in_background(partial(write_switches, self._config, switches))
        self._switches = switches

    async def _bring_into_force(self) -> None:
        why = await self._recertify()
        self._refused = self._refused + 1 if why else 0
        if self._refused == _SAY_AFTER:
            self._report("server_chain.not_in_force", "high", "keep_last_good", why, "")
        if why:
            _log.warning("server_chain_not_in_force", why=why)
            return
        self._is_checked = True
        if all(each.in_force_at for each in self._switches):
            return
        now = time.time()
        await self._write(tuple(
            each if each.in_force_at else msgspec.structs.replace(each, in_force_at=now) for each in self._switches
        ))  # fmt: skip
        self._report("server_chain.in_force", "medium", "allow", ", ".join(x.campaign for x in self._switches), "")


def _material(registry: Registry, name: str) -> RolloverMaterial:
    """Of a campaign that has given charge points a new root. Raises RequestRefused."""
    try:
        campaign, _ = registry.campaigns.get(name)
    except StoreError as error:
        raise RequestRefused(str(error).rstrip("."), is_gone=True) from None
    if campaign.kind != "root":
        raise RequestRefused(f"it is a campaign of kind {campaign.kind}, not root")
    return RolloverMaterial(campaign.plan.old_root, campaign.plan.new_root, campaign.plan.link)


def _lists(
    registry: Registry, identities: Sequence[ChargePointId], names: Sequence[RootName]
) -> dict[ChargePointId, bool]:
    tables = RootTables(registry.database)
    stores = {identity: tables.store_of(identity) for identity in identities}
    return {each: store is not None and has(store, CSMS_ROOT, names) for each, store in stores.items()}


def _deleted(registry: Registry, root: x509.Certificate) -> int:
    """How many a campaign has told to delete the root before this one."""
    found = 0
    for campaign in registry.campaigns.all():
        if campaign.kind == "old-root" and _same(campaign.plan.new_root, root):
            counts = registry.campaigns.counts(campaign.number)
            found += sum(
                n for (_, state), n in counts.items() if state.has_begun or state.value in {"committed", "lost"}
            )
    return found


def _is_to(switch: ChainSwitch, root: x509.Certificate) -> bool:
    return _same(switch.root, root)


def _same(pem: str, root: x509.Certificate) -> bool:
    return x509.load_pem_x509_certificate(pem.encode("ascii")) == root
