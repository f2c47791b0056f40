"""`charge-point import` and `charge-point export`: many at once, as CSV or JSON."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_text, shown_name, write_text
from gateway.cli.output import fail, json_option, print_json, shown, warn

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.store.import_export import ImportResult
    from gateway.store.registry import Registry

__all__ = ["export_charge_points", "import_charge_points"]

Format = Literal["csv", "json"]
_MODE = 0o600
"""An export holds password hashes."""


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option("--format", "file_format", type=click.Choice(["csv", "json"]), help="Default: by the content.")
@click.option(
    "--on-duplicate",
    type=click.Choice(["error", "skip", "update"]),
    default="error",
    show_default=True,
    help="What to do with a charge point that is registered. An update changes only the columns that are there.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, change nothing.")
@config_option
@json_option
def import_charge_points(
    file: str, file_format: str | None, on_duplicate: str, dry_run: bool, config_path: str | None, as_json: bool
) -> int:
    """Register many charge points from a file.

    FILE is CSV or JSON ('-': standard input). All of them are imported, or none. Columns are those of an export;
    charge_point_id and security_profile are enough. A column password holds passwords in plain text, which are stored
    as hashes only.
    """
    from gateway.control.credentials import hash_password, is_supported_hash
    from gateway.store.import_export import ImportFailed, import_records

    config = read_config(config_path, as_json=as_json)
    text = read_text(file, hint=" In Excel, save it as 'CSV UTF-8'.", as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        try:
            with _progress_bar() as progress:
                result = import_records(
                    registry,
                    text,
                    cast("Format", file_format or _guess_format(text)),
                    hash_password=hash_password,
                    is_supported_hash=is_supported_hash,
                    now=time.time(),
                    on_duplicate=cast('Literal["error", "skip", "update"]', on_duplicate),
                    dry_run=dry_run,
                    progress=progress,
                )
        except ImportFailed as failure:
            problems = [{"line": problem.line, "message": problem.message} for problem in failure.problems]
            lines = [f"{shown_name(file)}:{each['line']}: {shown(each['message'])}" for each in problems]
            message = "Nothing was imported."
            fail(message if as_json else "\n".join([*lines, message]), NOT_OK, as_json=as_json, details=problems)
        warnings = [] if dry_run else _warnings(registry, result, config)
    _tell(result, warnings, dry_run=dry_run, as_json=as_json)
    return 0


def _guess_format(text: str) -> Format:
    """A JSON array begins with a bracket, and no header of ours does."""
    return "json" if text.lstrip()[:1] in {"[", "{"} else "csv"


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error while passwords are hashed; none where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Hashing passwords"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        yield advance


def _warnings(registry: "Registry", result: "ImportResult", config: "Config") -> list[str]:
    from gateway.cli.obstacles import find_obstacles

    records = registry.load([*result.added, *result.updated]).values()
    return [
        f"{shown(record.charge_point_id)} cannot connect: {obstacle.message}"
        for record in records
        for obstacle in find_obstacles(record, config)
    ]


def _tell(result: "ImportResult", warnings: list[str], *, dry_run: bool, as_json: bool) -> None:
    kinds: dict[str, Any] = {"added": result.added, "updated": result.updated, "skipped": result.skipped}
    if as_json:
        print_json({"dry_run": dry_run, **kinds, "warnings": warnings})
        return
    counts = ", ".join(f"{len(ids)} {kind}" for kind, ids in kinds.items())
    click.echo(f"Dry run, nothing was changed: {counts}." if dry_run else f"Done: {counts}.")
    warn(warnings)


@click.command("export")
@click.option("--format", "file_format", type=click.Choice(["csv", "json"]), help="Default: csv; with --json: json.")
@click.option("--output", metavar="FILE", help="Write there (mode 0600) instead of to standard output.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--group", metavar="G", help="Only this group.")
@config_option
@json_option
def export_charge_points(
    file_format: str | None,
    output: str | None,
    force: bool,
    group: str | None,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Write all charge points as CSV or JSON.

    Import reads it back. Passwords leave as hashes: keep the file safe.
    """
    from gateway.store.import_export import export_records

    if as_json and output is None and file_format == "csv":
        raise click.UsageError("--json prints JSON; for CSV leave it out or give --output.")
    chosen = cast("Format", file_format or ("json" if as_json else "csv"))
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        records = registry.find(group=group)
        text = export_records(records, chosen)
    if output is None:
        click.echo(text, nl=False)
        return 0
    write_text(Path(output), text, mode=_MODE, overwrite=force, as_json=as_json)
    if as_json:
        print_json({"exported": len(records), "format": chosen, "file": output})
    else:
        click.echo(f"Wrote {len(records)} charge points to {shown(output)}; it holds password hashes.")
    return 0
