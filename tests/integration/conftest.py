"""Fixtures for tests against a running gateway."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.csms import FakeCSMS
from tests.support.rig import Rig


@pytest.fixture
async def csms() -> AsyncIterator[FakeCSMS]:
    async with FakeCSMS() as running:
        yield running


@pytest.fixture
def rig(tmp_path: Path, csms: FakeCSMS) -> Rig:
    return Rig(tmp_path, csms_urls=[csms.url])
