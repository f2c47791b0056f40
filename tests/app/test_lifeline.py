"""The lifeline carries objects and descriptors, and tells each side that the other is gone."""

import asyncio
import os
import socket
from typing import Any

from gateway.app.lifeline import Lifeline, lifeline_pair


class _End:
    """One end, with what it heard."""

    def __init__(self, sock: socket.socket) -> None:
        self.lifeline = Lifeline()
        self.heard: asyncio.Queue[tuple[dict[str, Any], list[int]]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.lifeline.start(
            asyncio.get_running_loop(), sock, lambda message, fds: self.heard.put_nowait((message, fds)), self.lost.set
        )


async def test_an_object_and_its_descriptor_arrive_together() -> None:
    ours, theirs = map(_End, lifeline_pair())
    read, write = os.pipe()
    assert ours.lifeline.send({"do": "listeners"}, (write,))
    message, descriptors = await theirs.heard.get()
    os.write(descriptors[0], b"x")
    assert (message, os.read(read, 1)) == ({"do": "listeners"}, b"x")
    for descriptor in (read, write, *descriptors):
        os.close(descriptor)
    ours.lifeline.close()
    await theirs.lost.wait()


async def test_the_other_end_hears_that_we_let_go_and_sends_no_more() -> None:
    ours, theirs = map(_End, lifeline_pair())
    ours.lifeline.close()
    await theirs.lost.wait()
    assert not theirs.lifeline.send({"late": True})
    assert not ours.lifeline.send({"late": True})
    assert not ours.lost.is_set()


async def test_a_packet_that_is_no_object_is_dropped_with_its_descriptors_and_the_next_one_is_heard() -> None:
    raw, sock = lifeline_pair()
    end = _End(sock)
    read, write = os.pipe()
    socket.send_fds(raw, [b"[1]"], [write])
    socket.send_fds(raw, [b"no json"], [write])
    os.close(write)
    raw.send(b'{"do":"drain"}')
    assert await end.heard.get() == ({"do": "drain"}, [])
    assert os.read(read, 1) == b""  # every copy of the writing end is closed
    os.close(read)
    raw.close()
    await end.lost.wait()


async def test_a_full_lifeline_says_so_and_does_not_block() -> None:
    ours, theirs = lifeline_pair()
    end = _End(ours)
    sent = 0
    while end.lifeline.send({"filler": "x" * 10_000}):
        sent += 1
    assert sent > 0
    theirs.recv(65_536)
    assert end.lifeline.send({"again": True})
    theirs.close()
    end.lifeline.close()
