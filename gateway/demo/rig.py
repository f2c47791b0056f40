"""Sets the stage: certificates, configuration, registry, and the gateway as a real process."""

import asyncio
import contextlib
import datetime
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from gateway.control.credentials import hash_password
from gateway.demo.authority import make_authority
from gateway.demo.cast import ACTORS, CERTIFICATES, OPERATOR, UPGRADED, Actor
from gateway.demo.charge_point import Endpoints
from gateway.demo.ports import free_ports
from gateway.identity.basic_auth import generate_password
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId
from gateway.store.registry import Registry
from pki.development import make_development_pki

__all__ = ["Rig", "RigFailed"]

_READY_WAIT_S = 20.0
_CONFIGURATION = """# Made by the demo.
[gateway]
state_dir = "state"
edge_workers = 1
operator_names = ["{operator}"]
unsafe_dev_certificates = true

[[csms]]
name = "demo"
urls = ["ws://127.0.0.1:{csms_port}/ocpp"]
certificates = "gateway"
# On this machine alone: elsewhere anybody on the way could ask for a charge point's certificate.
unsafe_enrolment_without_tls = true

[[listener]]
name = "plain"
address = "127.0.0.1:{plain}"
security_profiles = [1]
csms = "demo"
path_prefix = "/ocpp"
allowed_networks = ["127.0.0.0/8"]

[[listener]]
name = "tls"
address = "127.0.0.1:{tls}"
security_profiles = [2, 3]
csms = "demo"
url = "{tls_url}"
path_prefix = "/ocpp"

[listener.tls]
client_certificate = "optional"
client_trust = ["{certificates}/root.pem", "{ca_root}"]
server_roots = ["{certificates}/root.pem"]

[[listener.tls.certificates]]
certificate = "{certificates}/server-ecdsa.pem"
key = "{certificates}/server-ecdsa.key"

[[listener.tls.certificates]]
certificate = "{certificates}/server-rsa.pem"
key = "{certificates}/server-rsa.key"

[pki]
ca = "{ca}"

[upgrades]
look_again_s = 1.0

[operations]
address = "127.0.0.1:{operations}"

[audit]
directory = {audit}
reserve_bytes = 1_048_576
"""


class RigFailed(Exception):  # noqa: N818  a sentence for people
    """The demo could not be set up; the text says why."""


class Rig:
    """Everything around the charge points. `work`: directory for configuration and state."""

    def __init__(self, work: Path, certificates: Path, audit_directory: Path | None = None) -> None:
        self.work = work
        self.certificates = certificates.absolute()
        self.audit_directory = (audit_directory or work / "state" / "audit").absolute()
        self.passwords: dict[str, str] = {}
        self.event_file = work / "state" / "security-events.jsonl"
        self.plain, self.tls, self.operations = free_ports(3)
        self.endpoints = Endpoints(
            f"ws://127.0.0.1:{self.plain}/ocpp",
            f"wss://localhost:{self.tls}/ocpp",
            self.certificates,
            work / "demo-ca-root.pem",
        )
        self.ca = work / "ca"

    def prepare(self, csms_port: int) -> None:
        """Certificates, configuration, registry."""
        make_development_pki(self.certificates, datetime.datetime.now(datetime.UTC), charge_points=CERTIFICATES)
        self.ca, ca_root = make_authority(self.work)
        (self.work / "gateway.toml").write_text(
            _CONFIGURATION.format(
                operator=OPERATOR,
                csms_port=csms_port,
                plain=self.plain,
                tls=self.tls,
                tls_url=self.endpoints.tls,
                ca=self.ca,
                ca_root=ca_root,
                operations=self.operations,
                certificates=self.certificates,
                audit=json.dumps(str(self.audit_directory)),
            )
        )
        registry = Registry.open(f"sqlite:///{self.work / 'state' / 'registry.sqlite'}")
        try:
            for actor in (*ACTORS, *UPGRADED):
                registry.add(self._record(actor))
        finally:
            registry.close()

    def _record(self, actor: Actor) -> ChargePointRecord:
        identity, stored = actor.id, None
        if not actor.certificate:
            self.passwords[identity] = generate_password(secrets.token_bytes(64))
            stored = StoredPassword(phc=hash_password(self.passwords[identity].encode()), created_at=time.time())
        return ChargePointRecord(
            charge_point_id=ChargePointId(identity),
            security_profile=actor.security_profile,
            serial_number=actor.serial_number,
            ocpp_versions=(actor.version,),
            password=stored,
            group="demo",
        )

    @contextlib.contextmanager
    def gateway(self) -> Iterator[subprocess.Popen[bytes]]:
        """The gateway as its own processes, stopped at the end."""
        log = self.work / "gateway.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  our own executable
                [sys.executable, "-m", "gateway", "run", "--config", str(self.work / "gateway.toml")],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until charge points can be admitted. Raises RigFailed with the end of the gateway's log."""
        deadline = time.monotonic() + _READY_WAIT_S
        while time.monotonic() < deadline and process.poll() is None:
            if await asyncio.to_thread(self._is_ready):
                return
            await asyncio.sleep(0.05)
        raise RigFailed("the gateway did not become ready:\n" + self.log_tail())

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.operations}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)  # noqa: PLR2004
        except (OSError, urllib.error.URLError):
            return False

    def log_tail(self) -> str:
        """The last lines of the gateway's log."""
        log = self.work / "gateway.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""
