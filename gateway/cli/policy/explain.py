"""`policy explain`: one frame, and what every gate and rule has to say about it."""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.configuration import config_option
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import read_bytes
from gateway.cli.output import fail, json_option, print_json

if TYPE_CHECKING:
    from gateway.policy.session import SessionFacts

__all__ = ["explain"]


class _Told(NamedTuple):
    """What the command line says about the frame and its sender."""

    frame: str
    call: str | None
    sender: str
    version: str
    identity: str
    group: str | None
    security_profile: int | None
    vendor: str | None
    model: str | None
    boot_state: str


@click.command()
@click.option("--frame", required=True, metavar="TEXT|@FILE|-", help="The frame; - reads it from standard input.")
@click.option("--call", metavar="TEXT|@FILE", help="For an answer: the call that it answers.")
@click.option(
    "--from",
    "sender",
    type=click.Choice(["csms", "charge-point"]),
    default="csms",
    show_default=True,
    help="Who sends it.",
)
@click.option(
    "--version",
    type=click.Choice(["1.6", "2.0.1", "2.1"]),
    default="1.6",
    show_default=True,
    help="OCPP version of the session.",
)
@click.option("--identity", metavar="ID", default="", help="Charge point; what the registry knows of it is used.")
@click.option("--group", metavar="G", help="Its group, if not the registry's.")
@click.option("--security-profile", metavar="N", type=click.IntRange(1, 3), help="1, 2 or 3. Default: 2.")
@click.option("--vendor", metavar="V", help="Its vendor, if not the registry's.")
@click.option("--model", metavar="M", help="Its model, if not the registry's.")
@click.option(
    "--boot-state",
    type=click.Choice(["accepted", "pending", "rejected", "none"]),
    default="accepted",
    show_default=True,
    help="What the CSMS has said to its BootNotification.",
)
@click.option("--rule", metavar="ID", help="Only this rule, and why it does not fire.")
@click.option(
    "--pack", "packs", metavar="PACK|FILE", multiple=True, help="Instead of what the configuration names; repeatable."
)
@config_option
@json_option
def explain(rule: str | None, packs: tuple[str, ...], config_path: str | None, as_json: bool, **told: Any) -> int:
    """Explain what happens to one frame, and why.

    Shows the gates, every rule that is about such messages with the value of each part of its condition, how they combine,
    and what the sender gets. Counters are as if nothing had been sent before. Nothing is sent anywhere.
    """
    from gateway.cli.policy.explained import Gate, look_at
    from gateway.cli.policy.explained_text import print_explanation
    from gateway.cli.policy.sources import require_rule, sources_of, usable
    from gateway.ocpp.vocabulary import Origin

    given = _Told(**told)
    frame = _bytes(given.frame, as_json=as_json)
    call = _bytes(given.call, as_json=as_json) if given.call is not None else None
    snapshot = usable(sources_of(packs, config_path, as_json=as_json), as_json=as_json).snapshot()
    if rule is not None:
        require_rule(rule, snapshot.packs, as_json=as_json)
    session = _session(given, config_path, as_json=as_json)
    origin = Origin.CSMS if given.sender == "csms" else Origin.CHARGE_POINT
    found = look_at(snapshot, session, origin, frame, call, rule or "")
    if isinstance(found, Gate):
        fail(
            f"No rule sees this frame, because a gate refuses it before: {found.event}: {found.detail}",
            NOT_OK,
            as_json=as_json,
            details={"event": found.event, "detail": found.detail, "revision": snapshot.revision},
        )
    if as_json:
        print_json(found.to_record())
    else:
        print_explanation(found, one_rule=rule is not None)
    return 0


def _bytes(word: str, *, as_json: bool) -> bytes:
    """A frame as typed, from a file, or from standard input; the end of the last line is no part of it."""
    if word != "-" and not word.startswith("@"):
        return word.encode()
    return read_bytes(word.removeprefix("@"), as_json=as_json).rstrip(b"\r\n")


def _session(told: _Told, config_path: str | None, *, as_json: bool) -> "SessionFacts":
    """Who talks: what was typed, else what the registry knows of the identity, else what is usual."""
    import time

    from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
    from gateway.policy.session import SessionFacts

    record = _record(told.identity, config_path, as_json=as_json) if told.identity else None
    now = time.time()
    profile = told.security_profile or (int(record.security_profile) if record is not None else 2)
    known: dict[str, str] = {
        name: typed if typed is not None else str(getattr(record, name, ""))
        for name, typed in (("group", told.group), ("vendor", told.vendor), ("model", told.model))
    }
    identity = told.identity or "CP-1"
    return SessionFacts(
        identity=identity,
        group=known["group"] or "default",
        version=OCPPVersion(told.version),
        ip="192.0.2.1",
        security_profile=SecurityProfile(profile),
        serial=record.serial_number if record is not None else identity,
        vendor=known["vendor"],
        model=known["model"],
        firmware=record.firmware if record is not None else "",
        boot_state=told.boot_state,
        opened_at=now,
        now=now,
    )


def _record(identity: str, config_path: str | None, *, as_json: bool) -> Any:
    """The registered charge point; None if there is no configuration, no registry yet, or no such identity."""
    from pathlib import Path

    from gateway.cli.configuration import open_registry
    from gateway.cli.policy.sources import configured

    config = configured(config_path, as_json=as_json)
    if config is None:
        return None
    scheme, _, path = config.database_url.partition(":///")
    if scheme == "sqlite" and not Path(path).exists():
        return None  # asking must not make one
    with open_registry(config, as_json=as_json) as registry:
        return registry.get(identity)
