"""A fleet on security profile 3 for campaigns: certificates of the gateway's own CA, simulated charge points with quirks."""

import asyncio
import contextlib
import datetime
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config.ocpp_schemas import schema_gate
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.effects import Note
from gateway.simulator.core.memory import ClientCertificate, Memory, NetworkSlot
from gateway.simulator.core.model import Model, new_memory
from gateway.simulator.core.quirks import read_quirks
from gateway.simulator.shell.player import Player
from pki.approval import Operator
from pki.issuance import Application, Issuance
from pki.names import Subject
from pki.opened import issuance_in
from tests.support.csms import FakeCSMS
from tests.support.enrolling import OPERATOR, with_ca
from tests.support.rig import GatewayProcess, Rig, hashed
from tests.support.simulated import csms_answer

__all__ = ["CampaignFleet", "Planned", "campaign_fleet", "until"]

PASSWORD = "password-of-all-1"
_QUICK = {
    "RetryBackOffWaitMinimum": "1",
    "RetryBackOffRandomRange": "2",
    "RetryBackOffRepeatTimes": "2",
    "NetworkProfileConnectionAttempts": "2",
}


@dataclass(frozen=True, slots=True)
class Planned:
    """One charge point: how it misbehaves and of which kind it is."""

    quirks: tuple[str, ...] = ()
    model: str = "A"
    version: str = "2.0.1"
    security_profile: int = 3


@dataclass(slots=True)
class CampaignFleet:
    """What runs. `registered`: who has been accepted by the CSMS at least once."""

    rig: Rig
    csms: FakeCSMS
    gateway: GatewayProcess
    cast: Mapping[str, Planned]
    registered: set[str] = field(default_factory=set)
    notes: dict[str, Counter[str]] = field(default_factory=dict)
    players: dict[str, Player] = field(default_factory=dict)

    def url(self, security_profile: int) -> str:
        """Where the gateway serves a profile."""
        host, port = self.gateway.address({1: "plain", 2: "tls", 3: "mtls"}[security_profile])
        return f"ws://{host}:{port}/ocpp" if security_profile == 1 else f"wss://localhost:{port}/ocpp"

    def heard(self, identity: str, note: Note) -> None:
        self.notes.setdefault(identity, Counter())[note.what] += 1
        if note.what == "registration" and note.details.get("status") == "Accepted":
            self.registered.add(identity)

    def connected(self) -> set[str]:
        """Who is registered in the session that it has."""
        return {identity for identity, player in self.players.items() if player.charge_point.is_registered}


@contextlib.asynccontextmanager
async def campaign_fleet(
    work: Path, cast: Mapping[str, Planned], *, edge_workers: int = 1, ramp_up_s: float = 0.0
) -> AsyncIterator[CampaignFleet]:
    """Gateway, CSMS and the whole cast, connected with its first certificates."""
    async with FakeCSMS(answer=csms_answer) as csms:
        rig = Rig(work, csms_urls=[csms.url], edge_workers=edge_workers)
        hierarchy = with_ca(rig)
        # Where charge points have their certificates alone, the listeners have to know the CA above them.
        (rig.work / "cp-issuing.pem").write_bytes(hierarchy.issuing.public_bytes(Encoding.PEM))
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        rig.config["pki"]["retire_old_after_s"] = 1.0
        rig.config["upgrades"] = {"look_again_s": 0.5, "restart_s": 10.0, "lost_after_s": 30.0}
        for listener in rig.config["listener"]:
            if "tls" in listener:
                listener["tls"]["server_roots"] = [str(rig.work / "root.pem")]
                listener["tls"]["client_trust"].append(str(rig.work / "cp-issuing.pem"))
        memories = await asyncio.to_thread(_equipped, rig, cast)
        async with rig.gateway() as gateway:
            fleet = CampaignFleet(rig, csms, gateway, cast)
            for identity, memory in memories.items():
                url = fleet.url(memory.security_profile)
                memory.slots = {number: _at(slot, url) for number, slot in memory.slots.items()}
                fleet.players[identity] = _player(fleet, identity, memory)
            async with _playing(fleet.players.values(), ramp_up_s):
                yield fleet


async def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait for something that the registry says. Raises AssertionError that says what it was."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not: {what}"
        await asyncio.sleep(0.2)


def _at(slot: NetworkSlot, url: str) -> NetworkSlot:
    return msgspec.structs.replace(slot, url=url)


def _player(fleet: CampaignFleet, identity: str, memory: Memory) -> Player:
    planned = fleet.cast[identity]
    model = Model(vendor="Simulated", model=planned.model, firmware="1.0.0", reboot_s=0.2, secure_url=fleet.url(2))
    charge_point = ChargePoint(memory, model, read_quirks(planned.quirks), schema_gate(memory.version))

    def journal(note: Note) -> None:
        fleet.heard(identity, note)

    return Player(charge_point, journal=journal, store=lambda _: None)


@contextlib.asynccontextmanager
async def _playing(players: Iterable[Player], ramp_up_s: float) -> AsyncIterator[None]:
    everybody = list(players)

    async def play(player: Player, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await player.run()

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(play(each, ramp_up_s * n / len(everybody))) for n, each in enumerate(everybody)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _equipped(rig: Rig, cast: Mapping[str, Planned]) -> dict[str, Memory]:
    """Registered, each with a certificate that the journal of the CA knows."""
    now = datetime.datetime.now(datetime.UTC)
    memories = {}
    with issuance_in(rig.work / "ca", now, lambda: secrets.token_hex(6)) as ca, rig.registry() as registry:
        records = []
        for identity, planned in cast.items():
            credentials: dict[str, Any] = {"password": PASSWORD}
            if planned.security_profile == 3:
                credentials = {"certificate": _certificate(ca, identity, now)}
            memories[identity] = _memory(rig, identity, planned, **credentials)
            records.append(_record(identity, planned.security_profile))
        registry.apply(add=records)
    return memories


def _certificate(ca: Issuance, identity: str, now: datetime.datetime) -> ClientCertificate:
    subject = Subject(f"SN-{identity}", OPERATOR)
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject.name()).sign(key, hashes.SHA256())
    wanted = Application(profile="ChargePointCertificate", subject=subject, applicant=Operator("test"))
    entry = ca.request(csr.public_bytes(Encoding.PEM).decode(), wanted, now)
    issued = ca.issue(entry.id, now)
    chain = b"".join(each.public_bytes(Encoding.PEM) for each in (issued.certificate, *issued.chain))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return ClientCertificate(chain_pem=chain.decode(), key_pem=pem.decode())


def _record(identity: str, security_profile: int) -> ChargePointRecord:
    password = StoredPassword(phc=hashed(PASSWORD), created_at=1.0) if security_profile < 3 else None
    return ChargePointRecord(
        charge_point_id=ChargePointId(identity),
        security_profile=SecurityProfile(security_profile),
        password=password,
        serial_number=f"SN-{identity}",
        operator_names=(OPERATOR,),
        group="fleet",
    )


def _memory(rig: Rig, identity: str, planned: Planned, **credentials: Any) -> Memory:
    memory = new_memory(
        identity,
        OCPPVersion(planned.version),
        "wss://localhost:1/ocpp",
        planned.security_profile,
        serial_number=f"SN-{identity}",
        roots=(rig.authority.pem.decode(), (rig.work / "cp-root.pem").read_text()),
        organization=OPERATOR,
        **credentials,
    )
    memory.settings |= _QUICK
    return memory
