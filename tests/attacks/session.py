"""One session through the gateway with both its ends in our hands."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Literal, Self, cast
from urllib.parse import quote

from OpenSSL import SSL
from websockets.exceptions import ConnectionClosed

from tests.attacks.answers import answer_of_station
from tests.attacks.link import ClientTLS, Link
from tests.attacks.world import Recorded, World, until
from tests.support.peer import CLOSE, PING, PONG, TEXT, Answer, Frame, basic, frame, upgrade

__all__ = ["BOOT", "HOST", "MARKER", "NotAdmitted", "Session", "Side", "head_of"]

Side = Literal["station", "csms"]
HOST = "gw.example.test"
MARKER = "marker-"
"""How the ids of innocent calls begin."""
_HELD_S = 1.5
"""How long an answer of control about a budget may take here."""
BOOT = {
    "1.6": '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]',
    "2.0.1": '[2,"boot","BootNotification",{"reason":"PowerUp","chargingStation":{"vendorName":"V","model":"M"}}]',
}
BOOT["2.1"] = BOOT["2.0.1"]


_HEAD = re.compile(r'\s*\[\s*(\d+)\s*,\s*("(?:[^"\\\x00-\x1f]|\\.)*")')


def head_of(text: str) -> tuple[int, str] | None:
    """(message type, message id) of what begins as an OCPP message, however it is spaced and escaped; else None."""
    found = _HEAD.match(text)
    try:
        return (int(found[1]), json.loads(found[2])) if found else None
    except ValueError:
        return None


class NotAdmitted(Exception):  # noqa: N818  an outcome
    """A charge point with good credentials did not get in: the case cannot be judged."""


class Session:
    """A charge point and the CSMS's end of its connection. `texts` are what came out at either end."""

    def __init__(self, world: World, identity: str, version: str, link: Link, upgraded: Answer) -> None:
        self.world, self.identity, self.version = world, identity, version
        self.link, self.upgraded = link, upgraded
        self.control: list[Frame] = []
        """Control frames that reached the charge point."""
        self.answers_pings = True
        self.key = quote(identity, safe="")
        self.connection = cast("Recorded", world.csms.connections[self.key])
        self._station_texts: list[str] = []
        self._station_close: int | None = None
        self._reader: asyncio.Task[None] | None = None
        self._markers = 0
        self._asked: list[tuple[Side, str]] = []
        """Calls and SENDs of which it is not known yet what became of them."""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        world: World,
        source: str,
        version: str = "1.6",
        *,
        identity: str = "",
        extra: tuple[str, ...] = (),
        highest: int = SSL.TLS1_3_VERSION,
        receive_buffer_bytes: int = 0,
    ) -> AsyncIterator[Self]:
        """Connect as `identity`, one of the pool if none is named, with its password. Raises NotAdmitted."""
        identity = identity or world.charge_point()
        link = await Link.open(
            world.address("tls"),
            source=source,
            tls=ClientTLS(server_name=HOST, highest=highest),
            receive_buffer_bytes=receive_buffer_bytes,
        )
        async with link:
            head = upgrade(
                f"/ocpp/{quote(identity, safe='')}",
                host=HOST,
                subprotocols=f"ocpp{version}",
                authorization=basic(identity, world.password(identity)),
                extra=extra,
            )
            session = await cls.over(world, link, head, identity, version)
            try:
                yield session
            finally:
                await session.end()

    @classmethod
    async def over(cls, world: World, link: Link, head: bytes, identity: str, version: str) -> Self:
        """Upgrade an open connection with the request `head`."""
        key = quote(identity, safe="")
        world.csms.connections.pop(key, None)
        world.csms.texts.pop(key, None)
        world.csms.closes.pop(key, None)
        link.send(head)
        try:
            answer: Answer | None = await link.answer()
        except (asyncio.IncompleteReadError, OSError):
            answer = None
        if answer is None or answer.status != 101:
            raise NotAdmitted(f"{identity} got {answer.status if answer else 'no answer'} instead of 101")
        if not await until(lambda: key in world.csms.connections):
            raise NotAdmitted(f"{identity} did not reach the CSMS")
        return cls(world, identity, version, link, answer)

    async def end(self) -> None:
        """The charge point vanishes; wait until the CSMS has seen the end, so that the next session starts clean."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self.link.close()
        await until(lambda: bool(self.world.csms.closes.get(self.key)))

    # -- the charge point's end

    def read(self) -> None:
        """Start reading at the charge point's end, as a well-behaved charge point does."""
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                try:
                    received = await self.link.frame()
                except TimeoutError:
                    continue
                if received.opcode == TEXT:
                    self._station_texts.append(received.payload.decode())
                elif received.opcode == CLOSE:
                    self._station_close = received.close_code or 1005
                    self.link.send(frame(CLOSE, received.payload))
                else:
                    self.control.append(received)
                    if received.opcode == PING and self.answers_pings:
                        self.link.send(frame(PONG, received.payload))

    # -- both ends

    def texts(self, side: Side) -> list[str]:
        """What has arrived there."""
        return self._station_texts if side == "station" else self.world.csms.texts[self.key]

    @property
    def drained(self) -> bool:
        """True if nothing that arrived at the charge point is left to be looked at."""
        return self._reader is None or self._reader.done()

    def close_code(self, side: Side) -> int | None:
        """The code of the close frame that arrived there, None if there was none."""
        if side == "station":
            return self._station_close
        received = self.connection.protocol.close_rcvd
        return received.code if received is not None else None

    def ended(self, side: Side) -> bool:
        """True if the gateway has said or done that the session is over, on that leg."""
        if side == "station":
            return self.link.closed or self._station_close is not None
        return bool(self.world.csms.closes.get(self.key)) or self.connection.protocol.close_rcvd is not None

    async def send_text(self, side: Side, text: str) -> None:
        """Send a message from one end."""
        head = head_of(text)
        if head is not None and head[0] in {2, 6}:
            self._asked.append((side, text))
        if side == "station":
            self.link.send_text(text)
            await self.link.sent()
            return
        with contextlib.suppress(ConnectionClosed):
            await self.connection.send(text)

    def send_raw(self, side: Side, data: bytes) -> None:
        """Bytes as they are, behind the back of whatever speaks WebSocket at that end."""
        if side == "station":
            self.link.send(data)
        else:
            self.connection.transport.write(data)

    async def marker(self, side: Side) -> bool:
        """Send an innocent call and wait for its answer: all that was sent before has then been judged and answered.

        A refusal is an answer too. What waits for a budget of the fleet is overtaken by it: that is waited for, for a
        while, as what is dropped leaves no trace. False if the session ended instead.
        """
        self._markers += 1
        name = f"{MARKER}{self._markers}"
        text = json.dumps(
            [2, name, "Heartbeat" if side == "station" else "GetLocalListVersion", {}], separators=(",", ":")
        )
        asked, self._asked = self._asked, []
        await self.send_text(side, text)
        found = await self.answered(side, name, text)
        await until(lambda: all(self._is_decided(*each) for each in asked) or self.ended(side), _HELD_S)
        self._asked = []
        return found

    def _is_decided(self, side: Side, text: str) -> bool:
        if text in self.texts(other(side)):
            return True
        head = head_of(text)
        answers = set() if head is None else {(3, head[1]), (4, head[1])}
        return head is None or any(head_of(told) in answers for told in self.texts(side))

    async def answered(self, side: Side, message_id: str, text: str) -> bool:
        """Wait until a call that `side` has sent is answered; a charge point that gets it does as it is told."""
        there, answers = other(side), {(3, message_id), (4, message_id)}

        def has_answer() -> bool:
            return any(head_of(told) in answers for told in self.texts(side))

        await until(lambda: text in self.texts(there) or has_answer() or self.ended(side))
        if side == "csms" and text in self.texts("station") and not has_answer():
            answer = answer_of_station(text, self.version)
            if answer is not None:
                await self.send_text("station", answer)
        await until(lambda: has_answer() or self.ended(side))
        return has_answer()

    async def boot(self) -> None:
        """BootNotification, accepted. Raises NotAdmitted."""
        await self.booted("Accepted")

    async def booted(self, status: str) -> None:
        """BootNotification, answered with a status. Raises NotAdmitted."""
        await self.send_text("station", BOOT[self.version])
        if not await until(lambda: any(f'"{status}"' in text for text in self.texts("station"))):
            raise NotAdmitted(f"BootNotification was not answered {status}")


def other(side: Side) -> Side:
    """The opposite end."""
    return "csms" if side == "station" else "station"
