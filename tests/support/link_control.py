"""Control's end of the link, as an edge sees it: over a real Unix socket, and it says what the test wants it to say."""

import asyncio

from gateway.link.framing import edge_reader, encode
from gateway.link.messages import ControlMessage, EdgeMessage

__all__ = ["LinkControl"]

_WAIT_S = 90.0


class LinkControl:
    """Control as an edge sees it: says what the test wants it to say."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[EdgeMessage] = asyncio.Queue()
        self.links = 0
        self.reads = asyncio.Event()
        """Cleared: what edges send stays in their buffers."""
        self.reads.set()
        self._writer: asyncio.StreamWriter

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links += 1
        self._writer = writer
        frames = edge_reader()
        while data := await reader.read(65_536):
            await self.reads.wait()
            for message in frames.feed(data):
                self.heard.put_nowait(message)
        writer.close()

    async def hear(self) -> EdgeMessage:
        return await asyncio.wait_for(self.heard.get(), _WAIT_S)

    def say(self, message: ControlMessage) -> None:
        self._writer.write(encode(message))
