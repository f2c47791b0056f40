"""A registry in a temporary directory, and a clock that stands still until a test moves it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.registry import Registry
from tests.support.postgresql import PostgreSQL, why_not


class Clock:
    """Seconds since the epoch, by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    missing = why_not()
    if missing:
        pytest.skip(missing)
    with PostgreSQL.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'registry.db'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.new_url()


@pytest.fixture
def registry(url: str, clock: Clock) -> Iterator[Registry]:
    opened = Registry.open(url, clock=clock)
    yield opened
    opened.close()
