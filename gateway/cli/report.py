"""`report`: what the audit log shows about the controls of a regulation or standard."""

import io
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.audit.reports.frameworks import FRAMEWORKS
from gateway.cli.audit.places import directory_option, is_written, log_directory, shards_of
from gateway.cli.audit.shown import moment
from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.audit.reports.evidence import Tally
    from gateway.audit.reports.model import Log, Report
    from gateway.control.trail.layout import Shard

__all__ = ["report"]

_MOST_KITS: Final = 25
_PROGRESS_EVERY: Final = 20_000
_DEFAULT_PERIOD_US: Final = 90 * 86_400 * 1_000_000
_YEAR_3000_US = 32_503_680_000_000_000
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)


@click.command()
@click.argument("framework", type=click.Choice(sorted(FRAMEWORKS)))
@click.option("--from", "since", callback=moment, help="From this time on; without it, the last 90 days.")
@click.option("--to", "until", callback=moment, help="Before this time; without it, now.")
@click.option(
    "--aware",
    callback=moment,
    help="For nis2: when you became aware of the incident; adds its timeline and the stages.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.html, or FILE.zip with proofs for the records it refers to.",
)
@click.option("--unverified", is_flag=True, help="Do not verify the log; the report says so.")
@directory_option
@config_option
@json_option
def report(  # noqa: PLR0913, PLR0917  one per option
    framework: str,
    since: int | None,
    until: int | None,
    aware: int | None,
    output: Path | None,
    unverified: bool,
    directory: Path | None,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Show what the audit log says about a regulation.

    Control by control, with the records it rests on. It supports a claim of conformity and is none.

    Exit code 1 if the log is not what was signed: then no report is worth anything.
    """
    from gateway.audit.reports.build import build_report

    now_us = time.time_ns() // 1000
    end = now_us if until is None else until
    begin = max(0, end - _DEFAULT_PERIOD_US) if since is None else since
    if begin >= end:
        fail("--from is not before --to.", USAGE, as_json=as_json)
    if aware is not None and framework != "nis2":
        fail("--aware is for nis2: the others know no stages.", USAGE, as_json=as_json)
    if aware is not None and not 0 <= aware < _YEAR_3000_US:
        fail("--aware is no moment of these centuries.", USAGE, as_json=as_json)
    if output is not None and output.suffix not in {".html", ".zip"}:
        fail(f"{shown(output)}: a report is FILE.html or FILE.zip.", USAGE, as_json=as_json)
    root = log_directory(directory, config_path, as_json=as_json)
    shards = shards_of(root, as_json=as_json)
    tally = _counted(shards, begin, end, as_json=as_json)
    logs = _unverified(shards) if unverified else _verified(root)
    made = build_report(framework, tally, logs, begin, end, now_us, aware)
    if output is not None:
        output.write_bytes(_bundle(made, shards) if output.suffix == ".zip" else _page(made))
    _tell(made, output, as_json=as_json)
    return NOT_OK if any(log.verified is False for log in logs) else 0


def _counted(shards: "Iterable[Shard]", since_us: int, until_us: int, *, as_json: bool) -> "Tally":
    from gateway.audit.reports.evidence import Tally
    from gateway.control.trail.reader import RecordMissing, ShardReader, decoded

    tally, tell = Tally(since_us, until_us), sys.stderr.isatty()
    try:
        for shard in shards:
            for index, data in ShardReader(shard).records():
                tally.add(f"{shard.name}/{index}", data, decoded(data))
                if tell and index % _PROGRESS_EVERY == 0:
                    click.echo(f"\rreading: {shard.name}, {index} records", nl=False, err=True)
    except RecordMissing as error:
        fail(str(error), NOT_OK, as_json=as_json)
    return tally


def _verified(root: Path) -> "list[Log]":
    from gateway.audit.reports.model import Log
    from gateway.control.trail.chain import verify_log

    return [
        Log(
            origin=each.origin or each.shard,
            size=each.size,
            root=each.root,
            verified=each.ok,
            findings=tuple(f"{found.state}: {found.where}: {found.detail}" for found in each.findings[:5]),
        )
        for each in verify_log(root, live=is_written(root))
    ]


def _unverified(shards: "Iterable[Shard]") -> "list[Log]":
    from gateway.audit.checkpoint import Checkpoint
    from gateway.audit.note import NoteInvalid, parse_note
    from gateway.audit.reports.model import Log

    logs = []
    for shard in shards:
        try:
            head = Checkpoint.parse(parse_note(shard.checkpoint.read_bytes()).text)
            logs.append(Log(origin=head.origin, size=head.size, root=head.root.hex(), verified=None, findings=()))
        except (OSError, NoteInvalid) as error:
            logs.append(Log(origin=shard.name, size=0, root="", verified=False, findings=(str(error),)))
    return logs


def _page(made: "Report") -> bytes:
    from gateway.audit.reports.html import to_html

    return to_html(made).encode()


def _bundle(made: "Report", shards: "Iterable[Shard]") -> bytes:
    """Page, JSON, and a kit for each record that is referred to, the gravest first. Raises OSError."""
    import msgspec

    from gateway.control.trail.kit import NotProvable, make_kit

    by_name = {shard.name: shard for shard in shards}
    places = list(dict.fromkeys(each.place for each in (*made.timeline, *made.referred)))[:_MOST_KITS]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as bundle:

        def put(name: str, data: bytes) -> None:
            bundle.writestr(zipfile.ZipInfo(name, _MOMENT), data, zipfile.ZIP_DEFLATED)

        put("report.html", _page(made))
        put("report.json", msgspec.json.format(msgspec.json.encode(made), indent=1))
        for name, shard in by_name.items():
            put(f"checkpoints/{name}", shard.checkpoint.read_bytes())
        for place in places:
            name, _, index = place.rpartition("/")
            try:
                put(f"proofs/{name}-{index}.zip", make_kit(by_name[name], int(index)))
            except NotProvable as error:
                put(f"proofs/{name}-{index}.txt", f"{error}\n".encode())
    return archive.getvalue()


def _tell(made: "Report", output: Path | None, *, as_json: bool) -> None:
    import msgspec

    if as_json:
        print_json({**msgspec.to_builtins(made), "output": str(output) if output else ""})
        return
    click.echo(f"{made.title}: {made.since} to {made.until}, {made.records} records")
    for log in made.logs:
        state = {True: "verified", False: "NOT what was signed", None: "not verified"}[log.verified]
        click.echo(f"log {shown(log.origin)}: {log.size} records, {state}")
        for each in log.findings:
            click.echo(f"  {shown(each)}")
    for row in made.rows:
        counts = ", ".join(f"{each.count} {each.label}" for each in (*row.shows, *row.against) if each.count)
        click.echo(f"{row.id:<12} {row.status:<11} {row.title}{': ' + counts if counts else ''}")
    for stage in made.stages:
        click.echo(f"{stage.name}: due {stage.due}")
    if output is not None:
        click.echo(f"Written: {shown(output)}")
