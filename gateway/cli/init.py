"""`init`: writes a commented configuration, and for development the certificates that make it run at once."""

import os
import shlex
from pathlib import Path
from typing import Any

import click

from gateway.cli.files import write_text
from gateway.cli.output import json_option, print_json, shown

__all__ = ["init"]

_DEFAULT = "gateway.toml"
_CERTIFICATES = "dev-certificates"
_SERIAL_NUMBER = "SN-0001"
_CLIENT_CERTIFICATE = "charge-point"
_MODE = 0o644
"""Nothing in the file is secret, and the service's user must be able to read what root has written."""


@click.command()
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    default=None,
    help=f"Where to write. Default: $OCPP_GATEWAY_CONFIG or ./{_DEFAULT}.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--dev", is_flag=True, help="Make development certificates as well: runs at once, on loopback only.")
@json_option
def init(config_path: str | None, force: bool, dev: bool, as_json: bool) -> int:
    """Write a configuration in which every key is explained."""
    from gateway.config.template import render_template

    path = Path(config_path or os.environ.get("OCPP_GATEWAY_CONFIG") or _DEFAULT)
    text = render_template(_development_values(), _CERTIFICATES) if dev else render_template()
    write_text(path, text, mode=_MODE, overwrite=force, make_directory=True, as_json=as_json)
    certificates = path.absolute().parent / _CERTIFICATES
    if dev:
        _make_certificates(certificates)
    steps = _next_steps(path, certificates, dev=dev)
    if as_json:
        made = str(certificates) if dev else None
        print_json({"config": str(path.absolute()), "dev": dev, "certificates": made, "next": steps})
        return 0
    click.echo(f"Wrote {shown(path)}." + (f" Development certificates are in {shown(certificates)}." if dev else ""))
    click.echo("Next:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {shown(step)}")
    return 0


def _make_certificates(directory: Path) -> None:
    import datetime

    from pki.development import ChargePointCertificate, make_development_pki

    wanted = (ChargePointCertificate(name=_CLIENT_CERTIFICATE, serial_number=_SERIAL_NUMBER),)
    make_development_pki(directory, datetime.datetime.now(datetime.UTC), charge_points=wanted)
    (directory / ".gitignore").write_text("*\n")


def _development_values() -> dict[str, dict[str, Any]]:
    from pki.development import OPERATOR

    return {
        "gateway": {"edge_workers": 1, "operator_names": (OPERATOR,), "unsafe_dev_certificates": True},
        "csms": {"urls": ("ws://127.0.0.1:9000/ocpp",)},
        "listener": {"address": "127.0.0.1:8443", "path_prefix": "/ocpp"},
        "listener.tls": {"client_trust": (f"{_CERTIFICATES}/root.pem",)},
    }


def _next_steps(path: Path, certificates: Path, *, dev: bool) -> list[str]:
    option = "" if str(path) == _DEFAULT else f" --config {shlex.quote(str(path))}"
    add = f"ocpp-gateway charge-point add ID --security-profile 2{option}"
    run, doctor = f"ocpp-gateway run{option}", f"ocpp-gateway doctor{option}"
    if not dev:
        edit = f"Put the address of your CSMS and your certificates into {path}"
        return [edit, f"ocpp-gateway check-config{option}", add, doctor, run]
    try_out = (
        f"Let a charge point connect to wss://localhost:8443/ocpp/ID; it must trust {certificates / 'root.pem'}. "
        f"For profile 3: {certificates / _CLIENT_CERTIFICATE}.pem belongs to --serial-number {_SERIAL_NUMBER}"
    )
    csms = "Start a CSMS on ws://127.0.0.1:9000/ocpp, or put the address of yours into the file"
    return [add, run, csms, try_out, doctor]
