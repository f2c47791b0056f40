"""Reads ``*.test.yaml``: cases of a pack, every field checked as strictly as those of a pack."""

import itertools
import re
from typing import Any, Final, get_args

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion, Origin, SecurityProfile
from gateway.policy.cel.times import parse_timestamp
from gateway.policy.fields import Table, read_seconds
from gateway.policy.findings import Findings
from gateway.policy.rules import Mode

__all__ = ["After", "Case", "CaseSession", "Expect", "Step", "read_cases"]

_START: Final = "2026-01-01T00:00:00Z"
_DIRECTIONS: Final = {"to_csms": Origin.CHARGE_POINT, "to_station": Origin.CSMS}
DECISIONS: Final = ("allow", "alert", "answer", "throttle", "drop", "deny", "quarantine", "disconnect", "gate")
_MAX_REPEAT: Final = 10_000
_AT: Final = re.compile(r"\+(.+)")


class CaseSession(msgspec.Struct, frozen=True, kw_only=True):
    """Who talks."""

    identity: str = "CP-A01"
    group: str = "default"
    version: OCPPVersion = OCPPVersion.V1_6
    ip: str = "192.0.2.1"
    security_profile: SecurityProfile = SecurityProfile.TLS_BASIC
    serial: str = ""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    boot_state: str = "accepted"
    in_maintenance: bool = False
    history_complete: bool = False
    """As if the charge point had been seen from its boot on."""
    online: int = 100
    """Connected charge points, for budgets of the fleet."""


class Expect(msgspec.Struct, frozen=True, kw_only=True):
    """What has to come of a step; empty is anything."""

    decision: str = ""
    rules: tuple[str, ...] = ()
    """Must match, enforced or not."""
    quiet: tuple[str, ...] = ()
    """Must be asked and not match."""
    event: str = ""
    code: str = ""
    status: str = ""
    forwarded: bool | None = None
    answered: bool | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One frame."""

    origin: Origin
    frame: str
    after_s: float = 0.0
    identity: str = ""
    """Another charge point than the case's, ``{n}`` allowed."""
    schema_broken: bool = False
    """The frame breaks the schema on purpose; the schema gate may be soft."""
    expect: Expect | None = None


class After(msgspec.Struct, frozen=True, kw_only=True):
    """What has to have happened at the end of all repeats."""

    rule: str
    event: str = ""
    not_before_repeat: int = 1
    not_after_repeat: int = 0
    never: bool = False


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One story."""

    name: str
    session: CaseSession
    params: dict[str, Any]
    modes: dict[str, Mode]
    start: float
    repeat: int
    steps: tuple[Step, ...]
    after: tuple[After, ...]
    index: int


def read_cases(value: Any, findings: Findings) -> tuple[str, tuple[Case, ...]]:
    """(name of the pack, its cases). What is wrong is in `findings`."""
    table = Table(value, (), findings)
    pack = table.need("pack", str, "")
    counter = itertools.count()
    cases = table.tables("cases", lambda item: _case(item, next(counter)))
    table.done()
    return pack, cases


def _case(table: Table, index: int) -> Case:
    name = table.need("name", str, "")
    try:
        start = parse_timestamp(table.get("start", str, _START)).timestamp()
    except ValueError as error:
        table.findings.error("P005", (*table.path, "start"), str(error))
        start = 0.0
    after = table.values.get("after")
    if isinstance(after, list):
        ends = table.tables("after", _after)
    else:
        one = table.table("after")
        ends = () if one is None else (_after(one),)
    case = Case(
        name=name,
        session=_session(table.table("session")),
        params=table.get("params", dict, {}),
        modes=_modes(table.table("modes")),
        start=start,
        repeat=table.get("repeat", int, 1),
        steps=table.tables("steps", _step),
        after=ends,
        index=index,
    )
    table.done()
    if not case.steps:
        table.findings.error("P090", table.path, "a case without steps proves nothing")
    if not 1 <= case.repeat <= _MAX_REPEAT:
        table.findings.error("P005", (*table.path, "repeat"), f"must be 1 to {_MAX_REPEAT}")
    return case


def _modes(table: Table | None) -> dict[str, Mode]:
    if table is None:
        return {}
    words: dict[str, Mode] = {word: word for word in get_args(Mode)}
    return {rule: table.choice(rule, words, "monitor") for rule in table.values}


def _session(table: Table | None) -> CaseSession:
    if table is None:
        return CaseSession()
    default = CaseSession()
    profiles = {int(profile): profile for profile in SecurityProfile}
    number = table.get("security_profile", int, int(default.security_profile))
    if number not in profiles:
        table.findings.error("P005", (*table.path, "security_profile"), "must be 1, 2 or 3")
    session = CaseSession(
        **{
            name: table.get(name, str, getattr(default, name))
            for name in ("identity", "group", "ip", "serial", "vendor", "model", "firmware")
        },
        version=table.choice("version", {version.value: version for version in OCPPVersion}, default.version),
        security_profile=profiles.get(number, default.security_profile),
        boot_state=table.choice(
            "boot_state", {word: word for word in ("none", "pending", "rejected", "accepted")}, default.boot_state
        ),
        in_maintenance=table.get("in_maintenance", bool, default=False),
        history_complete=table.get("history_complete", bool, default=False),
        online=table.get("online", int, default.online),
    )
    table.done()
    return session


def _step(table: Table) -> Step:
    at = table.get("at", str, "")
    wait = _AT.fullmatch(at)
    seconds = 0.0
    try:
        if at:
            seconds = read_seconds(wait[1]) if wait else read_seconds("")
    except ValueError:
        table.findings.error("P005", (*table.path, "at"), 'write how much later, e.g. "+20s"')
    expect = table.table("expect")
    step = Step(
        origin=table.choice("dir", _DIRECTIONS, Origin.CHARGE_POINT),
        frame=table.need("frame", str, ""),
        after_s=seconds,
        identity=table.get("identity", str, ""),
        schema_broken=table.choice("schema", {"broken": True, "valid": False}, default=False),
        expect=None if expect is None else _expect(expect),
    )
    if "dir" not in table:
        table.findings.error("P005", table.path, "dir is missing: to_csms or to_station")
    table.done()
    return step


def _expect(table: Table) -> Expect:
    sender = table.table("to_sender")
    code, status = ("", "") if sender is None else (sender.get("code", str, ""), sender.get("status", str, ""))
    if sender is not None:
        sender.done()
    decision = table.choice("decision", {word: word for word in DECISIONS}, "")
    expect = Expect(
        decision=decision,
        rules=table.words("rule"),
        quiet=table.words("quiet"),
        event=table.get("event", str, ""),
        code=code,
        status=status,
        forwarded=table.get("forwarded", bool, default=False) if "forwarded" in table else None,
    )
    table.done()
    if decision not in {"", "allow", "gate"} and not expect.rules:
        table.findings.error("P090", table.path, "name the rule that does this")
    return expect


def _after(table: Table) -> After:
    after = After(
        rule=table.need("rule", str, ""),
        event=table.get("event", str, ""),
        not_before_repeat=table.get("not_before_repeat", int, 1),
        not_after_repeat=table.get("not_after_repeat", int, 0),
        never=table.get("never", bool, default=False),
    )
    table.done()
    return after
