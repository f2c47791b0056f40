"""Finds a charge point by the identity that an operator typed, or says which one may be meant."""

from typing import TYPE_CHECKING

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, shown

if TYPE_CHECKING:
    from gateway.identity.record import ChargePointRecord
    from gateway.store.registry import Registry

__all__ = ["find_similar", "require_charge_point", "warn_of_twins"]


def find_similar(registry: "Registry", charge_point_id: str) -> str:
    """The registered identity that is most like this one, whatever the case; empty if there is none."""
    from gateway.config.suggest import did_you_mean
    from gateway.identity.claim import fold

    spelling = {fold(record.charge_point_id): str(record.charge_point_id) for record in registry.find()}
    wanted = fold(charge_point_id)
    # Comparing is slow: of a large fleet only identities of about this length are looked at.
    near = [each for each in spelling if abs(len(each) - len(wanted)) <= 2]  # noqa: PLR2004
    return spelling.get(did_you_mean(wanted, near), "")


def warn_of_twins(registry: "Registry", record: "ChargePointRecord") -> list[str]:
    """A warning if others have its serial number: a certificate with that CN would fit all of them."""
    serial_number = record.serial_number
    if not serial_number:
        return []
    others = [
        shown(each.charge_point_id)
        for each in registry.find(serial_number)
        if each.serial_number == serial_number and each.charge_point_id != record.charge_point_id
    ]
    return (
        [f"the serial number is also that of {', '.join(others)}: one certificate fits all of them"] if others else []
    )


def require_charge_point(registry: "Registry", charge_point_id: str, *, as_json: bool = False) -> "ChargePointRecord":
    """The record of exactly this identity. Raises Failure with "did you mean"."""
    record = registry.get(charge_point_id)
    if record is None:
        similar = find_similar(registry, charge_point_id)
        hint = f" Did you mean '{shown(similar)}'?" if similar else ""
        message = f"No charge point '{shown(charge_point_id)}' is registered.{hint}"
        fail(message, NOT_OK, as_json=as_json, details={"did_you_mean": similar} if similar else None)
    return record
