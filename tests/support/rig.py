"""A real gateway for tests: certificates, registry, configuration, processes. Nothing of ours is mocked.

async with FakeCSMS() as csms:
    rig = Rig(tmp_path, csms_urls=[csms.url])
    rig.add("CP-1", security_profile=2, password="secret")
    with rig.gateway() as gateway:
        peer = await Peer.connect(gateway.tls, tls=rig.client_tls())
"""

import asyncio
import contextlib
import functools
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import IO, Any

from gateway.control.credentials import hash_password
from gateway.demo.ports import free_ports
from gateway.identity.basic_auth import canonical_secret
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.store.registry import Registry
from tests.support.tls_material import Authority, Issued
from tests.support.toml import Table, write_toml

__all__ = ["OPERATOR", "PREFIX", "GatewayProcess", "Rig", "shared_authority"]

OPERATOR = "Example CPO"
PREFIX = "/ocpp"
READY_WAIT_S = 180.0
EVENT_WAIT_S = 90.0


@functools.cache
def shared_authority() -> Authority:
    """One throw-away root for the whole test process; keys cost time."""
    return Authority()


@functools.cache
def shared_server(kind: str) -> Issued:
    return shared_authority().server(kind)


@functools.cache
def hashed(password: str) -> str:
    return hash_password(canonical_secret(password))


class Rig:
    """A directory with everything one gateway needs. Change `config` before `gateway()`, or later with `reload`."""

    def __init__(self, work: Path, *, csms_urls: list[str], edge_workers: int = 1) -> None:
        self.work = work
        self.state = work / "state"
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.authority = shared_authority()
        (work / "root.pem").write_bytes(self.authority.pem)
        for kind in ("ec", "rsa"):
            server = shared_server(kind)
            (work / f"server-{kind}.pem").write_bytes(server.pem)
            self.write_private(f"server-{kind}.key", server.key_pem)
        self.operations = free_ports(1)[0]
        self._registry: Registry | None = None
        self._is_running = False
        self.config: dict[str, Any] = {
            "gateway": {"state_dir": str(self.state), "edge_workers": edge_workers, "operator_names": [OPERATOR]},
            "csms": [{"name": "main", "urls": list(csms_urls)}],
            "listener": [
                self.listener("plain", [1], allowed_networks=["127.0.0.0/8"]),
                self.listener("tls", [2, 3], tls=self.tls_table("optional")),
                self.listener("mtls", [3], tls=self.tls_table("required")),
            ],
            "audit": {"reserve_bytes": 0},
            "operations": {"address": f"127.0.0.1:{self.operations}"},
        }

    # -- configuration

    @staticmethod
    def listener(name: str, profiles: list[int], **more: Any) -> Table:
        base = {"name": name, "address": "127.0.0.1:0", "security_profiles": profiles, "csms": "main"}
        return {**base, "path_prefix": PREFIX, **more}

    def tls_table(self, client_certificate: str, **more: Any) -> Table:
        """The tls table of a listener; `client_certificate` is none, optional or required."""
        trust = {} if client_certificate == "none" else {"client_trust": [str(self.work / "root.pem")]}
        certificates = [
            {"certificate": str(self.work / f"server-{kind}.pem"), "key": str(self.work / f"server-{kind}.key")}
            for kind in ("ec", "rsa")
        ]
        return {"certificates": certificates, "client_certificate": client_certificate, **trust, **more}

    def named(self, listener: str) -> Table:
        """The table of a listener, to change it."""
        found: Table = next(table for table in self.config["listener"] if table["name"] == listener)
        return found

    def write_private(self, name: str, content: bytes) -> Path:
        path = self.work / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    @property
    def config_path(self) -> Path:
        return self.work / "gateway.toml"

    def write_config(self) -> Path:
        self.config_path.write_text(write_toml(self.config))
        return self.config_path

    # -- registry

    @contextlib.contextmanager
    def registry(self) -> Iterator[Registry]:
        """Stays open while a gateway runs: tests that wait for a row look fifty times in a second."""
        url = self.config["gateway"].get("database_url") or f"sqlite:///{self.state / 'registry.sqlite'}"
        registry = self._registry or Registry.open(url)
        if self._is_running:
            self._registry = registry
        try:
            yield registry
        finally:
            if registry is not self._registry:
                registry.close()

    def add(self, identity: str, *, security_profile: int = 2, password: str = "", **fields: Any) -> ChargePointRecord:
        """Register a charge point; `versions` as subprotocol tokens, everything else as in ChargePointRecord."""
        versions = fields.pop("versions", None)
        if versions is not None:
            fields["ocpp_versions"] = tuple(_version(token) for token in versions)
        stored = StoredPassword(phc=hashed(password), created_at=time.time()) if password else None
        record = ChargePointRecord(
            charge_point_id=ChargePointId(identity),
            security_profile=SecurityProfile(security_profile),
            password=stored,
            **fields,
        )
        with self.registry() as registry:
            registry.add(record)
        return record

    # -- peers

    def client_tls(self, certificate: Issued | None = None, **settings: Any) -> ssl.SSLContext:
        """A charge point's TLS context: trusts our root. `maximum`, `minimum`: ssl.TLSVersion; `ciphers`: OpenSSL list."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.authority.pem.decode())
        if "maximum" in settings:
            context.maximum_version = settings["maximum"]
        if "minimum" in settings:
            context.minimum_version = settings["minimum"]
        if "ciphers" in settings:
            context.set_ciphers(settings["ciphers"])
        if certificate is not None:
            chain = self.write_private(
                f"client-{certificate.certificate.serial_number:x}.pem", certificate.pem + certificate.key_pem
            )
            context.load_cert_chain(chain)
        return context

    # -- the gateway

    @contextlib.asynccontextmanager
    async def gateway(self, *, wait_ready: bool = True) -> AsyncIterator["GatewayProcess"]:
        """The real thing, stopped at the end (killed if it does not stop)."""
        self.write_config()
        gateway = GatewayProcess(self)
        try:
            gateway.start()
            if wait_ready:
                await gateway.wait_ready()
            self._is_running = True
            yield gateway
        finally:
            self._is_running = False
            if self._registry is not None:
                self._registry.close()
                self._registry = None
            # In a thread: the simulated CSMS lives on this event loop, and draining needs its answers.
            await asyncio.to_thread(gateway.stop)


def _version(token: str) -> OCPPVersion:
    version = OCPPVersion.from_subprotocol(token)
    assert version is not None, token
    return version


class GatewayProcess:
    """`python -m gateway run` and what it says."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.process: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.log_path = rig.work / "gateway.log"
        self.out_path = rig.work / "gateway.out"

    def start(self, stderr: IO[bytes] | None = None) -> None:
        """`stderr`: where its log goes, if not to `log_path`."""
        with self.log_path.open("ab") as log, self.out_path.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", str(self.rig.config_path), "--json"],
                stdout=out,
                stderr=stderr or log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    async def wait_ready(self) -> None:
        """Until it says so and admissions are open. Raises AssertionError with the log."""
        assert self.process is not None
        deadline = time.monotonic() + READY_WAIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            text = self.out_path.read_text()
            if "\n" in text:
                self.ready = json.loads(text.splitlines()[0])
                if self.http("/readyz")[0] == 200:
                    return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not ready (exit code {self.process.poll()}):\n{self.out_path.read_text()}{self.log()}")

    def address(self, listener: str) -> tuple[str, int]:
        """Host and port a listener is bound to."""
        text = next(x["address"] for x in self.ready["listeners"] if x["name"] == listener)
        host, _, port = text.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def plain(self) -> tuple[str, int]:
        return self.address("plain")

    @property
    def tls(self) -> tuple[str, int]:
        return self.address("tls")

    @property
    def mtls(self) -> tuple[str, int]:
        return self.address("mtls")

    def http(self, path: str) -> tuple[int, str]:
        """GET from the operations listener: (status, body), (0, "") if nobody answers."""
        import urllib.error
        import urllib.request

        try:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.rig.operations}{path}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
        except (OSError, http.client.HTTPException):  # also one that ends in the middle of its answer
            return 0, ""

    def status(self) -> dict[str, Any]:
        """What `ocpp-gateway status --json` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "status", "--json", "--config", str(self.rig.config_path)],
            capture_output=True,
            timeout=120,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def live_status(self) -> dict[str, Any]:
        """The same, straight from the admin socket; empty if nobody answers there."""
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(str(self.rig.state / "run" / "admin.sock"))
            connection.request("GET", "/status")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()
        return found

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Sessions in the status, by identity."""
        return {str(one["charge_point_id"]): one for one in self.live_status().get("sessions", [])}

    # -- events and logs

    @property
    def event_path(self) -> Path:
        return self.rig.state / "security-events.jsonl"

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """Security events so far, from byte offset `since`."""
        if not self.event_path.exists():
            return []
        data = self.event_path.read_bytes()[since:]
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def mark(self) -> int:
        """Offset for `events(since)`: behind the last whole line, as one may be on its way to the disk."""
        return self.event_path.read_bytes().rfind(b"\n") + 1 if self.event_path.exists() else 0

    async def event(
        self, name: str, since: int = 0, where: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The first event of this name after `since`. Raises AssertionError with what was there instead."""
        deadline = time.monotonic() + EVENT_WAIT_S
        while time.monotonic() < deadline:
            for event in self.events(since):
                if event["event"] == name and where(event):
                    return event
            await asyncio.sleep(0.02)
        raise AssertionError(
            f"no event {name}; there are {[e['event'] for e in self.events(since)]}\n{self.log()[-3000:]}"
        )

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    # -- signals

    def children(self) -> dict[str, int]:
        """Process ids by name: control, edge-0, ..."""
        assert self.process is not None
        found: dict[str, int] = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            words = ""
            with contextlib.suppress(OSError):  # a thread that has ended meanwhile
                words = (task / "children").read_text()
            for word in words.split():
                with contextlib.suppress(OSError):
                    arguments = Path(f"/proc/{word}/cmdline").read_bytes().split(b"\0")
                    if b"_control" in arguments:
                        found["control"] = int(word)
                    elif b"_edge" in arguments:
                        slot = arguments[arguments.index(b"--slot") + 1].decode()
                        found[f"edge-{slot}"] = int(word)
        return found

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self.process is not None
        return self.process.pid

    async def reload(self, *, write: bool = True) -> dict[str, Any]:
        """SIGHUP with the configuration as it is now; the event that says how it went. `write`: the rig's own first."""
        assert self.process is not None
        if write:
            self.rig.write_config()
        since = self.mark()
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + EVENT_WAIT_S
        while time.monotonic() < deadline:
            for event in self.events(since):
                if event["event"] in {"config.reloaded", "config.reload_failed"}:
                    return event
            await asyncio.sleep(0.02)
        raise AssertionError(f"no answer to the reload:\n{self.log()[-3000:]}")

    def stop(self) -> int | None:
        """SIGTERM, and SIGKILL to whatever is left. Returns the exit code."""
        process = self.process
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(90)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()
