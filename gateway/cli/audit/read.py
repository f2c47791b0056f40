"""`audit tail` and `audit show`: records as they stand in the log."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.audit.record import part
from gateway.cli.audit.places import directory_option, log_directory, shards_of
from gateway.cli.audit.shown import line_of, place_of, stamp_us
from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json

if TYPE_CHECKING:
    from gateway.control.trail.layout import Shard
    from gateway.control.trail.payloads import Disclosed

__all__ = ["read_record", "read_text", "reason_option", "show", "tail"]

reason_option = click.option("--reason", default="", help="With --text: why; it is on record.")

_FOLLOW_S = 0.5


@click.command()
@click.option("-n", "count", default=20, show_default=True, type=click.IntRange(0, 100_000), help="How many records.")
@click.option("--follow", is_flag=True, help="Go on with new ones until interrupted.")
@directory_option
@config_option
@json_option
def tail(count: int, follow: bool, directory: Path | None, config_path: str | None, as_json: bool) -> int:
    """Show the last records of the log, the newest at the end.

    With --json one document a line.
    """
    from gateway.control.trail.reader import LogReader, RecordMissing

    root = log_directory(directory, config_path, as_json=as_json)
    shards_of(root, as_json=as_json)
    reader = LogReader(root)
    try:
        reader.go_before_the_end(count)
        while True:
            for shard, index, record in reader.new():
                _tell(shard, index, record, as_json=as_json)
            if not follow:
                return 0
            time.sleep(_FOLLOW_S)
    except RecordMissing as error:
        fail(str(error), NOT_OK, as_json=as_json)


def _tell(shard: str, index: int, data: bytes, *, as_json: bool) -> None:
    from gateway.control.trail.reader import decoded

    record = decoded(data)
    if as_json:
        print_json({"shard": shard, "index": index, "record": record})
    else:
        click.echo(line_of(shard, index, record))


@click.command()
@click.argument("which", metavar="INDEX")
@click.option("--text", "with_text", is_flag=True, help="Read the text of a message as well; needs the log's keys.")
@reason_option
@directory_option
@config_option
@json_option
def show(
    which: str, with_text: bool, reason: str, directory: Path | None, config_path: str | None, as_json: bool
) -> int:
    """Show one record with everything in it.

    INDEX is a number in the newest shard, or SHARD/NUMBER as the other commands print it.

    With --text it is put on record first who reads it: by the gateway, or by this command if none runs.
    """
    from gateway.control.trail.reader import decoded

    root = log_directory(directory, config_path, as_json=as_json)
    shard, index, data = read_record(which, root, as_json=as_json)
    record = decoded(data)
    text = ""
    if with_text:
        place = place_of(shard.name, index)
        disclosed = read_text(record, place, directory, config_path, purpose="shown", reason=reason, as_json=as_json)
        text = disclosed.text.decode("utf-8", "replace")
    if as_json:
        print_json({"shard": shard.name, "index": index, "record": record, **({"text": text} if with_text else {})})
        return 0
    click.echo(f"{place_of(shard.name, index)}  {stamp_us(record.get('ts'))}")
    for name, value in _flat(record):
        click.echo(f"  {name:<16}  {_literal(value)}")
    if with_text:
        click.echo(f"  {'text':<16}  {_literal(text)}")
    return 0


def read_text(
    record: dict[str, Any],
    place: str,
    directory: Path | None,
    config_path: str | None,
    *,
    purpose: str,
    reason: str,
    as_json: bool,
) -> "Disclosed":
    """The text that a record commits to, after it is on record who reads it. Ends the command if there is none, or it is gone."""
    from gateway.cli.audit.reading import record_reading
    from gateway.control.trail.payloads import PayloadGone, PayloadStore

    body = part(record, "body")
    if "commit" not in body:
        fail("This record has no text.", NOT_OK, as_json=as_json)
    config = read_config(config_path, as_json=as_json)
    root = directory or Path(config.audit.directory)
    store = PayloadStore(root / "payload", Path(config.audit.keys_directory) / "payload")
    try:
        disclosed = store.of(str(body.get("day", ""))).disclosed(str(body["commit"]))
    except PayloadGone as gone:
        fail(f"The text cannot be read: {gone}.", NOT_OK, as_json=as_json)
    except OSError as error:
        fail(f"The text cannot be read: {error.strerror}.", NOT_OK, as_json=as_json)
    if root.resolve() != Path(config.audit.directory).resolve():
        purpose += f", from a copy in {root.resolve()}"
    record_reading(config, [place], purpose, reason, as_json=as_json)
    return disclosed


def read_record(which: str, root: Path, *, as_json: bool) -> "tuple[Shard, int, bytes]":
    """The record that INDEX names. Ends the command if there is none."""
    from gateway.control.trail.reader import RecordMissing, ShardReader

    shards = shards_of(root, as_json=as_json)
    name, _, number = which.rpartition("/")
    if not number.isdecimal() or not number.isascii() or len(number) > 18:  # noqa: PLR2004  what fits a file name
        fail(f"{which!r} names no record: a number, or SHARD/NUMBER.", USAGE, as_json=as_json)
    shard = next((each for each in shards if each.name == name), None) if name else shards[-1]
    if shard is None:
        fail(f"There is no shard {name!r}.", NOT_OK, as_json=as_json)
    try:
        return shard, int(number), ShardReader(shard).record(int(number))
    except RecordMissing as error:
        fail(str(error), NOT_OK, as_json=as_json)


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in record.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]
    return rows


def _literal(value: Any) -> str:
    from gateway.cli.output import shown

    return ", ".join(map(shown, value)) if isinstance(value, list) else shown(value)
