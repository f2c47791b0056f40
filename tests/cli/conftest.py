"""The command line in this process, and a configuration to use it with."""

import ast
import asyncio
import contextlib
import datetime
import functools
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.cli import main
from gateway.config.template import render_template
from gateway.control.credentials import PasswordVerifier
from gateway.identity.evidence import BasicCredentials
from gateway.store.registry import Registry
from pki.development import OPERATOR, ChargePointCertificate, make_development_pki

CLIENTS = (
    ChargePointCertificate(name="client", serial_number="SN-0001"),
    ChargePointCertificate(name="expired", serial_number="SN-0002", expired=True),
)


class Result(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one document on standard output; nothing may stand on standard error beside it."""
        assert self.err == ""
        return json.loads(self.out)


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command line: ``cli("charge-point", "list", stdin=b"...")``."""

    def run(*words: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Result(code, *capsys.readouterr())

    return run


def everything(terminal: int) -> bytes:
    """All that was written to a terminal whose other end is closed: one read may get the beginning only."""
    written = b""
    with contextlib.suppress(OSError):  # EIO is its end
        while piece := os.read(terminal, 65_536):
            written += piece
    return written


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One development PKI for the whole run; tests copy what they want to change."""
    directory = tmp_path_factory.mktemp("certificates")
    make_development_pki(directory, datetime.datetime.now(datetime.UTC), charge_points=CLIENTS)
    return directory


@functools.cache
def rendered(values: str, certificates: str) -> str:
    """The text for these values (their repr); most tests want the same."""
    return render_template(ast.literal_eval(values), certificates)


class Place:
    """A directory with a configuration that is found without --config."""

    def __init__(self, directory: Path, certificates: Path) -> None:
        self.directory = directory
        self.config = directory / "gateway.toml"
        self.state = directory / "state"
        self.database = self.state / "registry.sqlite"
        self.write(certificates)

    def write(self, certificates: Path, **changes: dict[str, Any]) -> None:
        """The configuration of `init`, made usable; `changes` by table."""
        values: dict[str, dict[str, Any]] = {
            "gateway": {"edge_workers": 1, "operator_names": (OPERATOR,), "unsafe_dev_certificates": True},
            "csms": {"urls": ("ws://127.0.0.1:1/ocpp",)},
            "listener": {"address": "127.0.0.1:0"},
            "listener.tls": {"client_trust": (str(certificates / "root.pem"),)},
            "operations": {"address": "127.0.0.1:0"},
        }
        for table, change in changes.items():
            values.setdefault(table, {}).update(change)
        self.config.write_text(rendered(repr(values), str(certificates)))

    def replace(self, old: str, new: str) -> None:
        """Change the text of the configuration; `old` must be there."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def registry(self) -> Registry:
        return Registry.open(f"sqlite:///{self.database}")


@pytest.fixture
def place(tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, certificates)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPP_GATEWAY_CONFIG", raising=False)
    return made


Accepts = Callable[[str, bytes], str | None]


@pytest.fixture(scope="session")
def verifier() -> Iterator[PasswordVerifier]:
    made = PasswordVerifier()
    yield made
    made.close()


@pytest.fixture
def accepts(registry: Registry, verifier: PasswordVerifier) -> Accepts:
    """Which stored password (``current``, ``pending``) a charge point would get in with, as the gateway verifies it."""

    def ask(charge_point_id: str, password: bytes) -> str | None:
        credentials = BasicCredentials(username_matches=True, password=password)
        verified = asyncio.run(verifier.verify(registry.get(charge_point_id), credentials))
        return verified.slot if verified is not None else None

    return ask


Filling = Callable[[Registry], None]


@pytest.fixture(scope="module")
def filling() -> Filling:
    """Puts into the registry what is there at the beginning of each test; modules have their own."""
    return lambda _: None


@pytest.fixture(scope="module")
def filled_database(tmp_path_factory: pytest.TempPathFactory, filling: Filling) -> bytes:
    """Made once: migrations and first rows cost more than everything else that a test does."""
    path = tmp_path_factory.mktemp("database") / "registry.sqlite"
    made = Registry.open(f"sqlite:///{path}")
    filling(made)
    made.close()
    return path.read_bytes()


@pytest.fixture
def registry(place: Place, filled_database: bytes) -> Iterator[Registry]:
    place.state.mkdir(mode=0o700)
    place.database.write_bytes(filled_database)
    place.database.chmod(0o600)
    opened = place.registry()
    yield opened
    opened.close()
