"""`policy reload`: tells the running gateway to read everything again, and waits for what comes of it."""

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.finite import FiniteRange
from gateway.cli.output import fail, json_option, print_json, shown, warn

if TYPE_CHECKING:
    from gateway.cli.gateway_client import Status
    from gateway.config.model import Config

__all__ = ["reload"]

_POLL_S = 0.1


@click.command()
@click.option(
    "--timeout",
    "timeout_s",
    metavar="S",
    type=FiniteRange(0.1, 3600),
    default=90.0,
    show_default=True,
    help="Seconds to wait for the outcome.",
)
@config_option
@json_option
def reload(timeout_s: float, config_path: str | None, as_json: bool) -> int:
    """Reload the running gateway, as SIGHUP does.

    It reads its configuration again, with certificates, packs and the values of the site. Live sessions are judged
    by the new rules at once, and stay. If anything is wrong, everything stays as it was.
    """
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    config = read_config(config_path, as_json=as_json)
    try:
        before = get_status(config)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    pid = _supervisor(config, as_json=as_json)
    _announce(config, as_json=as_json)
    try:
        os.kill(pid, signal.SIGHUP)
    except ProcessLookupError:
        fail("The gateway has just ended.", UNREACHABLE, as_json=as_json)
    except PermissionError:
        fail(f"Process {pid} belongs to another user: run this as the user of the gateway.", NOT_OK, as_json=as_json)
    after = _outcome(config, pid, before, timeout_s, as_json=as_json)
    return _tell(config, before, after, as_json=as_json)


def _announce(config: "Config", *, as_json: bool) -> None:
    """Who asks, for the record: a signal does not say. A control of an older release, which does not know this, is asked without."""
    from gateway.cli.gateway_client import GatewayUnreachable, order

    try:
        refused = order(config, "/reload", {})["refused"]
    except GatewayUnreachable:
        return
    if refused:
        fail(f"Not done: {shown(refused)}.", NOT_OK, as_json=as_json)


def _supervisor(config: "Config", *, as_json: bool) -> int:
    """The process that holds the lock of the state directory. Raises Failure rather than signal anybody else.

    SIGHUP ends most programs: a number in a file alone, perhaps of another container, is not enough.
    """
    lock = Path(config.state_dir) / "run" / "lock"
    try:
        pid = int(lock.read_text("ascii"))
        wanted = lock.stat()
        if pid > 1 and any(_is_same(file, wanted) for file in Path(f"/proc/{pid}/fd").iterdir()):
            return pid
    except (OSError, ValueError):
        pid = 0
    who = f"process {pid}" if pid else "no process"
    return fail(
        f"The gateway's process is not to be found here: {shown(lock)} names {who}. It may run in a container or as another "
        "user; send SIGHUP to its supervisor there.",
        UNREACHABLE,
        as_json=as_json,
    )


def _is_same(file: Path, wanted: os.stat_result) -> bool:
    try:
        found = file.stat()
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino)


def _outcome(config: "Config", pid: int, before: "Status", timeout_s: float, *, as_json: bool) -> "Status":
    """The first status with another reload in it."""
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    seen = _time(before)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            status = get_status(config)
            # A control that was started meanwhile begins with its start.
            if _time(status) not in {seen, status.raw.get("started_at")}:
                return status
        except GatewayUnreachable:  # control may be coming back
            if not Path(f"/proc/{pid}").exists():
                fail("The gateway has ended meanwhile.", UNREACHABLE, as_json=as_json)
        time.sleep(_POLL_S)
    return fail(
        f"No outcome within {timeout_s:g} s; ocpp-gateway status shows it when there is one.", NOT_OK, as_json=as_json
    )


def _time(status: "Status") -> float | None:
    """When the last reload ended."""
    last = status.raw.get("last_reload")
    time_ = last.get("time") if isinstance(last, dict) else None
    return float(time_) if isinstance(time_, int | float) else None


def _revision(status: "Status") -> str:
    return str(status.raw.get("policy_revision", ""))


def _tell(config: "Config", before: "Status", after: "Status", *, as_json: bool) -> int:
    ok, why = after.last_reload.ok, after.last_reload.why
    old, new = _revision(before), _revision(after)
    if as_json:
        print_json(
            {"ok": ok, "why": why, "policy_revision": new, "policy_revision_before": old, "config": after.config}
        )
        return 0 if ok else NOT_OK
    if after.config and Path(after.config).resolve() != Path(config.path).resolve():
        warn([f"the running gateway uses {shown(after.config)}, not {shown(config.path)}"])
    if not ok:
        click.echo("The reload failed; what was in force stays in force:", err=True)
        for line in why.splitlines():
            click.echo(f"  {shown(line)}", err=True)
        return NOT_OK
    change = f"still {new[:12]}" if new == old else f"{old[:12] or 'none'} before, {new[:12]} now"
    click.echo(f"Reloaded. Policy revision: {shown(change)}.")
    return 0
