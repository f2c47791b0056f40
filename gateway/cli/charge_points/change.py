"""`charge-point set`, `enable` and `disable`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.charge_points.fields import CLEARABLE_PROFILE, FLOOR, PROFILE, field_options, given_fields
from gateway.cli.configuration import config_option, open_registry, read_config
from gateway.cli.exit_codes import NOT_OK
from gateway.cli.lookup import require_charge_point, warn_of_twins
from gateway.cli.output import fail, json_option, print_json, shown, warn

if TYPE_CHECKING:
    from gateway.cli.charge_points.passwords import NewPassword
    from gateway.config.model import Config
    from gateway.identity.record import ChargePointRecord
    from gateway.ocpp.vocabulary import SecurityProfile
    from gateway.store.registry import Registry

__all__ = ["disable", "enable", "set_charge_point"]

_PASSWORD_OPTIONS = (
    click.option("--new-password", is_flag=True, help="Make a password and show it, once. The old one is forgotten."),
    click.option(
        "--password-file", metavar="F", help="The same with a password from a file, or standard input for '-'."
    ),
    click.option(
        "--pending-password",
        is_flag=True,
        help="Make a password that is accepted beside the current one until one of the two is used: for a change "
        "that may not have reached the charge point.",
    ),
    click.option("--pending-password-file", metavar="F", help="The same with a password from a file, or '-'."),
    click.option("--drop-pending-password", is_flag=True, help="Accept only the current one again."),
    click.option("--no-password", is_flag=True, help="Remove the password, and the pending one."),
)
_PASSWORD_NAMES = (
    "new_password",
    "password_file",
    "pending_password",
    "pending_password_file",
    "drop_pending_password",
    "no_password",
)


class _Change(NamedTuple):
    """What `set` was asked to do."""

    fields: dict[str, Any]
    password: "NewPassword | None" = None
    lower_floor: bool = False
    to_floor: "SecurityProfile | None" = None
    reason: str = ""
    unbind_keys: bool = False


def _password_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_PASSWORD_OPTIONS):
        function = option(function)
    return function


@click.command("set")
@click.argument("charge_point_id", metavar="ID")
@click.option("--security-profile", type=PROFILE, help="The one profile it must use.")
@click.option(
    "--pending-security-profile",
    type=CLEARABLE_PROFILE,
    help="Accept this one as well, until it is proven: an upgrade that is under way.",
)
@field_options
@click.option("--enable/--disable", "enabled", default=None, help="Whether it may connect at all.")
@_password_options
@click.option("--unbind-keys", is_flag=True, help="Forget the certificate keys it has used: its hardware was replaced.")
@click.option(
    "--lower-floor",
    type=FLOOR,
    help="DANGEROUS: accept a security profile again that it had left behind (A05.FR.09). Needs --reason.",
)
@click.option("--reason", metavar="TEXT", help="Why the floor is lowered; kept for ever.")
@config_option
@json_option
def set_charge_point(charge_point_id: str, config_path: str | None, as_json: bool, **options: Any) -> int:
    """Change a charge point. An empty text clears a field: --serial-number ''.

    A session that would not be admitted any more, or has another group now, is closed within a second.
    """
    from gateway.cli.charge_points.passwords import password_warnings
    from gateway.cli.charge_points.rules import advice

    change = _read_change(options, as_json=as_json)
    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        old = require_charge_point(registry, charge_point_id, as_json=as_json)
        _verify(old, change, config, as_json=as_json)
        unbound = _perform(registry, old, change)
        new = registry.get(charge_point_id) or old
        warnings = [*advice(new, config), *warn_of_twins(registry, new)]
    warnings.extend(password_warnings(change.password) if change.password else [])
    _tell(old, new, change, unbound, warnings, as_json=as_json)
    return 0


def _read_change(options: dict[str, Any], *, as_json: bool) -> _Change:
    """Arguments to a change. Raises click.UsageError if they contradict each other."""
    from gateway.ocpp.vocabulary import SecurityProfile

    password_options = {name: options.pop(name) for name in _PASSWORD_NAMES}
    to_floor, reason = options.pop("lower_floor"), options.pop("reason")
    if (to_floor is None) != (reason is None) or (reason is not None and not reason.strip()):
        raise click.UsageError("--lower-floor and --reason belong together.")
    unbind_keys = options.pop("unbind_keys")
    fields = given_fields(options)
    for name in ("security_profile", "pending_security_profile"):
        if name in fields:
            fields[name] = SecurityProfile(int(fields[name])) if fields[name] else None
    password = _read_password(password_options, fields, as_json=as_json)
    if not fields and to_floor is None and not unbind_keys:
        raise click.UsageError("Say what to change; --help lists what there is.")
    floor = SecurityProfile(int(to_floor)) if to_floor not in {None, "none"} else None
    return _Change(fields, password, to_floor is not None, floor, reason or "", unbind_keys)


def _read_password(options: dict[str, Any], fields: dict[str, Any], *, as_json: bool) -> "NewPassword | None":
    """Puts what the password options say into `fields`; the password itself if there is a new one."""
    from gateway.cli.charge_points.passwords import make_password, read_password

    given = {name: value for name, value in options.items() if value}
    if len(given) > 1:
        names = " and ".join("--" + name.replace("_", "-") for name in given)
        raise click.UsageError(f"{names} exclude each other.")
    replaced: dict[str, Any] = {"pending_password": None, "password_reading": ""}
    match next(iter(given.items()), ("", None)):
        case ("new_password", _):
            password = make_password()
            fields.update(replaced, password=password.stored)
        case ("password_file", str(name)):
            password = read_password(name, as_json=as_json)
            fields.update(replaced, password=password.stored)
        case ("pending_password", _):
            password = make_password()
            fields["pending_password"] = password.stored
        case ("pending_password_file", str(name)):
            password = read_password(name, as_json=as_json)
            fields["pending_password"] = password.stored
        case ("drop_pending_password", _):
            fields["pending_password"] = None
            return None
        case ("no_password", _):
            fields.update(replaced, password=None)
            return None
        case _:
            return None
    return password


def _verify(old: "ChargePointRecord", change: _Change, config: "Config", *, as_json: bool) -> None:
    """Everything that can be refused, before anything is changed."""
    import msgspec

    from gateway.cli.charge_points.rules import refuse_contradictions
    from gateway.store.errors import BelowFloor

    floor = change.to_floor if change.lower_floor else old.floor
    new = msgspec.structs.replace(old, **change.fields)
    refuse_contradictions(new, config, change.fields, as_json=as_json)
    if floor is not None and new.security_profile < floor:
        below = BelowFloor(old.charge_point_id, new.security_profile, floor)
        fail(f"{below} That is --lower-floor N --reason TEXT.", NOT_OK, as_json=as_json)


def _perform(registry: "Registry", old: "ChargePointRecord", change: _Change) -> int:
    """Returns how many keys were unbound."""
    if change.lower_floor:
        registry.lower_floor(old.charge_point_id, change.to_floor, reason=change.reason)
    if change.fields:
        registry.update(old.charge_point_id, **change.fields)
    return registry.unbind_keys(old.charge_point_id) if change.unbind_keys else 0


def _tell(
    old: "ChargePointRecord",
    new: "ChargePointRecord",
    change: _Change,
    unbound: int,
    warnings: list[str],
    *,
    as_json: bool,
) -> None:
    from gateway.cli.charge_points.passwords import print_password
    from gateway.cli.charge_points.view import changes, public, words

    changed = changes(old, new)
    if as_json:
        shown_once = change.password.as_json() if change.password else {}
        print_json({**public(new), "changed": changed, "unbound_keys": unbound, **shown_once, "warnings": warnings})
        return
    for name, (before, after) in changed.items():
        click.echo(f"{name}: {shown(words(name, before))} -> {shown(words(name, after))}")
    if change.unbind_keys:
        click.echo(f"Forgot {unbound} certificate key(s).")
    if not changed and not change.unbind_keys:
        click.echo("Nothing was different.")
    if change.password is not None:
        print_password(new, change.password)
    warn(warnings)


def _switch(charge_point_id: str, config_path: str | None, *, enabled: bool, as_json: bool) -> int:
    from gateway.cli.charge_points.view import public

    config = read_config(config_path, as_json=as_json)
    with open_registry(config, as_json=as_json) as registry:
        require_charge_point(registry, charge_point_id, as_json=as_json)
        record = registry.update(charge_point_id, enabled=enabled)
    if as_json:
        print_json(public(record))
    elif enabled:
        click.echo(f"{shown(charge_point_id)} is enabled; a running gateway admits it from the next second on.")
    else:
        click.echo(f"{shown(charge_point_id)} is disabled; a running gateway disconnects it within a second.")
    return 0


@click.command()
@click.argument("charge_point_id", metavar="ID")
@config_option
@json_option
def enable(charge_point_id: str, config_path: str | None, as_json: bool) -> int:
    """Let a disabled charge point in again."""
    return _switch(charge_point_id, config_path, enabled=True, as_json=as_json)


@click.command()
@click.argument("charge_point_id", metavar="ID")
@config_option
@json_option
def disable(charge_point_id: str, config_path: str | None, as_json: bool) -> int:
    """Keep a charge point out, and disconnect it.

    Nothing that is known of it is forgotten.
    """
    return _switch(charge_point_id, config_path, enabled=False, as_json=as_json)
