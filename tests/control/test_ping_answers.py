"""Whether a charge point answers pings is learnt, and forgotten where it has ceased to be so."""

import pytest

from gateway.control.node import Node
from gateway.link.messages import Registered
from tests.control.conftest import NodeSite, record_of
from tests.support.claims import make_claim
from tests.support.edges import LinkEdge

CLAIM = make_claim("CP-1", password="password-of-this-one")


async def session(
    edge: LinkEdge, node: Node, *, silent: bool = False, answers: bool = False, firmware: str = ""
) -> bool:
    """One session to its end. Returns whether it was expected to answer pings."""
    granted = await edge.admit(CLAIM)
    opened = edge.open(granted)
    if firmware:
        edge.send(Registered(opened.session, opened.charge_point_id, granted.generation, model="M", firmware=firmware))
    edge.end(opened.session, answers_pings=answers, reason="silent:charge-point" if silent else "over")
    await edge.until(lambda: not node.status()["sessions"])
    return granted.answers_pings


async def expected(edge: LinkEdge, node: Node, *, answers: bool) -> None:
    """Wait until the next admission says so."""
    await edge.until(lambda: (node._directory.get("CP-1") or record_of()).answers_pings is answers)


@pytest.fixture
def registered(site: NodeSite) -> NodeSite:
    site.registry.add(record_of())
    return site


async def test_charge_point_that_is_cut_without_any_answer_is_given_more_time_again(registered: NodeSite) -> None:
    async with registered.running() as node, registered.edge() as edge:
        await session(edge, node, answers=True)
        await expected(edge, node, answers=True)
        assert await session(edge, node, silent=True)
        assert await session(edge, node, silent=True), "once may be a dead link"
        await expected(edge, node, answers=False)
        await session(edge, node, answers=True)
        await expected(edge, node, answers=True)
    record = registered.registry.get("CP-1")
    assert record is not None and record.answers_pings


async def test_cuts_of_sessions_that_have_answered_or_apart_from_each_other_do_not_count(registered: NodeSite) -> None:
    async with registered.running() as node, registered.edge() as edge:
        await session(edge, node, answers=True)
        await expected(edge, node, answers=True)
        for _ in range(3):
            await session(edge, node, silent=True)
            await session(edge, node, silent=True, answers=True)
        await session(edge, node, silent=True)
        assert await session(edge, node)


async def test_other_firmware_has_to_show_anew_that_it_answers_and_the_same_has_not(registered: NodeSite) -> None:
    async with registered.running() as node, registered.edge() as edge:
        await session(edge, node, answers=True, firmware="1.0")
        await expected(edge, node, answers=True)
        await session(edge, node, firmware="1.0")
        assert await session(edge, node, firmware="1.1")
        await expected(edge, node, answers=False)
    record = registered.registry.get("CP-1")
    assert record is not None and not record.answers_pings
