"""A witness as a small HTTP server. TLS, where it is wanted, is a reverse proxy's business."""

import asyncio
import signal
import time
from collections.abc import Callable

from aiohttp import web

from gateway.control.trail.witness import Answer, Witness

__all__ = ["serve_witness"]

_MAX_BODY_BYTES = 1 << 20


def _application(witness: Witness) -> web.Application:
    lock = asyncio.Lock()

    async def answered(ask: Callable[[bytes], Answer], request: web.Request) -> web.Response:
        body = await request.read()
        # One at a time: comparing with the newest head and replacing it must not be torn apart.
        async with lock:
            answer = await asyncio.to_thread(ask, body)
        return web.Response(
            status=answer.status, body=answer.body.encode(), headers={"Content-Type": answer.content_type}
        )

    async def add_checkpoint(request: web.Request) -> web.Response:
        return await answered(lambda body: witness.add_checkpoint(body, int(time.time())), request)

    async def add_successor(request: web.Request) -> web.Response:
        return await answered(witness.add_successor, request)

    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    application.add_routes([web.post("/add-checkpoint", add_checkpoint), web.post("/add-successor", add_successor)])
    return application


async def serve_witness(witness: Witness, host: str, port: int, ready: Callable[[str, int], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told where. Raises OSError."""
    runner = web.AppRunner(_application(witness), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        ready(*runner.addresses[0][:2])
        await stop.wait()
    finally:
        await runner.cleanup()
