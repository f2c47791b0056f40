"""The machine: state directory, space, descriptors, clock, cores."""

import contextlib
import datetime
import os
import resource
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.cli.gateway_client import admin_socket
from gateway.config.model import Config

__all__ = ["check_clock", "check_descriptors", "check_state_directory", "check_workers"]

_MIB = 1024 * 1024
_ERROR_FREE = 100 * _MIB
_WARNING_FREE = 1024 * _MIB
_MAX_SOCKET_PATH_BYTES = 107
_DESCRIPTORS_PER_SESSION = 2
_OWN_DESCRIPTORS = 100
_UNEVEN = 1.5
"""The kernel spreads connections over the edge workers by chance: one may get half as many again."""
_EARLIEST_YEAR = 2025
_TIMEDATECTL_TIMEOUT_S = 3.0


def check_state_directory(config: Config) -> Iterator[Check]:
    """It is there, ours, closed to others, with space, and its socket paths fit into a socket address."""
    name, path = "state-directory", Path(config.state_dir)
    if len(os.fsencode(admin_socket(config).with_name("control.sock"))) > _MAX_SOCKET_PATH_BYTES:
        yield error(
            name, f"{path} is too long a path for the sockets in it", "Set gateway.state_dir to a shorter path."
        )
    try:
        found = path.stat()
    except FileNotFoundError:
        yield warning(name, f"{path} does not exist yet", "The first start, or charge-point add, makes it.")
        return
    except OSError as problem:
        yield error(
            name, f"{path}: {problem.strerror}", "Run this as the user of the gateway, or correct gateway.state_dir."
        )
        return
    if not stat.S_ISDIR(found.st_mode):
        yield error(name, f"{path} is not a directory", "Correct gateway.state_dir.")
        return
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield error(name, f"{path} cannot be written by this user", f"chown it to the user of the gateway: {path}")
    elif found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warning(name, f"{path} is open to other users (mode {found.st_mode & 0o777:o})", f"chmod 700 {path}")
    else:
        yield ok(name, f"{path} belongs to the gateway alone")
    yield _free_space(path)


def _free_space(path: Path) -> Check:
    free = shutil.disk_usage(path).free
    message = f"{free // _MIB} MiB are free in {path}"
    if free < _ERROR_FREE:
        return error(
            "free-space", message, "Make room: without it neither events nor changes of the registry can be written."
        )
    if free < _WARNING_FREE:
        return warning("free-space", message, "Make room before it runs out.")
    return ok("free-space", message)


def check_descriptors(config: Config, registered: int, edge_pids: Sequence[int]) -> Iterator[Check]:
    """A session takes two file descriptors. The running edge workers' own limit counts, else that of this shell."""
    name = "file-descriptors"
    limits = [limit for pid in edge_pids if (limit := _limit_of(pid)) is not None]
    limit, whose = (min(limits), "an edge worker's") if limits else (_own_limit(), "this shell's hard")
    share = registered / max(1, config.edge_workers) * (_UNEVEN if config.edge_workers > 1 else 1.0)
    sessions = int(share * _DESCRIPTORS_PER_SESSION) + _OWN_DESCRIPTORS
    storm = sessions + config.limits.max_handshakes
    message = (
        f"{whose} limit is {limit} open files; one of {config.edge_workers} edge worker(s) may need {sessions} for its "
        f"share of {registered} charge points, {storm} when all of them reconnect at once"
    )
    remedy = f"Raise it: LimitNOFILE={max(65_536, 2 * storm)} in the systemd unit, or ulimit -n before the start."
    if limit < sessions:
        yield error(name, message, remedy)
    elif limit < storm:
        yield warning(name, message, remedy)
    else:
        yield ok(name, message)


def _own_limit() -> int:
    """The hard one, to which a gateway raises its own when it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return hard if hard != resource.RLIM_INFINITY else 2**31


def _limit_of(pid: int) -> int | None:
    """The soft limit of a running process, None if it cannot be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return 2**31 if soft == "unlimited" else int(soft)
    return None


def check_clock(config_path: str) -> Iterator[Check]:
    """Certificates are judged by the clock. It must not be before the configuration was written."""
    now = time.time()
    year = datetime.datetime.fromtimestamp(now, datetime.UTC).year
    remedy = "Set the clock and keep it right with NTP: certificates are judged by it."
    written_at = 0.0
    with contextlib.suppress(OSError):
        written_at = Path(config_path).stat().st_mtime
    if year < _EARLIEST_YEAR:
        yield error("clock", f"the clock says it is {year}", remedy)
    elif now + 60 < written_at:
        yield error("clock", "the clock is behind the time at which the configuration was written", remedy)
    else:
        yield ok("clock", f"it is {datetime.datetime.fromtimestamp(now, datetime.UTC):%Y-%m-%d %H:%M} UTC")
    synchronised = _ntp_says()
    if synchronised == "no":
        yield warning(
            "clock-synchronised",
            "the clock is not synchronised (timedatectl)",
            "Switch on NTP: timedatectl set-ntp true.",
        )
    elif synchronised == "yes":
        yield ok("clock-synchronised", "the clock is synchronised (timedatectl)")


def _ntp_says() -> str:
    """``yes`` or ``no``; anything else where timedatectl is missing or has nothing to say."""
    program = shutil.which("timedatectl")
    if program is None:
        return ""
    try:
        answer = subprocess.run(  # noqa: S603  found in the operator's own path
            [program, "show", "--property=NTPSynchronized", "--value"],
            capture_output=True,
            timeout=_TIMEDATECTL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("ascii", "replace").strip()


def check_workers(config: Config) -> Iterator[Check]:
    """An edge worker is one thread of one core."""
    cores = len(os.sched_getaffinity(0))
    message = f"{config.edge_workers} edge worker(s) on {cores} core(s)"
    if config.edge_workers > cores:
        yield warning("edge-workers", message, f"Set gateway.edge_workers to {cores} or 0: more only compete.")
    else:
        yield ok("edge-workers", message)
