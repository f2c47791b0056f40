"""The benchmark: every stack in turn, interleaved, on the same machine, and only ratios in the report.

    python -m bench.run [--kinds messages sessions memory] [--stacks ...] [--repeat N] [--quick]

The proxy runs on core 0, the load generator and the echo CSMS on core 1. CPU time is read from /proc for the proxy's
whole process tree, so the gateway's control process and supervisor count.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.certificates import make_certificates
from bench.stacks import CHARGE_POINTS, STACKS, start

HERE = Path(__file__).parent
BUILD = HERE / "build"
WSBENCH = BUILD / "wsbench"
KINDS = ("messages", "sessions", "memory")
TARGETS = {
    ("messages", "gateway"): ("haproxy", 1.8),
    ("sessions", "gateway"): ("haproxy", 1.2),
}
MEMORY_TARGET_KIB = 32.0


def build_load_generator() -> None:
    BUILD.mkdir(exist_ok=True)
    source = HERE / "wsbench.c"
    if not WSBENCH.exists() or WSBENCH.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O2", "-o", WSBENCH, source, "-lssl", "-lcrypto", "-lpthread", "-lm"], check=True)


def process_tree(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                found += process_tree(int(child))
    return found


def cpu_seconds(pid: int) -> float:
    total = 0
    for process in process_tree(pid):
        with contextlib.suppress(FileNotFoundError):
            for task in os.listdir(f"/proc/{process}/task"):
                total += int(Path(f"/proc/{process}/task/{task}/schedstat").read_text().split()[0])
    return total / 1e9


def rss_kib(pid: int) -> int:
    total = 0
    for process in process_tree(pid):
        with contextlib.suppress(FileNotFoundError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    total += int(line.split()[1])
    return total


def free_ports() -> tuple[int, int]:
    """A base port whose successor is free too, and one for the CSMS."""
    while True:
        sockets = [socket.socket() for _ in range(3)]
        try:
            sockets[0].bind(("127.0.0.1", 0))
            base = sockets[0].getsockname()[1]
            sockets[1].bind(("127.0.0.1", base + 1))
            sockets[2].bind(("127.0.0.1", 0))
            return base, sockets[2].getsockname()[1]
        except OSError:
            continue
        finally:
            for sock in sockets:
                sock.close()


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.time() + 60
    while time.time() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"it exited: {log.read_text()[-2000:] if log.exists() else ''}")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("the port never opened")


@contextlib.contextmanager
def rig(stack: str) -> "Iterator[tuple[int, int]]":
    """A running stack in front of an echo CSMS: (pid, port)."""
    port, up = free_ports()
    work = Path(tempfile.mkdtemp(prefix="ocpp-bench-"))
    echo = subprocess.Popen(["taskset", "-c", "1", WSBENCH, "echo", str(up)])
    proxy = start(stack, work, BUILD / "certs", port, up, "0")
    try:
        wait_for(port, proxy, work / "proxy.log")
        if stack.startswith("gateway"):
            time.sleep(2.0)
        time.sleep(0.5)
        yield proxy.pid, port
    finally:
        for process in (proxy, echo):
            process.terminate()
        for process in (proxy, echo):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def load(kind: str, port: int, **options: object) -> "Iterator[subprocess.Popen[str]]":
    words = [f"{key}={value}" for key, value in options.items()]
    command = ["taskset", "-c", "1", str(WSBENCH), kind, f"port={port}", f"certs={BUILD / 'certs'}", *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("READY"):
            raise RuntimeError(f"load generator: {line!r}")
        yield process
    finally:
        process.kill()
        process.wait()


def go(process: "subprocess.Popen[str]") -> dict[str, float]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def measure_messages(stack: str, seconds: float) -> float:
    """CPU microseconds per relayed message (a round trip is two), 200 closed-loop connections."""
    with rig(stack) as (pid, port), load("load", port, n=200, dur=seconds) as generator:
        time.sleep(1.0)
        before = cpu_seconds(pid)
        result = go(generator)
        return (cpu_seconds(pid) - before) / (2 * result["rt"]) * 1e6


def measure_sessions(stack: str, seconds: float) -> float:
    """CPU milliseconds per accepted session: mTLS handshake, upgrade, admission, CSMS connection, close."""
    with rig(stack) as (pid, port), load("churn", port, threads=4, dur=seconds, ids=1280) as generator:
        before = cpu_seconds(pid)
        result = go(generator)
        time.sleep(0.5)
        if result["failed"] > result["conns"] * 0.01:
            raise RuntimeError(f"{result['failed']} of {result['conns']} sessions failed")
        return (cpu_seconds(pid) - before) / result["conns"] * 1e3


def measure_memory(stack: str, connections: int) -> float:
    """Resident KiB per idle connection that has sent one message."""
    with rig(stack) as (pid, port):
        base = rss_kib(pid)
        with load("load", port, n=connections, dur=5, rate=connections / 4) as generator:
            time.sleep(1.0)
            go(generator)
            time.sleep(1.0)
            return (rss_kib(pid) - base) / connections


def measure(kind: str, stack: str, quick: bool) -> float:
    if kind == "messages":
        return measure_messages(stack, 2.0 if quick else 4.0)
    if kind == "sessions":
        return measure_sessions(stack, 2.0 if quick else 4.0)
    return measure_memory(stack, 500 if quick else 5000)


def available(stack: str) -> bool:
    binary = {"haproxy": "haproxy", "nginx": "nginx"}.get(stack)
    if binary and shutil.which(binary) is None:
        print(f"SKIPPED {stack}: not installed (make bench installs it as root with apt)", file=sys.stderr)
        return False
    return True


def report(results: dict[str, dict[str, list[float]]], connections: int) -> str:
    """Markdown: ratios to HAProxy in the same run; memory in KiB because that is what its target is in."""
    lines = [
        "# Benchmark results",
        "",
        "Made by `make bench`. One run, stacks interleaved, median [min-max] of the repeats; the ratio to HAProxy",
        "(pass-through, no inspection) is what counts, as bare times belong to one machine. The gateway decodes every",
        "OCPP frame strictly and correlates it; HAProxy and nginx look at nothing. Everything runs with mTLS.",
        "",
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.",
        "",
        "| stack | CPU per relayed message, ratio | CPU per mTLS session, ratio | RSS per idle connection, KiB |",
        "|---|---|---|---|",
    ]
    stacks = list(dict.fromkeys(stack for kind in results.values() for stack in kind))
    for stack in stacks:
        cells = []
        for kind in KINDS:
            values = results.get(kind, {}).get(stack)
            reference = results.get(kind, {}).get("haproxy")
            if not values:
                cells.append("-")
            elif kind == "memory":
                cells.append(f"{statistics.median(values):.1f}")
            elif reference:
                base = statistics.median(reference)
                low, high = min(values) / base, max(values) / base
                cells.append(f"{statistics.median(values) / base:.2f} [{low:.2f}-{high:.2f}]")
            else:
                cells.append("no reference")
        lines.append(f"| {stack} | " + " | ".join(cells) + " |")
    lines += ["", f"Idle connections: {connections}. Targets: messages <= 1.8, sessions <= 1.2, memory <= 32 KiB.", ""]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--stacks", nargs="+", default=list(STACKS), choices=STACKS)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="short runs, 500 idle connections; do not quote them")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    build_load_generator()
    make_certificates(BUILD / "certs", CHARGE_POINTS)
    stacks = [stack for stack in arguments.stacks if available(stack)]
    results: dict[str, dict[str, list[float]]] = {}
    for kind in arguments.kinds:
        for turn in range(1 if kind == "memory" else arguments.repeat):
            for stack in stacks:
                try:
                    value = measure(kind, stack, arguments.quick)
                except RuntimeError as error:
                    print(f"{kind} {stack}: FAILED {error}", flush=True)
                    continue
                results.setdefault(kind, {}).setdefault(stack, []).append(value)
                print(f"{kind} {turn + 1} {stack}: {value:.2f}", flush=True)
    text = report(results, 500 if arguments.quick else 5000)
    print(text)
    if not arguments.quick:
        (HERE / "RESULTS.md").write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
