"""`charge-point upgrade`: move a charge point to a higher security profile, see how far it has got, stop it."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE, USAGE
from gateway.cli.lookup import require_charge_point
from gateway.cli.output import console, fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.provisioning.upgrade import Upgrade
    from gateway.store.upgrades import UpgradeStep

__all__ = ["upgrade"]

_HISTORY = 50
_TIMEOUT_S = 150.0
"""The preflight asks the charge point several things."""
_NEXT = {
    "wanted": "the preflight, when it is connected",
    "installing-root": "the root of our server certificates is installed, when it is connected",
    "enrolling": "it gets its certificate: charge-point certificate ID",
    "both-accepted": "it is told, when it is connected",
    "told": "it is sent to restart, once no transaction runs",
    "switching": "it connects with the new profile, or comes back on the old one",
    "returning": "what it was told is taken back when it is connected on the old profile; 1.6: it may be about to restart",
    "lost": "both profiles stay accepted: look at its log, or --abort",
    "proven": "nothing; every lower profile is refused",
    "fell-back": "look at its log, mend what stands in the way, then --to-profile again; 1.6: both stay accepted",
    "refused": "mend what stands in the way, then --to-profile again",
    "aborted": "--to-profile again, if it is wanted; 1.6: both stay accepted, if it was told",
}
"""By state; what happens next, or what somebody has to do."""


@click.command()
@click.argument("charge_point_id", metavar="ID")
@click.option("--to-profile", type=click.IntRange(2, 3), help="Begin: move it to this security profile.")
@click.option("--dry-run", is_flag=True, help="With --to-profile: the preflight alone. Nothing is changed.")
@click.option("--url", default="", metavar="URL", help="Where it is to connect, without ID. Else the listener's url.")
@click.option("--url-key", default="", metavar="KEY", help="1.6: the vendor's configuration key for the URL.")
@click.option("--interface", default="Wired0", show_default=True, help="2.x: ocppInterface of the network profile.")
@click.option(
    "--install-root", is_flag=True, help="First install the root of our server certificates where it is missing."
)
@click.option("--unsafe-any-firmware", is_flag=True, help="Move it although its firmware is not known to be good.")
@click.option("--abort", is_flag=True, help="Stop it, and take back what can be taken back.")
@config_option
@json_option
def upgrade(  # noqa: PLR0913  one for each option
    charge_point_id: str,
    *,
    to_profile: int | None,
    dry_run: bool,
    url: str,
    url_key: str,
    interface: str,
    install_root: bool,
    unsafe_any_firmware: bool,
    abort: bool,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Raise the security profile over OCPP (A05).

    Without options: how far it has got. --to-profile, --dry-run and --abort need a running gateway. Until it has
    registered on the new profile both are accepted; from then on every lower one is refused, for ever.
    """
    if abort and to_profile is not None:
        fail("--abort and --to-profile are two different things", USAGE, as_json=as_json)
    if dry_run and to_profile is None:
        fail("--dry-run needs --to-profile: which one?", USAGE, as_json=as_json)
    if (install_root or unsafe_any_firmware) and to_profile is None:
        fail("--install-root and --unsafe-any-firmware need --to-profile: which one?", USAGE, as_json=as_json)
    config = read_config(config_path, as_json=as_json)
    question: dict[str, Any] = {"charge_point_id": charge_point_id}
    if to_profile is not None:
        question |= {"to_profile": to_profile, "url": url, "url_key": url_key, "interface": interface}
        question |= {"install_root": install_root, "unsafe_any_firmware": unsafe_any_firmware}
        path = "/upgrade/preflight" if dry_run else "/upgrade/start"
        answer = _asked(config, path, question, as_json=as_json)
        if dry_run:
            return _print_preflight(answer, as_json=as_json)
    elif abort:
        _asked(config, "/upgrade/abort", question, as_json=as_json)
    return _show(config, charge_point_id, as_json=as_json)


def _asked(config: "Config", path: str, question: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    from gateway.cli.gateway_client import GatewayUnreachable, order

    try:
        answer = order(config, path, question, _TIMEOUT_S)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if answer["refused"]:
        fail(f"Not done: {shown(answer['refused'])}.", NOT_OK, as_json=as_json)
    return answer


def _print_preflight(found: dict[str, Any], *, as_json: bool) -> int:
    """0 if it could begin now, by itself."""
    go = found["verdict"] in {"ok", "install", "enrol", "wait"}
    if as_json:
        print_json(found)
        return 0 if go else NOT_OK
    out = console()
    for check in found["checks"]:
        out.print(f"{check['outcome']:<7}  {check['name']:<18}  {shown(check['why'])}", soft_wrap=True)
    out.print(f"\nfall-back       {shown(found['fallback'])}", soft_wrap=True)
    out.print(f"reversibility   {shown(found['reversibility'])}", soft_wrap=True)
    said = {
        "ok": "It could begin now.",
        "install": "It would get the root first.",
        "enrol": "It would get its certificate first.",
        "wait": "It would wait.",
    }
    out.print(said.get(found["verdict"], "It cannot begin: mend what says no."))
    return 0 if go else NOT_OK


def _show(config: "Config", charge_point_id: str, *, as_json: bool) -> int:
    with open_registry(config, as_json=as_json) as registry:
        record = require_charge_point(registry, charge_point_id, as_json=as_json)
        newest = registry.upgrades.newest(record.charge_point_id)
        steps = registry.upgrades.steps(record.charge_point_id, _HISTORY)
    found = _public(record.charge_point_id, newest, steps)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return 0


def _public(charge_point_id: str, newest: "Upgrade | None", steps: "list[UpgradeStep]") -> dict[str, Any]:
    """What is shown, as JSON."""
    if newest is None:
        return {"charge_point_id": charge_point_id, "state": None, "next_step": "--to-profile", "history": []}
    return {
        "charge_point_id": charge_point_id,
        "state": newest.state.value,
        "from_profile": int(newest.from_profile),
        "to_profile": int(newest.to_profile),
        "changed_at": newest.changed_at,
        "next_step": _NEXT[newest.state.value],
        "url": newest.url,
        "attempts": newest.attempts,
        "next_attempt_at": newest.due_at,
        "certificate_serial": newest.certificate_serial,
        "detail": newest.detail,
        "history": [
            {"upgrade": step.upgrade, "at": step.at, "state": step.state.value, "detail": step.detail}
            for step in reversed(steps)
        ],
    }


def _print(found: dict[str, Any]) -> None:
    from gateway.cli.refusals import stamp

    out = console()
    lines = [("charge point", found["charge_point_id"]), ("state", found["state"] or "it was never upgraded")]
    lines.append(("next", found["next_step"]))
    if found["state"] is not None:
        lines += [
            ("from, to", f"security profile {found['from_profile']}, {found['to_profile']}"),
            ("since", stamp(found["changed_at"])),
            ("connects to", found["url"]),
            ("certificate", found["certificate_serial"]),
            ("why", found["detail"]),
        ]
    for label, value in lines:
        if value:
            out.print(f"{label:<12}  {shown(value)}", soft_wrap=True)
    if found["history"]:
        out.print("\nHistory")
    for step in found["history"]:
        out.print(f"{stamp(step['at'])}  {step['state']:<20}  {shown(step['detail'])}".rstrip(), soft_wrap=True)
