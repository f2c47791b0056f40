"""Composition root of the control process: arguments, event loop, link socket, operations endpoints, reload, end."""

import argparse
import asyncio
import gc
import os
import signal
import socket
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop

from gateway.app.handover import pack, unpack
from gateway.app.lifeline import Lifeline
from gateway.app.logs import configure_logging
from gateway.audit.actor import SIGNAL
from gateway.config.model import Config
from gateway.config.problems import ConfigError
from gateway.control.acting import acting_for
from gateway.control.node import Node
from gateway.control.operations import Operations
from gateway.control.publication import PublicationListener
from gateway.link.messages import EdgeSettings
from gateway.link.tasks import TaskOwner
from gateway.store.errors import StoreError

__all__ = ["main"]

_MAX_WHY_CHARS = 8_000
_log = structlog.get_logger("app.control")


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ocpp-gateway _control")
    parser.add_argument("--config-fd", type=int, required=True, help="the configuration as the supervisor has read it")
    parser.add_argument("--settings-fd", type=int, default=-1, help="settings that a control before this one left")
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--link-fd", type=int, required=True)
    parser.add_argument("--edges", type=int, required=True)
    return parser.parse_args(argv)


class _ControlProcess:
    def __init__(self, arguments: argparse.Namespace, config: Config, settings: EdgeSettings | None) -> None:
        self._arguments = arguments
        self._config = config
        self._settings = settings
        self._lifeline = Lifeline()
        self._tasks = TaskOwner()
        self._stop = asyncio.Event()
        self._started = asyncio.Event()
        self._node: Node
        self._operations: Operations
        self._publication = PublicationListener(config.publication)

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # The supervisor tells us what to do; a terminal's Ctrl-C reaches the whole process group.
            loop.add_signal_handler(number, lambda: None)
        self._lifeline.start(loop, socket.socket(fileno=self._arguments.lifeline_fd), self._told, self._stop.set)
        try:
            server = await self._start(loop)
        except (OSError, StoreError, ConfigError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            _log.error("control_cannot_run", why=why)
            self._lifeline.send({"cannot_run": why[:_MAX_WHY_CHARS]})
            return 1
        gc.collect()
        gc.freeze()
        self._started.set()
        self._tasks.start(self._announce(), "announce")
        await self._stop.wait()
        server.close()
        await self._tasks.close()
        await self._operations.stop()
        await self._publication.stop()
        await self._node.stop()
        return 0

    async def _start(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractServer:
        """Raises OSError, StoreError, ConfigError."""
        self._node = Node(self._config, self._arguments.edges, self._settings)
        self._node.parts.publication.serve = self._publication.serve
        await self._node.start()
        self._operations = Operations(self._node, self._node.parts.operator_desk)
        run_dir = Path(self._config.state_dir) / "run"
        await self._operations.start(self._config.operations.address, run_dir / "admin.sock")
        if self._config.publication.address:
            await self._publication.start()
        return await loop.create_unix_server(self._node.new_link, sock=socket.socket(fileno=self._arguments.link_fd))

    async def _announce(self) -> None:
        told = ""
        while not self._node.is_ready():
            why = self._node.settings_refused()
            if why and why != told:
                self._lifeline.send({"cannot_run": why[:_MAX_WHY_CHARS]})
                told = why
            await asyncio.sleep(0.02)
        self._hand_over_settings()
        self._node.on_recertified = self._hand_over_settings
        self._lifeline.send({"ready": True})

    def _hand_over_settings(self) -> None:
        """What is in force outlives us with the supervisor."""
        descriptor = pack(self._node.settings())
        self._lifeline.send({"in_force": True}, (descriptor,))
        os.close(descriptor)

    def _told(self, message: dict[str, Any], descriptors: list[int]) -> None:
        match message.get("do"):
            case "reload" if len(descriptors) == 1:
                self._tasks.start(self._reload(unpack(descriptors.pop(), Config)), "reload")
            case "note_reload_failure":
                self._tasks.start(self._note_failure(message), "note-failure")
            case "drain":
                self._tasks.start(self._drain(), "drain")
            case _:
                _log.debug("lifeline_ignored", message=str(message)[:200])
        for descriptor in descriptors:
            os.close(descriptor)

    async def _reload(self, config: Config) -> None:
        await self._started.wait()
        with acting_for(self._node.parts.reload_orders.take()):
            why = await self._node.reload(config)
        if not why:
            self._hand_over_settings()
        self._lifeline.send({"reload_failed": why[:_MAX_WHY_CHARS]} if why else {"reloaded": True})

    async def _note_failure(self, message: dict[str, Any]) -> None:
        await self._started.wait()
        recorded = bool(message.get("recorded"))
        with acting_for(SIGNAL if recorded else self._node.parts.reload_orders.take()):
            self._node.reload_failed(str(message.get("why", "")), recorded=recorded)

    async def _drain(self) -> None:
        await self._started.wait()
        self._node.draining = True


def main(argv: list[str]) -> int:
    """Run control until the supervisor lets go of the lifeline. Returns the exit code."""
    arguments = _arguments(argv)
    try:
        config = unpack(arguments.config_fd, Config)
        settings = unpack(arguments.settings_fd, EdgeSettings) if arguments.settings_fd >= 0 else None
    except (OSError, msgspec.MsgspecError) as error:
        configure_logging("info", process="control")
        _log.error("handover_unreadable", why=str(error))
        return 1
    configure_logging(config.log_level, process="control")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_ControlProcess(arguments, config, settings).run())
