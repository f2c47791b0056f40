"""`charge-point certificate`: how far a charge point's certificate has got, and `--renew`."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.lookup import require_charge_point
from gateway.cli.output import console, fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.provisioning.enrolment import Enrolment
    from gateway.store.enrolments import EnrolmentStep

__all__ = ["certificate"]

_HISTORY = 50
_NEXT = {
    "trigger-wanted": "it is told to ask for a certificate when it is connected",
    "trigger-sent": "it makes a key and asks for a certificate",
    "csr-received": "the CA is asked",
    "held": "an operator looks at it: ocpp-gateway pki approve {request}",
    "issued": "the certificate is sent when it is connected",
    "delivery-sent": "it answers, or connects with the certificate; else it is sent again",
    "station-accepted": "it connects with the certificate (security profile 3)",
    "seen-in-handshake": "the certificate before is retired when the quiet period is over",
    "old-retired": "nothing; it renews a month before the end, or --renew",
    "rejected-by-station": "look at its log, then --renew",
    "discarded": "look at its log; the gateway renews it again by and by, or --renew",
    "denied": "mend what stands in the way, then --renew",
    "expired": "--renew",
    "superseded": "--renew",
}
"""By state; what happens next, or what somebody has to do."""


@click.command()
@click.argument("charge_point_id", metavar="ID")
@click.option("--renew", is_flag=True, help="Let it make a new key and ask for a certificate.")
@config_option
@json_option
def certificate(charge_point_id: str, renew: bool, config_path: str | None, as_json: bool) -> int:
    """Show how far a charge point's certificate has got.

    The certificates that the gateway itself gives: state, history, and what comes next. --renew needs a running gateway.
    """
    config = read_config(config_path, as_json=as_json)
    if renew:
        _renew(config, charge_point_id, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        record = require_charge_point(registry, charge_point_id, as_json=as_json)
        newest = registry.enrolments.newest(record.charge_point_id)
        steps = registry.enrolments.steps(record.charge_point_id, _HISTORY)
    found = _public(record.charge_point_id, newest, steps)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return 0


def _renew(config: "Config", charge_point_id: str, *, as_json: bool) -> None:
    from gateway.cli.gateway_client import GatewayUnreachable, renew_certificate

    try:
        refused = renew_certificate(config, charge_point_id)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if refused:
        fail(f"Not renewed: {shown(refused)}.", NOT_OK, as_json=as_json)


def _public(charge_point_id: str, newest: "Enrolment | None", steps: "list[EnrolmentStep]") -> dict[str, Any]:
    """What is shown, as JSON."""
    if newest is None:
        return {"charge_point_id": charge_point_id, "state": None, "next_step": "--renew", "history": []}
    return {
        "charge_point_id": charge_point_id,
        "state": newest.state.value,
        "changed_at": newest.changed_at,
        "next_step": _NEXT[newest.state.value].format(request=newest.ca_request),
        "request": newest.ca_request,
        "serial": newest.serial,
        "sha256": newest.certificate_sha256,
        "not_after": newest.not_after,
        "instead_of": newest.presented_serial,
        "asked_over": newest.method,
        "attempts": newest.attempts,
        "next_attempt_at": newest.due_at,
        "detail": newest.detail,
        "history": [
            {"enrolment": step.enrolment, "at": step.at, "state": step.state.value, "detail": step.detail}
            for step in reversed(steps)
        ],
    }


def _print(found: dict[str, Any]) -> None:
    from gateway.cli.refusals import stamp

    out = console()
    state = found["state"] or "the gateway has given it no certificate"
    lines = [("charge point", found["charge_point_id"]), ("state", state), ("next", found["next_step"])]
    if found["state"] is not None:
        until = stamp(found["not_after"]) if found["not_after"] else ""
        lines += [
            ("since", stamp(found["changed_at"])),
            ("serial", found["serial"]),
            ("valid until", until),
            ("instead of", found["instead_of"]),
            ("request", found["request"]),
            ("why", found["detail"]),
        ]
    for label, value in lines:
        if value:
            out.print(f"{label:<12}  {shown(value)}", soft_wrap=True)
    if found["history"]:
        out.print("\nHistory")
    for step in found["history"]:
        out.print(f"{stamp(step['at'])}  {step['state']:<20}  {shown(step['detail'])}".rstrip(), soft_wrap=True)
