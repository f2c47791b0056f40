"""The table of live sessions: duplicates, generations, edges that go and come, a control that restarts."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, precondition, rule

from gateway.control.sessions import Sessions
from gateway.identity.admission import ListenerFacts, admit
from gateway.identity.evidence import Admission, Authenticated, PasswordProof
from gateway.identity.refusal import Reason, Refusal
from gateway.link.messages import Disconnect
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from tests.support.claims import make_claim
from tests.support.edges import TableEdge, live
from tests.support.records import make_record

TWO = SecurityProfile.TLS_BASIC
LISTENER = ListenerFacts(name="tls", security_profiles=(TWO,), csms="main")
PROOF = PasswordProof(slot="current", reading="raw")
CP = ChargePointId("CP-1")


def admission(table: Sessions, identity: str = "CP-1", session: str = "s-1") -> Admission:
    """Made where admissions are made, for a charge point that has proven itself."""
    return admit(
        claim=make_claim(identity),
        authenticated=Authenticated(charge_point_id=ChargePointId(identity), proof=PROOF, used_security_profile=TWO),
        record=make_record(identity, 2),
        listener=LISTENER,
        csms_versions=tuple(OCPPVersion),
        generation=table.next_generation(),
        session=session,
    )


@pytest.fixture
def table() -> Sessions:
    return Sessions(1_000)


def grant(table: Sessions, edge: TableEdge, session: str = "s-1", *, opened: bool = True) -> Admission:
    granted = admission(table, session=session)
    table.granted(granted, edge, "hash")
    if opened:
        edge.open(granted)
        edge.deliver(table)
    return granted


class TestDuplicates:
    async def test_nobody_there_is_room_at_once(self, table: Sessions) -> None:
        await table.make_room(CP, 5.0)

    async def test_a_live_session_keeps_its_place(self, table: Sessions) -> None:
        edge = TableEdge()
        grant(table, edge)
        with pytest.raises(Refusal) as caught:
            await table.make_room(CP, 5.0)
        assert (caught.value.reason, edge.probed, edge.told) == (Reason.DUPLICATE, ["s-1"], [])
        assert table.get(CP) is not None

    async def test_a_dead_one_gives_way(self, table: Sessions) -> None:
        edge = TableEdge()
        grant(table, edge)
        edge.silent.add("s-1")
        await table.make_room(CP, 5.0)
        assert table.get(CP) is None

    async def test_another_identity_is_not_probed(self, table: Sessions) -> None:
        edge = TableEdge()
        grant(table, edge)
        await table.make_room(ChargePointId("CP-11"), 5.0)
        assert edge.probed == []

    async def test_a_grant_that_the_edge_has_not_opened_yet_gives_way(self, table: Sessions) -> None:
        edge = TableEdge()
        grant(table, edge, opened=False)
        await table.make_room(CP, 5.0)
        assert table.get(CP) is None

    async def test_a_session_that_comes_to_light_during_the_probe_is_probed_as_well(self, table: Sessions) -> None:
        edge, other = TableEdge(), TableEdge()
        grant(table, edge)
        edge.silent.add("s-1")
        hidden = live(admission(table, session="s-2"))
        other.sessions["s-2"] = hidden

        def come_back() -> None:
            other.say_hello(table)
            edge.on_probe = lambda: None

        edge.on_probe = come_back
        with pytest.raises(Refusal):
            await table.make_room(CP, 5.0)
        assert other.probed == ["s-2"]
        entry = table.get(CP)
        assert entry is not None and entry.session == "s-2"

    def test_granting_without_having_made_room_is_a_programming_error(self, table: Sessions) -> None:
        grant(table, TableEdge())
        with pytest.raises(RuntimeError, match="there is a session"):
            grant(table, TableEdge(), "s-2")


class TestOrphans:
    """The link to an edge is down: nobody knows whether its sessions live."""

    async def test_an_edge_that_comes_back_in_time_keeps_its_session(self, table: Sessions) -> None:
        edge, returned = TableEdge(), TableEdge()
        grant(table, edge)
        edge.lose_link(table)
        returned.sessions = edge.sessions
        waiting = asyncio.ensure_future(table.make_room(CP, 5.0))
        await asyncio.sleep(0)
        returned.say_hello(table)
        with pytest.raises(Refusal) as caught:
            await waiting
        assert (caught.value.reason, returned.probed) == (Reason.DUPLICATE, ["s-1"])

    async def test_one_that_does_not_come_back_loses_it(self, table: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_WAIT_S", 0.0)
        edge = TableEdge()
        grant(table, edge)
        edge.lose_link(table)
        await table.make_room(CP, 5.0)
        assert (table.get(CP), edge.probed) == (None, [])

    async def test_one_that_comes_back_without_the_session_is_found_out_by_a_probe(self, table: Sessions) -> None:
        edge = TableEdge()
        grant(table, edge)
        edge.sessions.clear()
        await table.make_room(CP, 5.0)
        assert table.get(CP) is None

    async def test_one_that_comes_back_too_late_finds_its_session_replaced(self, table, monkeypatch) -> None:
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_WAIT_S", 0.0)
        old, new = TableEdge(), TableEdge()
        grant(table, old)
        old.lose_link(table)
        await table.make_room(CP, 5.0)
        second = grant(table, new, "s-2")
        old.say_hello(table)
        old.deliver(table)
        assert old.told == [Disconnect("s-1", "replaced")]
        entry = table.get(CP)
        assert entry is not None and (entry.generation, entry.edge) == (second.generation, new)

    def test_expire_forgets_it_after_a_grace_and_not_before(self, table, monkeypatch) -> None:
        edge = TableEdge()
        grant(table, edge)
        edge.lose_link(table)
        table.expire()
        assert len(table) == 1
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_GRACE_S", -1.0)
        table.expire()
        assert len(table) == 0

    def test_expire_forgets_grants_that_never_opened_and_leaves_open_ones_alone(self, table, monkeypatch) -> None:
        edge = TableEdge()
        grant(table, edge, opened=False)
        table.expire()
        assert len(table) == 1
        monkeypatch.setattr("gateway.control.sessions._UNOPENED_EXPIRY_S", -1.0)
        table.expire()
        assert len(table) == 0
        grant(table, edge)
        table.expire()
        assert len(table) == 1

    def test_losing_one_edge_concerns_no_other(self, table: Sessions) -> None:
        mine, other = TableEdge(), TableEdge()
        grant(table, mine)
        table.edge_lost(other)
        entry = table.get(CP)
        assert entry is not None and entry.edge is mine


class TestGenerations:
    def test_each_number_is_used_once_and_grows(self, table: Sessions) -> None:
        assert [table.next_generation() for _ in range(3)] == [1_001, 1_002, 1_003]

    async def test_a_late_message_about_an_old_session_never_removes_its_successor(self, table: Sessions) -> None:
        edge = TableEdge()
        first = grant(table, edge)
        edge.silent.add("s-1")
        await table.make_room(CP, 5.0)
        second = grant(table, TableEdge(), "s-2")
        assert table.closed(CP, first.generation) is None
        entry = table.get(CP)
        assert entry is not None and entry.generation == second.generation
        assert table.closed(CP, second.generation) is entry
        assert table.closed(CP, second.generation) is None

    async def test_an_opening_that_arrives_after_its_replacement_is_ended(self, table: Sessions) -> None:
        edge, other = TableEdge(), TableEdge()
        first = grant(table, edge, opened=False)
        await table.make_room(CP, 5.0)
        second = grant(table, other, "s-2")
        edge.open(first)
        edge.deliver(table)
        assert edge.told == [Disconnect("s-1", "replaced")]
        entry = table.get(CP)
        assert entry is not None and entry.generation == second.generation

    def test_an_opening_that_arrives_after_the_grant_was_forgotten_is_known_all_the_same(
        self, table, monkeypatch
    ) -> None:
        monkeypatch.setattr("gateway.control.sessions._UNOPENED_EXPIRY_S", -1.0)
        edge = TableEdge()
        granted = grant(table, edge, opened=False)
        table.expire()
        opened = edge.open(granted)
        edge.deliver(table)
        entry = table.get(CP)
        assert entry is not None and (entry.live, entry.edge, entry.proof) == (opened, edge, PROOF)

    def test_after_a_restart_sessions_are_known_again_and_new_numbers_are_higher(self) -> None:
        edge, before = TableEdge(), Sessions(5_000)
        granted = grant(before, edge)
        table = Sessions(10)
        edge.say_hello(table)
        entry = table.get(CP)
        assert entry is not None and (entry.generation, entry.live) == (granted.generation, edge.sessions["s-1"])
        assert table.next_generation() > granted.generation

    def test_of_two_that_come_to_light_the_newer_one_stays(self) -> None:
        older, newer, before = TableEdge(), TableEdge(), Sessions(1)
        first, second = admission(before, session="s-1"), admission(before, session="s-2")
        for order in ((older, newer), (newer, older)):
            older.sessions, newer.sessions = {"s-1": live(first)}, {"s-2": live(second)}
            older.told.clear()
            table = Sessions(1)
            for edge in order:
                edge.say_hello(table)
            entry = table.get(CP)
            assert entry is not None and entry.session == "s-2"
            assert older.told == [Disconnect("s-1", "replaced")]


class TestExclusive:
    async def test_one_at_a_time_for_an_identity_and_identities_do_not_wait_for_each_other(
        self, table: Sessions
    ) -> None:
        order: list[str] = []
        inside = asyncio.Event()

        async def enter(name: str, identity: str, gate: asyncio.Event | None = None) -> None:
            async with table.exclusive(ChargePointId(identity)):
                order.append(f"{name} in")
                if gate is not None:
                    inside.set()
                    await gate.wait()
                order.append(f"{name} out")

        gate = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(enter("first", "CP-1", gate))
            await inside.wait()
            group.create_task(enter("second", "CP-1"))
            await group.create_task(enter("other", "CP-2"))
            gate.set()
        assert order == ["first in", "other in", "other out", "first out", "second in", "second out"]
        assert table._turns == {}

    async def test_a_refusal_inside_lets_the_next_one_in_and_leaves_nothing_behind(self, table: Sessions) -> None:
        async def refuse() -> None:
            async with table.exclusive(CP):
                await asyncio.sleep(0)
                raise Refusal(Reason.DUPLICATE)

        results = await asyncio.gather(*(refuse() for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == 3 * [Refusal]
        assert table._turns == {}

    async def test_one_that_is_cancelled_while_waiting_lets_the_others_pass(self, table: Sessions) -> None:
        gate, done = asyncio.Event(), []

        async def enter(number: int) -> None:
            async with table.exclusive(CP):
                await gate.wait()
                done.append(number)

        tasks = [asyncio.ensure_future(enter(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        gate.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert done == [0, 2]
        assert table._turns == {}


def test_the_table_can_be_changed_while_it_is_walked(table: Sessions) -> None:
    granted = grant(table, TableEdge())
    for entry in table:
        table.closed(entry.charge_point_id, entry.generation)
    assert table.closed(CP, granted.generation) is None


class Fleet(RuleBasedStateMachine):
    """Edges, admissions, lost links and restarts in any order; messages arrive late, but in order per link."""

    grants = Bundle("grants")

    @initialize()
    def start(self) -> None:
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr("gateway.control.sessions._ORPHAN_WAIT_S", 0.0)
        self.patches.setattr("gateway.control.sessions._ORPHAN_GRACE_S", -1.0)
        self.runner = asyncio.Runner()
        self.table = Sessions(0)
        self.edges = [TableEdge(), TableEdge()]
        self.count = 0
        self.ever: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.settle()
            self.runner.close()
            self.patches.undo()

    @rule(target=grants, identity=st.sampled_from(["A", "B"]), slot=st.integers(0, 1))
    def admit(self, identity: str, slot: int):
        edge = self.edges[slot]
        if not edge.linked:
            return multiple()
        self.count += 1
        granted = admission(self.table, identity, f"s-{self.count}")
        before = self.table.get(granted.charge_point_id)
        alive = before is not None and isinstance(before.edge, TableEdge) and before.edge.answers_for(before.session)
        try:
            self.runner.run(self.table.make_room(granted.charge_point_id, 1.0))
        except Refusal:
            assert alive
            return multiple()
        assert not alive
        self.table.granted(granted, edge, "hash")
        return slot, granted

    @rule(grant=grants)
    def open(self, grant: tuple[int, Admission]) -> None:
        """The edge has dialled the CSMS; perhaps long after."""
        slot, granted = grant
        if granted.session not in self.opened():
            self.edges[slot].open(granted)

    def opened(self) -> set[str]:
        now = {session for edge in self.edges for session in edge.sessions}
        self.ever |= now
        return self.ever

    @rule(slot=st.integers(0, 1), data=st.data())
    def charge_point_leaves(self, slot: int, data: st.DataObject) -> None:
        sessions = sorted(self.edges[slot].sessions)
        if sessions:
            self.opened()
            self.edges[slot].end(data.draw(st.sampled_from(sessions)))

    @rule(slot=st.integers(0, 1), data=st.data())
    def charge_point_falls_silent(self, slot: int, data: st.DataObject) -> None:
        sessions = sorted(self.edges[slot].sessions)
        if sessions:
            self.edges[slot].silent.add(data.draw(st.sampled_from(sessions)))

    @rule(slot=st.integers(0, 1))
    def messages_arrive(self, slot: int) -> None:
        if self.edges[slot].linked:
            self.edges[slot].deliver(self.table)

    @rule(slot=st.integers(0, 1))
    def link_breaks(self, slot: int) -> None:
        self.edges[slot].lose_link(self.table)

    @rule(slot=st.integers(0, 1))
    def link_is_back(self, slot: int) -> None:
        if not self.edges[slot].linked:
            self.edges[slot].say_hello(self.table)

    @rule(slot=st.integers(0, 1))
    def edge_dies(self, slot: int) -> None:
        self.opened()
        self.edges[slot].lose_link(self.table)
        self.edges[slot].sessions.clear()
        self.edges[slot] = TableEdge()

    @rule()
    def control_restarts(self) -> None:
        for edge in self.edges:
            edge.linked = False
            edge.outbox.clear()
        self.table = Sessions(self.table.next_generation())

    @rule()
    def time_passes(self) -> None:
        self.table.expire()

    @invariant()
    def the_table_has_one_entry_an_identity_and_numbers_never_fall(self) -> None:
        if not hasattr(self, "table"):
            return
        entries = list(self.table)
        assert len({entry.charge_point_id for entry in entries}) == len(entries)
        highest = max((entry.generation for entry in entries), default=0)
        assert highest <= self.table._generation

    @precondition(lambda self: hasattr(self, "table"))
    @rule()
    def settle(self) -> None:
        """Once every message has arrived there is at most one session of an identity, and the table knows it."""
        for edge in self.edges:
            if not edge.linked:
                edge.say_hello(self.table)
        while any(edge.outbox for edge in self.edges):
            for edge in self.edges:
                edge.deliver(self.table)
        self.table.expire()
        living = [each for edge in self.edges for each in edge.sessions.values()]
        assert len({each.charge_point_id for each in living}) == len(living)
        known = {entry.charge_point_id: entry.session for entry in self.table if entry.live is not None}
        assert known == {each.charge_point_id: each.session for each in living}


Fleet.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestFleet = Fleet.TestCase
