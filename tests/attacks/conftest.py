"""The gateways, shared by all tests of the session."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.attacks.case import shipped_cases
from tests.attacks.roster import Roster
from tests.attacks.run import Worlds


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worlds(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Worlds]:
    """Started when first needed."""
    async with Worlds(tmp_path_factory.mktemp("attacks"), Roster.of(shipped_cases())) as running:
        yield running
