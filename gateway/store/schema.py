"""Brings a database to the schema of this release. The steps themselves are in `migrations/versions`."""

from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, func, inspect, select, table

from gateway.store.database import Database
from gateway.store.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["NEWEST_REVISION", "migrate", "migration_config", "require_newest"]

NEWEST_REVISION = "0015"
"""Compared before alembic is imported, because its import costs more than everything else a command does."""

_VERSION = table("alembic_version", column("version_num"))
_MIGRATION_LOCK = 0x0C99


def migration_config(connection: Connection) -> "Config":
    """Alembic's configuration for the migrations inside this package, in the caller's transaction."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "gateway.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def migrate(database: Database) -> None:
    """Upgrade to the newest revision in one transaction; several processes may try. Raises StoreError."""
    with database.reading() as connection:
        if _revision(connection) == NEWEST_REVISION:
            return
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite has one writer; here two nodes that start together would both create the tables.
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        _upgrade(connection)


def require_newest(database: Database) -> None:
    """Raises StoreError unless the database has exactly this release's schema."""
    with database.reading() as connection:
        found = _revision(connection)
    if found != NEWEST_REVISION:
        what = f"has schema {found}" if found else "has no schema yet"
        raise StoreError(f"The database {what}, and this release needs {NEWEST_REVISION}.")


def _revision(connection: Connection) -> str:
    """The schema's revision; empty for a database without one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(select(_VERSION.c.version_num)).scalar() or "")


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.util.exc import CommandError

    try:
        command.upgrade(migration_config(connection), "head")
    except CommandError:
        raise StoreError(
            f"The database has schema {_revision(connection)}, which this release does not know: a newer "
            "release made it. Run that release, or restore the backup made before the upgrade."
        ) from None
