"""Plays on an open WebSocket: raw frames, floods, compression, peers that stop reading or vanish."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.frames import Opcode

from gateway.websocket.deflate import deflate
from tests.attacks.case import Case, NotUnderstood
from tests.attacks.expand import numbered
from tests.attacks.observed import Observed
from tests.attacks.play import Play, finish, forwarded, senders
from tests.attacks.session import NotAdmitted, Session, Side, other
from tests.attacks.world import World, until
from tests.support.peer import PING, PONG, TEXT, frame

__all__ = ["plan_ws"]

_MOST_BYTES = 64 << 20
_TICK_S = 0.01
_LARGE = "x" * 200_000
_SLOW_MESSAGES = 100
_DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover"

Body = Callable[[Session, Observed], Coroutine[Any, Any, None]]


def _plays(case: Case, side: Side, what: str, body: Body) -> list[Play]:
    """One play a version: a session, booted where the case says so, and then `body` in it."""

    def play(version: str) -> Play:
        label = " ".join(part for part in (version, "from the CSMS" if side == "csms" else "", what) if part)

        async def run(world: World, source: str) -> Observed:
            seen = Observed(label=label, source=source, version=version, sender_is_csms=side == "csms")
            async with Session.open(world, source, version) as session:
                session.read()
                if "upgrade done" not in case.conditions:
                    await session.boot()
                await body(session, seen)
            return seen

        return Play(label=label, run=run)

    return [play(version) for version in case.version]


def unmasked(data: bytes) -> bytes:
    """The frames of a client as a server would send them. Raises NotUnderstood if they are not whole and masked."""
    made, at = b"", 0
    while at < len(data):
        size, head = data[at + 1] & 0x7F, 2
        if not data[at + 1] & 0x80 or size > 125:
            raise NotUnderstood("frames of a client that cannot be sent by a CSMS")
        mask, end = data[at + head : at + head + 4], at + head + 4 + size
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[at + head + 4 : end]))
        made += bytes([data[at], size]) + payload
        at = end
    return made


def texts_in(data: bytes) -> list[str]:
    """The text messages in whole masked frames of a client, fragments joined."""
    plain, at, found, parts = unmasked(data), 0, [], b""
    while at < len(plain):
        end = at + 2 + plain[at + 1]
        if not plain[at] & 0x08:  # control frames may stand between fragments
            parts += plain[at + 2 : end]
            if plain[at] & 0x80:
                found.append(parts.decode())
                parts = b""
        at = end
    return found


# -- bytes


def _plan_bytes(case: Case) -> list[Play]:
    if not case.generator.keys() <= {"also_hex"}:
        raise NotUnderstood(f"generator {case.generator}")
    variants = [case.bytes_hex, *case.generator.get("also_hex", ())]
    plays = []
    for side in senders(case):
        for number, text in enumerate(variants):
            body = _send_bytes(case, side, bytes.fromhex(text))
            plays += _plays(case, side, f"also {number}" if number else "", body)
    return plays


def _send_bytes(case: Case, side: Side, data: bytes) -> Body:
    async def body(session: Session, seen: Observed) -> None:
        session.texts(other(side)).clear()
        session.send_raw(side, data)
        if case.expected.decision == "allow":
            wanted = texts_in(data)
            await until(lambda: forwarded(wanted, session.texts(other(side))) == "all" or session.ended(side), 5)
            seen.forwarded = forwarded(wanted, session.texts(other(side)))
            seen.closed = session.link.closed
            return
        await finish(session, seen, side)
        seen.forwarded = "some" if session.texts(other(side)) else "none"

    return body


# -- floods of frames


async def _flood(session: Session, side: Side, chunks: Callable[[int], bytes], ticks: int, tick_s: float) -> None:
    """`chunks(i)` each `tick_s`, until the session ends or it was enough."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for tick in range(ticks):
        if session.ended(side) or (side == "station" and not await session.link.sent()):
            return
        session.send_raw(side, chunks(tick))
        due += tick_s
        await asyncio.sleep(max(0.0, due - loop.time()))


def _plan_fragments(case: Case) -> list[Play]:
    first, then = bytes.fromhex(case.generator["first_hex"]), bytes.fromhex(case.generator["then_hex"])
    count = int(case.generator["count"])
    at_once = 500
    if len(then) * count > _MOST_BYTES:
        raise NotUnderstood("too many fragments")

    async def body(session: Session, seen: Observed) -> None:
        session.texts("csms").clear()
        session.send_raw("station", first)
        await _flood(session, "station", lambda _: then * at_once, -(-count // at_once), 0)
        await finish(session, seen, "station")
        seen.forwarded = "some" if session.texts("csms") else "none"

    return _plays(case, "station", "", body)


def _plan_frame_flood(case: Case) -> list[Play]:
    data, generator = bytes.fromhex(case.generator["hex"]), case.generator
    at_once, ticks = int(generator["per_s"] * _TICK_S), int(generator["seconds"] / _TICK_S)

    def body(side: Side) -> Body:
        one = data if side == "station" else unmasked(data)
        payload = unmasked(data)[2:]

        async def flood(session: Session, seen: Observed) -> None:
            await _flood(session, side, lambda _: one * at_once, ticks, _TICK_S)
            await finish(session, seen, side)
            pongs = [p for op, p in session.connection.control if op is Opcode.PONG and p == payload]
            pings = [p for op, p in session.connection.control if op is Opcode.PING and p == payload]
            at_station = [(f.opcode, f.payload) for f in session.control]
            answered = (PONG, payload) in at_station if side == "station" else bool(pongs)
            relayed = bool(pings) if side == "station" else (PING, payload) in at_station
            seen.problems += [] if answered else ["no ping was answered"]
            seen.forwarded = "some" if relayed else "none"

        return flood

    return [play for side in senders(case) for play in _plays(case, side, "", body(side))]


def _plan_message_flood(case: Case) -> list[Play]:
    generator = case.generator
    count, at_once = int(generator["count"]), max(1, int(generator["per_s"] * _TICK_S))
    texts = [numbered(generator["frame"], number) for number in range(count)]

    def chunk(tick: int) -> bytes:
        return b"".join(frame(TEXT, text.encode()) for text in texts[tick * at_once : (tick + 1) * at_once])

    async def body(session: Session, seen: Observed) -> None:
        await _flood(session, "station", chunk, -(-count // at_once), _TICK_S)
        await finish(session, seen, "station")
        seen.forwarded = forwarded(texts, session.texts("csms"))
        seen.replies = [json.loads(text)[2] for text in session.texts("station") if text.startswith("[4,")]

    return _plays(case, "station", "", body)[:1]


# -- compression


def _plan_deflate(case: Case) -> list[Play]:
    """A compressed message, after the agreement to compress: 1.6 needs the tolerance deflate-1.6 for that."""
    content = case.gen["deflate_of"]
    if content.keys() != {"text"} or case.gen.keys() != {"deflate_of"}:
        raise NotUnderstood(f"gen {case.gen}")

    def play(version: str) -> Play:
        async def run(world: World, source: str) -> Observed:
            seen = Observed(label=version, source=source, version=version)
            identity = "CP-D16" if version == "1.6" else "CP-A01"
            async with Session.open(world, source, version, identity=identity, extra=(_DEFLATE,)) as session:
                if "permessage-deflate" not in session.upgraded.headers.get("sec-websocket-extensions", ""):
                    seen.problems.append("compression was not agreed")
                session.read()
                text = content["text"]
                session.send_raw("station", frame(TEXT, deflate(text.encode(), 15), rsv=4))
                await until(lambda: text in session.texts("csms") or session.ended("station"), 5)
                seen.forwarded, seen.closed = forwarded([text], session.texts("csms")), session.link.closed
            return seen

        return Play(label=version, run=run)

    return [play(version) for version in case.version]


# -- peers that do not read or are gone


def _plan_slow_reader(case: Case) -> list[Play]:
    """The CSMS goes on sending large messages at its pace; the charge point leaves them unread."""
    pause_s = 1 / float(case.generator["csms_sends_per_s"])

    async def run(world: World, source: str) -> Observed:
        seen = Observed(label="", source=source)
        async with Session.open(world, source, receive_buffer_bytes=8_192) as session:
            session.link.stop_reading()
            texts = [_data_transfer(number) for number in range(_SLOW_MESSAGES)]
            for text in texts:
                if session.ended("csms"):
                    break
                session.send_raw("csms", frame(TEXT, text.encode(), mask=None))
                await asyncio.sleep(pause_s)
            if not await until(lambda: session.ended("csms")):
                seen.problems.append("the CSMS was not told")
            session.link.read_on()
            session.read()
            await finish(session, seen, "station")
            seen.forwarded = forwarded(texts, session.texts("station"))
        return seen

    return [Play(label="", run=run)]


def _data_transfer(number: int) -> str:
    return f'[2,"slow-{number}","DataTransfer",{{"vendorId":"com.vendor","data":"{_LARGE}"}}]'


def _plan_vanished(case: Case) -> list[Play]:
    """The peer's TCP still acknowledges, as a dead modem's proxy does, but nobody is there."""
    if case.generator != {"drop_after_handshake": True}:
        raise NotUnderstood(f"generator {case.generator}")

    def play(label: str, answers_first_ping: bool) -> Play:
        async def run(world: World, source: str) -> Observed:
            seen = Observed(label=label, source=source)
            # The gateway remembers who has ever answered a ping.
            identity = "CP-A01" if answers_first_ping else "CP-B02"
            async with Session.open(world, source, identity=identity) as session:
                if answers_first_ping:
                    session.read()
                    await until(lambda: any(received.opcode == PING for received in session.control))
                    session.answers_pings = False
                session.link.stop_reading()
                if not await until(lambda: session.ended("csms")):
                    seen.problems.append("the CSMS was not told")
                session.link.read_on()
                await finish(session, seen, "station")
            try:
                async with Session.open(world, world.new_source(), identity=identity):
                    pass
            except NotAdmitted as refused:
                seen.problems.append(f"the identity is not free again: {refused}")
            return seen

        return Play(label=label, run=run, kind="short-timers")

    return [
        play("answered pings before", answers_first_ping=True),
        play("never answered one", answers_first_ping=False),
    ]


def plan_ws(case: Case) -> list[Play]:
    """The plays of a case about frames. Raises NotUnderstood."""
    if case.bytes_hex:
        return _plan_bytes(case)
    if "deflate_of" in case.gen:
        return _plan_deflate(case)
    match sorted(case.generator):
        case ["count", "first_hex", "then_hex"]:
            return _plan_fragments(case)
        case ["hex", "per_s", "seconds"]:
            return _plan_frame_flood(case)
        case ["count", "frame", "per_s"]:
            return _plan_message_flood(case)
        case ["client_reads", "csms_sends_per_s"] if case.generator["client_reads"] is False:
            return _plan_slow_reader(case)
        case ["drop_after_handshake"]:
            return _plan_vanished(case)
        case keys:
            raise NotUnderstood(f"generator {', '.join(keys) or 'none'}")
