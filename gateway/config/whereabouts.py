"""Where a gateway keeps its state, as far as a configuration says so that cannot be used otherwise."""

import re
import tomllib
from pathlib import Path
from typing import Any

from gateway.config.model import Config

__all__ = ["find_whereabouts"]

_LINE = re.compile(r"""^[ \t]*(state_dir|database_url)[ \t]*=[ \t]*(?:"([^"\\\n]*)"|'([^'\n]*)')""", re.MULTILINE)


def find_whereabouts(path: str | Path) -> Config | None:
    """A configuration of which only `state_dir` and `database_url` are as in the file, the rest is empty.

    For looking at a gateway that goes on with its last good state while its file has a mistake in it. None if there is
    no such directory.
    """
    file = Path(path).absolute()
    try:
        said = _gateway_table(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    state_dir = file.parent / said.get("state_dir", "state")
    if not state_dir.is_dir():
        return None
    return Config(
        path=str(file),
        state_dir=str(state_dir),
        database_url=said.get("database_url") or f"sqlite:///{state_dir / 'registry.sqlite'}",
        edge_workers=1,
        log_level="info",
        listeners=(),
        csms=(),
    )


def _gateway_table(text: str) -> dict[str, str]:
    """The two texts, from a file that may not even be TOML."""
    try:
        table: Any = tomllib.loads(text).get("gateway")
    except (ValueError, RecursionError):
        table = {key: double or single for key, double, single in _LINE.findall(text)}
    found = table if isinstance(table, dict) else {}
    return {key: found[key] for key in ("state_dir", "database_url") if isinstance(found.get(key), str)}
