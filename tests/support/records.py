"""Registry records for tests."""

from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile


def make_record(charge_point_id: str = "CP-1", security_profile: int = 2, **fields: object) -> ChargePointRecord:
    """A record with a password, as an operator would add it."""
    values: dict[str, object] = {"password": StoredPassword(phc="$argon2id$current", created_at=5.0), **fields}
    return ChargePointRecord(
        charge_point_id=ChargePointId(charge_point_id),
        security_profile=SecurityProfile(security_profile),
        **values,  # type: ignore[arg-type]
    )
