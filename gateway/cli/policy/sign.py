"""`policy sign`: vouches for a whole policy with a key that is kept elsewhere than on the gateway."""

from pathlib import Path

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

__all__ = ["sign"]


@click.command()
@click.argument("packs", metavar="[PACK|FILE]...", nargs=-1)
@click.option(
    "--key",
    "key_path",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the private key; made if it is not there.",
)
@click.option("--name", required=True, help="Whose key it is, without spaces, e.g. security.example.com.")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The signature; else the file that the configuration names.",
)
@config_option
@json_option
def sign(
    packs: tuple[str, ...], key_path: Path, name: str, out: Path | None, config_path: str | None, as_json: bool
) -> int:
    """Sign a policy: everything that decides, as it is loaded here.

    Without a name: what the configuration uses. Sign with the version of the gateway that will load it. The public
    key that is printed belongs into `keys` under [policy].
    """
    from gateway.cli.files import write_text
    from gateway.cli.policy.sources import sources_of, usable
    from gateway.control.trail.keys import KeyUnusable, load_or_make_ed25519
    from gateway.policy.signature import BundleSigner

    if not name or any(each.isspace() or each == "+" for each in name):
        fail("The name of a key has no spaces and no '+'.", USAGE, as_json=as_json)
    if out is None:
        signature = read_config(config_path, as_json=as_json).policy.signature
        if not signature:
            fail("The configuration names no signature: say with --out where it goes.", USAGE, as_json=as_json)
        out = Path(signature)
    bundle = usable(sources_of(packs, config_path, as_json=as_json, lend_site=False), as_json=as_json)
    is_new = not key_path.exists()
    try:
        signer = BundleSigner(name, load_or_make_ed25519(key_path))
    except KeyUnusable as error:
        fail(f"{error}.", NOT_OK, as_json=as_json)
    except OSError as error:
        fail(f"{shown(key_path)}: {error.strerror or error}", NOT_OK, as_json=as_json)
    write_text(out, signer.sign(bundle.revision).decode(), mode=0o644, overwrite=True, as_json=as_json)
    key = signer.key.vkey
    if as_json:
        print_json({"revision": bundle.revision, "signature": str(out), "key": key, "key_made": is_new})
        return 0
    if is_new:
        click.echo(f"A new key is in {shown(key_path)}: keep it where the gateway is not.")
    click.echo(f"Signed revision {bundle.revision} in {shown(out)}, by the key\n{shown(key)}")
    return 0
