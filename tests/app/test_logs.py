"""The operational log: JSON lines that name the process, and no error for anybody when they cannot be written."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import structlog
from gateway.app.logs import configure_logging
configure_logging("info", process="edge-0")
log = structlog.get_logger("x")
log.debug("hidden")
log.info("shown", number=1)
print("still here")
"""


def _run(stderr: int | None) -> tuple[str, str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=-1, stderr=stderr, check=False, timeout=120, text=True)
    return done.stdout, done.stderr


def test_a_line_is_one_json_object_with_process_level_and_time() -> None:
    out, err = _run(subprocess.PIPE)
    (line,) = err.splitlines()
    entry = json.loads(line)
    assert out == "still here\n"
    assert (entry["event"], entry["number"], entry["process"], entry["level"]) == ("shown", 1, "edge-0", "info")
    assert entry["timestamp"].endswith("Z")


def test_a_full_disk_under_the_log_is_nobodys_error() -> None:
    with Path("/dev/full").open("wb") as full:
        assert _run(full.fileno())[0] == "still here\n"
