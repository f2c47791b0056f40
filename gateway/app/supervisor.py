"""The supervisor: holds the listening sockets and its children, and nothing else. No secrets, nothing from the network."""

import asyncio
import json
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import structlog

from gateway.app.children import Child
from gateway.app.logs import configure_logging
from gateway.app.notify import notify
from gateway.app.sockets import address_of, bind_slots, bind_unix
from gateway.config.load import ConfigError, load_config_with_warnings
from gateway.config.model import Config, Listener
from gateway.link.tasks import TaskOwner

__all__ = ["LAST_GOOD", "Supervisor", "run"]

LAST_GOOD = "last-good.toml"
"""Copy of the last configuration that was in force, in the run directory."""
_RELOAD_TIMEOUT_S = 30.0
_log = structlog.get_logger("supervisor")


class Supervisor:
    """One running gateway. `program` starts a child and is replaced in tests."""

    def __init__(self, config: Config, *, json_output: bool = False, program: tuple[str, ...] | None = None) -> None:
        self._config = config
        self._json = json_output
        self._program = program or (sys.executable, "-m", "gateway")
        self._run_dir = Path(config.state_dir) / "run"
        self._sockets: dict[str, list[socket.socket]] = {}
        self._link: socket.socket
        self._control: Child
        self._edges: list[Child] = []
        self._tasks = TaskOwner()
        self._stop = asyncio.Event()
        self._announced = False
        self._drained: set[str] = set()
        self._reload_answer: asyncio.Future[str] | None = None

    # -- start

    def bind(self) -> None:
        """Bind everything, so that a taken port is told before anything starts. Raises OSError."""
        Path(self._config.state_dir).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for listener in self._config.listeners:
            self._sockets[listener.name] = bind_slots(listener, self._config.edge_workers)
        self._link = bind_unix(self._run_dir / "control.sock")

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._tasks.start(self._reload(), "reload"))
        self._keep_last_good()
        self._control = Child("control", self._control_command, self._told)
        self._edges = [
            Child(f"edge-{slot}", lambda fd, slot=slot: self._edge_command(slot, fd), self._told)  # type: ignore[misc]
            for slot in range(self._config.edge_workers)
        ]
        for child in (self._control, *self._edges):
            self._tasks.start(child.run(), child.name)
        await self._stop.wait()
        await self._shut_down()
        return 0

    def _control_command(self, lifeline: int) -> tuple[list[str], list[int]]:
        arguments = [
            *self._program, "_control",
            "--config", self._config.path,
            "--fallback", str(self._run_dir / LAST_GOOD),
            "--lifeline-fd", str(lifeline),
            "--link-fd", str(self._link.fileno()),
            "--edges", str(self._config.edge_workers),
        ]  # fmt: skip
        return arguments, [self._link.fileno()]

    def _edge_command(self, slot: int, lifeline: int) -> tuple[list[str], list[int]]:
        descriptors = {name: sockets[slot].fileno() for name, sockets in self._sockets.items()}
        arguments = [
            *self._program, "_edge",
            "--slot", str(slot),
            "--control", str(self._run_dir / "control.sock"),
            "--lifeline-fd", str(lifeline),
            "--log-level", self._config.log_level,
        ]  # fmt: skip
        for name, descriptor in descriptors.items():
            arguments += ["--listener", f"{name}={descriptor}"]
        return arguments, list(descriptors.values())

    def _keep_last_good(self) -> None:
        """What is in force now is what a restarted control falls back to, should the file have been broken since."""
        target = self._run_dir / LAST_GOOD
        shutil.copyfile(self._config.path, target)
        target.chmod(0o600)

    # -- what children say

    def _told(self, child: Child, message: dict[str, Any]) -> None:
        if message.get("ready"):
            child.ready = True
            _log.info("child_ready", child=child.name, pid=child.pid, restarts=child.restarts)
            self._announce()
        elif message.get("drained"):
            self._drained.add(child.name)
        elif "reloaded" in message or "reload_failed" in message:
            self._reload_answered(str(message.get("reload_failed", "")))

    def _reload_answered(self, why: str) -> None:
        if self._reload_answer is not None and not self._reload_answer.done():
            self._reload_answer.set_result(why)

    def _announce(self) -> None:
        if self._announced or not all(child.ready for child in (self._control, *self._edges)):
            return
        self._announced = True
        listeners = [
            {
                "name": x.name,
                "address": address_of(self._sockets[x.name][0]),
                "security_profiles": [int(p) for p in x.security_profiles],
            }
            for x in self._config.listeners
        ]
        if self._json:
            print(  # noqa: T201
                json.dumps({"ready": True, "listeners": listeners, "operations": self._config.operations.address}),
                flush=True,
            )
        else:
            shown = ", ".join(f"{x['name']} on {x['address']}" for x in listeners)
            print(f"ocpp-gateway is ready: {shown}; operations on {self._config.operations.address}", flush=True)  # noqa: T201
        notify("READY=1")

    # -- reload

    async def _reload(self) -> None:
        """SIGHUP: new listeners are bound first, then control loads everything; any failure leaves all as it was."""
        if self._reload_answer is not None and not self._reload_answer.done():
            _log.warning("reload_ignored", why="the previous one is still running")
            return
        notify("RELOADING=1")
        new = self._config
        try:
            new, warnings = load_config_with_warnings(self._config.path)
            for warning in warnings:
                _log.warning("configuration", detail=str(warning))
        except ConfigError as error:
            _log.error("reload_failed", why=str(error))
        if new.edge_workers != self._config.edge_workers:
            _log.warning("restart_needed", key="gateway.edge_workers")
        added, removed = self._difference(new)
        bound: dict[str, list[socket.socket]] = {}
        why = ""
        try:
            for listener in added:
                bound[listener.name] = bind_slots(listener, self._config.edge_workers)
        except OSError as error:
            why = error.strerror or str(error)
        why = why or await self._reload_control()
        if why:
            _log.error("reload_failed", why=why)
            for sockets in bound.values():
                for sock in sockets:
                    sock.close()
        else:
            self._take_over(new, bound, removed)
        notify("READY=1")

    def _difference(self, new: Config) -> tuple[list[Listener], list[str]]:
        """Listeners whose sockets must be added, names of those that must go (a changed address is both)."""
        old = {listener.name: listener.address for listener in self._config.listeners}
        current = {listener.name: listener.address for listener in new.listeners}
        added = [listener for listener in new.listeners if old.get(listener.name) != listener.address]
        removed = [name for name, address in old.items() if current.get(name) != address]
        return added, removed

    async def _reload_control(self) -> str:
        """Empty if control is on the new configuration, else why not."""
        self._reload_answer = asyncio.get_running_loop().create_future()
        if not self._control.send({"do": "reload"}):
            return "the control process is not running"
        try:
            return await asyncio.wait_for(self._reload_answer, _RELOAD_TIMEOUT_S)
        except TimeoutError:
            return "the control process does not answer"

    def _take_over(self, new: Config, bound: dict[str, list[socket.socket]], removed: list[str]) -> None:
        for name in removed:
            for sock in self._sockets.pop(name):
                sock.close()
        self._sockets |= bound
        self._config = new
        self._keep_last_good()
        if bound or removed:
            for slot, edge in enumerate(self._edges):
                descriptors = tuple(sockets[slot].fileno() for sockets in bound.values())
                edge.send({"do": "listeners", "add": list(bound), "remove": removed}, descriptors)
        _log.info("reloaded", listeners=[listener.name for listener in new.listeners])

    # -- end

    async def _shut_down(self) -> None:
        """Drain the edges, then stop them, then control, so that the last events are written."""
        notify("STOPPING=1")
        timeout_s = self._config.limits.drain_timeout_s
        _log.info("draining", timeout_s=timeout_s)
        for sockets in self._sockets.values():
            for sock in sockets:
                sock.close()
        for edge in self._edges:
            if not edge.send({"do": "drain", "timeout_s": timeout_s}):
                self._drained.add(edge.name)
        deadline = asyncio.get_running_loop().time() + timeout_s + 1.0
        names = {edge.name for edge in self._edges if edge.ready}
        while not names <= self._drained and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        for edge in self._edges:
            edge.stop()
        await asyncio.gather(*(edge.stopped(5.0) for edge in self._edges))
        self._control.stop()
        await self._control.stopped(5.0)
        await self._tasks.close()


def run(config_path: str, *, json_output: bool = False) -> int:
    """Run a gateway until it is told to stop. Returns an exit code; raises ConfigError and OSError before it starts."""
    config, warnings = load_config_with_warnings(config_path)
    configure_logging(config.log_level, process="supervisor")
    for warning in warnings:
        _log.warning("configuration", detail=str(warning))
    supervisor = Supervisor(config, json_output=json_output)
    supervisor.bind()
    return asyncio.run(supervisor.run())
