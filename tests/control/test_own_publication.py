"""The part of the node that publishes: what is served after reloads."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.model import PKI, Config, Publication
from gateway.control.own_publication import OwnPublication
from gateway.control.publication import Publications
from tests.control.test_publication_work import Place

pytestmark = pytest.mark.integration


class Node:
    """A node with this part alone; `served` is what the listener has, newest last."""

    def __init__(self) -> None:
        self.served: list[Publications] = []
        self.events: list[tuple[str, str]] = []
        self.part = OwnPublication(lambda event, _severity, _decision, detail: self.events.append((event, detail)))
        self.part.serve = self.served.append

    async def publish(self, directory: Path) -> None:
        self.part.use(config_of(str(directory)))
        await self.part.tick()


def config_of(ca: str) -> Config:
    return Config(
        path="gateway.toml",
        state_dir="",
        database_url="",
        edge_workers=1,
        log_level="info",
        listeners=(),
        csms=(),
        pki=PKI(ca=ca),
        publication=Publication(address="127.0.0.1:0"),
    )


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    made = Node()
    yield made
    await made.part.close()


@pytest.fixture
def places(tmp_path: Path) -> tuple[Place, Place]:
    """Two CAs whose lists are fresh: the next signing is days away."""
    made = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        made.append(Place(tmp_path / name))
        made[-1].work.step()
        made[-1].work.close()
    return made[0], made[1]


async def test_after_a_reload_to_another_ca_its_fresh_lists_are_served_without_a_signing(
    node: Node, places: tuple[Place, Place]
) -> None:
    _, second = places
    for place in places:
        await node.publish(place.directory)
    assert [each.crls["issuing", 0].der for each in node.served] == [
        (place.directory / "published" / "issuing" / "0.crl").read_bytes() for place in places
    ]
    await node.publish(second.directory)
    assert len(node.served) == 2
    assert not any(event == "publication.failed" for event, _ in node.events)


async def test_after_a_reload_without_a_ca_nothing_is_served(node: Node, places: tuple[Place, Place]) -> None:
    await node.publish(places[0].directory)
    node.part.use(config_of(""))
    assert node.served[-1] == Publications()
    await node.part.tick()
    assert (len(node.served), node.part.status(), node.part.metrics()) == (2, None, {})


async def test_a_step_that_a_reload_has_overtaken_shows_nothing_of_the_ca_before(
    node: Node, places: tuple[Place, Place]
) -> None:
    first, second = places
    node.part.use(config_of(str(first.directory)))
    overtaken = asyncio.ensure_future(node.part.tick())
    await asyncio.sleep(0)
    node.part.use(config_of(str(second.directory)))
    await overtaken
    assert (node.served, node.part.metrics()) == ([], {})
    await node.part.tick()
    assert len(node.served) == 1
