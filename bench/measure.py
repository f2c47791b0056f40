"""The measurements. Each starts a fresh stack, loads it, and returns figures by name."""

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from bench.issuing import issuing
from bench.packs import write_packs
from bench.rig import Rig, RunFailed, go, load, rig
from bench.stacks import FEW_RULES, RULE_STACKS
from bench.worst import worst

__all__ = ["FULL", "KINDS", "QUICK", "Size", "measure"]

_THREADS, _IDS = 4, 128
_RULE_CONNECTIONS, _FIRST_MESSAGES = 200, 3
_TALKING = 20
"""Connections that send during a reload: few, so that a round trip shows how long the gateway was away, not a queue."""
_RELOAD_ROUNDS = 15
"""Of two seconds: time for control to read and check a thousand rules on the core it shares with its edge."""


class Size(NamedTuple):
    """How much of everything."""

    seconds: float
    idle_connections: int
    reconnects: int
    messages: int
    reloads: int
    rule_rounds: int


FULL = Size(seconds=4.0, idle_connections=5000, reconnects=1024, messages=10_000, reloads=5, rule_rounds=8)
QUICK = Size(seconds=2.0, idle_connections=500, reconnects=1024, messages=10_000, reloads=2, rule_rounds=4)


def _churn(running: Rig, **options: float) -> dict[str, float]:
    """Sessions one after the other in four threads: connect, mTLS, upgrade, close."""
    with load("churn", running, threads=_THREADS, ids=_IDS, **options) as generator:
        done = go(generator)
    if done["failed"] > done["conns"] * 0.01:
        raise RunFailed(f"{done['failed']} of {done['conns']} sessions failed")
    return done


def _message_us(running: Rig, generator: "subprocess.Popen[str]", **options: float) -> float:
    """CPU microseconds per relayed message of one round; a round trip is two."""
    before = running.cpu_seconds()
    done = go(generator, **options)
    return (running.cpu_seconds() - before) / (2 * done["rt"]) * 1e6


def _messages(stack: str, size: Size) -> dict[str, float]:
    """CPU microseconds per relayed message (a round trip is two), 200 closed-loop connections."""
    with rig(stack) as running, load("load", running, n=200, dur=size.seconds) as generator:
        time.sleep(1.0)
        return {"message_us": _message_us(running, generator)}


def _rules(stack: str, size: Size) -> dict[str, float]:
    """CPU per relayed message with many rules over the same with few: both run, and take short turns.

    The first messages of every session count on their own: a session looks up and compiles its rules when it first
    meets a kind of message.
    """
    options = {"n": _RULE_CONNECTIONS, "dur": 1.0}
    with (
        rig(FEW_RULES) as few,
        load("load", few, **options) as few_load,
        rig(stack) as many,
        load("load", many, **options) as many_load,
    ):
        time.sleep(1.0)
        both = ((few, few_load), (many, many_load))
        base, first = (_message_us(*each, max=_FIRST_MESSAGES * _RULE_CONNECTIONS) for each in both)
        costs: tuple[list[float], list[float]] = ([], [])
        for turn in range(2 * size.rule_rounds):
            which = (0, 1, 1, 0)[turn % 4]  # neither is always the first
            costs[which].append(_message_us(*both[which]))
        return {
            "rules_ratio": statistics.median(more / less for less, more in zip(*costs, strict=True)),
            "rules_first_ratio": first / base,
            "rules_us": statistics.median(costs[1]),
        }


def _sessions(stack: str, size: Size) -> dict[str, float]:
    """CPU milliseconds per accepted session: mTLS handshake, upgrade, admission, CSMS connection, close.

    The first pass is every charge point's first connection ever, for which the gateway binds its key durably; the
    second is what a fleet does all its life.
    """
    with rig(stack) as running:
        before = running.cpu_seconds()
        done = _churn(running, max=_IDS)
        time.sleep(0.5)
        between = running.cpu_seconds()
        first = (between - before) / done["conns"] * 1e3
        done = _churn(running, dur=size.seconds)
        time.sleep(0.5)
        return {"session_ms": (running.cpu_seconds() - between) / done["conns"] * 1e3, "first_session_ms": first}


def _idle(stack: str, size: Size, *, mtls: bool = True) -> dict[str, float]:
    """Resident KiB per idle connection that has sent a message or so, and the pause of a full garbage collection."""
    count = size.idle_connections
    with rig(stack, mtls=mtls) as running:
        base = running.rss_kib()
        with load("load", running, n=count, dur=5, rate=count / 4) as generator:
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
        with load("load", running, n=100, dur=60, max=size.messages) as generator:
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
        after = [work(running) for _ in range(rounds)][-1]
        scale = 1000 / (rounds * size.reconnects)
        grown = [(new - old) * scale for old, new in zip(before, after, strict=True)]
        return {"leak_rss_kib": grown[0], "leak_blocks": grown[1], "leak_objects": grown[2]}


class _Reload(NamedTuple):
    longest_ms: float
    """Round trip, from the SIGHUP until some time after the rules were in force."""
    quiet_ms: float
    """The same for as long without a reload."""
    seconds: float
    """From the SIGHUP until the rules were in force."""


def _longest_ms(done: Mapping[str, float]) -> float:
    if done["unanswered"]:
        raise RunFailed(f"{done['unanswered']} calls without a result")
    return done["max"] / 1e3


def _reload_once(running: Rig, generator: "subprocess.Popen[str]", rules: int, generation: int) -> "_Reload":
    """Replace all rules by changed ones under load, then go on for as long without a reload."""
    write_packs(running.work / "packs", rules, generation)
    asked = time.time()
    running.reload()
    longest, seconds = [_longest_ms(go(generator))], 0.0
    while not seconds:
        if len(longest) > _RELOAD_ROUNDS:
            raise RunFailed(f"the rules were not in force after {time.time() - asked:.0f} s")
        seconds = max((moment - asked for moment in running.reloads() if moment > asked), default=0.0)
        longest.append(_longest_ms(go(generator)))  # after they have come into force, too: their first messages
    return _Reload(max(longest), max(_longest_ms(go(generator)) for _ in longest), seconds)


def _reload(stack: str, size: Size) -> dict[str, float]:
    """Longest round trips of a few busy connections among many, with and without a reload of changed rules."""
    count, rules = size.idle_connections, RULE_STACKS[stack]
    with rig(stack) as running, load("load", running, n=count, active=_TALKING, dur=2.0) as generator:
        go(generator, active=count, rate=count / 4, dur=5.0)  # every session has met some rules
        done = [_reload_once(running, generator, rules, generation + 1) for generation in range(size.reloads)]
    usual, longest = statistics.median(each.quiet_ms for each in done), max(each.longest_ms for each in done)
    return {
        "reload_stall_ms": longest - usual,
        "reload_longest_ms": longest,
        "quiet_longest_ms": usual,
        "reload_s": max(each.seconds for each in done),
    }


_MEASUREMENTS: Mapping[str, Callable[[str, Size], dict[str, float]]] = {
    "messages": _messages,
    "rules": _rules,
    "sessions": _sessions,
    "reload": _reload,
    "worst": lambda _stack, _size: worst(),
    "issue": lambda _stack, _size: issuing(),
    "idle": _idle,
    "idle-password": partial(_idle, mtls=False),
    "leak": _leak,
}
KINDS = tuple(_MEASUREMENTS)


def measure(kind: str, stack: str, size: Size) -> dict[str, float]:
    """One measurement of one stack. Raises RunFailed."""
    return _MEASUREMENTS[kind](stack, size)
