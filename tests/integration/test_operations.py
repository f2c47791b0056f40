"""What operators and their machines see: health, readiness, metrics, status, systemd."""

import asyncio
import os
import re
import signal
import socket
import stat
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from tests.support.csms import FakeCSMS
from tests.support.fleet import ChargePoint, suspended, until
from tests.support.peer import Peer, basic
from tests.support.rig import GatewayProcess, Rig

pytestmark = pytest.mark.integration
LABELS = {
    "mode",
    "class",
    "sink",
    "listener",
    "event",
    "reason",
    "origin",
    "security_profile",
    "tolerance",
    "revision",
    "state",
}


def _content_type(gateway: GatewayProcess, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.rig.operations}{path}", timeout=5) as answer:
        return str(answer.headers["Content-Type"])


async def test_endpoints_have_their_content_types_and_metrics_name_no_charge_point_and_no_address(
    rig: Rig, csms: FakeCSMS
) -> None:
    one = ChargePoint(rig, "CP-SECRET-NAME")
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        await one.exchange(peer, csms)
        async with await Peer.connect(gateway.plain) as stranger:
            await stranger.ask("/ocpp/CP-STRANGER", authorization=basic("CP-STRANGER", "x"))
        assert gateway.http("/healthz") == (200, "ok\n")
        assert gateway.http("/readyz") == (200, "ready\n")
        assert _content_type(gateway, "/healthz").startswith("text/plain")
        assert _content_type(gateway, "/readyz").startswith("text/plain")
        assert _content_type(gateway, "/metrics") == "text/plain; version=0.0.4; charset=utf-8"
        assert gateway.http("/status")[0] == gateway.http("/")[0] == 404
        await until(lambda: "ocpp_gateway_sessions 1.0" in gateway.http("/metrics")[1], "one session is counted")
        await until(lambda: 'listener="plain"' in gateway.http("/metrics")[1], "the stranger is counted")
        text = gateway.http("/metrics")[1]
        assert set(re.findall(r'[{,]([a-z_]+)="', text)) <= LABELS
        for secret in ("SECRET", "STRANGER", "127.0.0.1", "password"):
            assert secret not in text
        assert re.search(r"^# TYPE ocpp_gateway_connections_total counter$", text, re.MULTILINE)
        assert gateway.status()["sessions"][0]["charge_point_id"] == "CP-SECRET-NAME"
        _verify_modes(rig, gateway)
        with pytest.raises(OSError), socket.create_connection(("127.0.0.2", rig.operations), timeout=5):
            pass


def _verify_modes(rig: Rig, gateway: GatewayProcess) -> None:
    """Sockets and files are for the gateway's user alone."""
    for path, mode in (
        (rig.state, 0o700),
        (rig.state / "run", 0o700),
        (rig.state / "run" / "admin.sock", 0o600),
        (rig.state / "run" / "control.sock", 0o600),
        (rig.state / "run" / "lock", 0o600),
        (gateway.event_path, 0o600),
        (rig.state / "registry.sqlite", 0o600),
    ):
        assert stat.S_IMODE(path.stat().st_mode) == mode, path


async def test_counters_of_a_killed_edge_stay_in_the_sums(rig: Rig, csms: FakeCSMS) -> None:
    one = ChargePoint(rig, "CP-1", 1)

    def opened(gateway: GatewayProcess) -> float:
        found = re.search(r"sessions_opened_total\{.*\} ([0-9.]+)", gateway.http("/metrics")[1])
        return float(found[1]) if found else 0.0

    async with rig.gateway() as gateway:
        async with await one.enter(gateway) as peer:
            await one.exchange(peer, csms)
            await until(lambda: opened(gateway) == 1, "the session is counted")
            os.kill(gateway.children()["edge-0"], signal.SIGKILL)
            assert await peer.ended()
        async with await one.enter_soon(gateway) as peer:
            await one.exchange(peer, csms)
            await until(lambda: opened(gateway) == 2, "both sessions are counted")


def _answers(gateway: GatewayProcess, path: str, status: int) -> bool:
    return gateway.http(path)[0] == status


async def test_readiness_is_gone_while_control_or_an_edge_is_missing_and_health_only_with_control(rig: Rig) -> None:
    rig.config["gateway"]["edge_workers"] = 2
    async with rig.gateway() as gateway:
        for name in ("edge-1", "control"):
            pid = gateway.children()[name]
            with suspended(gateway.pid):  # which therefore does not start another one
                os.kill(pid, signal.SIGKILL)
                ready, healthy = (503, 200) if name == "edge-1" else (0, 0)
                await until(partial(_answers, gateway, "/readyz", ready), f"{name} is missed")
                assert _answers(gateway, "/healthz", healthy)
            await until(lambda: gateway.http("/readyz")[0] == 200, f"{name} is back")
        seen = set()
        with suspended(gateway.children()["edge-0"]):  # which therefore does not greet the next control
            os.kill(gateway.children()["control"], signal.SIGKILL)
            await until(lambda: gateway.http("/healthz")[0] == 200, "another control is there")
            seen.add(gateway.http("/readyz")[0])
        assert seen == {503}
        await until(lambda: gateway.http("/readyz")[0] == 200, "all are there")


async def test_systemd_hears_ready_reloading_with_its_time_ready_again_and_stopping(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", path)

        def drain() -> list[str]:
            while True:
                try:
                    heard.append(systemd.recv(4096))
                except BlockingIOError:
                    return [packet.decode().split("\n")[0] for packet in heard]

        async with rig.gateway() as gateway:
            assert drain() == ["READY=1"]
            await gateway.reload()
            await until(lambda: drain() == ["READY=1", "RELOADING=1", "READY=1"], "the reload is over")
            assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", heard[1])
            rig.config["listener"][0]["csms"] = "nowhere"
            await gateway.reload()
            await until(lambda: drain()[3:] == ["RELOADING=1", "READY=1"], "the bad reload is over, and we live")
            assert b"STATUS=The last reload failed" in heard[4]
        assert drain()[5:] == ["STOPPING=1"]


async def test_a_full_disk_under_log_and_events_costs_lines_and_nothing_else(rig: Rig, csms: FakeCSMS) -> None:
    one = ChargePoint(rig, "CP-1", 1)
    rig.config["security_events"] = {"path": "/dev/full"}
    rig.write_config()
    gateway = GatewayProcess(rig)
    with Path("/dev/full").open("wb") as full:
        gateway.start(stderr=full)
    try:
        await gateway.wait_ready()
        os.kill(gateway.children()["control"], signal.SIGKILL)
        async with await one.enter_soon(gateway) as peer:
            await one.exchange(peer, csms)
            one.password, right = "wrong", one.password
            assert (await one.ask(gateway)).status == 401
            await until(lambda: _metric(gateway, "ocpp_gateway_events_lost_total"), "the loss is counted")
            await one.exchange(peer, csms)
            # There is room again.
            del rig.config["security_events"]
            assert (await gateway.reload())["event"] == "config.reloaded"
            since = gateway.mark()
            assert (await one.ask(gateway)).status == 401
            await gateway.event("auth.failed", since)
            one.password = right
            await one.exchange(peer, csms)
    finally:
        assert await asyncio.to_thread(gateway.stop) == 0


def _metric(gateway: GatewayProcess, name: str) -> float:
    found = re.search(rf"^{name} ([0-9.e+]+)$", gateway.http("/metrics")[1], re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_the_publication_listener_is_there_where_it_is_configured_and_says_nothing_yet(rig: Rig) -> None:
    from gateway.demo.ports import free_ports

    port = free_ports(1)[0]
    rig.config["publication"] = {"address": f"127.0.0.1:{port}"}
    async with rig.gateway():
        with pytest.raises(urllib.error.HTTPError) as answer:
            await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/ca/issuing.crt", timeout=5)
        assert (answer.value.code, answer.value.headers["Server"]) == (404, "pki")
        answer.value.close()
    del rig.config["publication"]
    async with rig.gateway():
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            pass
