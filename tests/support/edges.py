"""Edges for tests of control: one that sits right at the session table, and one that speaks the link protocol."""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from msgspec.structs import replace

from gateway.audit.event import SecurityEvent
from gateway.control.sessions import Sessions
from gateway.identity.evidence import Admission, Claim
from gateway.link.framing import control_reader, encode
from gateway.link.messages import (
    AdmitGranted,
    AdmitRefused,
    AdmitRequest,
    BootStateChanged,
    BudgetAnswer,
    Counters,
    Disconnect,
    EdgeMessage,
    EdgeSettings,
    Hello,
    LiveSession,
    Probe,
    ProbeAnswer,
    Registered,
    Report,
    SessionClosed,
    SessionOpened,
    SettingsApplied,
    SettingsUpdate,
)
from gateway.link.policy_counts import CountersKept
from gateway.ocpp.vocabulary import BootState

__all__ = ["LinkEdge", "TableEdge", "live"]

_WAIT_S = 90.0


def live(granted: Admission, **fields: Any) -> LiveSession:
    """The session that an edge makes of an admission."""
    return LiveSession(
        granted.session,
        granted.charge_point_id,
        granted.generation,
        granted.security_profile,
        granted.subprotocols[0],
        "192.0.2.1",
        "tls",
        granted.csms,
        fields.pop("opened_at", 1.0),
        granted.proof,
        group=granted.group,
        **fields,
    )


class TableEdge:
    """An edge as the session table sees it: it knows its sessions, closes what it is told to, and says so later."""

    slot = 0

    def __init__(self) -> None:
        self.sessions: dict[str, LiveSession] = {}
        self.silent: set[str] = set()
        """Sessions whose charge point answers no probe."""
        self.told: list[Disconnect] = []
        self.probed: list[str] = []
        self.outbox: deque[Callable[[Sessions], object]] = deque()
        self.linked = True
        self.on_probe: Callable[[], object] = lambda: None

    def open(self, granted: Admission) -> LiveSession:
        opened = self.sessions[granted.session] = live(granted)
        self.outbox.append(lambda table: table.opened(opened, self))
        return opened

    def end(self, session: str) -> None:
        ended = self.sessions.pop(session, None)
        if ended is not None:
            self.outbox.append(lambda table: table.closed(ended.charge_point_id, ended.generation))

    def deliver(self, table: Sessions) -> None:
        while self.outbox:
            self.outbox.popleft()(table)

    def say_hello(self, table: Sessions) -> None:
        self.linked = True
        self.outbox.clear()
        for each in list(self.sessions.values()):
            table.opened(each, self)

    def lose_link(self, table: Sessions) -> None:
        """What was under way is lost with the link."""
        self.linked = False
        self.outbox.clear()
        table.edge_lost(self)

    def tell_disconnect(self, message: Disconnect) -> None:
        self.told.append(message)
        if self.linked:
            self.end(message.session)

    def answers_for(self, session: str) -> bool:
        return self.linked and session in self.sessions and session not in self.silent

    async def probe(self, session: str, timeout_s: float) -> bool:
        del timeout_s
        self.probed.append(session)
        self.on_probe()
        await asyncio.sleep(0)
        alive = self.answers_for(session)
        if self.linked and not alive:
            self.end(session)
        return alive


class LinkEdge:
    """An edge worker as control sees it, over a real Unix socket. Applies settings, answers probes, obeys."""

    def __init__(self, slot: int = 0, pid: int = 4711) -> None:
        self.slot, self.pid = slot, pid
        self.hangs = False
        """True: nothing that control says is heard any more."""
        self.breaks_off = False
        """True: the next thing control says breaks the link."""
        self.sessions: dict[str, LiveSession] = {}
        self.silent: set[str] = set()
        self.refuses_settings = ""
        """What to answer to settings instead of using them."""
        self.slow_to_apply = False
        """True: say nothing about settings until `apply` is called."""
        self.settings: EdgeSettings | None = None
        self.updates: list[EdgeSettings] = []
        self.disconnected: list[Disconnect] = []
        self.probed: list[Probe] = []
        self.budgets: list[BudgetAnswer] = []
        self.kept: list[CountersKept] = []
        self._answers: dict[int, asyncio.Future[AdmitGranted | AdmitRefused]] = {}
        self._numbers = itertools.count(1)
        self._names = itertools.count(1)
        self._changed = asyncio.Event()
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None]

    async def connect(self, path: Path) -> Self:
        """Say Hello with whatever sessions there are."""
        self._reader, self._writer = await asyncio.open_unix_connection(str(path))
        self.send(Hello(self.slot, self.pid, tuple(self.sessions.values())))
        self._task = asyncio.create_task(self._listen())
        return self

    async def close(self) -> None:
        """The link breaks; sessions live on."""
        self._writer.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def send(self, message: EdgeMessage) -> None:
        self._writer.write(encode(message))

    def send_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def _listen(self) -> None:
        reader = control_reader()
        while data := await self._reader.read(1 << 16):
            for message in reader.feed(data):
                if self.breaks_off:
                    self._writer.close()
                    return
                if not self.hangs:
                    self._take(message)
            self._changed.set()

    def _take(self, message: Any) -> None:
        match message:
            case SettingsUpdate(settings=settings):
                self.updates.append(settings)
                if not self.refuses_settings:
                    self.settings = settings
                if not self.slow_to_apply:
                    self.apply()
            case AdmitGranted() | AdmitRefused():
                self._answers.pop(message.request_id).set_result(message)
            case Probe(request_id=number, session=session):
                self.probed.append(message)
                alive = session in self.sessions and session not in self.silent
                if not alive:
                    self.end(session)
                self.send(ProbeAnswer(number, session, alive=alive))
            case BudgetAnswer():
                self.budgets.append(message)
            case CountersKept():
                self.kept.append(message)
            case Disconnect(session=session):
                self.disconnected.append(message)
                self.end(session)
            case _:
                raise AssertionError(message)

    def apply(self) -> None:
        """Say that the latest settings are in force, or why not."""
        self.send(SettingsApplied(self.updates[-1].generation, self.refuses_settings))

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for what control does. Raises TimeoutError."""
        async with asyncio.timeout(_WAIT_S):
            while not condition():
                self._changed.clear()
                await asyncio.wait({asyncio.ensure_future(self._changed.wait())}, timeout=0.01)

    @property
    def connected(self) -> bool:
        return not self._task.done()

    # -- what charge points do

    async def ask(self, claim: Claim) -> AdmitGranted | AdmitRefused:
        number = next(self._numbers)
        answer: asyncio.Future[AdmitGranted | AdmitRefused] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self.send(AdmitRequest(number, f"{self.slot}-{next(self._names)}", claim))
        return await asyncio.wait_for(answer, _WAIT_S)

    async def admit(self, claim: Claim) -> Admission:
        """Ask, and be let in."""
        answer = await self.ask(claim)
        assert isinstance(answer, AdmitGranted), answer
        return answer.admission

    async def refused(self, claim: Claim) -> AdmitRefused:
        """Ask, and be refused."""
        answer = await self.ask(claim)
        assert isinstance(answer, AdmitRefused), answer
        return answer

    async def enter(self, claim: Claim, **fields: Any) -> LiveSession:
        """Be let in, and open the session."""
        return self.open(await self.admit(claim), **fields)

    def open(self, granted: Admission, **fields: Any) -> LiveSession:
        opened = self.sessions[granted.session] = live(granted, **fields)
        self.send(SessionOpened(opened))
        return opened

    def end(self, session: str, *, answers_pings: bool = False, reason: str = "over") -> None:
        ended = self.sessions.pop(session, None)
        if ended is not None:
            closed = SessionClosed(
                session, ended.charge_point_id, ended.generation, reason, answers_pings=answers_pings
            )
            self.send(closed)

    def register(self, opened: LiveSession, **claims: str) -> None:
        self.send(Registered(opened.session, opened.charge_point_id, opened.generation, **claims))

    def boot_state(self, opened: LiveSession, state: BootState) -> None:
        self.sessions[opened.session] = replace(opened, boot_state=state)
        self.send(BootStateChanged(opened.session, opened.charge_point_id, opened.generation, state))

    def report(self, *events: SecurityEvent) -> None:
        self.send(Report(events))

    def count(self, **values: float) -> None:
        self.send(Counters(values))
