"""Plays of OCPP messages in a session, one by one, and of scripts with several actors."""

import contextlib
import json
import re
from typing import Any

from tests.attacks.answers import answer_of_csms, answer_of_station
from tests.attacks.case import Case, NotUnderstood
from tests.attacks.expand import frames_of, generated_text, list_messages, numbered
from tests.attacks.observed import Observed
from tests.attacks.play import Play, csms_silent_about, finish, forwarded, senders
from tests.attacks.preconditions import pend, setting_of
from tests.attacks.session import MARKER, NotAdmitted, Session, Side, head_of, other
from tests.attacks.versions import in_version, known_in, may_send
from tests.attacks.world import Kind, World, until

__all__ = ["plan_frames"]

_ONLY_VERSION = re.compile(r"subprotocol ocpp(\S+) negotiated")
_USERINFO = re.compile(r"://([^@/\s\"]+)@")
_VALUE = re.compile(r'"(?:attributeValue|value)":"([^"]*)"')
_SECRET_CHARS = 8
_MOST_GENERATED = 100
"""Of messages that are counted: enough to show any limit."""
_ABOUT_THE_VERSION = frozenset(
    {"rpc.unknown_action", "rpc.malformed", "rpc.message_id", "policy.denied", "rpc.direction"}
)
"""Events of cases whose messages need not fit the version."""


def _written(case: Case, version: str) -> list[str]:
    """What a case says of one version, before it is fitted to it."""
    if case.gen:
        if case.gen.keys() != {"messages", "items_each"}:
            raise NotUnderstood(f"gen {', '.join(case.gen)}")
        return list_messages(version, case.gen["messages"], case.gen["items_each"])
    generator = case.generator
    if not generator:
        return frames_of(case, version)
    if generator.keys() == {"also"}:
        return [*frames_of(case, version), generated_text(generator["also"])]
    if "frame" in generator and generator.keys() <= {"frame", "count", "per_s"}:
        count = min(int(generator["count"]), _MOST_GENERATED)
        return [numbered(generator["frame"], number) for number in range(count)]
    return [generated_text(generator)]


def _messages(case: Case, version: str) -> list[str]:
    """Everything that a case sends in one version; none where it cannot be said in it."""
    only = next((match[1] for part in case.conditions if (match := _ONLY_VERSION.fullmatch(part))), "")
    if only:
        return case.frames if version == only else []
    written = _written(case, version)
    if case.expected.event == "schema.violation":
        return written if all(known_in(text, version) for text in written) else []
    if case.expected.event in _ABOUT_THE_VERSION or case.judged_as == "json":
        return written
    made = [in_version(text, version) for text in written]
    return [text for text in made if text is not None]


def plan_frames(case: Case) -> list[Play]:
    """A session a version and side. Near-misses are played in the default configuration, too. Raises NotUnderstood."""
    kinds: tuple[Kind, ...] = ("strict", "ordinary") if case.judged_as == "benign" else ("strict",)
    plays = [
        _frames_play(case, version, side, messages, kind)
        for version in case.version
        if (messages := _messages(case, version))
        for side in senders(case)
        if case.expected.event != "schema.violation" or all(may_send(text, version, side) for text in messages)
        for kind in kinds
    ]
    if not plays:
        raise NotUnderstood("no message in any of its versions")
    return plays


def _frames_play(case: Case, version: str, side: Side, messages: list[str], kind: Kind) -> Play:
    parts = (version, "from the CSMS" if side == "csms" else "", "by default" if kind == "ordinary" else "")
    label = " ".join(part for part in parts if part)
    setting = setting_of(case)

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label=label, source=source, version=version, sender_is_csms=side == "csms")
        seen.watched = kind == "ordinary"
        seen.secrets = _secrets(case, messages)
        identity = world.charge_point(setting.group)
        with setting.csms(world):
            async with Session.open(world, source, version, identity=identity) as session:
                session.read()
                if setting.boot:
                    await session.booted(setting.boot)
                for step in setting.steps:
                    await step(session, side)
                if case.expected.decision == "allow":
                    await _make_possible(session, side, messages)
                await _send_all(case, session, seen, side, messages)
        return seen

    return Play(label=label, run=run, kind=kind)


async def _send_all(case: Case, session: Session, seen: Observed, side: Side, messages: list[str]) -> None:
    if case.expected.decision == "sanitize" and case.expected.forwarded:
        await _send_to_be_sanitized(session, seen, side, messages)
    elif "frame" in case.generator:
        await _send_and_wait(session, seen, side, messages)
    else:
        await _send_each(session, seen, side, messages)


def _secrets(case: Case, messages: list[str]) -> set[str]:
    """What a case says must not be written down, and credentials in URLs in any case."""
    found = {
        part for text in messages for part in _USERINFO.findall(text) if ":" in part and len(part) >= _SECRET_CHARS
    }
    if "logged" in case.expected.audit or "redacted" in case.expected.audit:
        found |= {value for text in messages for value in _VALUE.findall(text) if len(value) >= _SECRET_CHARS}
    return found


async def _make_possible(session: Session, side: Side, messages: list[str]) -> None:
    """Legitimate answers need the calls that they answer, and what is sent on a stream needs the stream."""
    for text in messages:
        match head_of(text):
            case (3 | 4, message_id):
                await pend(session, other(side), message_id)
            case (5, message_id):
                await _answer_first(session, side, message_id)
            case (6, message_id) if "NotifyPeriodicEventStream" in text:
                await _open_stream(session, side, message_id, json.loads(text)[3]["id"])


async def _answer_first(session: Session, side: Side, message_id: str) -> None:
    """A CALLRESULTERROR is about the result of a call."""
    await pend(session, side, message_id)
    call = next(text for text in session.texts(other(side)) if head_of(text) == (2, message_id))
    answer = answer_of_csms(call) if side == "station" else answer_of_station(call, session.version)
    assert answer is not None
    await session.send_text(other(side), answer)
    if not await until(lambda: answer in session.texts(side)):
        raise NotAdmitted("no result for what is to be found wrong")


async def _open_stream(session: Session, side: Side, message_id: str, stream: int) -> None:
    payload = {"constantStreamData": {"id": stream, "variableMonitoringId": 1, "params": {"interval": 1}}}
    opening = json.dumps([2, f"{message_id}-open", "OpenPeriodicEventStream", payload], separators=(",", ":"))
    await session.send_text(side, opening)
    if not await session.answered(side, f"{message_id}-open", opening):
        raise NotAdmitted("no stream could be opened")


# -- sending


async def _send_and_wait(session: Session, seen: Observed, side: Side, messages: list[str]) -> None:
    """One after the other, each when the one before has been answered; those that want no answer at once."""
    there = other(side)
    arrived_before = len(session.texts(there))
    for text in messages:
        told_before = len(session.texts(side))
        await session.send_text(side, text)
        head = head_of(text)
        if head is not None and head[0] == 2:
            await session.answered(side, head[1], text)
        _note_reply(seen, session.texts(side)[told_before:], forwarded=text in session.texts(there))
        if session.ended(side):
            break
    seen.closed = not await session.marker(side)
    seen.forwarded = forwarded(messages, session.texts(there)[arrived_before:])


async def _send_each(session: Session, seen: Observed, side: Side, messages: list[str]) -> None:
    """Send, then an innocent call behind it: once that has arrived, the message before it has been judged."""
    arrived_before = len(session.texts(other(side)))
    retried = {text for text in messages if messages.count(text) > 1}
    for number, text in enumerate(messages):
        told_before = len(session.texts(side))
        unanswered = retried if text in messages[number + 1 :] else set()
        with _silent(session.world, unanswered):
            await session.send_text(side, text)
            alive = await session.marker(side)
        passed = text in session.texts(other(side))[arrived_before:]
        _note_reply(seen, session.texts(side)[told_before:], forwarded=passed)
        if not alive:
            seen.closed = True
            break
        if side == "csms" and passed:
            await _accept(session, text)
    if seen.closed:
        await finish(session, seen, side)
    seen.forwarded = forwarded(messages, session.texts(other(side))[arrived_before:])


def _silent(world: World, unanswered: set[str]) -> contextlib.AbstractContextManager[None]:
    return csms_silent_about(world, unanswered.__contains__) if unanswered else contextlib.nullcontext()


def _note_reply(seen: Observed, told: list[str], *, forwarded: bool) -> None:
    """What came back to one message."""
    seen.replies.append(_error_code(told))
    results = [json.loads(text)[2] for text in told if text.startswith("[3,") and not text.startswith(f'[3,"{MARKER}')]
    seen.natives.append(next((_status(payload) for payload in results if not forwarded), ""))


def _status(payload: dict[str, Any]) -> str:
    """The status that a result says, wherever its action has it; "-" where it says none."""
    for holder in (payload, payload.get("idTagInfo"), payload.get("idTokenInfo")):
        if isinstance(holder, dict) and "status" in holder:
            return str(holder["status"])
    return "-"


async def _send_to_be_sanitized(session: Session, seen: Observed, side: Side, messages: list[str]) -> None:
    """CALLERRORs for calls that are open each time; what arrives must be harmless (RPC-09)."""
    there, arrived = other(side), 0
    for text in messages:
        head = head_of(text)
        if head is None or head[0] != 4:
            raise NotUnderstood("sanitizing anything but a CALLERROR")
        if (2, head[1]) not in map(head_of, session.texts(there)):
            await pend(session, there, head[1])
        before = len(session.texts(there))
        await session.send_text(side, text)
        seen.closed = not await session.marker(side) or seen.closed
        found = [json.loads(t) for t in session.texts(there)[before:] if t.startswith("[4,")]
        arrived += bool(found)
        seen.problems += [problem for error in found for problem in _harmful(error)]
    seen.forwarded = "all" if arrived == len(messages) else "some" if arrived else "none"


def _harmful(error: list[Any]) -> list[str]:
    """What a CALLERROR holds that must not reach the other side."""
    _, _, code, description, details = error
    found = [] if code.isalpha() else [f"code {code[:40]!r} was passed on"]
    found += ["a description over 255 characters"] if len(description) > 255 else []
    found += [] if description.isprintable() else ["control characters in the description"]
    return found + (["details over 1 KiB"] if len(json.dumps(details)) > 1024 else [])


def _error_code(texts: list[str]) -> str:
    """The code of the first CALLERROR among what a sender was told."""
    for text in texts:
        if text.startswith("[4,") and not text.startswith(f'[4,"{MARKER}'):
            return str(json.loads(text)[2])
    return ""


async def _accept(session: Session, call: str) -> None:
    """The charge point does as the CSMS says."""
    answer = answer_of_station(call, session.version)
    if answer is not None:
        before = len(session.texts("csms"))
        await session.send_text("station", answer)
        await until(lambda: answer in session.texts("csms")[before:] or session.ended("csms"), 5)
