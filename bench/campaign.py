"""A campaign over a fleet of which some misbehave in every listed way, through the real gateway.

    python -m bench.campaign [--kind certificate] [--count 2000] [--misbehaving 0.05] [--kinds 4] [--kill-control]

Gateway, CSMS and charge points are real processes and sockets, the charge points all in this one. Either all renew their
certificates, or all go from security profile 1 to 2. The first to be told is one that will not: its stratum has to halt.
An operator with no nerves lets every stratum that halts go on at once. At the end every charge point has to be where its
way of misbehaving leads, explained by the report, and everybody who had something to fall back to has to be connected. It
measures nothing that could be compared; it says how long it took, and each minute how much memory is used. The last line is
the verdict: OK, or FAILED and why; exit code 1 then.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from bench.campaign_ways import GOOD, REFUSES, WAYS, Way, cast_of, ends, faults, stranded
from bench.rig import RunFailed
from tests.support.campaign_fleet import CampaignFleet, campaign_fleet, until

__all__ = ["main"]

_WAIT_S = 3_600.0
_MEMORY_EVERY_S = 60.0


async def _command(fleet: CampaignFleet, *words: str) -> Any:
    line = [sys.executable, "-m", "gateway", "campaign", *words, "--json", "--config", str(fleet.rig.config_path)]
    process = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return json.loads(out)


def _say(started: float, text: str) -> None:
    print(f"{time.monotonic() - started:7.1f} s  {text}", flush=True)


def _memory(fleet: CampaignFleet) -> str:
    """Resident, in MiB."""
    children = {"charge points and CSMS": os.getpid(), **fleet.gateway.children()}
    sizes = []
    for name, pid in children.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes.append(f"{name} {psutil.Process(pid).memory_info().rss >> 20}")
    return f"memory (MiB): {', '.join(sizes)}"


async def _until_over(fleet: CampaignFleet, started: float, *, kill: bool) -> int:
    """Lets what halts go on, and kills control once if wanted. How often something has halted."""
    halts, last, until_s, memory_at = 0, "", time.monotonic() + _WAIT_S, 0.0
    while time.monotonic() < until_s:
        found = await _command(fleet, "status", "bench")
        fleet.csms.forget()
        if time.monotonic() >= memory_at:
            memory_at = time.monotonic() + _MEMORY_EVERY_S
            _say(started, _memory(fleet))
        line = "  ".join(f"{state} {n}" for state, n in sorted(found["charge_points"].items()))
        if line != last:
            _say(started, line)
            last = line
        if found["state"] == "finished":
            return halts
        halted = [each for each in found["strata"] if each["halted"]]
        if halted and not found["ordered"]:
            halts += len(halted)
            for each in halted:
                _say(started, f"halted: {each['model']}, wave {each['wave']}: {each['halted']}")
            await _command(fleet, "resume", "bench")
        if kill and found["charge_points"].get("committed", 0) > len(fleet.cast) // 4:
            kill = False
            os.kill(fleet.gateway.children()["control"], signal.SIGKILL)
            _say(started, "control killed")
        await asyncio.sleep(2.0)
    raise RunFailed("the campaign does not come to its end")


async def _run(options: argparse.Namespace, work: Path) -> bool:
    started = time.monotonic()
    cast = cast_of(options.kind, options.count, options.misbehaving, options.kinds)
    ways = {identity: way for identity, (way, _) in cast.items()}
    planned = {identity: each for identity, (_, each) in cast.items()}
    async with campaign_fleet(work, planned, ramp_up_s=options.count / 20) as fleet:
        _say(started, f"{options.count} charge points, {sum(1 for way in ways.values() if way is not GOOD)} misbehave")
        await until(lambda: fleet.registered == set(cast), "all are registered", _WAIT_S)
        await asyncio.sleep(5.0)  # what they have said of themselves is written every two seconds
        _say(started, "all are registered")
        bad_canary = next((each for each, way in ways.items() if way.quirks == (REFUSES[options.kind],)), "")
        await _start(fleet, options.kind, bad_canary)
        halts = await _until_over(fleet, started, kill=options.kill_control)
        report = await _command(fleet, "report", "bench")
        lost = {each["charge_point_id"] for each in report["charge_points"] if each["state"] == "lost"}
        # The others may be on their way back at this moment.
        await until(lambda: fleet.connected() >= set(cast) - lost, "everybody else is connected", 300.0)
        unhalted = [f"{bad_canary} failed alone in its wave, and nothing halted"] if bad_canary and not halts else []
        wrong = [*unhalted, *faults(ways, report), *_unheard(fleet, ways), *_wrong_floors(fleet, options.kind, report)]
    for line in ends(ways, report):
        print(f"  {line}")
    left = stranded(ways, report)
    counted = dict(Counter(each["state"] for each in report["charge_points"]))
    _say(started, f"ends: {counted}; strata halted {halts} times; lost with something to fall back to: {len(left)}")
    for line in wrong:
        print(f"  not as it had to be: {line}")
    return not wrong and not left


async def _start(fleet: CampaignFleet, kind: str, first: str) -> None:
    """What cannot be undone needs a second person."""
    words: tuple[str, ...] = ("--soak", "5s", "--retry", "2s", "--growth", "6", "--max-at-once", "100", "--by", "anna")
    words += ("--first", first) if first else ()
    if kind == "certificate":
        await _command(fleet, "plan", "bench", "--kind", kind, "--all", "--proof-within", "60s", *words)
    else:
        target = ("--to-profile", "2", "--url", fleet.url(2), "--proof-within", "120s")
        await _command(fleet, "plan", "bench", "--kind", kind, "--all", *target, *words)
        await _command(fleet, "approve", "bench", "--by", "bert")
    await _command(fleet, "start", "bench", "--by", "anna")


def _unheard(fleet: CampaignFleet, ways: Mapping[str, Way]) -> list[str]:
    """Who should have misbehaved, and has not: its end would say nothing."""
    return [
        f"{identity} ({', '.join(way.quirks)}): never {way.shows!r}"
        for identity, way in ways.items()
        if way.shows and not fleet.notes[identity][way.shows]
    ]


def _wrong_floors(fleet: CampaignFleet, kind: str, report: Mapping[str, Any]) -> list[str]:
    """Nothing lower is accepted of who is on the new profile, and of nobody else."""
    if kind == "certificate":
        return []
    state = {each["charge_point_id"]: each["state"] for each in report["charge_points"]}
    with fleet.rig.registry() as registry:
        records = {each.charge_point_id: (int(each.security_profile), each.floor) for each in registry.find()}
    expected = {"committed": (2, 2)}
    return [
        f"{identity}: {state[identity]}, with security profile and floor {found}"
        for identity, found in records.items()
        if found != expected.get(state[identity], (1, 1))
    ]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=sorted(WAYS), default="certificate")
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--misbehaving", type=float, default=0.05, help="share of all")
    parser.add_argument("--kinds", type=int, default=4, help="of charge points, which are as many strata")
    parser.add_argument("--kill-control", action="store_true", help="once, when a quarter is through")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-campaign-") as work:
        try:
            is_well = asyncio.run(_run(options, Path(work)))
        except (RunFailed, AssertionError) as failed:
            print(f"FAILED: {failed}")
            return 1
    print("OK" if is_well else "FAILED: not everybody is where it had to be", flush=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
