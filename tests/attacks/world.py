"""The gateways that the cases run against, with the charge points, passwords and back ends that the cases name."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, Self

from typing_extensions import override
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from tests.attacks.answers import answer_of_csms
from tests.attacks.roster import Roster
from tests.support.csms import FakeCSMS, HostileCSMS
from tests.support.peer import WAIT_S, basic
from tests.support.rig import GatewayProcess, Rig, hashed, shared_authority

__all__ = ["BLOCKED_TOKEN", "REVOKED", "Kind", "Recorded", "World", "content_of", "until"]

Kind = Literal["ordinary", "short-timers", "strict", "fleet"]
"""`ordinary`: the defaults, but a flood and a slow reader are given up on after a second. `short-timers`: pings each second.
`strict`: a site in lockdown with its lists filled in, one for all cases. `fleet`: the same, afresh for each case, because
the budgets of a fleet last for minutes.
"""

REVOKED = "CP-R3"
BLOCKED_TOKEN = "TAG-BLOCKED"
SITE = """
apiVersion: ocpp-gateway/v1
kind: PolicySite
everyone:
  gates: {{schema: enforce}}
  params:
    firmware_hosts: [{firmware_hosts}]
    log_hosts: [{log_hosts}]
    datatransfer: [com.vendor.iso15118]
    blocklist: [{blocked_token}]
    max_station_w: 22000.0
    max_setpoint_w: 11000.0
    max_disrupted: {max_disrupted}
  modes:
    tokens/blocklist: monitor
    uk-scp/randomised-delay: "off"
    uk-scp/synchronised-start: "off"
groups:
  uk:
    modes:
      uk-scp/randomised-delay: enforce
      uk-scp/synchronised-start: enforce
"""
"""What a strict site would write: one policy for all cases. Its CSMS decides about blocked cards, and is watched."""
_PACKS = ["baseline", "lockdown", "uk-smart-charge-points"]
_POOL_PASSWORD = "password-of-the-pool"
_POOL: dict[Kind, tuple[int, int]] = {
    "ordinary": (300, 0),
    "short-timers": (20, 0),
    "strict": (400, 20),
    "fleet": (80, 80),
}
"""Charge points of no group and of group uk. Every play has one of its own: nobody uses up another's budget."""
_MOST_BYTES = 4 << 20
_SETTINGS: dict[Kind, dict[str, Any]] = {
    "ordinary": {"flood_grace_s": 1.0, "write_deadline_s": 1.0, "max_write_buffer_bytes": 65_536},
    "strict": {"max_message_bytes": _MOST_BYTES},
    "fleet": {"max_message_bytes": _MOST_BYTES},
    "short-timers": {"ping_interval_s": 1.0, "ping_timeout_s": 1.0, "silent_session_timeout_s": 3.0},
}


async def until(condition: Any, seconds: float = WAIT_S) -> bool:
    """True as soon as `condition()` is, False if it is not in time."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.004)
    return True


class Recorded(ServerConnection):
    """The CSMS's end of a session, with the control frames that reached it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.control: list[tuple[Opcode, bytes]] = []

    @override
    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in {Opcode.PING, Opcode.PONG}:
            self.control.append((event.opcode, bytes(event.data)))
        super().process_event(event)


class World:
    """One running gateway between its charge points and its CSMSs."""

    def __init__(
        self, kind: Kind, roster: Roster, rig: Rig, csms: FakeCSMS, hostile: HostileCSMS, gateway: GatewayProcess
    ) -> None:
        self.kind, self.roster = kind, roster
        self.booted: set[str] = set()
        """Charge points of HTTP cases that have registered."""
        self.rig, self.csms, self.hostile, self.gateway = rig, csms, hostile, gateway
        self._numbers = itertools.count(1)
        self._pools = {group: iter(_pool(kind, roster, group)) for group in ("", "uk")}
        self._process_ids = gateway.children()

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, kind: Kind, work: Path, roster: Roster) -> AsyncIterator[Self]:
        """A gateway in the directory `work`, stopped at the end. Raises AssertionError if it does not become ready."""
        work.mkdir(parents=True, exist_ok=True)
        async with FakeCSMS(answer=answer_of_csms, connection_class=Recorded) as csms, HostileCSMS(b"") as hostile:
            rig = Rig(work, csms_urls=[csms.url])
            _configure(rig, kind, roster, hostile)
            _register(rig, kind, roster)
            async with rig.gateway() as gateway:
                yield cls(kind, roster, rig, csms, hostile, gateway)

    def address(self, listener: str) -> tuple[str, int]:
        """Where a listener is: tls, mtls, ocppj, tenants or hostile."""
        return self.gateway.address(listener)

    def new_source(self) -> str:
        """A loopback address nobody has used: what happens to one attacker is then told apart from all others."""
        number = next(self._numbers)
        return f"127.{64 + (number >> 16)}.{number >> 8 & 0xFF}.{number & 0xFF}"

    def charge_point(self, group: str = "") -> str:
        """A charge point of a group that no play has had yet."""
        return next(self._pools[group])

    def password(self, identity: str) -> str:
        """What this charge point knows."""
        return self.roster.passwords.get(identity, _POOL_PASSWORD)

    # -- what the gateway records

    def mark(self) -> tuple[int, int]:
        """Where the event file and the log end now."""
        log = self.gateway.log_path
        return self.gateway.mark(), log.stat().st_size if log.exists() else 0

    async def barrier(self) -> None:
        """Wait until everything that the gateway has reported so far is in the event file."""
        source, since = self.new_source(), self.gateway.mark()
        reader, writer = await asyncio.open_connection(*self.address("tls"), local_addr=(source, 0))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        await self.gateway.event("tls.plaintext", since, lambda event: event.get("peer") == source)

    def events(self, mark: tuple[int, int]) -> list[dict[str, Any]]:
        """Security events since a mark."""
        return self.gateway.events(mark[0])

    def written(self, mark: tuple[int, int]) -> str:
        """All that was written to events and log since a mark."""
        gateway, found = self.gateway, b""
        for path, start in ((gateway.event_path, mark[0]), (gateway.log_path, mark[1]), (gateway.out_path, 0)):
            if path.exists():
                found += path.read_bytes()[start:]
        return found.decode("utf-8", "backslashreplace")

    def leaks(self) -> list[str]:
        """Passwords, plain or as credentials, in anything that the gateway has written since it was started."""
        known = {**self.roster.passwords, "pool": _POOL_PASSWORD}
        secrets = {word for pair in known.items() for word in (pair[1], basic(*pair).partition(" ")[2])}
        files = [path for path in self.rig.state.rglob("*") if path.is_file()]
        files += [self.gateway.log_path, self.gateway.out_path]
        held = {path.name: content for path in files if (content := content_of(path)) is not None}
        return [f"a secret stands in {name}" for name, data in held.items() if any(s.encode() in data for s in secrets)]

    def same_processes(self) -> bool:
        """True if no process of the gateway has died since the start."""
        return self.gateway.children() == self._process_ids


def content_of(path: Path) -> bytes | None:
    """None for a file that was renamed meanwhile: the audit log writes some beside their place."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _site(kind: Kind, roster: Roster) -> str:
    return SITE.format(
        firmware_hosts=", ".join(roster.firmware_hosts),
        log_hosts=", ".join(roster.log_hosts),
        blocked_token=BLOCKED_TOKEN,
        # Cases of single commands, one after the other, are not to add up to an attack on a fleet.
        max_disrupted=20 if kind == "fleet" else 100_000,
    )


def _configure(rig: Rig, kind: Kind, roster: Roster, hostile: HostileCSMS) -> None:
    certificate = shared_authority().server(names=tuple(roster.tenants))
    (rig.work / "tenants.pem").write_bytes(certificate.pem)
    key = rig.write_private("tenants.key", certificate.key_pem)
    tenants = {"certificates": [{"certificate": str(rig.work / "tenants.pem"), "key": str(key)}]}
    basic = rig.tls_table("none")
    rig.config["listener"] = [
        rig.listener("tls", [2], tls=basic),
        rig.listener("mtls", [3], tls=rig.tls_table("required")),
        rig.listener("ocppj", [2], tls=basic, path_prefix="/ocppj"),
        rig.listener("tenants", [2], tls=tenants),
        rig.listener("hostile", [2], tls=basic, csms="hostile"),
    ]
    rig.config["csms"].append({"name": "hostile", "urls": [hostile.url]})
    # Cases say what one side sends, not what the other answers: a call that nobody answers must not hold back the next.
    rig.config["websocket"] = {"max_open_calls": 64, **_SETTINGS[kind]}
    if kind in {"strict", "fleet"}:
        (rig.work / "site.yaml").write_text(_site(kind, roster))
        rig.config["policy"] = {"packs": _PACKS, "site": str(rig.work / "site.yaml")}
    # All cases share the identity CP-A01: what one of them does must not use up the budget of the next.
    rig.config["limits"] = {
        "failed_attempts_per_identity_per_minute": 10_000,
        "reconnects_per_hour": 100_000,
        "connects_per_address_per_minute": 1_000_000,
    }


def _pool(kind: Kind, roster: Roster, group: str) -> list[str]:
    size = max(_POOL[kind][1 if group else 0], roster.sessions[group] + 10 if kind in {"ordinary", "strict"} else 0)
    return [f"CP-{group or 'POOL'}-{number:04d}" for number in range(size)]


def _register(rig: Rig, kind: Kind, roster: Roster) -> None:
    stored = StoredPassword(phc=hashed(_POOL_PASSWORD), created_at=time.time())
    with rig.registry() as registry:
        for group in ("", "uk"):
            for identity in _pool(kind, roster, group):
                profile, own = SecurityProfile(2), ChargePointId(identity)
                registry.add(
                    ChargePointRecord(charge_point_id=own, security_profile=profile, password=stored, group=group)
                )
    for identity, password in roster.passwords.items():
        tolerances = ("deflate-1.6",) if identity == "CP-D16" else ()
        rig.add(identity, security_profile=2, password=password, tolerances=tolerances)
    for serial, (identity, operator) in roster.owners.items():
        rig.add(identity, security_profile=3, serial_number=serial, operator_names=(operator,))
    rig.add(REVOKED, security_profile=3, serial_number="SN-R3")
