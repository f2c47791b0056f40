"""`charge-point add`: one record, and the password that goes with it."""

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.charge_points.fields import PROFILE, field_options, given_fields
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.lookup import warn_of_twins
from gateway.cli.output import json_option, print_json, shown, warn

if TYPE_CHECKING:
    from gateway.cli.charge_points.passwords import NewPassword
    from gateway.identity.record import ChargePointRecord

__all__ = ["add"]


@click.command()
@click.argument("charge_point_id", metavar="ID")
@click.option("--security-profile", required=True, type=PROFILE, help="The one profile it must use.")
@field_options
@click.option(
    "--password-file",
    metavar="F",
    help="Take the password from a file, or standard input for '-', instead of making one.",
)
@click.option("--no-password", is_flag=True, help="Set none yet: profiles 1 and 2 cannot connect without.")
@config_option
@json_option
def add(
    charge_point_id: str,
    security_profile: str,
    password_file: str | None,
    no_password: bool,
    config_path: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Register a charge point.

    For profiles 1 and 2 a password is made and shown, once. Profile 3 needs a serial number.
    """
    from gateway.cli.charge_points.passwords import make_password, password_warnings, read_password
    from gateway.cli.charge_points.rules import advice, refuse_contradictions, refuse_identity

    if password_file is not None and no_password:
        raise click.UsageError("--password-file and --no-password exclude each other.")
    fields = {**given_fields(options), "security_profile": int(security_profile)}
    config = read_config(config_path, as_json=as_json)
    refuse_identity(charge_point_id, config, as_json=as_json)
    password = None
    if password_file is not None:
        password = read_password(password_file, as_json=as_json)
        fields["password"] = password.stored
    record = _record(charge_point_id, fields)
    refuse_contradictions(record, config, fields, as_json=as_json)
    if password is None and not no_password and int(security_profile) < 3:  # noqa: PLR2004  profiles with a password
        password = make_password()
        record = _record(charge_point_id, {**fields, "password": password.stored})
    with open_registry(config, as_json=as_json) as registry:
        registry.add(record)
        record = registry.get(charge_point_id) or record
        warnings = [*advice(record, config), *warn_of_twins(registry, record)]
    warnings.extend(password_warnings(password) if password else [])
    _tell(record, password, warnings, as_json=as_json)
    return 0


def _record(charge_point_id: str, fields: dict[str, Any]) -> "ChargePointRecord":
    from gateway.identity.record import ChargePointRecord
    from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile

    profile = SecurityProfile(fields["security_profile"])
    return ChargePointRecord(
        **{**fields, "charge_point_id": ChargePointId(charge_point_id), "security_profile": profile}
    )


def _tell(record: "ChargePointRecord", password: "NewPassword | None", warnings: list[str], *, as_json: bool) -> None:
    from gateway.cli.charge_points.passwords import print_password
    from gateway.cli.charge_points.view import public

    if as_json:
        print_json({**public(record), **(password.as_json() if password else {}), "warnings": warnings})
        return
    profile = int(record.security_profile)
    click.echo(f"Registered {shown(record.charge_point_id)} for security profile {profile}.")
    if password is not None:
        print_password(record, password)
    click.echo("A running gateway admits it from the next second on.")
    warn(warnings)
