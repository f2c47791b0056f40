"""The schema: what migrations lead to is what the tables say, once, however many start at the same time."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from gateway.store.database import open_database
from gateway.store.errors import DamagedRow, StoreError
from gateway.store.registry import Registry
from gateway.store.tables import metadata
from tests.support.records import make_record


def test_migrations_lead_to_exactly_the_tables(url: str) -> None:
    Registry.open(url).close()
    database = open_database(url)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, metadata) == []
    database.close()


def test_several_that_start_at_the_same_time_make_one_schema(url: str) -> None:
    def start(number: int) -> None:
        registry = Registry.open(url)
        registry.add(make_record(f"CP-{number}"))
        registry.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    registry = Registry.open(url)
    assert len(registry.load_all()) == 4
    registry.close()


def test_a_schema_of_a_newer_release_is_refused_and_not_touched(url: str) -> None:
    Registry.open(url).close()
    database = open_database(url)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="schema 9999"):
        Registry.open(url)
    with database.reading() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    database.close()


def test_without_migration_a_database_without_schema_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="no schema yet"):
        Registry.open(url, migrate=False)


class TestDamage:
    """A row that somebody has edited by hand."""

    @pytest.mark.parametrize(
        "change",
        ["tolerances = 'x'", "ocpp_versions = '5'", "password_reading = '', last_seen_at = 0, tolerances = '{}'"],
    )
    def test_it_is_named_and_only_who_asks_for_it_is_told(self, url: str, change: str) -> None:
        registry, database = Registry.open(url), open_database(url)
        for name in ("bad", "good"):
            registry.add(make_record(name))
        with database.writing() as connection:
            connection.execute(text(f"UPDATE charge_points SET {change} WHERE charge_point_id = 'bad'"))
        with pytest.raises(DamagedRow, match="'bad' is damaged"):
            registry.get("bad")
        with pytest.raises(DamagedRow):
            registry.load_all()
        told: list[str] = []
        assert list(registry.load_all(on_damage=lambda error: told.append(str(error)))) == ["good"]
        assert len(told) == 1
        assert registry.get("good") is not None
        database.close()
        registry.close()

    def test_words_of_a_newer_release_grant_nothing_and_are_no_damage(self, url: str) -> None:
        registry, database = Registry.open(url), open_database(url)
        registry.add(make_record("CP-1", tolerances=("no-pong",)))
        with database.writing() as connection:
            connection.execute(text("""UPDATE charge_points SET tolerances = '["be-nice", "no-pong"]'"""))
            connection.execute(text("""UPDATE charge_points SET ocpp_versions = '["3.0", "1.6"]'"""))
        record = registry.get("CP-1")
        assert record is not None
        assert (record.tolerances, record.ocpp_versions) == (("no-pong",), ("1.6",))
        database.close()
        registry.close()

    def test_there_is_no_profile_0_whoever_writes(self, url: str) -> None:
        registry, database = Registry.open(url), open_database(url)
        registry.add(make_record("CP-1"))
        with pytest.raises(StoreError), database.writing() as connection:
            connection.execute(text("UPDATE charge_points SET security_profile = 0"))
        record = registry.get("CP-1")
        assert record is not None and record.security_profile == 2
        database.close()
        registry.close()


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "registry.db"
    Registry.open(f"sqlite:///{path}").close()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
        ("mysql://h/n", "must begin with sqlite"),
        ("nonsense", "cannot be understood"),
        ("postgresql+nothing://u:s3cr3t@h/n", "cannot be understood"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        Registry.open(url)
    assert "s3cr3t" not in str(caught.value)
