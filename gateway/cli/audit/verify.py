"""`audit verify`: is the log what was signed? And what does that not say?"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.audit.places import directory_argument, is_written, log_directory, read_vkeys, shards_of
from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import console, fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.control.trail.layout import Shard
    from gateway.control.trail.payload_check import PayloadReport
    from gateway.control.trail.verify import ShardReport

__all__ = ["verify"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@directory_argument
@click.option("--key", "keys", multiple=True, type=_FILE, help="File with the keys of the log, kept elsewhere.")
@click.option("--witness-key", "witness_keys", multiple=True, type=_FILE, help="File with the key of a witness.")
@click.option(
    "--since-checkpoint",
    "kept",
    multiple=True,
    type=_FILE,
    help="A checkpoint that was kept: the log must continue it.",
)
@click.option(
    "--keys-directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory of the log's keys, to read the texts of messages; needed where DIR is given.",
)
@config_option
@json_option
def verify(
    directory: Path | None,
    keys: tuple[Path, ...],
    witness_keys: tuple[Path, ...],
    kept: tuple[Path, ...],
    keys_directory: Path | None,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Prove that the whole log is what was signed.

    Every record is hashed, every tile compared, every checkpoint checked. Exit code 1 if anything is wrong; what is
    not proven by that is said as well. A log that a gateway is writing can be verified meanwhile.
    """
    from gateway.control.trail.chain import verify_log

    root = log_directory(directory, config_path, as_json=as_json)
    shards = shards_of(root, as_json=as_json)
    trusted, witnesses = read_vkeys(keys, as_json=as_json), read_vkeys(witness_keys, as_json=as_json)
    earlier = [_read(file, as_json=as_json) for file in kept]
    reports = verify_log(root, trusted, witnesses, earlier, _progress(), live=is_written(root))
    if directory is None and keys_directory is None:
        keys_directory = Path(read_config(config_path, as_json=as_json).audit.keys_directory)
    texts = _texts(root, shards, keys_directory)
    if as_json:
        print_json(_document(root, reports, texts))
    else:
        _print(root, reports)
        _print_texts(texts)
    return 0 if all(report.ok for report in reports) and not (texts and texts.findings) else NOT_OK


def _texts(root: Path, shards: "list[Shard]", keys: Path | None) -> "PayloadReport | None":
    """Whether the texts of messages are what records commit to; None where they cannot be read, or the log has nothing."""
    if keys is None or not os.access(keys, os.X_OK) or not all(shard.directory.parent == root for shard in shards):
        return None
    from gateway.control.trail.payload_check import PayloadReport, check_payloads
    from gateway.control.trail.payloads import PayloadStore
    from gateway.control.trail.reader import RecordMissing

    try:
        return check_payloads(shards, PayloadStore(root / "payload", keys / "payload"))
    except (RecordMissing, OSError) as error:
        return PayloadReport(findings=[str(error)])


def _print_texts(texts: "PayloadReport | None") -> None:
    if texts is None:
        click.echo("  not proven: that the texts of messages are there: their keys cannot be read (--keys-directory)")
        return
    click.echo(f"texts of messages: {texts.readable} are what was recorded, {texts.destroyed} are gone: no key is left")
    for finding in texts.findings:
        click.echo(f"  {shown(finding)}")


def _read(file: Path, *, as_json: bool) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        fail(f"{shown(file)}: {error.strerror}", USAGE, as_json=as_json)


def _progress() -> Any:
    """On a terminal only: long work shows that it goes on."""
    if not sys.stderr.isatty():
        return None

    def tell(name: str, done: int, size: int) -> None:
        click.echo(f"\r{name}: {done} of {size} records", nl=False, err=True)

    return tell


def _document(root: Path, reports: "list[ShardReport]", texts: "PayloadReport | None") -> dict[str, Any]:
    import msgspec

    return {
        "ok": all(report.ok for report in reports) and not (texts and texts.findings),
        "directory": str(root),
        "shards": [{"ok": report.ok, **msgspec.to_builtins(report)} for report in reports],
        "texts": msgspec.to_builtins(texts),
    }


def _print(root: Path, reports: "list[ShardReport]") -> None:
    out = console()
    for report in reports:
        if sys.stderr.isatty():
            click.echo("", err=True)
        state = "OK" if report.ok else "NOT OK"
        out.print(f"{shown(root)}, shard {shown(report.shard)}: {state}, {report.size} records under the checkpoint")
        if report.origin:
            out.print(f"  origin: {shown(report.origin)}")
            out.print(f"  root: {report.root}")
            out.print(f"  signed by: {', '.join(map(shown, report.signed_by))}{_when(report.signed_at)}")
        for finding in report.findings:
            out.print(f"  {finding.state}: {shown(finding.where)}: {shown(finding.detail)}", soft_wrap=True)
        for note in report.notes:
            out.print(f"  note: {shown(note)}", soft_wrap=True)
        for each in report.not_proven:
            out.print(f"  not proven: {shown(each)}", soft_wrap=True)


def _when(seconds: int | None) -> str:
    from gateway.cli.refusals import stamp

    return f", {stamp(seconds)}" if seconds else ""
