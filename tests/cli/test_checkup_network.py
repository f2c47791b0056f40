"""`doctor` on the network: real sockets on loopback, with TLS and without."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.checkup.check import Check
from gateway.cli.checkup.network import check_csms, check_ports
from gateway.config.load import load_unchecked
from gateway.config.model import CSMS, Config, Operations
from tests.cli.conftest import Place


@pytest.fixture
def config(place: Place) -> Config:
    return load_unchecked(place.config)


def reach(config: Config, *urls: str, **fields: Any) -> list[Check]:
    csms = CSMS(name="main", urls=urls, connect_timeout_s=5.0, **fields)
    return list(check_csms(msgspec.structs.replace(config, csms=(csms,))))


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Accepts one connection, with a TLS handshake if there is a context; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                if context is not None:
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except (ssl.SSLError, OSError):
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            thread.join()


def server_context(certificates: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server-ecdsa.pem", certificates / "server-ecdsa.key")
    return context


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class TestCSMS:
    def test_that_accepts_connections(self, config: Config) -> None:
        with listening() as port:
            (check,) = reach(config, f"ws://127.0.0.1:{port}/ocpp")
        assert (check.level, str(port) in check.message) == ("ok", True)

    def test_that_does_not(self, config: Config) -> None:
        (check,) = reach(config, f"ws://127.0.0.1:{unused_port()}")
        assert (check.level, "Connection refused" in check.message) == ("error", True)

    @pytest.mark.parametrize("url", ["ws://nothing.invalid/ocpp", "ws://[x/ocpp", "ws://h:99999/ocpp"])
    def test_without_an_address(self, url: str, config: Config) -> None:
        (check,) = reach(config, url)
        assert (check.level, bool(check.remedy)) == ("error", True)

    def test_one_address_of_two_is_enough_to_run(self, config: Config) -> None:
        with listening() as port:
            found = reach(config, f"ws://127.0.0.1:{unused_port()}", f"ws://127.0.0.1:{port}")
        assert [check.level for check in found] == ["warning", "ok"]

    def test_certificate_that_is_trusted(self, config: Config, certificates: Path) -> None:
        with listening(server_context(certificates)) as port:
            (check,) = reach(config, f"wss://localhost:{port}", ca=str(certificates / "root.pem"))
        assert (check.level, check.message) == ("ok", f"CSMS main answers at wss://localhost:{port}")

    @pytest.mark.parametrize(
        ("fields", "level"),
        [
            ({}, "error"),
            ({"ca": "{certificates}/root.pem", "server_name": "other.example.com"}, "error"),
            ({"danger_accept_any_certificate": True}, "ok"),
        ],
        ids=["unknown-root", "other-name", "not-verified"],
    )
    def test_certificate_that_is_not(
        self, fields: dict[str, Any], level: str, config: Config, certificates: Path
    ) -> None:
        filled = {
            name: str(value).format(certificates=certificates) if name == "ca" else value
            for name, value in fields.items()
        }
        with listening(server_context(certificates)) as port:
            (check,) = reach(config, f"wss://localhost:{port}", **filled)
        assert check.level == level
        assert ("TLS fails" in check.message) == (level == "error")

    def test_no_tls_where_tls_is_wanted(self, config: Config, certificates: Path) -> None:
        with listening() as port:
            (check,) = reach(config, f"wss://localhost:{port}", ca=str(certificates / "root.pem"))
        assert check.level == "error"

    @pytest.mark.parametrize("ca", ["/nonexistent", "{certificates}/root.key"])
    def test_trust_that_cannot_be_read(self, ca: str, config: Config, certificates: Path) -> None:
        (check,) = reach(config, "wss://localhost:1", ca=ca.format(certificates=certificates))
        assert (check.level, "TLS cannot be set up" in check.message) == ("error", True)


class TestPorts:
    @staticmethod
    def operations(config: Config, address: str, held: frozenset[str] = frozenset()) -> Check:
        found = list(check_ports(msgspec.structs.replace(config, operations=Operations(address=address)), held))
        assert len(found) == 2
        return found[1]

    @pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
    def test_free(self, host: str, config: Config) -> None:
        assert self.operations(config, f"{host}:0").level == "ok"

    def test_taken_by_somebody_else(self, config: Config) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            check = self.operations(config, address)
            assert (check.level, "ss -ltnp" in check.remedy) == ("error", True)
            assert self.operations(config, address, frozenset({"127.0.0.1:1"})).level == "error"

    def test_held_by_the_running_gateway(self, config: Config) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = f"127.0.0.1:{server.getsockname()[1]}"
            check = self.operations(config, address, frozenset({address}))
        assert (check.level, "held by the running gateway" in check.message) == ("ok", True)

    def test_address_of_no_interface(self, config: Config) -> None:
        check = self.operations(config, "192.0.2.1:0")
        assert (check.level, "No interface" in check.remedy) == ("error", True)

    def test_nonsense_is_left_to_the_configuration_check(self, config: Config) -> None:
        wrong = msgspec.structs.replace(config, operations=Operations(address="nonsense"))
        assert len(list(check_ports(wrong, frozenset()))) == 1
