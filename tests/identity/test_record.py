"""What the registry knows of one charge point, as a value."""

import msgspec
import pytest

from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile

MINIMAL = ChargePointRecord(charge_point_id=ChargePointId("CP-1"), security_profile=SecurityProfile.TLS_BASIC)


@pytest.mark.requirement("A00.FR.001", "A00.FR.004")
def test_a_record_always_says_its_security_profile_and_there_is_no_profile_0() -> None:
    with pytest.raises(TypeError):
        ChargePointRecord(charge_point_id=ChargePointId("CP-1"))  # type: ignore[call-arg]
    for wrong in (0, 4, None):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"charge_point_id": "CP-1", "security_profile": wrong}, ChargePointRecord)


def test_what_is_not_said_grants_nothing() -> None:
    assert (MINIMAL.password, MINIMAL.pending_password, MINIMAL.pending_security_profile) == (None, None, None)
    assert (MINIMAL.serial_number, MINIMAL.operator_names, MINIMAL.tolerances) == ("", (), ())
    assert MINIMAL.ocpp_versions == tuple(OCPPVersion)


def test_a_record_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        MINIMAL.enabled = False  # type: ignore[misc]


def test_a_hash_is_in_no_repr() -> None:
    record = msgspec.structs.replace(MINIMAL, password=StoredPassword(phc="$argon2id$secret"))
    assert "$argon2id$" not in repr(record)
    assert "hidden" in repr(record)
