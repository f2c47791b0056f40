"""Opens the database and runs transactions on it. Knows dialects, files and database errors; knows no table.

SQLite is opened for several processes at once: WAL, ``synchronous=FULL`` (a commit that returned survives a
power cut), foreign keys, a busy timeout, ``BEGIN IMMEDIATE`` for writers.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from gateway.store.errors import StoreBusy, StoreError

__all__ = ["Database", "actor_of", "open_database", "parse_url"]

_BUSY_TIMEOUT_S = 15.0
_WAL_ATTEMPTS = 200
_WAL_PAUSE_S = 0.05

_SQLITE_SENTENCES = {
    "SQLITE_FULL": "The disk that holds the database is full.",
    "SQLITE_CORRUPT": "The database file is damaged; restore it from a backup.",
    "SQLITE_NOTADB": "The file is not a database of this gateway.",
    "SQLITE_READONLY": "The database file, or its directory, is not writable for this user.",
    "SQLITE_CANTOPEN": "The database file cannot be opened; check that this user may read and write it.",
    "SQLITE_PERM": "This user may not open the database file.",
    "SQLITE_IOERR": "Reading or writing the database file failed; check the disk.",
}


def parse_url(url: str) -> URL:
    """The URL of a SQLite file or PostgreSQL database. Raises StoreError, without the URL's password."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise StoreError("The database URL must begin with sqlite:// or postgresql://.")
        parsed.get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise StoreError(
            "The database URL cannot be understood. Write sqlite:////path/to/registry.db or postgresql://host/name."
        ) from None
    except ImportError as error:
        raise StoreError(f"The database driver '{error.name}' is not installed.") from None
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError("An in-memory database cannot be shared by processes: name a file.")
    return parsed


class Database:
    """An open database. `reading` and `writing` are the only ways in; database errors become StoreError."""

    def __init__(self, engine: Engine, actor: str = "") -> None:
        """`actor`: in whose name it is written to, for the record; empty for the gateway itself."""
        self._reader = engine
        self._writer = engine.execution_options(gateway_writes=True, gateway_actor=actor)

    @property
    def is_shared(self) -> bool:
        """True where other nodes may use the database too."""
        return self._reader.dialect.name == "postgresql"

    def close(self) -> None:
        """Give back every connection."""
        self._reader.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view. Raises StoreError."""
        with _translated(), self._reader.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, durable when the block has been left without an exception. Raises StoreError."""
        with _translated(), self._writer.begin() as connection:
            yield connection


def actor_of(connection: Connection) -> str:
    """In whose name this transaction writes; empty for the gateway itself."""
    return str(connection.get_execution_options().get("gateway_actor", ""))


def open_database(url: str, actor: str = "") -> Database:
    """Open, creating a SQLite file (0600) and its directory (0700) if missing. Raises StoreError."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        return Database(create_engine(parsed, hide_parameters=True, pool_pre_ping=True), actor)
    _create_file(Path(parsed.database or ""))
    engine = create_engine(parsed, hide_parameters=True, connect_args={"timeout": _BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    try:
        with _translated():
            _switch_to_wal(engine)
    except BaseException:
        engine.dispose()
        raise
    return Database(engine, actor)


def _remedy(error: OSError) -> str:
    return " Run this as the user of the gateway." if isinstance(error, PermissionError) else ""


def _create_file(path: Path) -> None:
    """Make the file before SQLite does, because SQLite would make it with the umask's mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                _hand_to_owner_of_directory(descriptor, path.parent)
            finally:
                os.close(descriptor)
        if not path.is_file():
            raise StoreError(f"The database {path} is not a file.")
    except OSError as error:
        raise StoreError(
            f"The database {path} cannot be created or opened: {error.strerror}.{_remedy(error)}"
        ) from None


def _hand_to_owner_of_directory(descriptor: int, directory: Path) -> None:
    """An administrator who runs the first command as root must not lock the service's user out."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _prepare_sqlite(connection: DBAPIConnection, _record: object) -> None:
    """Per connection: transactions are ours (no implicit BEGIN), commits are durable, foreign keys hold."""
    assert isinstance(connection, sqlite3.Connection)
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL").close()
    connection.execute("PRAGMA foreign_keys=ON").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("gateway_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _switch_to_wal(engine: Engine) -> None:
    """Once per file. SQLite does not wait for its busy timeout here, so two first starters retry."""
    raw = engine.raw_connection()
    try:
        connection = raw.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        for attempt in range(1, _WAL_ATTEMPTS + 1):
            try:
                connection.execute("PRAGMA journal_mode=WAL").close()
            except sqlite3.OperationalError as error:
                if attempt == _WAL_ATTEMPTS or not _is_busy(error):
                    raise
                time.sleep(_WAL_PAUSE_S)
            else:
                return
    finally:
        raw.close()


def _is_busy(error: BaseException | None) -> bool:
    name: str = getattr(error, "sqlite_errorname", "")
    return name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _store_error(error.orig) from None
    except sqlite3.Error as error:
        raise _store_error(error) from None


def _store_error(cause: BaseException | None) -> StoreError:
    """The sentence for a driver's error. Only its first line is shown: the rest may quote values."""
    if _is_busy(cause):
        return StoreBusy("Another process is writing to the database for unusually long; try again.")
    name: str = getattr(cause, "sqlite_errorname", "")
    for prefix, sentence in _SQLITE_SENTENCES.items():
        if name.startswith(prefix):
            return StoreError(sentence)
    first_line = str(cause).strip().split("\n", 1)[0]
    return StoreError(f"The database reports: {first_line}")
