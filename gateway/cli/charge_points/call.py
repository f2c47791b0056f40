"""`charge-point call`: ask a charge point something in the gateway's own name."""

import sys
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE, USAGE
from gateway.cli.finite import FiniteRange
from gateway.cli.output import fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.cli.gateway_client import CallResponse

__all__ = ["call"]


@click.command()
@click.argument("charge_point_id", metavar="ID")
@click.argument("action")
@click.argument("payload", default="{}")
@click.option(
    "--timeout",
    "timeout_s",
    metavar="SECONDS",
    type=FiniteRange(0, 300, min_open=True),
    default=30.0,
    show_default=True,
    help="How long to wait for its turn and the answer.",
)
@config_option
@json_option
def call(
    charge_point_id: str, action: str, payload: str, timeout_s: float, config_path: str | None, as_json: bool
) -> int:
    """Ask a charge point something in our own name.

    PAYLOAD is a JSON object, - reads it from standard input. The call is held against the schema of the OCPP version,
    waits its turn with those of the CSMS and is recorded; neither call nor answer reaches the CSMS. Rules do not judge it.
    """
    from gateway.cli.gateway_client import GatewayFailed, GatewayUnreachable, call_charge_point

    config = read_config(config_path, as_json=as_json)
    value = _read(payload, config.websocket.max_message_bytes, as_json=as_json)
    try:
        answer = call_charge_point(config, charge_point_id, action, value, timeout_s)
    except GatewayFailed as error:
        fail(f"It is not known whether it was sent: {error}", NOT_OK, as_json=as_json)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if answer.refused:
        fail(f"Not sent: {shown(answer.refused)}", NOT_OK, as_json=as_json)
    if as_json:
        print_json(answer.raw)
    else:
        _print(answer)
    return 0 if answer.outcome == "result" else NOT_OK


def _read(payload: str, max_bytes: int, *, as_json: bool) -> Any:
    import msgspec

    text = sys.stdin.buffer.read(max_bytes + 1) if payload == "-" else payload.encode()
    if len(text) > max_bytes:
        fail(f"The payload is longer than max_message_bytes, {max_bytes} bytes.", USAGE, as_json=as_json)
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        fail(f"The payload is not JSON: {shown(error)}", USAGE, as_json=as_json)
    if not isinstance(value, dict):
        fail("The payload must be a JSON object, for example {}.", USAGE, as_json=as_json)
    return value


def _print(answer: "CallResponse") -> None:
    import msgspec

    if answer.outcome == "timeout":
        click.echo(f"No answer in time: {shown(answer.error)}")
    elif answer.outcome == "not_sent":
        click.echo(f"Not sent: {shown(answer.error)}")
    elif answer.outcome == "gone":
        click.echo("The session ended before there was an answer; whether it was understood is not known.")
    elif answer.outcome == "error":
        click.echo(f"{shown(answer.error)}: {shown(answer.description)}")
    if answer.payload not in (None, {}) or answer.outcome == "result":
        text = msgspec.json.format(msgspec.json.encode(answer.payload)).decode()
        click.echo("\n".join(map(shown, text.split("\n"))))
    if answer.schema_violation:
        click.echo(f"This is not what the schema of the result says: {shown(answer.schema_violation)}", err=True)
