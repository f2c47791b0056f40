"""A throw-away PostgreSQL server on a Unix socket, from whatever Debian package is there; started by the tests."""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PostgreSQL", "why_not"]

_RUN_AS = "postgres"


def _binaries() -> Path | None:
    """Directory of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None


def why_not() -> str:
    """Empty if a server can be started here, else what is missing (for a loud skip)."""
    if _binaries() is None:
        return "PostgreSQL server is not installed (Debian: apt-get install postgresql)"
    try:
        import psycopg
    except ImportError:
        return "psycopg is not installed"
    del psycopg
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(_RUN_AS)
        except KeyError:
            return f"there is no user {_RUN_AS} to run PostgreSQL as (it refuses to run as root)"
    return ""


class PostgreSQL:
    """One running server; `new_url()` makes a fresh database."""

    def __init__(self, directory: Path, binaries: Path) -> None:
        self._directory, self._binaries = directory, binaries

    def _run(self, name: str, *arguments: str) -> None:
        command = [str(self._binaries / name), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", f"--reuid={_RUN_AS}", f"--regid={_RUN_AS}", "--init-groups", *command]
        subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=self._directory)

    def new_url(self) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        self._run("createdb", "-h", str(self._directory), "-U", "gateway", name)
        return f"postgresql+psycopg://gateway@/{name}?host={self._directory}"

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator["PostgreSQL"]:
        """Start, and stop at the end. Raises CalledProcessError."""
        binaries = _binaries()
        assert binaries is not None
        directory = Path(tempfile.mkdtemp(prefix="ocpp-gateway-pg-", dir="/tmp"))
        if os.geteuid() == 0:
            shutil.chown(directory, _RUN_AS, _RUN_AS)
        server = cls(directory, binaries)
        data, log = str(directory / "data"), str(directory / "log")
        try:
            server._run("initdb", "-D", data, "-U", "gateway", "--auth=trust", "--no-sync")
            options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
            server._run("pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start")
            try:
                yield server
            finally:
                server._run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        finally:
            shutil.rmtree(directory, ignore_errors=True)
