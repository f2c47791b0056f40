"""The stacks under comparison: how each is configured and started, pinned to one core."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import argon2

from bench.certificates import OPERATOR
from bench.launcher import NO_POLICY_VARIABLE, NO_RECORDS_VARIABLE
from bench.packs import write_packs
from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile
from gateway.store.registry import Registry

__all__ = [
    "CHARGE_POINTS",
    "FEW_RULES",
    "MANY_RULES",
    "ONLY_MESSAGES",
    "PASSWORD",
    "PYTHON_STACKS",
    "RULE_STACKS",
    "STACKS",
    "start",
]

Ports = tuple[int, int, int]
"""Of the stack, of the CSMS behind it, of the gateway's operations."""

HERE = Path(__file__).parent
CHARGE_POINTS = 5120
PASSWORD = "bench-password-0123456789"
"""Of every charge point, hashed cheaply: password hashing is not what is measured here."""
FEW_RULES, MANY_RULES = "gateway-10-rules", "gateway-1000-rules"
RULE_STACKS = {FEW_RULES: 10, MANY_RULES: 1000}
"""The gateway with so many generated rules (bench/packs.py) in place of its own."""
ONLY_MESSAGES = ("gateway-no-records", "gateway-no-policy")
"""Less than the gateway as it comes, to say what each part of a message costs."""
STACKS = ("haproxy", "nginx", "gateway", *ONLY_MESSAGES, "gateway-stdlib", *RULE_STACKS, "websockets")
PYTHON_STACKS = ("gateway", *ONLY_MESSAGES, "gateway-stdlib", "websockets")

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
security_profiles = [{profile}]
csms = "echo"
path_prefix = "/ocpp"
[listener.tls]
{client_certificates}
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

[policy]
packs = {packs}

[operations]
address = "127.0.0.1:{operations}"
"""


def _registry_template(profile: SecurityProfile) -> Path:
    """A state directory with all charge points in its registry, made anew whenever the registry's code changes."""
    build = HERE / "build"
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for source in sorted((HERE.parent / "gateway" / "store").rglob("*.py")):
        digest.update(source.read_bytes())
    template = build / f"registry-{int(profile)}-{digest.hexdigest()[:16]}"
    if template.exists():
        return template
    for stale in (*build.glob(f"registry-{int(profile)}-*"), *build.glob("registry-unfinished")):
        shutil.rmtree(stale)
    unfinished = build / "registry-unfinished"
    unfinished.mkdir()
    registry = Registry.open(f"sqlite:///{unfinished}/registry.sqlite")
    password = StoredPassword(phc=argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD))
    by_certificate = profile is SecurityProfile.TLS_CLIENT_CERTIFICATE
    registry.apply(
        add=[
            ChargePointRecord(
                charge_point_id=ChargePointId(f"CP{number:05d}"),
                security_profile=profile,
                serial_number=f"CP{number:05d}",
                operator_names=(OPERATOR,),
                password=None if by_certificate else password,
            )
            for number in range(CHARGE_POINTS)
        ]
    )
    registry.close()
    unfinished.rename(template)
    return template


def _render(name: str, work: Path, values: dict[str, str]) -> Path:
    text = (HERE / "conf" / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    path = work / name
    path.write_text(text)
    return path


def _gateway(work: Path, certs: Path, ports: Ports, engine: str, *, mtls: bool, rules: int = 0) -> list[str]:
    """`rules`: how many generated ones are loaded in place of the default pack."""
    profile = SecurityProfile.TLS_CLIENT_CERTIFICATE if mtls else SecurityProfile.TLS_BASIC
    required = f'client_certificate = "required"\nclient_trust = ["{certs}/ca.pem"]'
    shutil.copytree(_registry_template(profile), work / "state")
    packs = [str(path) for path in write_packs(work / "packs", rules)] or ["baseline"]
    config = work / "gateway.toml"
    config.write_text(
        _GATEWAY_TOML.format(
            work=work,
            certs=certs,
            port=ports[0],
            up=ports[1],
            engine=engine,
            operations=ports[2],
            packs=json.dumps(packs),
            operator=OPERATOR,
            profile=int(profile),
            client_certificates=required if mtls else "",
        )
    )
    return [sys.executable, "-m", "bench.launcher", "run", "--config", str(config)]


def start(
    stack: str, work: Path, certs: Path, ports: Ports, core: str, environment: dict[str, str], *, mtls: bool
) -> "subprocess.Popen[bytes]":
    """Start `stack` in front of the echo CSMS, pinned to `core`. Its log is work/proxy.log."""
    port, up, _ = ports
    if stack in ONLY_MESSAGES:
        environment = {**environment, NO_RECORDS_VARIABLE: "1"}
    if stack == "gateway-no-policy":
        environment = {**environment, NO_POLICY_VARIABLE: "1"}
    values = {"PORT": str(port), "UP": str(up), "CERTS": str(certs), "WORK": str(work)}
    values["HAPROXY_VERIFY"] = f"ca-file {certs}/ca.pem verify required" if mtls else "verify none"
    values["NGINX_VERIFY"] = "on" if mtls else "off"
    match stack:
        case "haproxy":
            command = ["haproxy", "-db", "-f", str(_render("haproxy.cfg", work, values))]
        case "nginx":
            command = ["nginx", "-c", str(_render("nginx.conf", work, values))]
        case "gateway" | "gateway-no-records" | "gateway-no-policy":
            command = _gateway(work, certs, ports, "pyopenssl", mtls=mtls)
        case _ if stack in RULE_STACKS:
            command = _gateway(work, certs, ports, "pyopenssl", mtls=mtls, rules=RULE_STACKS[stack])
        case "gateway-stdlib":
            command = _gateway(work, certs, ports, "stdlib", mtls=mtls)
        case "websockets":
            script = "bench.peers.websockets_gateway"
            command = [sys.executable, "-m", script, "--port", str(port), "--up", str(up), "--certs", str(certs)]
            command += [] if mtls else ["--no-client-certificates"]
        case _:
            raise ValueError(f"unknown stack {stack!r}; there are {', '.join(STACKS)}")
    with (work / "proxy.log").open("wb") as log:
        return subprocess.Popen(["taskset", "-c", core, *command], stdout=log, stderr=log, env=environment)
