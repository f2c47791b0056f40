"""`audit checkpoint`: the head of the log, to be kept elsewhere; with the signature of a witness, if one is named."""

from pathlib import Path

import click

from gateway.cli.audit.places import directory_argument, log_directory, read_vkeys, shards_of
from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["checkpoint"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@directory_argument
@click.option("--witness", "url", metavar="URL", help="Have it signed by the witness there.")
@click.option("--witness-key", "key_file", type=_FILE, help="File with the key of the witness.")
@click.option("-o", "--output", type=_FILE, help="Write it there instead of to standard output.")
@config_option
@json_option
def checkpoint(
    directory: Path | None,
    url: str | None,
    key_file: Path | None,
    output: Path | None,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Print the head of the log, to be kept elsewhere.

    The checkpoint of the newest shard, after checking its signatures. Kept by somebody else, it proves later that
    nothing before it was changed or cut off: audit verify --since-checkpoint FILE.
    """
    from gateway.audit.checkpoint import SignatureInvalid, verify_checkpoint
    from gateway.audit.note import NoteInvalid
    from gateway.control.trail.witness_client import NotWitnessed, cosigned_checkpoint

    shard = shards_of(log_directory(directory, config_path, as_json=as_json), as_json=as_json)[-1]
    if (url is None) != (key_file is None):
        fail("--witness and --witness-key go together.", USAGE, as_json=as_json)
    witnesses = read_vkeys([key_file], as_json=as_json) if key_file else ()
    try:
        note = cosigned_checkpoint(shard, url, witnesses[0]) if url else shard.checkpoint.read_bytes()
        verified = verify_checkpoint(note, shard.read_keys(), witnesses)
    except NotWitnessed as error:
        fail(str(error), UNREACHABLE if "reached" in str(error) else NOT_OK, as_json=as_json)
    except (NoteInvalid, SignatureInvalid) as error:
        fail(f"{shown(shard.checkpoint)}: {error}", NOT_OK, as_json=as_json)
    if output is not None:
        output.write_bytes(note)
    head = verified.checkpoint
    if as_json:
        print_json(
            {
                "origin": head.origin,
                "size": head.size,
                "root": head.root.hex(),
                "signed_at": verified.time_s,
                "signed_by": [key.name for key in verified.by],
                "checkpoint": note.decode(),
            }
        )
    elif output is None:
        click.echo(note.decode(), nl=False)
    else:
        click.echo(f"{shown(output)}: {head.size} records of {shown(head.origin)}")
    return 0
