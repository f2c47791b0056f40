"""`demo`: the gateway's main job, visible."""

from pathlib import Path

import click

from gateway.cli.exit_codes import USAGE
from gateway.cli.output import fail, shown

__all__ = ["demo"]


@click.command()
@click.option("--once", is_flag=True, help="Every charge point charges once, then the demo ends.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end (with --once).")
@click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Where the development certificates go."
)
@click.option(
    "--audit-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Leave the audit log there, for ocpp-gateway audit verify.",
)
def demo(once: bool, as_json: bool, directory: Path | None, audit_dir: Path | None) -> int:
    """Show a gateway at work: who gets in, who does not, and why.

    Gateway, CSMS and charge points all run on this machine, with certificates of their own.
    """
    if as_json and not once:
        fail("--json needs --once: without it the demo does not end", USAGE, as_json=True)
    if audit_dir is not None and audit_dir.exists() and any(audit_dir.iterdir()):
        fail(f"{shown(audit_dir)} is not empty: the demo begins a log of its own.", USAGE, as_json=as_json)
    from gateway.demo.run import run_demo

    return run_demo(once=once, json_output=as_json, directory=directory, audit_directory=audit_dir)
