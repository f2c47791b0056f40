"""The measurements. Each starts a fresh stack, loads it, and returns figures by name."""

import time
from functools import partial
from typing import NamedTuple

from bench.rig import Rig, RunFailed, go, load, rig

__all__ = ["FULL", "KINDS", "QUICK", "Size", "measure"]

KINDS = ("messages", "sessions", "idle", "idle-password", "leak")
_THREADS, _IDS = 4, 128
_CHARGE_POINTS = _THREADS * _IDS


class Size(NamedTuple):
    """How much of everything."""

    seconds: float
    idle_connections: int
    reconnects: int
    messages: int


FULL = Size(seconds=4.0, idle_connections=5000, reconnects=1024, messages=10_000)
QUICK = Size(seconds=2.0, idle_connections=500, reconnects=1024, messages=10_000)


def _churn(running: Rig, **options: object) -> dict[str, float]:
    """Sessions one after the other in four threads: connect, mTLS, upgrade, close."""
    with load("churn", running.port, threads=_THREADS, ids=_IDS, **options) as generator:
        result = go(generator)
    if result["failed"] > result["conns"] * 0.01:
        raise RunFailed(f"{result['failed']} of {result['conns']} sessions failed")
    return result


def _messages(stack: str, size: Size) -> dict[str, float]:
    """CPU microseconds per relayed message (a round trip is two), 200 closed-loop connections."""
    with rig(stack) as running, load("load", running.port, n=200, dur=size.seconds) as generator:
        time.sleep(1.0)
        before = running.cpu_seconds()
        result = go(generator)
        return {"message_us": (running.cpu_seconds() - before) / (2 * result["rt"]) * 1e6}


def _sessions(stack: str, size: Size) -> dict[str, float]:
    """CPU milliseconds per accepted session: mTLS handshake, upgrade, admission, CSMS connection, close.

    The first pass is every charge point's first connection ever, for which the gateway binds its key durably; the
    second is what a fleet does all its life.
    """
    with rig(stack) as running:
        before = running.cpu_seconds()
        result = _churn(running, max=_IDS)
        time.sleep(0.5)
        between = running.cpu_seconds()
        first = (between - before) / result["conns"] * 1e3
        result = _churn(running, dur=size.seconds)
        time.sleep(0.5)
        return {"session_ms": (running.cpu_seconds() - between) / result["conns"] * 1e3, "first_session_ms": first}


def _idle(stack: str, size: Size, *, mtls: bool = True) -> dict[str, float]:
    """Resident KiB per idle connection that has sent a message or so, and the pause of a full garbage collection."""
    count = size.idle_connections
    with rig(stack, mtls=mtls) as running:
        base = running.rss_kib()
        with load("load", running.port, mtls=mtls, n=count, dur=5, rate=count / 4) as generator:
            time.sleep(1.0)
            go(generator)
            time.sleep(1.5)
            figures = {"idle_kib" if mtls else "idle_password_kib": (running.rss_kib() - base) / count}
            answers = running.probe()
            if answers and mtls:
                figures["gc_pause_ms"] = max(answer["pause_ms"] for answer in answers)
            return figures


def _leak(stack: str, size: Size) -> dict[str, float]:
    """Growth over 1 000 reconnects and 10 000 messages, after the same has been done once before."""

    def work(running: Rig) -> tuple[float, float, float]:
        _churn(running, max=size.reconnects // _THREADS)
        with load("load", running.port, n=100, dur=60, max=size.messages) as generator:
            go(generator)
        time.sleep(1.0)
        answers = running.probe()
        blocks = sum(answer["blocks"] for answer in answers)
        objects = sum(answer["tracked"] + answer["frozen"] for answer in answers)
        return running.rss_kib(), blocks, objects

    with rig(stack) as running:
        work(running)
        before = work(running)
        rounds = 3
        for _ in range(rounds):
            after = work(running)
        scale = 1000 / (rounds * size.reconnects)
        grown = [(new - old) * scale for old, new in zip(before, after, strict=True)]
        return {"leak_rss_kib": grown[0], "leak_blocks": grown[1], "leak_objects": grown[2]}


def measure(kind: str, stack: str, size: Size) -> dict[str, float]:
    """One measurement of one stack. Raises RunFailed."""
    return {
        "messages": _messages,
        "sessions": _sessions,
        "idle": _idle,
        "idle-password": partial(_idle, mtls=False),
        "leak": _leak,
    }[kind](stack, size)
