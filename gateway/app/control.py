"""Composition root of the control process: arguments, event loop, link socket, operations endpoints, reload, end."""

import argparse
import asyncio
import gc
import signal
import socket
from pathlib import Path
from typing import Any

import structlog
import uvloop

from gateway.app.lifeline import Lifeline
from gateway.app.logs import configure_logging
from gateway.config.load import ConfigError, load_config
from gateway.config.model import Config
from gateway.control.node import Node
from gateway.control.operations import Operations
from gateway.link.tasks import TaskOwner
from gateway.store.errors import StoreError

__all__ = ["main"]

_log = structlog.get_logger("app.control")


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ocpp-gateway _control")
    parser.add_argument("--config", required=True)
    parser.add_argument("--fallback", required=True, help="copy of the last configuration that was in force")
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--link-fd", type=int, required=True)
    parser.add_argument("--edges", type=int, required=True)
    return parser.parse_args(argv)


def _load(arguments: argparse.Namespace) -> Config:
    """The configuration, or, if it has been broken since, the last one that was in force."""
    try:
        return load_config(arguments.config)
    except ConfigError as error:
        configure_logging("info", process="control")
        _log.error("configuration_broken", using=arguments.fallback, why=str(error))
        return load_config(arguments.fallback, relative_to=Path(arguments.config).parent)


class _ControlProcess:
    def __init__(self, arguments: argparse.Namespace, config: Config) -> None:
        self._arguments = arguments
        self._config = config
        self._lifeline = Lifeline()
        self._tasks = TaskOwner()
        self._stop = asyncio.Event()
        self._node = Node(config, arguments.edges)
        self._operations = Operations(self._node)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # The supervisor tells us what to do; a terminal's Ctrl-C reaches the whole process group.
            loop.add_signal_handler(number, lambda: None)
        self._lifeline.start(loop, socket.socket(fileno=self._arguments.lifeline_fd), self._told, self._stop.set)
        await self._node.start()
        run_dir = Path(self._config.state_dir) / "run"
        await self._operations.start(self._config.operations.address, run_dir / "admin.sock")
        listening = socket.socket(fileno=self._arguments.link_fd)
        server = await loop.create_unix_server(self._node.new_link, sock=listening)
        gc.collect()
        gc.freeze()
        self._tasks.start(self._announce(), "announce")
        await self._stop.wait()
        server.close()
        await self._tasks.close()
        await self._operations.stop()
        await self._node.stop()

    async def _announce(self) -> None:
        while not self._node.is_ready():
            await asyncio.sleep(0.02)
        self._lifeline.send({"ready": True})

    def _told(self, message: dict[str, Any], descriptors: list[int]) -> None:
        del descriptors
        if message.get("do") == "reload":
            self._tasks.start(self._reload(), "reload")

    async def _reload(self) -> None:
        why = await self._node.reload(self._arguments.config)
        self._lifeline.send({"reload_failed": why} if why else {"reloaded": True})


def main(argv: list[str]) -> int:
    """Run control until the supervisor lets go of the lifeline. Returns the exit code."""
    arguments = _arguments(argv)
    try:
        config = _load(arguments)
    except ConfigError as error:
        configure_logging("info", process="control")
        _log.error("configuration_unusable", why=str(error))
        return 2
    configure_logging(config.log_level, process="control")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_ControlProcess(arguments, config).run())
    except (OSError, StoreError) as error:
        _log.error("control_cannot_run", why=str(error))
        return 1
    return 0
