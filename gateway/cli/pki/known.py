"""`--registry` of `pki status`, `list` and `export`: certificates of every issuer that the registry knows."""

import csv
import io
import time
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.configuration import open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import print_json, print_table, warn

if TYPE_CHECKING:
    from gateway.store.inventory import CertificateState, KnownCertificate

__all__ = ["DAYS", "export_known", "list_known", "registry_option", "status_of_known"]

_DAY_S: Final = 86_400.0
_SOON_DAYS: Final = 30
_RADAR_DAYS: Final = (7, 30, 90)
_MAX_DIGITS: Final = 5
_TIMES: Final = ("not_before", "not_after", "recorded_at", "first_seen_at", "last_seen_at")

registry_option = click.option(
    "--registry",
    "of_registry",
    is_flag=True,
    help="Of the gateway's registry, whoever issued them: issued here, seen in an admission, imported.",
)


class _Days(click.ParamType[int]):
    """A number of days, with or without ``d``."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value).removesuffix("d")
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            self.fail(f"{value!r} is not a number of days, as in 30 or 30d", param, ctx)
        return int(text)


DAYS: Final = _Days()


def _find(
    config_path: str | None, text: str, state: "CertificateState | None", expiring: int | None, *, as_json: bool
) -> "list[tuple[KnownCertificate, CertificateState]]":
    now = time.time()
    ends_before = None if expiring is None else now + expiring * _DAY_S
    soon = _SOON_DAYS * _DAY_S
    with open_registry(read_config(config_path, as_json=as_json), as_json=as_json) as registry:
        return registry.inventory.find(now, soon, text, state=state, ends_before=ends_before)


def list_known(
    config_path: str | None, text: str, state: "CertificateState | None", expiring: int | None, *, as_json: bool
) -> int:
    """A table, or JSON: those that end first at the top."""
    found = _find(config_path, text, state, expiring, as_json=as_json)
    if as_json:
        print_json([_public(certificate, is_in) for certificate, is_in in found])
        return 0
    rows = [
        (
            each.common_name,
            each.charge_point_id,
            is_in,
            _day(each.not_after),
            _day(each.last_seen_at),
            each.source,
            each.serial,
        )
        for each, is_in in found
    ]
    columns = ("common name", "charge point", "state", "ends", "last seen", "source", "serial number")
    print_table(f"Certificates ({len(rows)})", columns, rows)
    return 0


def export_known(config_path: str | None, *, as_csv: bool, as_json: bool) -> int:
    """Everything: JSON lines, one JSON list, or CSV with a header."""
    found = [_public(*each) for each in _find(config_path, "", None, None, as_json=as_json)]
    if as_csv:
        out = io.StringIO()
        writer = csv.DictWriter(
            out, ["sha256", *(name for name in _columns() if name != "sha256")], lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows({name: _harmless(value) for name, value in each.items()} for each in found)
        click.echo(out.getvalue(), nl=False)
    elif as_json:
        print_json(found)
    else:
        for each in found:
            _print_line(each)
    return 0


def _columns() -> tuple[str, ...]:
    from gateway.store.inventory import KnownCertificate

    return (*KnownCertificate.__struct_fields__, "state")


def _harmless(value: object) -> object:
    """Names come from certificates: a spreadsheet must not take one for a formula (CWE-1236)."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value


def _print_line(found: dict[str, Any]) -> None:
    import json

    click.echo(json.dumps(found))


def status_of_known(config_path: str | None, *, as_json: bool) -> int:
    """How many in each state, and how many end soon. Exit code 1 if one ends within a week."""
    now = time.time()
    with open_registry(read_config(config_path, as_json=as_json), as_json=as_json) as registry:
        counts = registry.inventory.counts(now, _SOON_DAYS * _DAY_S)
        ending = {
            days: len(registry.inventory.find(now, _SOON_DAYS * _DAY_S, ends_before=now + days * _DAY_S))
            for days in _RADAR_DAYS
        }
    attention = []
    if ending[_RADAR_DAYS[0]]:
        attention.append(f"{ending[7]} certificates end within a week: ocpp-gateway pki list --registry --expiring 7d")
    if as_json:
        shown_ending = {str(days): count for days, count in ending.items()}
        nearest = _moment(counts.nearest_end)
        print_json(
            {"certificates": counts.by_state, "ending": shown_ending, "nearest_end": nearest, "attention": attention}
        )
    else:
        click.echo("Certificates: " + ", ".join(f"{count} {state}" for state, count in counts.by_state.items()))
        click.echo("In force that end: " + ", ".join(f"{count} within {days} days" for days, count in ending.items()))
        warn(attention)
    return NOT_OK if attention else 0


def _public(certificate: "KnownCertificate", state: "CertificateState") -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.structs.asdict(certificate)
    return {**found, **{name: _moment(found[name]) for name in _TIMES}, "state": state}


def _moment(at: float) -> str | None:
    import datetime

    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="seconds") if at else None


def _day(at: float) -> str:
    return (_moment(at) or "")[:10]
