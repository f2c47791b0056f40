"""An import beside others that write to the same registry."""

import pytest

from gateway.identity.record import StoredPassword
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.store.import_export import ImportFailed, import_records
from gateway.store.registry import Registry
from tests.support.records import make_record

_TEXT = "charge_point_id,group,password\nCP-1,depot,0123456789abcdefghij\n"


def test_what_others_change_while_passwords_are_hashed_is_not_undone(registry: Registry, url: str) -> None:
    registry.add(make_record("CP-1", 2, pending_security_profile=SecurityProfile(3), serial_number="SN-1"))
    other = Registry.open(url)

    def hash_password(secret: bytes) -> str:
        """Takes its time, and here is what happens meanwhile."""
        del secret
        other.update("CP-1", enabled=False, notes="stolen")
        other.upgrades.prove("CP-1", SecurityProfile(3), 1.0, "")
        return "$argon2id$new"

    import_records(
        registry,
        _TEXT,
        "csv",
        hash_password=hash_password,
        is_supported_hash=bool,
        now=5.0,
        on_duplicate="update",
    )
    other.close()

    record = registry.get("CP-1")
    assert record is not None
    assert (record.enabled, record.notes) == (False, "stolen")
    assert (record.security_profile, record.pending_security_profile, record.floor) == (3, None, 3)
    assert (record.group, record.password) == ("depot", StoredPassword(phc="$argon2id$new", created_at=5.0))


def test_an_import_raises_a_floor_and_never_lowers_one(registry: Registry) -> None:
    registry.add(make_record("CP-1", 3, serial_number="SN-1", floor=SecurityProfile(2)))
    for floor, expected in (("3", 3), ("1", 3), ("", 3)):
        import_records(
            registry,
            f"charge_point_id,floor\nCP-1,{floor}\n",
            "csv",
            hash_password=lambda secret: secret.decode(),
            is_supported_hash=bool,
            now=5.0,
            on_duplicate="update",
        )
        record = registry.get("CP-1")
        assert record is not None
        assert record.floor == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("\n", "the file is empty"),
        ("charge_point_id,security_profle\n", "(did you mean 'security_profile'?)"),
        ("Charge_Point_ID,security_profile\n", "(did you mean 'charge_point_id'?)"),
        ("charge_point_id\tsecurity_profile\n", "separated by tabs"),
        ("charge_point_id,group,group\n", "column group is there twice"),
        ("security_profile,group\n", "column charge_point_id is missing"),
        ("charge_point_id,zzz\n", "unknown column 'zzz'; columns are"),
    ],
)
def test_a_header_that_is_wrong_is_explained(registry: Registry, text: str, said: str) -> None:
    with pytest.raises(ImportFailed) as failed:
        import_records(registry, text, "csv", hash_password=bytes.decode, is_supported_hash=bool, now=5.0)
    assert said in str(failed.value.problems[0].message)
