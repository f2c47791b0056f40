"""Composition root of an edge worker: arguments, event loop, lifeline to the supervisor, start and stop order."""

import argparse
import asyncio
import gc
import json
import os
import signal
import socket
from typing import Any

import structlog
import uvloop

from gateway.app.lifeline import Lifeline
from gateway.app.logs import configure_logging
from gateway.edge.worker import Worker

__all__ = ["main"]

_log = structlog.get_logger("app.edge")


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ocpp-gateway _edge")
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--control", required=True, help="path of the control socket")
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--listener", action="append", default=[], metavar="NAME=FD")
    parser.add_argument("--log-level", default="info")
    return parser.parse_args(argv)


def _descriptors(values: list[str]) -> dict[str, int]:
    pairs = (value.rpartition("=") for value in values)
    return {name: int(descriptor) for name, _, descriptor in pairs}


class _EdgeProcess:
    """Connects the worker with the supervisor's lifeline."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._lifeline = Lifeline()
        self._lifeline_socket = socket.socket(fileno=arguments.lifeline_fd)
        self._worker = Worker(arguments.slot, arguments.control, _descriptors(arguments.listener))
        self._stop = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._lifeline.start(loop, self._lifeline_socket, self._told, self._stop.set)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # The supervisor tells us what to do; a terminal's Ctrl-C reaches the whole process group.
            loop.add_signal_handler(number, lambda: None)
        serving = self._worker.tasks.start(self._worker.run(), "worker")
        announcing = self._worker.tasks.start(self._announce(), "announce")
        stopping = self._worker.tasks.start(self._stop.wait(), "stop")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        del announcing
        await self._worker.stop()

    async def _announce(self) -> None:
        await self._worker.ready.wait()
        # What exists now lives as long as the process: keep the collector from walking it (performance.md, d).
        gc.collect()
        gc.freeze()
        self._lifeline.send({"ready": True})

    async def _drain(self, timeout_s: float) -> None:
        await self._worker.drain(timeout_s)
        deadline = asyncio.get_running_loop().time() + timeout_s * 0.3
        while self._worker.bridges and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        self._lifeline.send({"drained": True})

    def _told(self, message: dict[str, Any], descriptors: list[int]) -> None:
        match message.get("do"):
            case "listeners":
                self._worker.remove_sockets(list(message.get("remove", ())))
                self._worker.add_sockets(dict(zip(message.get("add", ()), descriptors, strict=False)))
            case "drain":
                self._worker.tasks.start(self._drain(float(message.get("timeout_s", 20))), "drain")
            case _:
                _log.debug("lifeline_ignored", message=json.dumps(message)[:200])
                for descriptor in descriptors:
                    os.close(descriptor)


def main(argv: list[str]) -> int:
    """Run an edge worker until the supervisor lets go of the lifeline. Returns the exit code."""
    arguments = _arguments(argv)
    configure_logging(arguments.log_level, process=f"edge-{arguments.slot}")
    # Generation 2 is collected rarely and late: a full pass over thousands of sessions stops the data plane.
    gc.set_threshold(20_000, 50, 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_EdgeProcess(arguments).run())
    return 0
