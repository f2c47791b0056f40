"""The file format: one case a line, as strict values. A key nobody here knows makes a case not understood."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

__all__ = [
    "DEFAULT_LAYERS",
    "LAYERS",
    "VECTORS",
    "Case",
    "Decision",
    "Expected",
    "NotUnderstood",
    "load",
    "shipped_cases",
]

VECTORS = Path(__file__).resolve().parent.parent / "vectors"
LAYERS = ("tls", "http", "session", "ws", "benign", "json", "rpc", "ocpp", "fleet", "audit", "policy")
DEFAULT_LAYERS = LAYERS
"""What runs unless --layer says otherwise."""

Version = Literal["1.6", "2.0.1", "2.1"]
Direction = Literal["client_to_gateway", "station_to_csms", "csms_to_station", "both"]
Decision = Literal[
    "allow",
    "allow_alert",
    "callerror",
    "deny_native",
    "disconnect",
    "drop",
    "http_reject",
    "rate_limit",
    "sanitize",
    "tls_alert",
    "ws_close",
]


class NotUnderstood(Exception):  # noqa: N818  says what the runner lacks, not what the gateway did
    """The runner cannot play or judge a case. Always a failure, never a pass."""


class Expected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must happen."""

    decision: Decision
    forwarded: bool
    http_status: int | list[int] = []
    tls_alert: str = ""
    ws_close: int | None = None
    event: str = ""
    callerror: dict[str, str] = {}
    audit: str = ""
    note: str = ""

    @property
    def statuses(self) -> tuple[int, ...]:
        """Every HTTP status that is right."""
        return tuple(self.http_status) if isinstance(self.http_status, list) else (self.http_status,)


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case; see tests/vectors/README.md for what the fields mean."""

    id: str
    title: str
    expected: Expected
    direction: Direction
    version: list[Version]
    layer: str = ""
    preconditions: str = ""
    http: str = ""
    tls: dict[str, Any] = {}
    bytes_hex: str = ""
    generator: dict[str, Any] = {}
    gen: dict[str, Any] = {}
    frames: list[str] = []
    frames_by_version: dict[str, list[str]] = {}
    frames_version: list[str] = []
    steps: list[dict[str, Any]] = []
    # For people; nothing is judged by them.
    severity: str = ""
    source: list[str] = []
    tier: str = ""
    suggested_rule: str = ""
    why_legitimate: str = ""
    frame_check: list[Any] = []
    frames_by_version_check: dict[str, Any] = {}

    @property
    def judged_as(self) -> str:
        """The layer, for near-misses that name none the one their content belongs to."""
        if self.layer:
            return self.layer
        if self.http:
            return "http"
        if self.bytes_hex or "deflate_of" in self.gen:
            return "ws"
        return "fleet" if "to" in self.gen else "benign"

    @property
    def conditions(self) -> tuple[str, ...]:
        """The preconditions one by one."""
        return tuple(part.strip() for part in self.preconditions.split(";") if part.strip())


def _read(line: str) -> Case | NotUnderstood:
    try:
        fields = json.loads(line)
        case = msgspec.convert(fields, Case)
    except (ValueError, msgspec.ValidationError) as error:
        return NotUnderstood(str(error))
    if case.judged_as not in LAYERS:
        return NotUnderstood(f"layer {case.layer!r}")
    return case


def _name(line: str, file: Path, number: int) -> str:
    """The id of a case that is not a case, or where it stands."""
    try:
        found = json.loads(line)["id"]
    except (ValueError, TypeError, KeyError):
        found = None
    return found if isinstance(found, str) else f"{file.name}:{number}"


def load(file: Path) -> list[tuple[str, Case | NotUnderstood]]:
    """Every line of a file as (id, case or why it is none). Raises OSError."""
    lines = enumerate(file.read_text("utf-8").splitlines(), 1)
    return [(_name(line, file, number), _read(line)) for number, line in lines if line.strip()]


def shipped_cases() -> Iterator[Case]:
    """Those of `tests/vectors`. Raises NotUnderstood."""
    for name in ("attacks.jsonl", "benign.jsonl"):
        for _, case in load(VECTORS / name):
            if isinstance(case, NotUnderstood):
                raise case
            yield case
