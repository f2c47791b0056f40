"""`audit prove`: a record for somebody who trusts neither us nor our software."""

from pathlib import Path

import click

from gateway.cli.audit.places import directory_option, log_directory
from gateway.cli.audit.read import read_record, read_text, reason_option
from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["prove"]


@click.command()
@click.argument("which", metavar="INDEX")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The zip file to write.",
)
@click.option(
    "--text", "with_text", is_flag=True, help="Disclose the text of the message as well; needs the log's keys."
)
@reason_option
@directory_option
@config_option
@json_option
def prove(
    which: str,
    output: Path,
    with_text: bool,
    reason: str,
    directory: Path | None,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Write an auditor kit for one record.

    Record, proof, checkpoint, keys and a verifier, as a zip file. --text adds the text of this message, and of no other,
    with the salt that shows that the record commits to it; that it was disclosed is on record first.

    The verifier in it is one file that needs Python and nothing else: python3 verify.py.
    """
    from gateway.control.trail.kit import NotProvable, make_kit
    from gateway.control.trail.reader import decoded

    root = log_directory(directory, config_path, as_json=as_json)
    shard, index, data = read_record(which, root, as_json=as_json)
    disclosed = None
    if with_text:
        place, record = f"{shard.name}/{index}", decoded(data)
        disclosed = read_text(
            record, place, directory, config_path, purpose="for a kit", reason=reason, as_json=as_json
        )
    try:
        output.write_bytes(make_kit(shard, index, disclosed))
    except NotProvable as error:
        fail(str(error), NOT_OK, as_json=as_json)
    if as_json:
        print_json({"kit": str(output), "shard": shard.name, "index": index, "text": with_text})
    else:
        what = "its text and its proof" if with_text else "its proof"
        click.echo(f"{shown(output)}: record {shard.name}/{index}, {what}. To check it: python3 verify.py")
    return 0
