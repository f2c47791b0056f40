"""Plays the world to a simulated charge point: `scenario >> event << effect`.

Every message is held against its schema, and what goes over the wire has to be expected, in order. `settle` answers all
that is open with the least that the schemas allow.
"""

import datetime
import functools
import json
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

from cryptography import x509

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.codec import decode_message
from gateway.ocpp.error_codes import meaning_of, spell
from gateway.ocpp.frames import Call, CallError, CallResult
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.simulator.core.charge_point import ChargePoint
from gateway.simulator.core.effects import (
    Connect,
    Disconnect,
    Drop,
    Effect,
    MakeKey,
    Note,
    Reboot,
    Send,
    StartTimer,
    StopTimer,
    Store,
)
from gateway.simulator.core.events import (
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    Failure,
    KeyMade,
    Received,
    Started,
    TimerDue,
)
from gateway.simulator.core.memory import ClientCertificate, Memory, restore, save
from gateway.simulator.core.model import Model, new_memory
from gateway.simulator.core.quirks import read_quirks
from gateway.simulator.shell.keys import make_key
from tests.support.tls_material import Authority, Issued

NOW = float(int(time.time()))
"""The tests' certificates are valid now."""
PASSWORD = "password-of-cp-1"
KEY = "0001020304050607FFFFFFFFFFFFFFFFFFFFFFFF"
OPERATOR = "Example CPO"
VERSIONS = ("1.6", "2.0.1", "2.1")
WIRE = (Connect, Send, Disconnect, Drop, Reboot, MakeKey)


def text_of(moment: float) -> str:
    return (
        datetime.datetime.fromtimestamp(moment, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


TIME = {"currentTime": text_of(NOW)}
LEAST: dict[str, dict[str, Any]] = {
    "BootNotification": {"status": "Accepted", "interval": 300, **TIME},
    "Heartbeat": TIME,
    "StartTransaction": {"transactionId": 77, "idTagInfo": {"status": "Accepted"}},
    "SignCertificate": {"status": "Accepted"},
}


@functools.cache
def authority(name: str = "Test Root") -> Authority:
    return Authority(name)


def pem(issued: Issued | x509.Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = issued.certificate if isinstance(issued, Issued) else issued
    return certificate.public_bytes(Encoding.PEM).decode()


@functools.cache
def own_certificate(serial_number: str = "SN-1") -> ClientCertificate:
    issued = authority().charge_point(serial_number)
    return ClientCertificate(chain_pem=issued.pem.decode(), key_pem=issued.key_pem.decode())


def sign(csr_pem: str, *, by: Authority | None = None, **options: Any) -> str:
    """A certificate for a request."""
    request = x509.load_pem_x509_csr(csr_pem.encode())
    holder: Any = SimpleNamespace(public_key=request.public_key)
    issued = (by or authority()).charge_point(options.pop("serial_number", "SN-1"), OPERATOR, key=holder, **options)
    return issued.pem.decode()


@dataclass(frozen=True)
class ExpectedCall:
    """A call of this action, with at least these fields."""

    action: str
    fields: dict[str, Any]


def calls(action: str, **fields: Any) -> ExpectedCall:
    return ExpectedCall(action, fields)


class Result(dict[str, Any]):
    """Expect: an answer with at least these fields."""


def answers(**fields: Any) -> Result:
    return Result(fields)


@dataclass(frozen=True)
class Error:
    """Expect: a CALLERROR with this code."""

    code: str


class Connects(dict[str, Any]):
    """Expect: an attempt with at least these attributes."""


def connects(**attributes: Any) -> Connects:
    return Connects(attributes)


def contains(value: Any, least: Any) -> bool:
    if isinstance(least, dict):
        return isinstance(value, dict) and all(
            key in value and contains(value[key], each) for key, each in least.items()
        )
    return bool(value == least)


class Scenario:
    """See the module. `profile` decides the URL; roots and certificates are there if it needs them."""

    def __init__(
        self,
        version: str = "1.6",
        profile: int = 1,
        *quirks: str,
        model: Model | None = None,
        memory: Memory | None = None,
        **factory: Any,
    ) -> None:
        self.version = OCPPVersion(version)
        self.gate = schema_gate(self.version)
        self.model, self.quirks = model or Model(), read_quirks(quirks)
        if memory is None:
            secure = profile > 1
            made: dict[str, Any] = {
                "serial_number": "SN-1",
                "password": PASSWORD if profile < 3 else "",
                "roots": (pem(authority().root),) if secure else (),
                "certificate": own_certificate() if profile == 3 else None,
                "organization": OPERATOR,
            }
            url = f"{'wss' if secure else 'ws'}://gw.test/ocpp"
            memory = new_memory("CP-1", self.version, url, profile, **made | factory)
        self.now = NOW
        self.cp = ChargePoint(memory, self.model, self.quirks, self.gate)
        self.wire: list[Effect] = []
        self.timers: dict[str, float] = {}
        self.notes: list[Note] = []
        self.stored = b""
        self.open: dict[str, str] = {}
        """Calls of the charge point by id, unanswered."""
        self.asked: dict[str, str] = {}
        """Calls of the CSMS by id."""
        self.ids = 0
        self.last: dict[str, Any] = {}
        """Payload of the last message that was expected."""

    @property
    def memory(self) -> Memory:
        return self.cp.memory

    def said(self, what: str) -> list[dict[str, Any]]:
        return [note.details for note in self.notes if note.what == what]

    # -- the language

    def __rshift__(self, event: Event) -> Self:
        assert self.wire == [], "not expected"
        self.feed(event)
        return self

    def __lshift__(self, expected: Any) -> Self:
        assert self.wire, f"nothing more comes; expected {expected!r}"
        effect = self.wire.pop(0)
        if isinstance(expected, type):
            assert isinstance(effect, expected), (effect, expected)
            return self
        if isinstance(expected, Connects):
            assert isinstance(effect, Connect), (effect, expected)
            for name, value in expected.items():
                assert getattr(effect, name) == value, (name, getattr(effect, name), value)
            return self
        assert isinstance(effect, Send), (effect, expected)
        frame, payload = decode_message(effect.text, self.version)
        self.last = payload
        if isinstance(expected, ExpectedCall):
            assert isinstance(frame, Call) and frame.action == expected.action, (effect.text, expected)
            assert contains(payload, expected.fields), (payload, expected)
        elif isinstance(expected, Error):
            assert isinstance(frame, CallError) and frame.code == expected.code, effect.text
        else:
            assert isinstance(frame, CallResult), (effect.text, expected)
            assert contains(payload, expected), (payload, expected)
        return self

    # -- the world

    def feed(self, event: Event) -> None:
        effects = self.cp.handle(event)
        assert restore(save(self.memory)) == self.memory
        if save(self.memory) != self.stored:
            assert isinstance(effects[0], Store)
        for effect in effects:
            self._take(effect)
        assert self.stored in (b"", save(self.memory)), "what is promised is stored"

    def _take(self, effect: Effect) -> None:
        match effect:
            case Store():
                self.stored = effect.memory
            case Note():
                assert PASSWORD not in repr(effect) and KEY not in repr(effect) and "PRIVATE" not in repr(effect)
                self.notes.append(effect)
            case StartTimer():
                self.timers[effect.timer] = effect.after_s
            case StopTimer():
                self.timers.pop(effect.timer, None)
            case Reboot():
                self.timers.clear()
                self.open.clear()
                self.wire.append(effect)
            case Send():
                self._check(effect.text)
                self.wire.append(effect)
            case _:
                self.wire.append(effect)

    def _check(self, text: bytes) -> None:
        frame, payload = decode_message(text, self.version)
        if isinstance(frame, Call):
            assert self.gate.check(frame.action, "call", payload) is None, text
            assert self.gate.knows(frame.action, "call")
            self.open[frame.message_id] = frame.action
        elif isinstance(frame, CallResult):
            assert self.gate.check(self.asked[frame.message_id], "result", payload) is None, text
        elif isinstance(frame, CallError):
            meaning = meaning_of(frame.code)
            assert meaning is not None and spell(meaning, self.version) == frame.code

    def csms(self, action: str, **payload: Any) -> Received:
        """A call of the CSMS."""
        self.ids += 1
        self.asked[f"csms-{self.ids}"] = action
        assert self.gate.check(action, "call", payload) is None, "the test itself must send what is legal"
        return Received(now=self.now, text=json.dumps([2, f"csms-{self.ids}", action, payload]).encode())

    def answer(self, **payload: Any) -> Received:
        """The answer to the oldest open call; without fields the least that is legal."""
        message_id = next(iter(self.open))
        action = self.open.pop(message_id)
        return Received(now=self.now, text=json.dumps([3, message_id, payload or LEAST.get(action, {})]).encode())

    def error(self, code: str) -> Received:
        message_id = next(iter(self.open))
        del self.open[message_id]
        return Received(now=self.now, text=json.dumps([4, message_id, code, "", {}]).encode())

    def due(self, timer: str) -> TimerDue:
        """A timer that must be running, at its time."""
        self.now += self.timers.pop(timer)
        return TimerDue(now=self.now, timer=timer)

    def connected(self) -> Connected:
        return Connected(now=self.now)

    def failed(self, failure: Failure = "unreachable") -> ConnectFailed:
        return ConnectFailed(now=self.now, failure=failure)

    def disconnected(self) -> Disconnected:
        self.open.clear()
        return Disconnected(now=self.now)

    def started(self) -> Started:
        return Started(now=self.now)

    def key_made(self) -> KeyMade:
        """What the MakeKey that was just expected leads to."""
        wanted = MakeKey(common_name=self.memory.serial_number, organization=OPERATOR, kind="ec")
        key_pem, csr_pem = make_key(wanted)
        return KeyMade(now=self.now, key_pem=key_pem, csr_pem=csr_pem)

    def settle(self) -> list[str]:
        """Answer everything until nothing is open; the actions that came."""
        came: list[str] = []
        while True:
            while self.wire and isinstance(self.wire[0], Send):
                frame, self.last = decode_message(self.wire.pop(0).text, self.version)  # type: ignore[union-attr]
                if isinstance(frame, Call):
                    came.append(frame.action)
            if not self.open:
                return came
            self.feed(self.answer())

    def up(self) -> Self:
        """Started, connected, registered, idle."""
        self >> self.started() << Connect
        self >> self.connected()
        assert self.settle()[0] == "BootNotification"
        return self

    def back(self) -> Self:
        """From a Disconnect or Reboot that was just expected to registered and idle again."""
        if self.cp.is_registered:
            self >> self.disconnected()
        if "connect" in self.timers:
            self >> self.due("connect")
        else:
            self >> self.started()
        self << Connect
        self >> self.connected()
        self.settle()
        return self
