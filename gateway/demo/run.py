"""Runs the demo: the gateway's main job, visible, and checked."""

import asyncio
import json
import logging
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from gateway.demo.authority import Operator
from gateway.demo.cast import ACTORS, MISFITS, UPGRADED
from gateway.demo.charge_point import Progress, run_charge_point
from gateway.demo.csms import DemoCSMS
from gateway.demo.misfits import Refused, run_misfit
from gateway.demo.rig import Rig, RigFailed
from gateway.demo.upgrades import Upgraded, run_upgrade
from gateway.demo.view import render

__all__ = ["default_certificates", "run_demo"]

_ONCE_TIMEOUT_S = 38.0


def default_certificates() -> Path | None:
    """certs-dev/ when run from a checkout, else None: a temporary directory is used."""
    directory = Path(__file__).parents[2] / "certs-dev"
    return directory if (directory / "make.py").exists() else None


class _Demo:
    def __init__(self, rig: Rig, *, once: bool) -> None:
        self.rig = rig
        self.once = once
        self.csms = DemoCSMS()
        self.progress = {actor.id: Progress() for actor in ACTORS}
        self.refused: list[Refused] = []
        self.upgraded = [Upgraded(actor) for actor in UPGRADED]
        self.operator = Operator(rig.ca, len(UPGRADED))
        self.show: Callable[[], None] = lambda: None

    async def play(self) -> None:
        """The whole play. Raises RigFailed."""
        await self.csms.start()
        try:
            self.rig.prepare(self.csms.port)
            with self.rig.gateway() as process:
                await self.rig.ready(process)
                async with asyncio.TaskGroup() as group:
                    for actor in ACTORS:
                        group.create_task(self._act(actor.id))
                    for upgraded in self.upgraded:
                        group.create_task(self._upgrade(upgraded))
                    group.create_task(self._misfits())
        finally:
            await self.csms.stop()

    async def _act(self, identity: str) -> None:
        actor = next(actor for actor in ACTORS if actor.id == identity)
        progress = self.progress[identity]
        progress.changed = self.show
        password = self.rig.passwords.get(identity, "")
        try:
            await run_charge_point(actor, password, self.rig.endpoints, progress, rounds=1 if self.once else 0)
        except Exception as error:  # noqa: BLE001  shown in the view and in the result
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            progress.error = f"{type(cause).__name__}: {cause}"[:200]
        self.show()

    async def _upgrade(self, upgraded: Upgraded) -> None:
        upgraded.changed = self.show
        rig = self.rig
        try:
            await run_upgrade(upgraded, rig.passwords[upgraded.actor.id], rig.endpoints, rig.work, self.operator)
        except Exception as error:  # noqa: BLE001  shown in the view and in the result
            upgraded.error = f"{type(error).__name__}: {error}"[:200]
        self.show()

    async def _misfits(self) -> None:
        for misfit in MISFITS:
            password = self.rig.passwords.get(misfit.id, "") if misfit.password == "right" else "guess-guess-guess-12"
            self.refused.append(await run_misfit(misfit, password, self.rig.endpoints, self.rig.event_file))
            self.show()

    def result(self) -> dict[str, Any]:
        """The JSON object."""
        charge_points = [
            {
                "id": actor.id,
                "ocpp_version": str(actor.version),
                "security_profile": int(actor.security_profile),
                "admitted": self.progress[actor.id].admitted,
                "transaction_completed": self.progress[actor.id].transaction_completed,
                "csms_call_answered": actor.id in self.csms.answered,
                "messages": self.progress[actor.id].messages,
                **({"error": self.progress[actor.id].error} if self.progress[actor.id].error else {}),
            }
            for actor in ACTORS
        ]
        refused = [
            {"id": x.misfit.id, "case": x.misfit.case, "stage": x.stage, "reason": x.reason, "seen": x.seen}
            for x in self.refused
        ]
        behaved = all(x["admitted"] and x["transaction_completed"] and x["csms_call_answered"] for x in charge_points)
        kept_out = len(self.refused) == len(MISFITS) and all(x.as_expected for x in self.refused)
        upgraded = [
            {
                "id": x.actor.id,
                "from_profile": x.from_profile,
                "to_profile": x.to_profile,
                "certificate_serial": x.certificate_serial,
                "renewed_serial": x.renewed_serial,
                **({"error": x.error} if x.error else {}),
            }
            for x in self.upgraded
            if x.is_proven or x.error
        ]
        moved = all(x.is_done for x in self.upgraded)
        ok = behaved and kept_out and moved
        return {"ok": ok, "charge_points": charge_points, "refused": refused, "upgraded": upgraded}


def run_demo(
    *,
    once: bool = False,
    json_output: bool = False,
    directory: Path | None = None,
    audit_directory: Path | None = None,
) -> int:
    """Run the demo. Returns 0 if all charge points behaved and were upgraded, and misfits were refused for the right reason.

    `once`: each charge point charges once, then it ends; otherwise it goes on until interrupted. `directory`: where
    the development certificates are made. `audit_directory`: where the audit log is left; empty or not there yet.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    console = Console(stderr=json_output)
    with tempfile.TemporaryDirectory(prefix="ocpp-gateway-demo-") as work:
        certificates = directory or default_certificates() or Path(work) / "certificates"
        demo = _Demo(Rig(Path(work), certificates, audit_directory), once=once)
        try:
            _play(demo, console, quiet=json_output)
        except KeyboardInterrupt:
            pass
        except RigFailed as failure:
            console.print(f"[red]The demo cannot run:[/red] {escape(str(failure))}", highlight=False)
            if json_output:
                print(json.dumps({"ok": False, "error": str(failure)}))
            return 1
        except TimeoutError:
            console.print(
                "[red]The demo did not finish in time.[/red] The gateway's log ends with:\n"
                + escape(demo.rig.log_tail())
            )
        result = demo.result()
        if json_output:
            print(json.dumps(result))
        elif not result["ok"] and once:
            console.print(
                "[red]Not everything went as expected.[/red] The gateway's log ends with:\n"
                + escape(demo.rig.log_tail())
            )
        return 0 if result["ok"] or not once else 1


def _play(demo: _Demo, console: Console, *, quiet: bool) -> None:
    footer = "" if demo.once else f"Ctrl-C ends. Security events: {demo.rig.event_file}"
    live = None if quiet else Live(console=console, refresh_per_second=8)

    def show() -> None:
        if live is not None:
            live.update(render(demo.progress, demo.refused, len(MISFITS), demo.upgraded, footer))

    async def play() -> None:
        async with asyncio.timeout(_ONCE_TIMEOUT_S if demo.once else None):
            await demo.play()

    demo.show = show
    with live or nullcontext():
        show()
        asyncio.run(play())
        show()
