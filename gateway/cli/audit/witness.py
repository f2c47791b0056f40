"""`audit witness`: an anchor for people who do not administer the gateway."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.audit.places import read_vkeys
from gateway.cli.exit_codes import NOT_OK, USAGE
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.audit.note import VerifierKey

__all__ = ["witness"]


@click.command()
@click.option("--state", required=True, type=click.Path(file_okay=False, path_type=Path), help="Its key and memory.")
@click.option("--name", required=True, help="Who it is: a URL without scheme, e.g. soc.example.com/witness.")
@click.option(
    "--log-keys",
    "logs",
    required=True,
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The 'keys' file of a log that it watches.",
)
@click.option("--listen", default="127.0.0.1:8470", show_default=True, help="host:port")
@json_option
def witness(state: Path, name: str, logs: tuple[Path, ...], listen: str, as_json: bool) -> int:
    """Serve a witness that signs what continues.

    It follows c2sp.org/tlog-witness: a checkpoint is signed if it continues the newest one that was seen of its log.

    It makes its key at the first start and prints it; give that line to those who verify. Runs until it is stopped.
    """
    from gateway.audit.checkpoint import WitnessSigner
    from gateway.config.checks import split_address
    from gateway.control.trail.disk import Disk
    from gateway.control.trail.keys import KeyUnusable, load_or_make_ed25519
    from gateway.control.trail.witness import Witness
    from gateway.control.trail.witness_server import serve_witness

    if not name or any(each.isspace() or each == "+" for each in name):
        fail("The name of a witness has no spaces and no '+'.", USAGE, as_json=as_json)
    try:
        host, port = split_address(listen)
    except ValueError:
        fail(f"--listen {listen!r} is not host:port.", USAGE, as_json=as_json)
    known = _by_origin(read_vkeys(logs, as_json=as_json))
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        signer = WitnessSigner(name, load_or_make_ed25519(state / "witness.seed"))
    except KeyUnusable as error:
        fail(f"{error}.", NOT_OK, as_json=as_json)

    def ready(where: str, number: int) -> None:
        if as_json:
            print_json({"ready": True, "listen": f"{where}:{number}", "key": signer.key.vkey})
        else:
            click.echo(f"Witness on http://{where}:{number}, for {len(known)} logs. Its key:\n{shown(signer.key.vkey)}")

    asyncio.run(serve_witness(Witness(signer, known, state, Disk()), host, port, ready))
    return 0


def _by_origin(keys: "tuple[VerifierKey, ...]") -> "dict[str, tuple[VerifierKey, ...]]":
    return {name: tuple(key for key in keys if key.name == name) for name in dict.fromkeys(key.name for key in keys)}
