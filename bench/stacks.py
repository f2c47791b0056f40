"""The stacks under comparison: how each is configured and started, pinned to one core."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench.certificates import OPERATOR
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.registry import Registry

__all__ = ["STACKS", "start"]

HERE = Path(__file__).parent
CHARGE_POINTS = 5120
STACKS = ("haproxy", "nginx", "gateway", "gateway-stdlib", "websockets")

_GATEWAY_TOML = """
[gateway]
state_dir = "{work}/state"
edge_workers = 1
log_level = "warning"
operator_names = ["{operator}"]

[[csms]]
name = "echo"
urls = ["ws://127.0.0.1:{up}/ocpp"]

[[listener]]
name = "mtls"
address = "127.0.0.1:{port}"
security_profiles = [3]
csms = "echo"
path_prefix = "/ocpp"
[listener.tls]
client_certificate = "required"
client_trust = ["{certs}/ca.pem"]
engine = "{engine}"
[[listener.tls.certificates]]
certificate = "{certs}/server.pem"
key = "{certs}/server.key"

[limits]
max_handshakes = 20000
handshakes_per_address = 20000
connects_per_address_per_minute = 10000000
reconnects_per_hour = 100000000
handshake_timeout_s = 60

[websocket]
messages_per_s = 1000000
messages_burst = 1000000

[operations]
address = "127.0.0.1:{operations}"
"""


def _fill_registry(work: Path) -> None:
    (work / "state").mkdir(parents=True, exist_ok=True)
    registry = Registry.open(f"sqlite:///{work}/state/registry.sqlite")
    known = registry.load_all()
    for number in range(CHARGE_POINTS):
        identity = ChargePointId(f"CP{number:05d}")
        if identity not in known:
            registry.add(
                ChargePointRecord(
                    charge_point_id=identity,
                    security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE,
                    serial_number=identity,
                    operator_names=(OPERATOR,),
                )
            )
    registry.close()


def _render(name: str, work: Path, values: dict[str, str]) -> Path:
    text = (HERE / "conf" / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    path = work / name
    path.write_text(text)
    return path


def _gateway(work: Path, certs: Path, port: int, up: int, engine: str) -> list[str]:
    template = HERE / "build" / "registry-template"
    if not template.exists():
        _fill_registry(template)
    shutil.copytree(template / "state", work / "state", dirs_exist_ok=True)
    config = work / "gateway.toml"
    config.write_text(
        _GATEWAY_TOML.format(
            work=work, certs=certs, port=port, up=up, engine=engine, operations=port + 1, operator=OPERATOR
        )
    )
    return [sys.executable, "-m", "gateway", "run", "--config", str(config)]


def start(stack: str, work: Path, certs: Path, port: int, up: int, core: str) -> subprocess.Popen[bytes]:
    """Start `stack` on `port` in front of the echo CSMS on `up`, pinned to `core`. Its log is work/proxy.log."""
    work.mkdir(parents=True, exist_ok=True)
    values = {"PORT": str(port), "UP": str(up), "CERTS": str(certs), "WORK": str(work)}
    match stack:
        case "haproxy":
            command = ["haproxy", "-db", "-f", str(_render("haproxy.cfg", work, values))]
        case "nginx":
            command = ["nginx", "-c", str(_render("nginx.conf", work, values))]
        case "gateway":
            command = _gateway(work, certs, port, up, "pyopenssl")
        case "gateway-stdlib":
            command = _gateway(work, certs, port, up, "stdlib")
        case "websockets":
            script = str(HERE / "peers" / "websockets_gateway.py")
            command = [sys.executable, script, "--port", str(port), "--up", str(up), "--certs", str(certs)]
        case _:
            raise ValueError(f"unknown stack {stack!r}; there are {', '.join(STACKS)}")
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    with (work / "proxy.log").open("wb") as log:
        process = subprocess.Popen(["taskset", "-c", core, *command], stdout=log, stderr=log, env=environment)
    time.sleep(0.1)
    return process
