"""A campaign over a fleet of which some misbehave in every listed way, through the real gateway.

    python -m bench.campaign [--count 2000] [--misbehaving 0.05] [--kinds 4] [--kill-control]

Gateway, CSMS and charge points are real processes and sockets, the charge points all in this one. An operator with no nerves
lets every stratum that halts go on at once. At the end every charge point has to be where its way of misbehaving leads, explained by
the report, and everybody who had something to fall back to has to be connected. It measures nothing that could be
compared; it says how long it took, and each minute how much memory is used. The last line is the verdict: OK, or FAILED and why; exit
code 1 then.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from bench.rig import RunFailed
from tests.support.campaign_fleet import CampaignFleet, Planned, campaign_fleet, until

__all__ = ["main"]

_ENDS = {
    "slow-answers=5": "committed",
    "silent=CertificateSigned": "fell-back",
    "silent=TriggerMessage": "fell-back",
    "rejects=TriggerMessage": "fell-back",
    "rejects-certificate": "fell-back",
    "no-security-actions": "fell-back",
    "wants-leaf-only": "fell-back",
    "alternates-certificates": "fell-back committed",
    "never-reconnects": "lost",
    "store-full": "committed",
    "clock-off=10": "committed",
    "reboots-on=CertificateSigned": "committed",
    "reboots-after=CertificateSigned": "committed",
    "reboots-on=TriggerMessage": "committed",
    "drops-before-answer=CertificateSigned": "committed",
    "drops-after-answer=CertificateSigned": "committed",
    "drops-after-answer=TriggerMessage": "committed",
    "duplicate-ids": "committed",
    "ignores-triggers": "committed",
    "no-pong": "committed",
}
"""Where each way of misbehaving has to lead. Only who never reconnects has nothing to fall back to; and how who uses both
certificates in turn is judged depends on how often it has reconnected."""
_WAIT_S = 3_600.0
_MEMORY_EVERY_S = 60.0


def _cast(count: int, misbehaving: float, kinds: int) -> dict[str, Planned]:
    """Spread evenly over the kinds of charge points."""
    every = max(1, round(1 / misbehaving)) if misbehaving else count + 1
    ways = itertools.cycle(_ENDS)
    return {
        f"CP-{n:05}": Planned(
            (next(ways),) if n % every == every - 1 else (), model=f"Model {n // min(every, 20) % kinds}"
        )
        for n in range(count)
    }


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
    cast = _cast(options.count, options.misbehaving, options.kinds)
    async with campaign_fleet(work, cast, ramp_up_s=options.count / 20) as fleet:
        _say(started, f"{options.count} charge points, {sum(1 for each in cast.values() if each.quirks)} misbehave")
        await until(lambda: fleet.registered == set(cast), "all are registered", _WAIT_S)
        await asyncio.sleep(5.0)  # what they have said of themselves is written every two seconds
        _say(started, "all are registered")
        words = ("--proof-within", "60s", "--soak", "5s", "--retry", "2s", "--growth", "6", "--max-at-once", "100")
        await _command(fleet, "plan", "bench", "--kind", "certificate", "--all", *words)
        await _command(fleet, "start", "bench")
        halts = await _until_over(fleet, started, kill=options.kill_control)
        report = await _command(fleet, "report", "bench")
        lost = {each["charge_point_id"] for each in report["charge_points"] if each["state"] == "lost"}
        # The others may be on their way back at this moment.
        await until(lambda: fleet.connected() >= set(cast) - lost, "everybody else is connected", 300.0)
    return _judged(cast, report, halts, started)


def _judged(cast: dict[str, Planned], report: dict[str, Any], halts: int, started: float) -> bool:
    found = {each["charge_point_id"]: each for each in report["charge_points"]}
    wrong = [
        f"{identity} ({''.join(planned.quirks)}): {found[identity]['state']}: {found[identity]['explanation']}"
        for identity, planned in cast.items()
        if found[identity]["state"] not in _expected(planned) or not found[identity]["explanation"]
    ]
    twice = [each for each in found.values() if [x["state"] for x in each["history"]].count("committed") > 1]
    ends = Counter(each["state"] for each in found.values())
    stranded = sum(
        1 for identity in found if found[identity]["state"] == "lost" and "lost" not in _expected(cast[identity])
    )
    _say(started, f"ends: {dict(ends)}; strata halted {halts} times; lost with something to fall back to: {stranded}")
    for line in wrong:
        print(f"  not as it had to be: {line}")
    for each in twice:
        print(f"  told that it is done more than once: {each['charge_point_id']}")
    return not wrong and not twice and not stranded


def _expected(planned: Planned) -> list[str]:
    return _ENDS[planned.quirks[0]].split() if planned.quirks else ["committed"]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
