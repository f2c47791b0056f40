"""How the OCSP responses stand that a running gateway publishes: for `pki ocsp` and `pki status`."""

import datetime
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.configuration import PLACES, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.output import fail, print_json, print_table, shown, warn

if TYPE_CHECKING:
    from gateway.config.model import Config

__all__ = ["ocsp_of_running", "ocsp_problems", "print_ocsp", "show_ocsp"]

_TIMES = ("this_update", "first_ends", "signed_next", "responder_ends", "next_update")


def show_ocsp(serials: Sequence[int], name: str | None, config_path: str | None, *, as_json: bool) -> int:
    """All of an issuing CA's, or the responses about these certificates. Exit code 1 if one is stale or missing."""
    from gateway.cli.gateway_client import GatewayUnreachable

    config = read_config(config_path, as_json=as_json)
    try:
        found = _asked(config, serials)
    except GatewayUnreachable as error:
        text = f"Responses are in the memory of the gateway that publishes them: {shown(error)}"
        fail(f"{text}. To sign some to files: --out DIR.", UNREACHABLE, as_json=as_json)
    if found["refused"]:
        fail(f"{shown(found['refused'])}.", NOT_OK, as_json=as_json)
    issuers = [each for each in found["issuers"] if name in (None, each["issuer"])]
    problems = ocsp_problems(issuers) + [
        f"{each['serial']}: {each['state']}" for each in found["responses"] if each["state"] not in {"good", "revoked"}
    ]
    if as_json:
        print_json({"issuers": issuers, "responses": found["responses"], "failure": found["failure"]})
        return NOT_OK if problems else 0
    print_ocsp(issuers)
    if serials:
        _print_responses(found["responses"])
    warn([*([shown(found["failure"])] if found["failure"] else []), *map(shown, problems)])
    return NOT_OK if problems else 0


def ocsp_of_running(ca_path: str, config_path: str | None) -> list[dict[str, Any]] | None:
    """By issuing CA, if a gateway runs here that publishes for this very CA; None if nobody is there to be asked."""
    from gateway.cli.gateway_client import GatewayUnreachable
    from gateway.config.load import load_unchecked
    from gateway.config.problems import ConfigError

    places = [config_path or os.environ.get("OCPP_GATEWAY_CONFIG"), *map(str, PLACES)]
    place = next((each for each in places if each and Path(each).exists()), None)
    if place is None:
        return None
    try:
        config = load_unchecked(place)
        if not config.pki.ca or Path(config.pki.ca).resolve() != Path(ca_path).resolve():
            return None
        found = _asked(config, ())
    except (ConfigError, GatewayUnreachable):
        return None
    return None if found["refused"] else list(found["issuers"])


def ocsp_problems(issuers: Sequence[dict[str, Any]]) -> list[str]:
    """What needs attention."""
    return [
        f"OCSP of {each['issuer']}: {each['stale']} of {each['responses']} responses have run out"
        for each in issuers
        if each["stale"]
    ]


def print_ocsp(issuers: Sequence[dict[str, Any]]) -> None:
    """A table, a line for each issuing CA."""
    rows = [
        (
            each["issuer"],
            str(each["responses"]),
            str(each["revoked"]),
            str(each["waiting"]),
            str(each["stale"]),
            _minute(each["first_ends"]),
            _minute(each["signed_next"]),
            _minute(each["responder_ends"]),
        )
        for each in issuers
    ]
    columns = (
        "issuing CA",
        "there",
        "revoked",
        "to be signed",
        "run out",
        "first ends",
        "signed next",
        "responder ends",
    )
    print_table("OCSP responses (times in UTC)", columns, rows)


def _print_responses(responses: Sequence[dict[str, Any]]) -> None:
    rows = [
        (
            each["serial"],
            each["issuer"],
            each["state"],
            *(_minute(each.get(name)) for name in ("this_update", "next_update", "signed_next")),
        )
        for each in responses
    ]
    columns = ("serial number", "issuing CA", "says", "signed", "ends", "signed next")
    print_table("Responses", columns, rows)


def _asked(config: "Config", serials: Sequence[int]) -> dict[str, Any]:
    """Times as text. Raises GatewayUnreachable."""
    from gateway.cli.gateway_client import order

    found = order(config, "/ocsp", {"serials": [f"{each:x}" for each in serials]})
    if found["refused"]:
        return found
    for each in (*found["issuers"], *found["responses"]):
        each.update({name: _moment(each[name]) for name in _TIMES if name in each})
    return found


def _moment(at: float | None) -> str | None:
    return None if at is None else datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds")


def _minute(text: str | None) -> str:
    return (text or "")[:16].replace("T", " ")
