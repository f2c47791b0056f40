"""`pki ceremony`: one reviewed file in, one record out. Made for a machine without a network."""

from pathlib import Path
from typing import Any

import click

from gateway.cli.files import read_text, shown_name
from gateway.cli.output import json_option, print_json, shown

__all__ = ["ceremony"]


@click.command()
@click.argument("file", metavar="FILE")
@click.option("--check", is_flag=True, help="Only read the file and say what is wrong with it.")
@json_option
def ceremony(file: str, check: bool, as_json: bool) -> int:
    """Do with a root key what a reviewed file says.

    Make a key, a root, an issuing CA, cross certificates, or the root's CRL (docs/pki.md). FILE says everything:
    nothing is asked, nothing that is there is replaced, and a record is written beside what is made.
    """
    from gateway.cli.pki.ca import errors_explained, now
    from pki.ceremony.checks import verify_plan
    from pki.ceremony.perform import perform
    from pki.ceremony.plan import parse_ceremony

    text = read_text(file, as_json=as_json)
    with errors_explained(as_json=as_json):
        plan = parse_ceremony(text)
        verify_plan(plan)
        mode = str(plan.__struct_config__.tag)
        if check:
            if as_json:
                print_json({"ok": True, "mode": mode, "purpose": plan.purpose})
            else:
                click.echo(f"{shown_name(file)} is a ceremony of mode {mode}: {shown(plan.purpose)}")
            return 0
        base = Path() if file == "-" else Path(file).parent
        path, record = perform(plan, text, base, now())
    if as_json:
        print_json({"record": str(path), **record})
        return 0
    _tell(path, record)
    return 0


def _tell(path: Path, record: dict[str, Any]) -> None:
    for certificate in record.get("certificates", ()):
        click.echo(f"{shown(certificate['file'])}: {shown(certificate['subject'])}")
        click.echo(f"  {certificate['not_before']} to {certificate['not_after']}, {certificate['key']}")
        click.echo(f"  SHA-256 {certificate['sha256']}")
    for name in record["files"]:
        click.echo(f"Wrote {shown(name)}.")
    for warning in record.get("warnings", ()):
        click.echo(f"warning: {shown(warning)}", err=True)
    click.echo(f"The record is {shown(path)}: print it, and let the witnesses sign it.")
