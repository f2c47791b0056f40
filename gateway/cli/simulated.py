"""What `simulate` shows while it runs, and how it ends."""

import asyncio
import contextlib
import datetime
import json
import signal
from typing import TYPE_CHECKING, Final

import click

from gateway.cli.output import shown

if TYPE_CHECKING:
    from gateway.simulator.core.effects import Note
    from gateway.simulator.shell.fleet import Fleet

__all__ = ["play"]

_MAX_LINES_FOR: Final = 20
"""Of more charge points than this people see the numbers only."""
_PROGRESS_S: Final = 2.0


def play(fleet: "Fleet", *, duration_s: float | None, ramp_up_s: float, as_json: bool) -> bool:
    """Run until the time is over (False) or somebody interrupts (True). Prints what happens."""
    many = len(fleet.players) > _MAX_LINES_FOR

    def observe(identity: str, note: "Note") -> None:
        if as_json:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
            click.echo(json.dumps({"time": now, "id": identity, "what": note.what, **note.details}))
        elif not many:
            details = " ".join(f"{name}={shown(value)}" for name, value in note.details.items())
            click.echo(f"{shown(identity)}  {note.what}  {details}".rstrip())

    fleet.observer = observe
    interrupted = asyncio.run(_run(fleet, duration_s, ramp_up_s, shows_progress=many and not as_json))
    if as_json:
        click.echo(json.dumps({"what": "end", **_totals(fleet)}))
    else:
        click.echo(_sentence(fleet))
    return interrupted


async def _run(fleet: "Fleet", duration_s: float | None, ramp_up_s: float, *, shows_progress: bool) -> bool:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError, RuntimeError):  # not the main thread
            loop.add_signal_handler(number, interrupted.set)
    playing = loop.create_task(fleet.run(ramp_up_s=ramp_up_s))
    showing = loop.create_task(_show_progress(fleet)) if shows_progress else None
    waiting = loop.create_task(interrupted.wait())
    await asyncio.wait({playing, waiting}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
    for task in (waiting, showing, playing):
        if task is not None:
            task.cancel()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await playing
    except ExceptionGroup as group:
        raise _first(group) from None
    return interrupted.is_set()


def _first(error: Exception) -> Exception:
    """What has really happened."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _show_progress(fleet: "Fleet") -> None:
    while True:
        await asyncio.sleep(_PROGRESS_S)
        click.echo(_sentence(fleet))


def _totals(fleet: "Fleet") -> dict[str, int]:
    online = sum(player.charge_point.is_registered for player in fleet.players.values())
    return {
        "charge_points": len(fleet.players),
        "registered": len(fleet.registered),
        "failed_connections": fleet.counts["connection failed"],
        "disconnects": fleet.counts["disconnected"],
        "messages_sent": fleet.counts["sent"],
        "online": online,
    }


def _sentence(fleet: "Fleet") -> str:
    totals = _totals(fleet)
    return (
        f"{totals['registered']} of {totals['charge_points']} accepted by the CSMS, {totals['messages_sent']} calls sent, "
        f"{totals['failed_connections']} failed connections, {totals['disconnects']} disconnects"
    )
