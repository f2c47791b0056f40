"""`rollover`: a new root of the CSMS for the charge points of a group: plan, start, status, stop."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK, UNREACHABLE
from gateway.cli.finite import FiniteRange
from gateway.cli.output import console, fail, json_option, print_json, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.provisioning.rollover import RolloverNames
    from gateway.provisioning.roots import RootStore
    from gateway.store.roots import Rollover

__all__ = ["rollover"]

_ASK_S = 300.0
_SHOWN_STRAGGLERS = 50


@click.group()
def rollover() -> None:
    """Replace the root by which charge points know their CSMS.

    The new root is installed beside the old one, or linked to it where a charge point demands that; the old one stays. The
    server's certificate is for you to switch, when the coverage says go.
    """


def _material(function: Any) -> Any:
    options = (
        click.option("--group", metavar="G", required=True, help="Whose charge points."),
        click.option("--old", "old_file", metavar="PEM", required=True, help="The root that they have."),
        click.option("--new", "new_file", metavar="PEM", required=True, help="The root that they shall have."),
        click.option(
            "--link",
            "link_file",
            metavar="PEM",
            help="The new root's key signed by the old one (pki ceremony), for those that demand it.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


class _Material(NamedTuple):
    """PEM texts."""

    old: str
    new: str
    link: str


def _read(old_file: str, new_file: str, link_file: str | None, *, as_json: bool) -> _Material:
    from gateway.cli.files import read_text

    link = read_text(link_file, as_json=as_json) if link_file is not None else ""
    return _Material(read_text(old_file, as_json=as_json), read_text(new_file, as_json=as_json), link)


@rollover.command()
@_material
@click.option("--ask", is_flag=True, help="Ask those that are connected anew, one after the other.")
@config_option
@json_option
def plan(
    group: str,
    old_file: str,
    new_file: str,
    link_file: str | None,
    ask: bool,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Show who has which root, and what would be sent. Nothing is changed.

    By what the charge points said last about their roots; with --ask they are asked.
    """
    from gateway.store.roots import RootTables

    config = read_config(config_path, as_json=as_json)
    material = _read(old_file, new_file, link_file, as_json=as_json)
    names = _names(material, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        identities = [str(record.charge_point_id) for record in registry.find(group=group)]
        if not identities:
            fail(f"No charge point is in group {shown(group)}.", NOT_OK, as_json=as_json)
        if ask:
            _ask_all(config, identities, as_json=as_json)
        tables = RootTables(registry.database)
        rows = [_planned(each, tables.store_of(each), names, material) for each in identities]
    if as_json:
        print_json({"group": group, "charge_points": rows, "counts": _counts(rows)})
    else:
        _print_plan(rows)
    return 0


def _names(material: _Material, *, as_json: bool) -> "RolloverNames":
    from cryptography import x509

    from gateway.control.root_names import rollover_names

    try:
        old, new = (x509.load_pem_x509_certificate(each.encode()) for each in (material.old, material.new))
        link = x509.load_pem_x509_certificate(material.link.encode()) if material.link else None
        return rollover_names(old, new, link)
    except ValueError as error:
        why = "These are not one old root, one new one and the new one's key signed by the old"
        fail(f"{why}: {shown(error)}.", NOT_OK, as_json=as_json)


def _ask_all(config: "Config", identities: list[str], *, as_json: bool) -> None:
    from gateway.cli.gateway_client import GatewayUnreachable, order

    for number, identity in enumerate(identities, 1):
        try:
            order(config, "/roots", {"charge_point_id": identity}, _ASK_S)
        except GatewayUnreachable as error:
            fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
        if not as_json:
            click.echo(f"\rasked {number} of {len(identities)}", err=True, nl=number == len(identities))


def _planned(
    charge_point_id: str, store: "RootStore | None", names: "RolloverNames", material: _Material
) -> dict[str, Any]:
    """One line of the plan."""
    from gateway.provisioning.rollover import to_send
    from gateway.provisioning.roots import CSMS_ROOT, has

    if store is None:
        return {"charge_point_id": charge_point_id, "plan": "unknown", "why": "it was never asked", "asked_at": None}
    what, why = to_send(store, names, len(material.new), len(material.link))
    outcome = what if what != "nothing" else ("unable" if why else "done")
    return {
        "charge_point_id": charge_point_id,
        "plan": outcome,
        "why": why,
        "asked_at": store.asked_at,
        "has_old": has(store, CSMS_ROOT, names.old),
        "has_new": has(store, CSMS_ROOT, (*names.new, *names.link)),
        "demands_link": store.demands_link,
        "roots": len(store.roots),
        "capacity": store.capacity,
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    plans = [row["plan"] for row in rows]
    return {name: plans.count(name) for name in ("done", "new", "link", "unable", "unknown")}


def _print_plan(rows: list[dict[str, Any]]) -> None:
    out = console()
    words = {
        "done": "has the new root",
        "new": "gets the new root",
        "link": "gets the new root, signed by the old one",
        "unable": "cannot take it",
        "unknown": "has never said what it has",
    }
    for row in rows:
        why = f": {shown(row['why'])}" if row["why"] else ""
        out.print(f"{shown(row['charge_point_id'])}  {words[row['plan']]}{why}", soft_wrap=True)
    counts = _counts(rows)
    out.print("  ".join(f"{name} {number}" for name, number in counts.items()), soft_wrap=True)


@rollover.command()
@_material
@click.option(
    "--threshold",
    type=FiniteRange(0, 1, min_open=True),
    default=0.98,
    show_default=True,
    help="Which share must have confirmed the new root before the coverage says go.",
)
@config_option
@json_option
def start(
    group: str,
    old_file: str,
    new_file: str,
    link_file: str | None,
    threshold: float,
    config_path: str | None,
    as_json: bool,
) -> int:
    """Install the new root on the charge points that are in the group now, each when it is connected."""
    config = read_config(config_path, as_json=as_json)
    material = _read(old_file, new_file, link_file, as_json=as_json)
    question = {"group": group, **material._asdict(), "threshold": threshold}
    found = _order(config, "/start-rollover", question, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        click.echo(f"Rollover {found['number']} of {found['charge_points']} charge points has started.")
    return 0


@rollover.command()
@click.argument("number", type=int)
@config_option
@json_option
def stop(number: int, config_path: str | None, as_json: bool) -> int:
    """Send nothing more of a rollover. What is installed stays."""
    config = read_config(config_path, as_json=as_json)
    found = _order(config, "/stop-rollover", {"number": number}, as_json=as_json)
    if as_json:
        print_json(found)
    else:
        click.echo(f"Rollover {number} is stopped.")
    return 0


def _order(config: "Config", path: str, question: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    from gateway.cli.gateway_client import GatewayUnreachable, order

    try:
        found = order(config, path, question)
    except GatewayUnreachable as error:
        fail(f"The gateway is not running: {error}", UNREACHABLE, as_json=as_json)
    if found["refused"]:
        fail(f"Not done: {shown(found['refused'])}.", NOT_OK, as_json=as_json)
    return found


@rollover.command()
@click.argument("number", type=int, required=False)
@config_option
@json_option
def status(number: int | None, config_path: str | None, as_json: bool) -> int:
    """Show the coverage of a rollover (default: the newest): go or no-go, and the stragglers.

    Go: enough charge points list the new root. Stragglers need the old chain, on a listener of its own, when the server's
    certificate is switched. Exit code 1 for no-go.
    """
    from gateway.provisioning.rollover import coverage
    from gateway.store.roots import RootTables

    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        tables = RootTables(registry.database)
        found = next((each for each in tables.rollovers() if number in {None, each.number}), None)
        if found is None:
            fail(
                "There has been no rollover." if number is None else "There is no such rollover.",
                NOT_OK,
                as_json=as_json,
            )
        covered = coverage(tables.stations(found.number), found.threshold)
    shown_of = _public(found, covered)
    if as_json:
        print_json(shown_of)
    else:
        _print_status(shown_of)
    return 0 if covered.is_go else NOT_OK


def _public(found: "Rollover", covered: Any) -> dict[str, Any]:
    return {
        "number": found.number,
        "group": found.group,
        "running": found.is_running,
        "started_at": found.created_at,
        "threshold": found.threshold,
        "confirmed": covered.confirmed,
        "total": covered.total,
        "go": covered.is_go,
        "stragglers": [
            {
                "charge_point_id": each.charge_point_id,
                "state": each.state.value,
                "attempts": each.attempts,
                "why": each.detail,
            }
            for each in covered.stragglers
        ],
    }


def _print_status(found: dict[str, Any]) -> None:
    out = console()
    running = "running" if found["running"] else "stopped"
    out.print(f"rollover {found['number']} of group {shown(found['group'])}, {running}", soft_wrap=True)
    share = 100.0 * found["confirmed"] / found["total"] if found["total"] else 0.0
    verdict = "GO" if found["go"] else "NO-GO"
    confirmed = f"{found['confirmed']} of {found['total']} have confirmed the new root ({share:.1f} %)"
    out.print(f"{verdict}: {confirmed}, {100 * found['threshold']:g} % are needed", soft_wrap=True)
    for each in found["stragglers"][:_SHOWN_STRAGGLERS]:
        why = f": {shown(each['why'])}" if each["why"] else ""
        out.print(f"  {shown(each['charge_point_id'])}  {each['state']}{why}", soft_wrap=True)
    if len(found["stragglers"]) > _SHOWN_STRAGGLERS:
        out.print(f"  and {len(found['stragglers']) - _SHOWN_STRAGGLERS} more; --json has all of them")
    if found["stragglers"]:
        out.print("Keep the old chain on a listener of its own for these when you switch the certificate.")
