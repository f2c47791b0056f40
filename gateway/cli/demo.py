"""`demo`: the gateway's main job, visible."""

from pathlib import Path

import click

from gateway.cli.exit_codes import USAGE
from gateway.cli.output import fail

__all__ = ["demo"]


@click.command()
@click.option("--once", is_flag=True, help="Every charge point charges once, then the demo ends.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end (with --once).")
@click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Where the development certificates go."
)
def demo(once: bool, as_json: bool, directory: Path | None) -> int:
    """Show a gateway at work: who gets in, who does not, and why.

    Gateway, CSMS and charge points all run on this machine, with certificates of their own.
    """
    if as_json and not once:
        fail("--json needs --once: without it the demo does not end", USAGE, as_json=True)
    from gateway.demo.run import run_demo

    return run_demo(once=once, json_output=as_json, directory=directory)
