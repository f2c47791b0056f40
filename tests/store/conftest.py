"""A registry in a temporary directory, and a clock that stands still until a test moves it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.registry import Registry


class Clock:
    """Seconds since the epoch, by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'registry.db'}"


@pytest.fixture
def registry(url: str, clock: Clock) -> Iterator[Registry]:
    opened = Registry.open(url, clock=clock)
    yield opened
    opened.close()
