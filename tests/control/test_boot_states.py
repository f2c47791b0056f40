"""What the CSMS has said to a charge point that it has not accepted, for as long as control lives."""

import time

import pytest

from gateway.control.boot_states import BootStates
from gateway.link.messages import BootStateChanged
from gateway.ocpp.vocabulary import BootState, ChargePointId
from tests.control.conftest import PASSWORD, NodeSite, record_of
from tests.support.claims import make_claim
from tests.support.edges import LinkEdge

CP = ChargePointId("CP-1")


@pytest.mark.parametrize(
    ("told", "then"),
    [
        ((), "unknown"),
        (("pending",), "pending"),
        (("rejected", "pending"), "pending"),
        (("pending", "accepted"), "unknown"),
        (("accepted",), "unknown"),
        (("rejected", "unknown"), "unknown"),
    ],
)
def test_only_what_restricts_is_kept(told: tuple[BootState, ...], then: BootState) -> None:
    states = BootStates()
    for state in told:
        states.note(CP, state)
    assert (states.of(CP), len(states)) == (then, then != "unknown")
    assert states.of(ChargePointId("CP-2")) == "unknown"


def test_the_table_is_bounded_and_forgets_the_oldest() -> None:
    states = BootStates(max_entries=2)
    for name in ("A", "B", "A", "C"):
        states.note(ChargePointId(name), "pending")
    assert [states.of(ChargePointId(name)) for name in "ABC"] == ["pending", "unknown", "pending"]


class TestNode:
    async def test_it_is_told_to_whichever_edge_the_charge_point_comes_next(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(edges=2), site.edge(0) as first, site.edge(1, pid=4712) as second:
            opened = await first.enter(make_claim(password=PASSWORD))
            first.boot_state(opened, "rejected")
            first.end(opened.session)
            admission = await second.admit(make_claim(password=PASSWORD))
            assert admission.boot_state == "rejected"

            again = second.open(admission, boot_state=admission.boot_state)
            second.boot_state(again, "accepted")
            second.end(again.session)
            await second.until(lambda: again.session not in second.sessions)
            assert (await second.admit(make_claim(password=PASSWORD))).boot_state == "unknown"

    async def test_a_late_word_of_an_old_session_says_nothing_about_its_successor(self, site: NodeSite) -> None:
        site.registry.add(record_of())
        async with site.running(), site.edge() as edge:
            claim = make_claim(password=PASSWORD)
            old = await edge.enter(claim)
            edge.end(old.session)
            new = await edge.enter(claim)
            edge.send(BootStateChanged(old.session, old.charge_point_id, old.generation, "pending"))
            edge.end(new.session)
            assert (await edge.admit(claim)).boot_state == "unknown"

    async def test_a_control_that_restarts_hears_it_of_live_sessions_and_concludes_nothing_of_others(
        self, site
    ) -> None:
        claims = []
        for identity in ("CP-1", "CP-2"):
            site.registry.add(record_of(identity))
            claims.append(make_claim(identity, password=PASSWORD))
        edge = LinkEdge()
        async with site.running(), site.edge(edge=edge):
            live, gone = [await edge.enter(each, opened_at=time.time()) for each in claims]
            edge.boot_state(live, "pending")
            edge.boot_state(gone, "rejected")
            edge.end(gone.session)
            assert (await edge.admit(claims[1])).boot_state == "rejected"
        async with site.running(), site.edge(edge=edge):
            edge.end(live.session)
            assert (await edge.admit(claims[0])).boot_state == "pending"
            assert (await edge.admit(claims[1])).boot_state == "unknown"
