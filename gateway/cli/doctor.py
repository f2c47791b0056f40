"""`doctor`: looks at an installation and says what to do about what it finds."""

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from gateway.cli.configuration import config_option, find_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import console, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.cli.checkup.check import Check
    from gateway.cli.gateway_client import Status
    from gateway.config.model import Config

__all__ = ["doctor"]

_SAID_BY_CERTIFICATE_CHECKS = (
    "expired on",
    "expires on",
    "exactly one CN",
    "wildcard certificate",
    "the chain is out of order",
    "the chain includes the root",
    "is not among its subjectAltNames",
    "has no serverAuth",
    "certificate: charge points that support only that",
)
"""Warnings of the configuration that come again, with more to them; a new one is shown rather than lost."""
_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command()
@config_option
@json_option
def doctor(config_path: str | None, as_json: bool) -> int:
    """Check this installation, and say what to do.

    Configuration, certificates, machine, registry, ports, CSMS, and the running gateway.
    Exit code 0 if nothing is wrong (warnings do not count), 1 otherwise.
    """
    import msgspec

    path = find_config(config_path, as_json=as_json)
    found = list(_examine(path))
    errors = sum(check.level == "error" for check in found)
    warnings = sum(check.level == "warning" for check in found)
    if as_json:
        checks = msgspec.to_builtins(found)
        print_json({"ok": not errors, "errors": errors, "warnings": warnings, "checks": checks})
    else:
        _print(found)
        click.echo(f"{len(found)} checks: {errors} error(s), {warnings} warning(s).")
    return NOT_OK if errors else 0


def _examine(path: str) -> Iterator["Check"]:
    from gateway.cli.checkup import authority, certificates, check, machine, network, own_authority, registry, trust
    from gateway.cli.checkup.gateway import addresses_held, check_gateway
    from gateway.config.load import ConfigError, load_config_with_warnings, load_unchecked

    try:
        config, warnings = load_config_with_warnings(path)
        yield check.ok("configuration", f"{config.path} is usable")
        for problem in warnings:
            if not any(words in problem.message for words in _SAID_BY_CERTIFICATE_CHECKS):
                yield check.warning("configuration", str(problem), "See docs/configuration.md for this key.")
    except ConfigError as unusable:
        for problem in unusable.problems:
            yield check.error("configuration", str(problem), "Correct it; ocpp-gateway check-config shows the same.")
        try:
            config = load_unchecked(path)
        except ConfigError:
            yield from machine.check_clock(path)
            return
    yield from _dangers(config)
    yield from machine.check_clock(path)
    yield from _as_far_as_may_be_read(certificates.check_certificates(config, datetime.datetime.now(datetime.UTC)))
    yield from _as_far_as_may_be_read(trust.check_trust_bundles(config, datetime.datetime.now(datetime.UTC)))
    yield from _as_far_as_may_be_read(authority.check_authority(config))
    yield from _as_far_as_may_be_read(own_authority.check_own_authority(config, datetime.datetime.now(datetime.UTC)))
    yield from machine.check_state_directory(config)
    yield from machine.check_workers(config)
    found = registry.read_registry(config)
    yield from found.checks
    yield from registry.check_charge_points(config, found.records)
    yield from own_authority.check_certificates_in_use(config)
    status, why_not = _status(config)
    pids = [edge.pid for edge in status.edges] if status is not None else []
    yield from machine.check_descriptors(config, len(found.records), pids)
    yield from check_gateway(config, status, why_not)
    yield from network.check_ports(config, addresses_held(config, status))
    yield from network.check_csms(config)


def _as_far_as_may_be_read(checks: Iterator["Check"]) -> Iterator["Check"]:
    """What somebody else than the gateway's user may not look at is an error like others, not the end."""
    from gateway.cli.checkup.check import AS_ITS_USER, error

    try:
        yield from checks
    except PermissionError as refused:
        yield error("permissions", f"{refused.filename}: {refused.strerror}", AS_ITS_USER)


def _dangers(config: "Config") -> Iterator["Check"]:
    from gateway.cli.checkup.check import warning

    if config.unsafe_dev_certificates:
        remedy = "For anything but development use certificates of your own, and remove the key."
        yield warning("dangers", "gateway.unsafe_dev_certificates is on", remedy)


def _status(config: "Config") -> tuple["Status | None", str]:
    from gateway.cli.gateway_client import GatewayUnreachable, get_status

    try:
        return get_status(config), ""
    except GatewayUnreachable as unreachable:
        return None, str(unreachable)


def _print(found: list["Check"]) -> None:
    from rich.text import Text

    out = console()
    for check in found:
        line = Text(f"{check.level:<8}", _STYLES[check.level]).append(
            f"{check.check}: {shown(check.message)}", "default"
        )
        out.print(line, soft_wrap=True)
        if check.remedy:
            out.print(f"        {shown(check.remedy)}", soft_wrap=True)
