"""`audit export`: records for other programs, one a line."""

from pathlib import Path
from typing import get_args

import click

from gateway import __version__
from gateway.audit.siem import Format
from gateway.cli.audit.places import directory_option, log_directory, shards_of
from gateway.cli.audit.shown import moment
from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json

__all__ = ["export"]

_END_US = 1 << 62


@click.command()
@click.option(
    "--format", "form", type=click.Choice(get_args(Format)), default="jsonl", show_default=True, help="In whose words."
)
@click.option("--from", "since", callback=moment, help="From this time on, e.g. 24h or 2026-11-27T21:00:00Z.")
@click.option("--to", "until", callback=moment, help="Before this time.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File instead of standard output."
)
@directory_option
@config_option
@json_option
def export(
    form: Format,
    since: int | None,
    until: int | None,
    output: Path | None,
    directory: Path | None,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Write records as JSON lines, ECS, CEF or OCSF.

    One a line, each with its place in the log, by which a receiver finds gaps and repeats. OCSF is version 1.8.

    --json needs -o: then it tells how many were written.
    """
    root = log_directory(directory, config_path, as_json=as_json)
    if as_json and output is None:
        fail("--json needs -o: without it the records go to standard output.", USAGE, as_json=True)
    window = (since or 0, _END_US if until is None else until)
    count, unsaid = _export(root, form, window, output, as_json=as_json)
    if as_json:
        print_json({"records": count, "unsaid": unsaid, "output": str(output), "format": form})
    elif unsaid:
        click.echo(f"{unsaid} records cannot be said in {form}; the log has them.", err=True)
    return NOT_OK if unsaid else 0


def _export(
    root: Path, form: Format, window: tuple[int, int], output: Path | None, *, as_json: bool
) -> tuple[int, int]:
    """How many were written, and how many have no words in that format."""
    from gateway.audit.note import NoteInvalid
    from gateway.audit.siem import Located, render
    from gateway.control.trail.reader import RecordMissing, ShardReader, decoded

    count = unsaid = 0
    with click.open_file(str(output) if output else "-", "wb") as file:
        try:
            for shard in shards_of(root, as_json=as_json):
                origin = shard.read_keys()[0].name
                for index, data in ShardReader(shard).records():
                    record = decoded(data)
                    ts = record.get("ts")
                    if not window[0] <= (ts if isinstance(ts, int) and abs(ts) < _END_US else 0) < window[1]:
                        continue
                    try:
                        line = render(Located(origin, index, record), form, __version__)
                    except (AttributeError, TypeError, ValueError):
                        unsaid += 1
                        continue
                    file.write(line + b"\n")
                    count += 1
        except (RecordMissing, NoteInvalid, IndexError) as error:
            fail(str(error) or "The log does not say its own name.", NOT_OK, as_json=as_json)
    return count, unsaid
