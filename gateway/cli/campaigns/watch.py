"""`campaign watch`: progress until it is over, a bar for each kind of charge point."""

import sys
import time
from typing import TYPE_CHECKING, Any, Final, Self

import click

from gateway.cli.campaigns.fields import DURATION, name_argument
from gateway.cli.campaigns.status import found_status
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import json_option, print_json, shown

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["watch"]

_POLL_S: Final = 1.0
_OVER: Final = frozenset({"finished", "aborted"})
_ENDED: Final = frozenset({"committed", "fell-back", "lost", "ineligible", "not-reached", "withdrawn"})


@click.command()
@name_argument
@click.option("--for", "for_s", type=DURATION, help="Look on for so long at most. Default: to the end.")
@config_option
@json_option
def watch(name: str, for_s: float | None, config_path: str | None, as_json: bool) -> int:
    """Look on until the campaign is over.

    --json prints how it stood at last. Exit code 1 if it is not over by then, or anybody was lost.
    """
    config = read_config(config_path, as_json=as_json)
    until = time.monotonic() + for_s if for_s is not None else None
    with open_registry(config, as_json=as_json) as registry, _View(quiet=as_json) as view:
        while True:
            found = found_status(registry, name)
            view.show(found)
            if found["state"] in _OVER or (until is not None and time.monotonic() >= until):
                break
            time.sleep(_POLL_S)
    if as_json:
        print_json(found)
    return 0 if found["state"] in _OVER and not found["charge_points"].get("lost") else NOT_OK


class _View:
    """Bars on a terminal, a line for each change elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bars: Progress | None = None
        self._tasks: dict[int, TaskID] = {}
        self._last = ""

    def __enter__(self) -> Self:
        if not self._quiet and sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[words]}", markup=False),
            )
            self._bars = Progress(*columns)
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, found: dict[str, Any]) -> None:
        if self._quiet:
            return
        if self._bars is None:
            line = f"{found['name']}: {found['state']}: {_words(found['charge_points'])}"
            if line != self._last:
                click.echo(shown(line))
            self._last = line
            return
        for each in found["strata"]:
            self._show_bar(self._bars, each)

    def _show_bar(self, bars: "Progress", stratum: dict[str, Any]) -> None:
        counts = stratum["charge_points"]
        title = shown(" / ".join(stratum[name] or "unknown" for name in ("vendor", "model", "firmware")))
        words = shown(f"wave {stratum['wave']}  {stratum['halted'] or _words(counts)}")
        if stratum["number"] not in self._tasks:
            task = bars.add_task(title, total=sum(counts.values()), words=words)
            self._tasks[stratum["number"]] = task
        ended = sum(n for state, n in counts.items() if state in _ENDED)
        bars.update(self._tasks[stratum["number"]], completed=ended, words=words)


def _words(counts: dict[str, int]) -> str:
    return "  ".join(f"{state} {n}" for state, n in sorted(counts.items()))
