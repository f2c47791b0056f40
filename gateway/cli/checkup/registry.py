"""The registry: it opens, its schema is current, and whom it holds can connect."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from gateway.cli.checkup.check import AS_ITS_USER, Check, error, ok, warning
from gateway.cli.obstacles import REMEDIES, Kind, find_obstacles
from gateway.cli.output import shown
from gateway.config.model import Config
from gateway.identity.record import ChargePointRecord
from gateway.store.database import parse_url
from gateway.store.errors import StoreError
from gateway.store.registry import Registry

__all__ = ["RegistryFound", "check_charge_points", "read_registry"]

_NAMED = 5
"""So many identities are named of each kind; `charge-point show` tells about one."""


class RegistryFound(NamedTuple):
    """What was found, and every record if it could be read."""

    checks: list[Check]
    records: Sequence[ChargePointRecord] = ()


def read_registry(config: Config) -> RegistryFound:
    """Opens it without making or upgrading anything."""
    name = "registry"
    try:
        url = parse_url(config.database_url)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
            return RegistryFound(
                [warning(name, "there is no registry yet", "Register the first one: charge-point add.")]
            )
        registry = Registry.open(config.database_url, migrate=False)
        try:
            records = registry.find()
        finally:
            registry.close()
    except OSError as problem:
        return RegistryFound([error(name, f"{problem.filename}: {problem.strerror}", AS_ITS_USER)])
    except StoreError as problem:
        return RegistryFound([error(name, str(problem), _remedy(str(problem)))])
    except SQLAlchemyError as problem:
        return RegistryFound([error(name, f"the database is damaged ({type(problem).__name__})", "Restore a backup.")])
    shown_url = make_url(config.database_url).render_as_string(hide_password=True)
    return RegistryFound([ok(name, f"{len(records)} charge points in {shown_url}, schema current")], records)


def _remedy(problem: str) -> str:
    if "this release needs" in problem:
        return "The next start of the gateway, or any charge-point command, upgrades it. Make a backup first."
    return "Correct what it says, or restore the database from a backup."


def check_charge_points(config: Config, records: Sequence[ChargePointRecord]) -> Iterator[Check]:
    """Enabled ones that can never connect, by what is in their way."""
    found: dict[Kind, list[str]] = defaultdict(list)
    for record in records:
        if record.enabled:
            for obstacle in find_obstacles(record, config):
                found[obstacle.kind].append(record.charge_point_id)
    for kind, ids in found.items():
        names = ", ".join(map(shown, ids[:_NAMED])) + (", ..." if len(ids) > _NAMED else "")
        yield warning(
            f"charge-points-{kind}", f"{len(ids)} charge point(s) can never connect ({kind}): {names}", REMEDIES[kind]
        )
    if records and not found:
        yield ok("charge-points", "nothing stands in the way of any registered charge point")
    yield from _twins(records)


def _twins(records: Sequence[ChargePointRecord]) -> Iterator[Check]:
    """Charge points that one certificate fits, as its CN is the serial number (A00.FR.405)."""
    owners: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.serial_number:
            owners[record.serial_number].append(shown(record.charge_point_id))
    shared = [f"{shown(serial)} ({', '.join(ids)})" for serial, ids in owners.items() if len(ids) > 1]
    if shared:
        yield warning(
            "serial-numbers",
            f"{len(shared)} serial number(s) belong to several charge points: {'; '.join(shared[:_NAMED])}",
            "Correct them: one certificate fits all charge points of its serial number.",
        )
