"""`policy verify`: whether a policy is one that somebody has signed."""

from pathlib import Path

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["verify"]


@click.command()
@click.argument("packs", metavar="[PACK|FILE]...", nargs=-1)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="A public key that may sign; else those configured.")
@click.option(
    "--signature",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The signature; else the file that the configuration names.",
)
@config_option
@json_option
def verify(
    packs: tuple[str, ...], keys: tuple[str, ...], signature: Path | None, config_path: str | None, as_json: bool
) -> int:
    """Verify the signature of a policy as it is loaded here.

    Without a name: what the configuration uses.
    """
    from gateway.audit.note import NoteInvalid
    from gateway.cli.policy.sources import sources_of, usable
    from gateway.config.policy import Policy
    from gateway.config.policy_signature import read_signature
    from gateway.policy.signature import SignatureMissing, parse_bundle_key, verify_bundle

    policy = read_config(config_path, as_json=as_json).policy if not keys or signature is None else Policy()
    file = str(signature) if signature is not None else policy.signature
    if not (keys or policy.keys) or not file:
        fail(
            "No key or no signature: configure keys and signature, or give --key and --signature.",
            USAGE,
            as_json=as_json,
        )
    try:
        known = [parse_bundle_key(key) for key in keys or policy.keys]
    except NoteInvalid as error:
        fail(f"--key: {error}.", USAGE, as_json=as_json)
    bundle = usable(sources_of(packs, config_path, as_json=as_json, lend_site=False), as_json=as_json)
    try:
        by = verify_bundle(read_signature(file), bundle.revision, known)
    except SignatureMissing as missing:
        details = {"revision": bundle.revision, "signature": file}
        fail(f"Revision {bundle.revision[:12]} is not signed: {missing}.", NOT_OK, as_json=as_json, details=details)
    if as_json:
        print_json({"ok": True, "revision": bundle.revision, "signature": file, "by": by.name, "key": by.vkey})
    else:
        click.echo(f"Revision {bundle.revision} is signed by {shown(by.name)}.")
    return 0
