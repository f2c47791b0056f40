"""Control's parts on a real registry; and a whole node behind a real Unix socket."""

import asyncio
import contextlib
import functools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes

from gateway.audit.event import SecurityEvent
from gateway.config.model import CSMS, Audit, Config, Limits, Listener, ListenerTLS
from gateway.config.policy import Policy
from gateway.control.admission import AdmissionDesk
from gateway.control.authentication import Authenticator
from gateway.control.credentials import PasswordVerifier, hash_password
from gateway.control.directory import Directory
from gateway.control.node import Node
from gateway.control.sessions import Sessions
from gateway.control.store_thread import StoreThread
from gateway.identity.admission import ListenerFacts
from gateway.identity.evidence import Claim
from gateway.identity.guessing import GuessingLimiter
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.identity.refusal import Reason
from gateway.identity.trust import TrustBundles
from gateway.link.messages import AdmitGranted, AdmitRefused, AdmitRequest
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.store.registry import Registry
from tests.support.edges import LinkEdge, TableEdge
from tests.support.rig import shared_authority

PASSWORD, OTHER_PASSWORD = "password-of-this-one", "another-password-now"
OPERATOR = "Example CPO"
PROFILES = tuple(SecurityProfile)
OWN_ANCHOR = shared_authority().root.fingerprint(hashes.SHA256()).hex()


@functools.cache
def phc_of(password: str = PASSWORD) -> str:
    """Hashing costs time; each password is hashed once."""
    return hash_password(password.encode())


def stored(password: str = PASSWORD, created_at: float = 1.0) -> StoredPassword:
    return StoredPassword(phc=phc_of(password), created_at=created_at)


def record_of(identity: str = "CP-1", security_profile: int = 2, **fields: Any) -> ChargePointRecord:
    """With PASSWORD, unless it says otherwise."""
    values: dict[str, Any] = {"password": stored(), **fields}
    return ChargePointRecord(
        charge_point_id=ChargePointId(identity), security_profile=SecurityProfile(security_profile), **values
    )


@functools.cache
def empty_registry() -> bytes:
    """A migrated database without rows: migrations cost time, a copy does not."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "registry.sqlite"
        Registry.open(f"sqlite:///{path}").close()
        return path.read_bytes()


def new_registry(directory: Path) -> str:
    """The URL of a fresh registry in `directory`."""
    path = directory / "registry.sqlite"
    path.write_bytes(empty_registry())
    path.chmod(0o600)
    return f"sqlite:///{path}"


class Control:
    """Everything behind the admission desk, at hand, on one registry; `registry` is another process's view of it."""

    def __init__(self, url: str) -> None:
        self.registry = Registry.open(url)
        self.store = StoreThread(url)
        self.directory = Directory()
        self.sessions = Sessions(100)
        self.limiter = GuessingLimiter(30, 10)
        self.verifier = PasswordVerifier()
        self.now = time.time()
        self.authenticator = Authenticator(self.directory, self.verifier, self.limiter, lambda: self.now)
        self.trust()
        self.events: list[SecurityEvent] = []
        self.desk = AdmissionDesk(
            directory=self.directory,
            store=self.store,
            sessions=self.sessions,
            authenticator=self.authenticator,
            limiter=self.limiter,
            report=self.events.append,
        )
        self.desk.open = True
        self.desk.csms_versions = {"main": tuple(OCPPVersion), "second": (OCPPVersion.V2_1,)}
        self.desk.listeners = self.authenticator.listeners = {
            name: ListenerFacts(name=name, security_profiles=PROFILES, csms="main") for name in ("tls", "plain")
        }
        self.edge = TableEdge()
        self.tasks = TaskOwner()
        self._number = 0

    def trust(self, *operator_names: str) -> None:
        """The tests' own root, and these names; OPERATOR if there are none."""
        self.authenticator.trust = TrustBundles((), frozenset({OWN_ANCHOR}), operator_names or (OPERATOR,))

    async def add(self, *records: ChargePointRecord) -> None:
        for record in records:
            self.registry.add(record)
        await self.directory.load(self.store)

    async def follow(self) -> None:
        """What the node does twice a second."""
        await self.directory.refresh(self.store)

    def record(self, identity: str = "CP-1") -> ChargePointRecord:
        found = self.registry.get(identity)
        assert found is not None
        return found

    async def ask(self, claim: Claim, edge: TableEdge | None = None) -> AdmitGranted | AdmitRefused:
        """As a node does: at once where that can be, else in a task."""
        answer: asyncio.Future[AdmitGranted | AdmitRefused] = asyncio.get_running_loop().create_future()
        self.desk.ask(self.request(claim), edge or self.edge, answer.set_result, self.tasks)
        return await answer

    def request(self, claim: Claim) -> AdmitRequest:
        self._number += 1
        return AdmitRequest(self._number, f"s-{self._number}", claim)

    async def enter(self, claim: Claim, edge: TableEdge | None = None) -> AdmitGranted:
        """Be let in, open and leave again, so that the next one finds room."""
        answer = await self.ask(claim, edge)
        assert isinstance(answer, AdmitGranted), answer
        self.sessions.closed(answer.admission.charge_point_id, answer.admission.generation)
        return answer

    async def stay(self, claim: Claim, edge: TableEdge | None = None) -> AdmitGranted:
        """Be let in, and stay."""
        at = edge or self.edge
        answer = await self.ask(claim, at)
        assert isinstance(answer, AdmitGranted), answer
        at.open(answer.admission)
        at.deliver(self.sessions)
        return answer

    async def refusal(self, claim: Claim, edge: TableEdge | None = None) -> AdmitRefused:
        """Be refused."""
        answer = await self.ask(claim, edge)
        assert isinstance(answer, AdmitRefused), answer
        return answer

    async def refused(self, claim: Claim, edge: TableEdge | None = None) -> Reason:
        """Why one is refused."""
        return Reason.from_code((await self.refusal(claim, edge)).reason)

    async def close(self) -> None:
        await self.store.close()
        self.verifier.close()
        self.registry.close()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return new_registry(tmp_path)


@pytest.fixture
async def control(url: str) -> AsyncIterator[Control]:
    made = Control(url)
    yield made
    await made.close()


class NodeSite:
    """A node, its link socket, its registry as another process sees it, and its event file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = new_registry(directory)
        self.registry = Registry.open(self.url)
        self.root = directory / "root.pem"
        self.root.write_bytes(shared_authority().pem)
        self.socket = directory / "control.sock"
        self.events_path = directory / "events.jsonl"
        self.node: Node

    def config(self, **changes: Any) -> Config:
        tls = ListenerTLS(certificates=(), client_certificate="optional", client_trust=(str(self.root),))
        listeners = tuple(
            Listener(name=name, address="127.0.0.1:0", security_profiles=profiles, csms="main", tls=tls_of)
            for name, profiles, tls_of in (("tls", PROFILES[1:], tls), ("plain", PROFILES[:1], None))
        )
        base = Config(
            path="gateway.toml",
            state_dir=str(self.directory),
            database_url=self.url,
            edge_workers=1,
            log_level="info",
            listeners=listeners,
            csms=(CSMS(name="main", urls=("ws://127.0.0.1:1/",)),),
            limits=Limits(duplicate_probe_timeout_s=2.0),
            operator_names=(OPERATOR,),
            policy=Policy(packs=()),
            audit=Audit(reserve_bytes=0),
        )
        events = type(base.security_events)(path=str(self.events_path))
        return msgspec.structs.replace(base, security_events=events, **changes)

    @contextlib.asynccontextmanager
    async def running(self, edges: int = 1, config: Config | None = None, settings: Any = None) -> AsyncIterator[Node]:
        """Start, listen, and stop at the end."""
        self.node = node = Node(config or self.config(), edges, settings)
        await node.start()
        server = await asyncio.get_running_loop().create_unix_server(node.new_link, path=str(self.socket))
        try:
            yield node
        finally:
            server.close()
            self.socket.unlink(missing_ok=True)
            for link in list(node._links.values()):
                link._abort()
            await node.stop()

    @contextlib.asynccontextmanager
    async def edge(self, slot: int = 0, pid: int = 4711, edge: LinkEdge | None = None) -> AsyncIterator[LinkEdge]:
        """An edge with its settings in force."""
        connected = await (edge or LinkEdge(slot, pid)).connect(self.socket)
        try:
            await connected.until(lambda: connected.updates)
            yield connected
        finally:
            await connected.close()

    def events(self, name: str = "") -> list[dict[str, Any]]:
        if not self.events_path.exists():
            return []
        found = [json.loads(line) for line in self.events_path.read_text().splitlines()]
        return [event for event in found if not name or event["event"] == name]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeSite]:
    """With a registry that is followed quickly, so that no test waits for the clock."""
    monkeypatch.setattr("gateway.control.node._POLL_REGISTRY_S", 0.01)
    monkeypatch.setattr("gateway.control.node._FLUSH_S", 0.01)
    monkeypatch.setattr("gateway.control.node._LAST_WORDS_S", 0.2)
    made = NodeSite(tmp_path)
    yield made
    made.registry.close()
