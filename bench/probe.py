"""A look into a running Python process, for the benchmark only: SIGUSR2 times a full collection and counts objects.

The product knows nothing of it: `bench.launcher` starts the gateway's processes with the handler installed.
"""

import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

__all__ = ["FOLDER_VARIABLE", "install", "probe"]

FOLDER_VARIABLE = "OCPP_BENCH_PROBE_DIR"


def _rss_kib() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    return 0


def install() -> None:
    """Answer SIGUSR2 with a line of JSON in the probe folder, named after the process id. No folder, no handler."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return
    path = Path(folder) / f"{os.getpid()}.jsonl"

    def answer(_number: int, _frame: object) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        gc.collect()
        wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
        line = {
            "pause_ms": cpu * 1e3,
            "pause_wall_ms": wall * 1e3,
            "tracked": len(gc.get_objects()),
            "frozen": gc.get_freeze_count(),
            "blocks": sys.getallocatedblocks(),
            "rss_kib": _rss_kib(),
        }
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    signal.signal(signal.SIGUSR2, answer)
    path.touch()


def probe(folder: Path, timeout_s: float = 30.0) -> dict[int, dict[str, float]]:
    """Ask every process that has the handler; answers by process id."""
    answers = {}
    for path in sorted(folder.glob("*.jsonl")):
        process, before = int(path.stem), path.stat().st_size
        os.kill(process, signal.SIGUSR2)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and not path.read_bytes()[before:].endswith(b"\n"):
            time.sleep(0.02)
        answers[process] = json.loads(path.read_text().splitlines()[-1])
    return answers
