"""What must be the case before an attack, brought about in a session: a call open, a transaction running, a reading taken."""

import contextlib
import datetime
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from tests.attacks.answers import answer_of_csms
from tests.attacks.case import Case
from tests.attacks.expand import frames_of
from tests.attacks.play import csms_silent_about
from tests.attacks.roster import CONDITIONS
from tests.attacks.session import NotAdmitted, Session, Side, head_of, other
from tests.attacks.versions import in_version
from tests.attacks.world import BLOCKED_TOKEN, World, until

__all__ = ["Setting", "can_be_brought_about", "pend", "refusal_of", "setting_of"]

Step = Callable[[Session, Side], Awaitable[None]]
Answer = Callable[[str], str | None]

_PENDING = re.compile(r"(?:CSMS|station) call (\S+)(?: \S+ for a (blocklisted) tag)? pending(?: towards CSMS)?")
_ANSWERED = re.compile(r"call (\S+) answered an hour ago")
_REFUSED = re.compile(r"gateway answered CALLERROR for (\S+) and did not forward it")
_BOOT_STATUS = re.compile(r"CSMS answered (Pending|Rejected), interval \d+")
_TOKEN_STATUS = re.compile(r"CSMS answers (\w+)|\d+ stations, \d+ tags, \d+ (refused)")
_READING = re.compile(r"last reading (\d+) s ago (\d+) Wh")
_GROUP = re.compile(r"UK group(?:, .*)?")
_TRANSACTION = "transaction open"
_RESTARTED = "gateway restart"
_NOTHING_TO_DO = re.compile(
    r"session up|no call pending|no SignCertificate pending|peer guesses the id and answers"
    r"|peer builds its error text from the bad input|subprotocol ocpp\S+ negotiated"
    r"|\S+ charging at \S+|transaction \S+ belongs to \S+|\S+ has none open|22 kW station|group requires signed firmware"
    r"|V2X station, inventory max discharge 11 kW|each profile on its own is legal|\d+ stations(?: alternate groups)?"
    r"|CSMS token stolen|rule set denies UpdateFirmware to unknown hosts"
    r"|disk quota 1 GiB|attacker sends 1000 denied messages/s"
    r"|hot reload on|new file has an unknown action name, or a bad signature"
)
"""What a session, the site or the case's own messages see to."""


def can_be_brought_about(condition: str) -> bool:
    """True if sessions can be brought into this state."""
    patterns = (
        *CONDITIONS,
        _NOTHING_TO_DO,
        _PENDING,
        _ANSWERED,
        _REFUSED,
        _BOOT_STATUS,
        _TOKEN_STATUS,
        _READING,
        _GROUP,
    )
    if condition == _TRANSACTION:
        return True
    return any(pattern.fullmatch(condition) for pattern in patterns)


@dataclass
class Setting:
    """How a play begins."""

    group: str = ""
    boot: str = "Accepted"
    token: str = "Accepted"
    steps: list[Step] = field(default_factory=list)

    @contextlib.contextmanager
    def csms(self, world: World) -> Any:
        """The CSMS answers as the case says."""
        before = world.csms.answer
        world.csms.answer = self._answer
        try:
            yield
        finally:
            world.csms.answer = before

    def _answer(self, text: str) -> str | None:
        made = answer_of_csms(text)
        if made is None:
            return None
        frame, action = json.loads(made), json.loads(text)[2]
        payload = frame[2]
        if action == "BootNotification":
            payload.update(status=self.boot, interval=300 if self.boot == "Accepted" else 3600)
        for info in ("idTagInfo", "idTokenInfo"):
            if info in payload:
                payload[info]["status"] = self.token
        return json.dumps(frame, separators=(",", ":"))


def setting_of(case: Case) -> Setting:
    """What the preconditions of a case ask for."""
    # The gateway has not seen how a charge point started that was there before it.
    setting = Setting(boot="" if _RESTARTED in case.title else "Accepted")
    for condition in case.conditions:
        if boot := _BOOT_STATUS.fullmatch(condition):
            setting.boot = boot[1]
        elif token := _TOKEN_STATUS.fullmatch(condition):
            setting.token = token[1] or "Invalid"
        elif _GROUP.fullmatch(condition):
            setting.group = "uk"
        else:
            setting.steps += _steps(case, condition)
    return setting


def _steps(case: Case, condition: str) -> list[Step]:
    if pending := _PENDING.fullmatch(condition):
        # Where both sides attack, each reflects a call of its own; else it is the other side that has asked.
        own, token = case.direction == "both", BLOCKED_TOKEN if pending[2] else "TAG-A"
        return [lambda session, side: pend(session, side if own else other(side), pending[1], token)]
    if _ANSWERED.fullmatch(condition):
        return [_send_before(case)]
    if refused := _REFUSED.fullmatch(condition):
        return [lambda session, side: refusal_of(session, other(side), refused[1])]
    if reading := _READING.fullmatch(condition):
        return [_read_before(case, int(reading[1]), reading[2])]
    return [_start_transaction] if condition == _TRANSACTION else []


def _innocent(session: Session, side: Side, message_id: str, token: str) -> str:
    """A call that its receiver leaves unanswered."""
    if side == "csms":
        return f'[2,"{message_id}","TriggerMessage",{{"requestedMessage":"Heartbeat"}}]'
    made = in_version(f'[2,"{message_id}","Authorize",{{"idTag":"{token}"}}]', session.version)
    assert made is not None
    return made


async def pend(session: Session, caller: Side, message_id: str, token: str = "TAG-A") -> None:
    """A call from `caller` that stays open."""
    text = _innocent(session, caller, message_id, token)
    with csms_silent_about(session.world, lambda sent: sent == text):
        await session.send_text(caller, text)
        if not await until(lambda: text in session.texts(other(caller))):
            raise NotAdmitted(f"an innocent call did not reach the {other(caller)}")


async def refusal_of(session: Session, side: Side, message_id: str) -> None:
    """A call that the gateway refuses."""
    await session.send_text(side, f'[2,"{message_id}","Heartbeat",{{"a":1,"a":2}}]')
    if not await until(lambda: any(head_of(text) == (4, message_id) for text in session.texts(side))):
        raise NotAdmitted("the gateway refused nothing")


def _send_before(case: Case) -> Step:
    async def prepare(session: Session, side: Side) -> None:
        for text in frames_of(case, session.version):
            await session.send_text(side, text)
            if not await until(lambda text=text: text in session.texts(other(side))):
                raise NotAdmitted("the call to be replayed did not get through the first time")
        await session.marker(side)
        session.texts(other(side)).clear()

    return prepare


async def _start_transaction(session: Session, _: Side) -> None:
    token = f"TAG-{session.key}"[:20]
    payload = {"connectorId": 1, "idTag": token, "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
    await _tell(session, json.dumps([2, "before", "StartTransaction", payload], separators=(",", ":")))


async def _tell(session: Session, text: str) -> None:
    """A call of the charge point that is relayed and answered."""
    made = in_version(text, session.version)
    if made is None:
        raise NotAdmitted("what was before cannot be said in this version")
    await session.send_text("station", made)
    if not await session.answered("station", "before", made) or made not in session.texts("csms"):
        raise NotAdmitted("what was before did not get through")


def _read_before(case: Case, seconds: int, energy: str) -> Step:
    """The case's own message with another reading, so long before."""

    async def prepare(session: Session, _: Side) -> None:
        for text in frames_of(case, session.version):
            frame = json.loads(text)
            frame[1] = "before"
            for value in frame[3]["meterValue"]:
                at = datetime.datetime.fromisoformat(value["timestamp"]) - datetime.timedelta(seconds=seconds)
                value["timestamp"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
                for sample in value["sampledValue"]:
                    sample["value"] = energy if isinstance(sample["value"], str) else float(energy)
            await _tell(session, json.dumps(frame, separators=(",", ":")))

    return prepare
