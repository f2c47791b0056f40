"""Starts a stack in front of the echo CSMS, drives load at it, and reads what it costs from /proc."""

import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.probe import FOLDER_VARIABLE, probe
from bench.stacks import PASSWORD, start
from gateway.demo.ports import free_ports

__all__ = ["BUILD", "Rig", "RunFailed", "build_load_generator", "go", "load", "rig"]

HERE = Path(__file__).parent
BUILD = HERE / "build"
_WSBENCH = BUILD / "wsbench"
_PROXY_CORE, _LOAD_CORE = "0", "1"


class RunFailed(Exception):  # noqa: N818  what happened
    """A measurement could not be made; the others go on."""


def build_load_generator() -> None:
    """Compile wsbench if its source is newer than the binary."""
    BUILD.mkdir(exist_ok=True)
    source = HERE / "wsbench.c"
    if not _WSBENCH.exists() or _WSBENCH.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-o", _WSBENCH, source, "-lssl", "-lcrypto", "-lpthread", "-lm"], check=True)


def _process_tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += _process_tree(int(child))
    return found


class Rig(NamedTuple):
    """A running stack."""

    pid: int
    port: int
    work: Path
    mtls: bool
    """False: charge points show a password and no certificate."""

    def cpu_seconds(self) -> float:
        """CPU time of the whole process tree so far: the gateway's control process and supervisor count."""
        total = 0
        for process in _process_tree(self.pid):
            with contextlib.suppress(FileNotFoundError):
                for task in os.listdir(f"/proc/{process}/task"):
                    total += int(Path(f"/proc/{process}/task/{task}/schedstat").read_text().split()[0])
        return total / 1e9

    def rss_kib(self) -> int:
        """Resident memory of the whole process tree; shared pages count in each process, so only quote differences."""
        total = 0
        for process in _process_tree(self.pid):
            with contextlib.suppress(FileNotFoundError):
                for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Rss:"):
                        total += int(line.split()[1])
        return total

    def reload(self) -> None:
        """Ask a gateway to read its configuration and its rule packs again."""
        os.kill(self.pid, signal.SIGHUP)

    def reloads(self) -> list[float]:
        """When (seconds since the epoch) reloads came into force, as the gateway's event log has it."""
        events = map(json.loads, (self.work / "state" / "security-events.jsonl").read_text().splitlines())
        times = [event["time"] for event in events if event.get("event") == "config.reloaded"]
        return [datetime.datetime.fromisoformat(moment).timestamp() for moment in times]

    def probe(self) -> list[dict[str, float]]:
        """What the Python processes of this stack say of themselves (bench/probe.py)."""
        return list(probe(self.work / "probe").values())


def _wait_until_ready(stack: str, port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RunFailed(f"it exited: {log.read_text()[-2000:] if log.exists() else ''}")
        with socket.socket() as sock:
            is_open = sock.connect_ex(("127.0.0.1", port)) == 0
        if is_open and (not stack.startswith("gateway") or "is ready" in log.read_text()):
            return
        time.sleep(0.05)
    raise RunFailed(f"it never got ready: {log.read_text()[-2000:]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def rig(stack: str, *, mtls: bool = True) -> Iterator[Rig]:
    """A running stack in front of an echo CSMS. Without mTLS charge points show a password. Raises RunFailed."""
    port, up, operations = free_ports(3)
    work = Path(tempfile.mkdtemp(prefix="ocpp-bench-"))
    (work / "probe").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), FOLDER_VARIABLE: str(work / "probe")}
    echo = subprocess.Popen(["taskset", "-c", _LOAD_CORE, _WSBENCH, "echo", str(up)])
    proxy = start(stack, work, BUILD / "certs", (port, up, operations), _PROXY_CORE, environment, mtls=mtls)
    try:
        _wait_until_ready(stack, port, proxy, work / "proxy.log")
        time.sleep(1.0)
        yield Rig(proxy.pid, port, work, mtls)
        complaints = [line for line in (work / "proxy.log").read_text().splitlines() if "error" in line.lower()]
        if complaints:
            print(f"  {stack} complained: {complaints[0][:300]}", flush=True)
    finally:
        _end(proxy)
        _end(echo)
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def load(kind: str, running: Rig, /, **options: float) -> "Iterator[subprocess.Popen[str]]":
    """The load generator, its connections made, waiting for `go`. Raises RunFailed."""
    words = [f"{key}={value}" for key, value in options.items()]
    proof = f"certs={BUILD / 'certs'}" if running.mtls else f"password={PASSWORD}"
    command = ["taskset", "-c", _LOAD_CORE, str(_WSBENCH), kind, f"port={running.port}", proof, *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("READY"):
            raise RunFailed(f"load generator: {line!r}")
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def go(process: "subprocess.Popen[str]", **options: float) -> dict[str, float]:
    """Let the load generator run one round; its figures. Its connections stay open, and it may be told to go again.

    `options` win over those it was started with, for this round.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    words = [f"{key}={value}" for key, value in options.items()]
    process.stdin.write(" ".join(["go", *words]) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RunFailed("the load generator lost a connection")
    answer: dict[str, float] = json.loads(line)
    return answer
