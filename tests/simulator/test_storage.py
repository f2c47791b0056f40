"""The memory as a file: all or nothing, for its owner alone, and whatever else lies there is named."""

from pathlib import Path

import pytest

from gateway.simulator.core.memory import save
from gateway.simulator.shell.storage import MemoryFile, MemoryUnreadable
from tests.simulator.scenario import Scenario


def test_kept_and_loaded(tmp_path: Path) -> None:
    memory = Scenario("2.1", 3).up().memory
    file = MemoryFile(tmp_path, "RDAM/1|2")
    assert file.load() is None
    file.store(save(memory))
    assert file.load() == memory
    assert [path.name for path in tmp_path.iterdir()] == ["RDAM%2F1%7C2.json"]
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.store(save(memory))
    assert file.load() == memory


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"identity": 1}', b"\xff"])
def test_what_is_no_memory_is_named(tmp_path: Path, content: bytes) -> None:
    file = MemoryFile(tmp_path, "CP-1")
    file.path.write_bytes(content)
    with pytest.raises(MemoryUnreadable, match=r"CP-1\.json"):
        file.load()
