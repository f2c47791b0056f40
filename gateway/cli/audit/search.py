"""`audit search`: records by time, identity, action, verdict, rule, event and words."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.audit.places import directory_option, log_directory, shards_of
from gateway.cli.audit.shown import line_of, moment
from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.control.trail.index import Cursor, Hit
    from gateway.control.trail.layout import Shard

__all__ = ["search"]

_END_US = 1 << 62


def _cursor(_: click.Context, __: click.Parameter, value: str | None) -> "Cursor | None":
    from gateway.control.trail.index import Cursor

    try:
        return Cursor.parse(value) if value else None
    except ValueError as error:
        raise click.BadParameter("not the 'next' of a page before") from error


@click.command()
@click.option("--since", callback=moment, help="From this time on, e.g. 24h or 2026-11-27T21:00:00Z.")
@click.option("--until", callback=moment, help="Before this time.")
@click.option("--identity", default="", help="Charge point.")
@click.option(
    "--event", default="", help="Type of record, e.g. auth.failed; all of a family with a dot at the end: auth."
)
@click.option("--action", default="", help="OCPP action.")
@click.option("--verdict", default="", help="What was done, e.g. deny or http_reject.")
@click.option("--rule", default="", help="Rule, e.g. firmware/host.")
@click.option("--session", default="", help="Everything of one connection.")
@click.option("--text", default="", help="Words in text, reason or address.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="Length of a page.")
@click.option("--after", metavar="NEXT", callback=_cursor, help="The next page: 'next' of the page before.")
@click.option(
    "--index",
    "index_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Index file, if not in the log's DIR.",
)
@directory_option
@config_option
@json_option
def search(
    directory: Path | None, config_path: str | None, as_json: bool, index_path: Path | None, **wanted: Any
) -> int:
    """Search the log, newest first.

    The index is made from the log at the first search and follows it at the next ones; it can be deleted at any time.
    Exit code 1 if nothing was found.
    """
    import sqlite3

    from gateway.control.trail.index import Query, SearchIndex
    from gateway.control.trail.reader import RecordMissing

    root = log_directory(directory, config_path, as_json=as_json)
    shards = shards_of(root, as_json=as_json)
    since, until = wanted.pop("since") or 0, wanted.pop("until")
    until = _END_US if until is None else until
    if since >= until:
        fail("--since is not before --until.", USAGE, as_json=as_json)
    query = Query(since_us=since, until_us=until, **wanted)
    path = index_path or root / "index.sqlite"
    try:
        # Where the log is, nothing but the index has this name; elsewhere a file may be anything.
        index = SearchIndex(path, may_replace=index_path is None)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        fail(f"{shown(path)}: {why}. Name another place with --index.", NOT_OK, as_json=as_json)
    try:
        index.follow(shards, _progress())
        hits = index.search(query)
        records = _records(shards, hits)
    except RecordMissing as error:
        fail(str(error), NOT_OK, as_json=as_json)
    except sqlite3.Error as error:
        fail(f"{shown(path)}: {error}. Delete it, or name another place with --index.", NOT_OK, as_json=as_json)
    finally:
        index.close()
    _tell(records, hits, query.limit, as_json=as_json)
    return 0 if hits else NOT_OK


def _progress() -> Any:
    if not sys.stderr.isatty():
        return None
    return lambda shard, done: click.echo(f"\rindex: {shard}, {done} records", nl=False, err=True)


def _records(shards: "list[Shard]", hits: "list[Hit]") -> list[tuple[str, int, dict[str, Any]]]:
    """From the log itself: an index can be wrong. Raises RecordMissing."""
    from gateway.control.trail.reader import ShardReader, decoded

    readers = {shard.name: ShardReader(shard) for shard in shards}
    return [
        (hit.shard, hit.index, decoded(readers[hit.shard].record(hit.index))) for hit in hits if hit.shard in readers
    ]


def _tell(records: list[tuple[str, int, dict[str, Any]]], hits: "list[Hit]", limit: int, *, as_json: bool) -> None:
    from gateway.control.trail.index import Cursor

    last = Cursor(hits[-1].ts_us, hits[-1].shard, hits[-1].index).text if len(hits) == limit else ""
    if as_json:
        print_json(
            {
                "records": [{"shard": shard, "index": index, "record": record} for shard, index, record in records],
                "next": last,
            }
        )
        return
    for shard, index, record in records:
        click.echo(line_of(shard, index, record))
    if last:
        click.echo(f"There may be more: --after {last}", err=True)
    if not records:
        click.echo("Nothing was found.", err=True)
