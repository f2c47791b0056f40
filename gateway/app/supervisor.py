"""The supervisor: holds the listening sockets and its children, and nothing else. No secrets, nothing from the network."""

import asyncio
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from gateway.app.children import Child
from gateway.app.handover import pack
from gateway.app.logs import configure_logging
from gateway.app.notify import notify
from gateway.app.sockets import Change, ListeningSockets, bind_unix, require_free
from gateway.app.state_dir import claim_state_dir
from gateway.config.checks import split_address
from gateway.config.load import ConfigError, load_config_with_warnings
from gateway.config.model import Config
from gateway.link.tasks import TaskOwner

__all__ = ["Supervisor", "run"]

_RELOAD_TIMEOUT_S = 80.0
"""Control checks the rules at a low priority: seconds on an idle core, many times that where edges leave it little."""
_FIXED = {
    "state_dir": "gateway.state_dir",
    "database_url": "gateway.database_url",
    "edge_workers": "gateway.edge_workers",
    "log_level": "gateway.log_level",
    "operations": "operations.address",
}
"""What only a restart changes: a reload keeps the value it has and says so."""
_START_ATTEMPTS = 5
_log = structlog.get_logger("supervisor")


class _Outcome(NamedTuple):
    """How a reload went: why it failed, empty if it did not, and whether control has recorded that."""

    why: str
    recorded: bool


class Supervisor:
    """One running gateway. `program` starts a child and is replaced in tests."""

    def __init__(self, config: Config, *, json_output: bool = False, program: tuple[str, ...] | None = None) -> None:
        self._config = config
        self._json = json_output
        # -P: whatever lies in the working directory is none of our modules.
        self._program = program or (sys.executable, "-P", "-m", "gateway")
        self._run_dir = Path(config.state_dir) / "run"
        self._sockets = ListeningSockets(config.edge_workers)
        self._lock = -1
        self._link: socket.socket
        self._config_memory = -1
        self._settings_memory = -1
        self._control = Child("control", self._control_command, self._told)
        self._edges = [
            Child(f"edge-{slot}", lambda fd, slot=slot: self._edge_command(slot, fd), self._told)  # type: ignore[misc]
            for slot in range(config.edge_workers)
        ]
        self._tasks = TaskOwner()
        self._stop = asyncio.Event()
        self._start_failure = ""
        self._announced = asyncio.Event()
        self._drained: set[str] = set()
        self._reload_wanted = asyncio.Event()
        self._reload_answer: asyncio.Future[_Outcome] | None = None
        self._last_reload = _Outcome("", recorded=True)

    # -- start

    def bind(self) -> None:
        """Take the state directory and bind everything, so that what is taken is told before anything starts.

        Raises OSError.
        """
        self._lock = claim_state_dir(Path(self._config.state_dir))
        self._sockets.bind(self._config.listeners)
        try:
            # Control binds it, so that nobody answers there while control is away.
            require_free(*split_address(self._config.operations.address))
        except OSError as error:
            address = self._config.operations.address
            raise OSError(error.errno, f"operations ({address}): {error.strerror}") from error
        self._link = bind_unix(self._run_dir / "control.sock")
        self._config_memory = pack(self._config)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit code; raises OSError if a child cannot do its work at all."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_wanted.set)
        for child in (self._control, *self._edges):
            self._tasks.start(child.run(), child.name)
        reloading = self._tasks.start(self._reload_forever(), "reload")
        await self._stop.wait()
        reloading.cancel()
        await self._shut_down()
        if self._start_failure:
            raise OSError(self._start_failure)
        return 0

    def _control_command(self, lifeline: int) -> tuple[list[str], list[int]]:
        descriptors = [lifeline, self._link.fileno(), self._config_memory]
        arguments = [
            *self._program, "_control",
            "--lifeline-fd", str(lifeline),
            "--link-fd", str(self._link.fileno()),
            "--config-fd", str(self._config_memory),
            "--edges", str(self._config.edge_workers),
        ]  # fmt: skip
        if self._settings_memory >= 0:
            arguments += ["--settings-fd", str(self._settings_memory)]
            descriptors.append(self._settings_memory)
        return arguments, descriptors

    def _edge_command(self, slot: int, lifeline: int) -> tuple[list[str], list[int]]:
        descriptors = self._sockets.descriptors(slot)
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

    # -- what children say

    def _told(self, child: Child, message: dict[str, Any], descriptors: list[int]) -> None:
        if child is self._control and "in_force" in message and len(descriptors) == 1:
            _close(self._settings_memory)
            self._settings_memory = descriptors.pop()
        for descriptor in descriptors:
            os.close(descriptor)
        if "ready" in message:
            self._child_ready(child)
        elif "drained" in message:
            self._drained.add(child.name)
        elif "reloaded" in message or "reload_failed" in message:
            self._reload_answered(_Outcome(str(message.get("reload_failed", "")), recorded=True))
        elif "cannot_run" in message:
            self._fail_start(str(message["cannot_run"]))
        elif "died" in message:
            self._child_died(child)

    def _child_ready(self, child: Child) -> None:
        child.ready = True
        _log.info("child_ready", child=child.name, pid=child.pid, restarts=child.restarts)
        if child is self._control and self._last_reload.why:
            self._tell_failure()
        self._announce()

    def _child_died(self, child: Child) -> None:
        if child is self._control:
            self._reload_answered(_Outcome("the control process ended meanwhile", recorded=False))
        if child.restarts + 1 >= _START_ATTEMPTS:
            self._fail_start(f"{child.name} ended {child.restarts + 1} times; the log says why")

    def _fail_start(self, why: str) -> None:
        """Before the gateway was ready once there is nothing to keep alive, and whoever starts it wants to know."""
        if not self._announced.is_set() and not self._stop.is_set():
            self._start_failure = why
            self._stop.set()

    def _announce(self) -> None:
        if self._announced.is_set() or not all(child.ready for child in (self._control, *self._edges)):
            return
        self._announced.set()
        listeners = [
            {
                "name": x.name,
                "address": self._sockets.address_of(x.name),
                "security_profiles": [int(p) for p in x.security_profiles],
            }
            for x in self._config.listeners
        ]
        shown = ", ".join(f"{x['name']} on {x['address']}" for x in listeners)
        notify("READY=1", f"Serving {shown}")
        if self._json:
            _say(json.dumps({"ready": True, "listeners": listeners, "operations": self._config.operations.address}))
        else:
            _say(f"ocpp-gateway is ready: {shown}; operations on {self._config.operations.address}")

    # -- reload

    async def _reload_forever(self) -> None:
        """One reload at a time; a SIGHUP during a start or a reload is not lost but comes next."""
        await self._announced.wait()
        while True:
            await self._reload_wanted.wait()
            self._reload_wanted.clear()
            notify("RELOADING=1")
            why = await self._reload()
            notify("READY=1", f"The last reload failed, the previous configuration is in force: {why}" if why else "")

    async def _reload(self) -> str:
        """New listeners are bound first, then control loads everything; any failure leaves all as it was.

        Empty if the new configuration is in force, else why not.
        """
        change: Change | None = None
        memory = -1
        try:
            new = self._load_again()
            change = self._sockets.prepare(new.listeners)
            memory = pack(new)
            self._last_reload = await self._reload_control(memory)
            if not self._last_reload.why:
                self._take_over(new, change, memory)
                change, memory = None, -1
        except (ConfigError, OSError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            self._last_reload = _Outcome(why, recorded=False)
            self._tell_failure()
        finally:
            if change is not None:
                change.abandon()
            _close(memory)
        if self._last_reload.why:
            _log.error("reload_failed", why=self._last_reload.why)
        return self._last_reload.why

    def _load_again(self) -> Config:
        """The configuration in the file, apart from what only a restart can change. Raises ConfigError."""
        new, warnings = load_config_with_warnings(self._config.path)
        for warning in warnings:
            _log.warning("configuration", detail=str(warning))
        kept = {name: getattr(self._config, name) for name in _FIXED}
        for name, key in _FIXED.items():
            if getattr(new, name) != kept[name]:
                _log.warning("restart_needed", key=key)
        return msgspec.structs.replace(new, **kept)

    async def _reload_control(self, memory: int) -> _Outcome:
        """Control is asked, also if it has to come back first."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _RELOAD_TIMEOUT_S
        answer = self._reload_answer = loop.create_future()
        while not self._control.send({"do": "reload"}, (memory,)):
            if loop.time() > deadline:
                return _Outcome("the control process is not running", recorded=False)
            await asyncio.sleep(0.05)
        try:
            return await asyncio.wait_for(answer, _RELOAD_TIMEOUT_S)
        except TimeoutError:
            # Should it still put the new configuration into force, it would be alone with it.
            self._control.kill()
            return _Outcome("the control process did not answer and was killed", recorded=False)

    def _reload_answered(self, outcome: _Outcome) -> None:
        if self._reload_answer is not None and not self._reload_answer.done():
            self._reload_answer.set_result(outcome)

    def _tell_failure(self) -> None:
        """Let control record why nothing was reloaded, and show it; if it is away, when it is back."""
        why, recorded = self._last_reload
        if self._control.send({"do": "note_reload_failure", "why": why[:8000], "recorded": recorded}):
            self._last_reload = _Outcome(why, recorded=True)

    def _take_over(self, new: Config, change: Change, memory: int) -> None:
        self._sockets.take_over(change, new.listeners)
        self._config = new
        _close(self._config_memory)
        self._config_memory = memory
        if change.bound or change.removed:
            for slot, edge in enumerate(self._edges):
                descriptors = self._sockets.descriptors(slot, change.bound)
                message = {"do": "listeners", "add": list(descriptors), "remove": change.removed}
                edge.send(message, tuple(descriptors.values()))
        _log.info("reloaded", listeners=[listener.name for listener in new.listeners])

    # -- end

    async def _shut_down(self) -> None:
        """Drain the edges, then stop them, then control, so that the last events are written."""
        timeout_s = self._config.limits.drain_timeout_s
        notify("STOPPING=1", f"Draining for up to {timeout_s:g} s")
        _log.info("draining", timeout_s=timeout_s)
        self._sockets.close()
        self._control.send({"do": "drain"})
        for edge in self._edges:
            edge.retire()
            if not edge.send({"do": "drain", "timeout_s": timeout_s}):
                self._drained.add(edge.name)
        deadline = asyncio.get_running_loop().time() + timeout_s + 1.0
        while asyncio.get_running_loop().time() < deadline:
            if all(edge.name in self._drained for edge in self._edges if edge.ready):
                break
            await asyncio.sleep(0.05)
        for edge in self._edges:
            edge.stop()
        await asyncio.gather(*(edge.stopped(5.0 if edge.name in self._drained else 1.0) for edge in self._edges))
        self._control.stop()
        await self._control.stopped(5.0)
        await self._tasks.close()
        (self._run_dir / "control.sock").unlink(missing_ok=True)


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)


def _say(line: str) -> None:
    """One line on standard output; whoever does not listen any more misses it."""
    try:
        print(line, flush=True)  # noqa: T201
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _raise_descriptor_limit() -> None:
    """A session takes two descriptors in its edge; the usual soft limit of 1024 is not what the administrator meant."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(config_path: str, *, json_output: bool = False) -> int:
    """Run a gateway until it is told to stop. Returns an exit code; raises ConfigError and OSError before it starts."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until we can reload: a hasty operator must not end us
    config, warnings = load_config_with_warnings(config_path)
    configure_logging(config.log_level, process="supervisor")
    for warning in warnings:
        _log.warning("configuration", detail=str(warning))
    _raise_descriptor_limit()
    supervisor = Supervisor(config, json_output=json_output)
    supervisor.bind()
    return asyncio.run(supervisor.run())
