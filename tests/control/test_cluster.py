"""Several nodes on one PostgreSQL database: who leads, who drives what, and that nothing is done twice or forgotten.

Each node is the control plane's own parts on a store of its own; edges and charge points are played. A node dies by doing
nothing any more; the database's clock is not waited for, leases are made to lapse.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from gateway.control.campaigns import Campaigns
from gateway.control.cluster import Cluster
from gateway.control.credentials import PasswordVerifier
from gateway.control.directory import Directory
from gateway.control.enrolments import Enrolments
from gateway.control.link_server import EdgeLink
from gateway.control.own_calls import OwnCalls
from gateway.control.passwords import Passwords
from gateway.control.record_gate import RecordGate
from gateway.control.sessions import Entry, Sessions
from gateway.control.store_thread import StoreThread
from gateway.control.upgrades import Upgrades
from gateway.identity.basic_auth import canonical_secret
from gateway.identity.evidence import PasswordProof
from gateway.link.framing import control_reader
from gateway.link.messages import Disconnect, GatewayCall, GatewayCallDone, LiveSession, Probe, ProbeAnswer
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.provisioning import enrolment as enrolling
from gateway.provisioning import upgrade as upgrading
from gateway.provisioning.campaign import Order
from gateway.provisioning.campaign_states import CampaignState
from gateway.provisioning.password import PasswordChange
from gateway.provisioning.password_states import PasswordState
from gateway.provisioning.upgrade import UpgradeTiming
from gateway.provisioning.upgrade_states import UpgradeState
from gateway.store.errors import Overtaken, StoreError
from gateway.store.password_changes import PasswordChangeTable
from gateway.store.registry import Registry
from tests.control.conftest import OTHER_PASSWORD, PASSWORD, Control, phc_of, record_of
from tests.control.test_campaigns import Script
from tests.provisioning.campaigning import campaign_of, plan
from tests.support.claims import make_claim
from tests.support.postgresql import PostgreSQL, why_not

CP = ChargePointId("CP-1")
WAIT_S = 30.0


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    missing = why_not()
    if missing:
        pytest.skip(missing)
    with PostgreSQL.running() as server:
        yield server


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    made = postgresql.new_url()
    registry = Registry.open(made)
    registry.add(record_of("CP-1"))
    registry.close()
    return made


class Wire(asyncio.Transport):
    """To an edge with one charge point, which answers at once, later, or never."""

    def __init__(self, hears: Callable[[Any], None]) -> None:
        super().__init__()
        self._hears = hears
        self._reader = control_reader()

    def write(self, data: Any) -> None:
        for message in self._reader.feed(bytes(data)):
            self._hears(message)

    def get_write_buffer_size(self) -> int:
        return 0


class OneNode:
    """Passwords and campaigns of one node."""

    def __init__(self, url: str, script: Script) -> None:
        self.url, self.script = url, script
        self.store = StoreThread(url)
        self.directory, self.sessions, self.tasks = Directory(), Sessions(1), TaskOwner()
        self.verifier = PasswordVerifier()
        self.events: list[tuple[str, str]] = []
        self.told: list[GatewayCall] = []
        self.disconnected: list[str] = []
        self.answers_probes = False
        self.probes = 0
        self.status = "Accepted"
        """What the charge point answers; empty: nothing."""
        self.calls = OwnCalls(self._report, 10_000, self._may_happen)
        self.cluster = Cluster(self.store, self.sessions, self._report, self.tasks)
        gate = RecordGate(self._may_happen)
        self.passwords = Passwords(
            self.store, self.directory, self.sessions, self.calls, self.verifier, self._report, self.tasks, gate,
        )  # fmt: skip
        self.campaigns = Campaigns(
            self.store, self.sessions, {"certificate": script}, self._report, self._saw, self.tasks, self.cluster
        )
        self.enrolments = Enrolments(
            self.store, self.directory, self.sessions, self.calls, self._report, self.tasks, gate
        )
        self.upgrades = Upgrades(
            self.store, self.directory, self.sessions, self.calls, self.enrolments, self._report, self.tasks, gate
        )
        self.cluster.on_rows_changed = self._rows_changed
        self.edge = EdgeLink(lambda *_: None, lambda _: None)
        self.edge.connection_made(Wire(self._heard))

    def _report(self, event: str, severity: str, decision: str, detail: str, charge_point_id: str) -> None:
        assert severity
        assert decision
        self.events.append((event, charge_point_id or detail))

    def _saw(self, *_: Any) -> None:
        pass

    async def _rows_changed(self, charge_point_ids: Sequence[ChargePointId]) -> None:
        for part in (self.enrolments, self.upgrades, self.passwords):
            await part.rows_changed(charge_point_ids)

    async def _may_happen(self) -> bool:
        return True

    def _heard(self, message: Any) -> None:
        if isinstance(message, GatewayCall):
            self.told.append(message)
            if self.status:
                self.answer(message, self.status)
        elif isinstance(message, Probe):
            self.probes += 1
            answer = ProbeAnswer(message.request_id, message.session, self.answers_probes)
            asyncio.get_running_loop().call_soon(self.edge._probe_answered, answer)
        elif isinstance(message, Disconnect):
            self.disconnected.append(message.session)

    def answer(self, call: GatewayCall, status: str) -> None:
        payload = f'{{"status":"{status}"}}'.encode()
        done = GatewayCallDone(call.request_id, call.session, "result", payload)
        asyncio.get_running_loop().call_soon(self.calls.done, done)

    async def start(self) -> "OneNode":
        await self.directory.load(self.store)
        await self.cluster.load()
        for part in (self.enrolments, self.upgrades, self.passwords):
            await part.load()
        return self

    async def connect(self, slot: str = "current", identity: str = "CP-1", phc: str = "") -> Entry:
        """It comes to this node, with the password in this slot."""
        generation = self.sessions.next_generation()
        proof = PasswordProof(slot="current" if slot == "current" else "pending", reading="raw")
        live = LiveSession(
            f"s-{self.cluster.node}-{generation}", ChargePointId(identity), generation, SecurityProfile(2), "ocpp1.6",
            "192.0.2.1", "tls", "main", time.time(), proof,
        )  # fmt: skip
        entry = self.sessions.opened(live, self.edge)
        assert entry is not None
        entry.password_phc = phc
        self.passwords.opened(entry)
        self.passwords.registered(entry)
        return entry

    def leave(self, entry: Entry) -> None:
        self.sessions.closed(entry.charge_point_id, entry.generation)

    async def tick(self, times: int = 1) -> None:
        for _ in range(times):
            await self.cluster.tick()
            for part in (self.enrolments, self.upgrades, self.passwords):
                await part.tick()
            await self.campaigns.tick()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def was_told(self) -> bool:
        return bool(self.told)

    async def was_probed(self) -> bool:
        return bool(self.probes)

    async def knows(self) -> bool:
        return self.passwords.known(CP) is not None

    async def has(self, state: PasswordState) -> bool:
        return (await self.change()).state is state

    async def change(self) -> PasswordChange:
        found = await self.store.call(lambda registry: PasswordChangeTable(registry.database).latest(CP, 1))
        return found[0]

    async def close(self) -> None:
        await self.tasks.close()
        self.verifier.close()
        await self.store.close()


class Site:
    """Two nodes."""

    def __init__(self, url: str) -> None:
        self.url, self.script = url, Script()
        self.nodes: list[OneNode] = []

    async def node(self) -> OneNode:
        made = await OneNode(self.url, self.script).start()
        self.nodes.append(made)
        return made

    async def sql(self, words: str) -> None:
        def run(registry: Registry) -> None:
            with registry.database.writing() as connection:
                connection.execute(text(words))

        await self.nodes[0].store.call(run)

    async def dies(self, node: OneNode) -> None:
        """It says nothing any more, and time passes."""
        await self.sql(f"UPDATE leases SET lapses_at = 0 WHERE holder = '{node.cluster.node}'")

    async def ticks(self, done: Callable[[], Awaitable[object]], *nodes: OneNode) -> None:
        """Time passes for these nodes, until something is so."""
        until_s = time.monotonic() + WAIT_S
        while not await done():
            assert time.monotonic() < until_s, "it does not come to that"
            for node in nodes:
                await node.tick()
            await asyncio.sleep(0.01)


@pytest.fixture
async def site(url: str) -> AsyncIterator[Site]:
    made = Site(url)
    yield made
    for node in made.nodes:
        await node.close()


async def test_one_leads_and_another_takes_over_when_it_dies(site: Site) -> None:
    first, second = await site.node(), await site.node()
    assert (first.cluster.leads(), second.cluster.leads()) == (True, False)
    await first.tick(2)
    await second.tick(2)
    assert (first.cluster.leads(), second.cluster.leads()) == (True, False)
    await site.dies(first)
    await second.tick()
    assert second.cluster.leads()
    await first.tick()
    assert not first.cluster.leads()
    assert [event for event, _ in second.events] == ["cluster.lease"]


async def test_who_ends_gives_the_lease_back(site: Site) -> None:
    first, second = await site.node(), await site.node()
    await first.connect()
    await first.tick()
    await first.cluster.close()
    await second.tick()
    assert second.cluster.leads()
    assert not second.cluster.is_elsewhere(CP)


async def test_a_charge_point_is_driven_where_it_is_and_by_the_leader_where_it_is_nowhere(site: Site) -> None:
    leader, other = await site.node(), await site.node()
    entry = await other.connect()
    await other.tick()
    await leader.tick()
    assert (leader.cluster.drives(CP), other.cluster.drives(CP)) == (False, True)
    assert leader.cluster.connected_elsewhere() == {CP}
    other.leave(entry)
    await other.tick()
    await leader.tick()
    assert (leader.cluster.drives(CP), other.cluster.drives(CP)) == (True, False)
    await other.connect()
    await other.tick()
    await leader.tick()
    await site.dies(other)
    await leader.tick()
    assert leader.cluster.drives(CP)
    assert leader.cluster.connected_elsewhere() == set()


@pytest.mark.parametrize("answers", [True, False])
async def test_one_that_is_connected_to_two_nodes_is_probed_where_it_was_first(site: Site, answers: bool) -> None:
    first, second = await site.node(), await site.node()
    await first.connect()
    await first.tick()
    await second.connect()
    await second.tick()
    first.answers_probes = answers
    await first.tick()
    await site.ticks(first.was_probed, first)
    await first.tick()
    events = [event for node in (first, second) for event, _ in node.events if event == "session.two_nodes"]
    assert len(events) == answers


class TestCampaigns:
    """One node drives them; whoever comes after goes on."""

    async def plan(self, node: OneNode, **fields: Any) -> None:
        campaign, members = campaign_of((1,), plan(**({"soak_s": 0.0} | fields)))
        await node.store.call(lambda registry: registry.campaigns.add(campaign, members))
        order = Order(what="start", by="anna")
        await node.store.call(lambda registry: registry.campaigns.order(campaign.name, order, 1.0))

    async def state(self, node: OneNode) -> CampaignState:
        return (await node.store.call(lambda registry: registry.campaigns.all()))[0].state

    async def test_charge_points_of_another_node_have_their_turn(self, site: Site) -> None:
        leader, other = await site.node(), await site.node()
        await other.connect(identity="CP-0")
        await other.tick()
        await self.plan(leader)
        await other.tick(3)
        assert site.script.prepared == []
        await leader.tick(8)
        assert (site.script.told, await self.state(leader)) == (["CP-0"], CampaignState.FINISHED)

    @pytest.mark.parametrize("after_ticks", range(1, 5))
    async def test_whoever_takes_over_at_whatever_step_tells_nobody_twice(self, site: Site, after_ticks: int) -> None:
        leader, other = await site.node(), await site.node()
        await other.connect(identity="CP-0")
        await other.tick()
        await self.plan(other)
        await leader.tick(after_ticks)
        await site.dies(leader)
        await other.tick(10)
        # The one that was taken for dead wakes up, and does not know it.
        leader.cluster._leads_until = time.monotonic() + 1_000.0
        for _ in range(3):
            with contextlib.suppress(Overtaken):
                await leader.campaigns.tick()
        assert (site.script.told, await self.state(other)) == (["CP-0"], CampaignState.FINISHED)
        ends = [event for node in (leader, other) for event, _ in node.events if event == "campaign.committed"]
        assert ends == ["campaign.committed"]


class TestPasswords:
    """The node that has the charge point changes its password; it may come to another one at any moment."""

    async def test_one_that_is_asked_for_at_another_node_is_changed_where_the_charge_point_is(self, site: Site) -> None:
        leader, other = await site.node(), await site.node()
        await other.connect()
        await other.tick()
        assert await leader.passwords.want("CP-1") == ""
        await site.ticks(lambda: other.has(PasswordState.ACCEPTED), leader, other)
        assert (len(other.told), leader.told) == (1, [])
        await leader.tick()
        known = leader.passwords.known(CP)
        assert known is not None
        assert known.state is PasswordState.ACCEPTED

    @pytest.mark.parametrize("used", ["old", "new"])
    async def test_it_comes_to_another_node_before_it_has_answered(self, site: Site, used: str) -> None:
        first, second = await site.node(), await site.node()
        first.status = ""
        entry = await first.connect()
        assert await first.passwords.want("CP-1") == ""
        await site.ticks(first.was_told, first)
        candidate = (await first.change()).candidate
        first.leave(entry)
        if used == "new":
            await second.store.call(lambda registry: registry.promote_pending("CP-1", candidate))
        else:
            await second.store.call(
                lambda registry: PasswordChangeTable(registry.database).drop_refuted("CP-1", candidate, 1.0)
            )
        await second.connect("pending" if used == "new" else "current", phc=candidate if used == "new" else phc_of())
        if used == "new":
            await site.ticks(lambda: second.has(PasswordState.IN_USE), second)
            self.is_silent(first)
            await first.tick(3)
            assert (await first.change()).state is PasswordState.IN_USE
            assert second.told == []
            return
        await site.ticks(second.knows, second)
        self.is_silent(first)  # as late as can be
        await site.sql("UPDATE password_changes SET due_at = 0, revision = revision + 1")
        await site.sql("UPDATE places SET touched = touched + 1")
        await site.ticks(lambda: second.has(PasswordState.ACCEPTED), first, second)
        assert (len(first.told), len(second.told)) == (1, 1)
        record = await second.store.call(lambda registry: registry.get("CP-1"))
        assert record is not None and record.password is not None
        assert (record.password.phc, record.pending_password) == ((await second.change()).candidate, None)

    def is_silent(self, node: OneNode) -> None:
        """What the node was waiting for does not come."""
        node.calls.done(GatewayCallDone(node.told[0].request_id, node.told[0].session, "timeout"))

    async def test_of_two_nodes_that_ask_at_the_same_time_one_does(self, site: Site) -> None:
        first, second = await site.node(), await site.node()
        asked = await asyncio.gather(
            first.passwords.want("CP-1"), second.passwords.want("CP-1"), return_exceptions=True
        )
        assert [each for each in asked if each == ""] == [""]
        assert len([each for each in asked if isinstance(each, StoreError) or "under way" in str(each)]) == 1

    async def test_a_candidate_for_after_a_reboot_lives_at_a_node_that_has_not_heard_of_it(self, site: Site) -> None:
        first = await site.node()
        first.status = "RebootRequired"
        entry = await first.connect()
        assert await first.passwords.want("CP-1") == ""
        await site.ticks(lambda: first.has(PasswordState.STAGED), first)
        first.leave(entry)
        elsewhere = Control(site.url)
        await elsewhere.directory.load(elsewhere.store)
        await elsewhere.enter(make_claim(password=PASSWORD))
        assert elsewhere.record().pending_password is not None
        password = bytes.fromhex(json.loads(first.told[0].payload)["value"]).decode()
        await elsewhere.enter(make_claim(password=password))
        record = elsewhere.record()
        assert record.password is not None
        assert (record.password.phc, record.pending_password) == ((await first.change()).candidate, None)
        assert await elsewhere.verifier.matches(record.password.phc, canonical_secret(password))
        await elsewhere.close()

    async def test_another_candidate_is_void_once_the_old_password_is_used(self, site: Site) -> None:
        first = await site.node()
        await first.store.call(lambda registry: registry.set_password("CP-1", phc_of(OTHER_PASSWORD), "pending"))
        elsewhere = Control(site.url)
        await elsewhere.directory.load(elsewhere.store)
        await elsewhere.enter(make_claim(password=PASSWORD))
        assert elsewhere.record().pending_password is None
        await elsewhere.close()


class TestUpgrades:
    """What one node has begun, another one ends; and nobody is lost who is connected somewhere."""

    async def begun(self, node: OneNode) -> None:
        """It was sent to restart long ago."""

        def begin(registry: Registry) -> None:
            fresh = upgrading.wanted(CP, SecurityProfile(2), SecurityProfile(3), 1.0, url="", url_key="", interface="")
            stored, _ = registry.upgrades.put(upgrading.both_accepted(fresh, 1.0, ""))
            told, _ = registry.upgrades.put(upgrading.told(stored, 1.0))
            registry.upgrades.put(upgrading.resetting(told, 1.0, UpgradeTiming()))

        await node.store.call(begin)

    async def is_in(self, node: OneNode, *states: UpgradeState) -> bool:
        found = await node.store.call(lambda registry: registry.upgrades.newest(CP))
        return found is not None and found.state in states

    async def test_one_that_is_nowhere_is_lost_once_by_the_node_that_leads(self, site: Site) -> None:
        leader, other = await site.node(), await site.node()
        await self.begun(other)
        await other.tick(3)
        assert await self.is_in(other, UpgradeState.SWITCHING)
        await site.ticks(lambda: self.is_in(leader, UpgradeState.LOST), leader, other)
        lost = [event for node in (leader, other) for event, _ in node.events if event == "upgrade.lost"]
        assert lost == ["upgrade.lost"]

    async def test_one_that_is_with_another_node_is_not_lost_and_is_back_there(self, site: Site) -> None:
        leader, other = await site.node(), await site.node()
        entry = await other.connect()
        entry.has_booted = True
        await other.tick()
        await self.begun(leader)
        await leader.tick(3)
        assert await self.is_in(leader, UpgradeState.SWITCHING)
        await site.ticks(lambda: self.is_in(other, UpgradeState.RETURNING), other, leader)
        assert not [event for event, _ in leader.events if event == "upgrade.lost"]


async def test_an_enrolment_that_another_node_has_ended_is_ended_here(site: Site) -> None:
    first, second = await site.node(), await site.node()
    await first.store.call(lambda registry: registry.enrolments.put(enrolling.wanted(CP, time.time(), "")))
    await second.tick()
    known = second.enrolments.known(CP)
    assert known is not None
    ended = enrolling.superseded(known, time.time(), "by the first node")
    await first.store.call(lambda registry: registry.enrolments.put(ended))
    await second.tick(2)
    assert second.enrolments.known(CP) is None
