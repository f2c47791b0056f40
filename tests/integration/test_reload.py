"""SIGHUP: everything may change but a live socket, and what cannot be used changes nothing and says why."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.demo.ports import free_ports
from gateway.ocpp.vocabulary import SecurityProfile
from tests.support.csms import FakeCSMS
from tests.support.fleet import ChargePoint, suspended, until
from tests.support.peer import Peer
from tests.support.rig import GatewayProcess, Rig, hashed, shared_server
from tests.support.tls_material import Authority, useless_server

pytestmark = pytest.mark.integration


def _certificate_seen(peer: Peer) -> bytes:
    seen = peer.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert isinstance(seen, bytes)
    return seen


def _address(listener: dict[str, Any]) -> tuple[str, int]:
    host, _, port = listener["address"].rpartition(":")
    return host, int(port)


async def _refuses_connections(address: tuple[str, int]) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except OSError:
        return True
    writer.close()
    return False


async def _until_refused(address: tuple[str, int]) -> None:
    """Supervisor and edges let go of a listener after control has reported the reload."""
    async with asyncio.timeout(120):
        while not await _refuses_connections(address):
            await asyncio.sleep(0.02)


async def _loads(gateway: GatewayProcess) -> None:
    event = await gateway.reload()
    assert event["event"] == "config.reloaded", event
    assert gateway.live_status()["last_reload"]["ok"]


@pytest.mark.requirement("A00.FR.006")
async def test_listeners_come_go_and_move_while_a_session_stays(rig: Rig, csms: FakeCSMS) -> None:
    one, two, three = ChargePoint(rig, "CP-1", 1), ChargePoint(rig, "CP-2", 1), ChargePoint(rig, "CP-3", 3)
    old_port, new_port, extra_port = free_ports(3)
    rig.named("plain")["address"] = f"127.0.0.1:{old_port}"
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        mtls = gateway.mtls
        extra = rig.listener("extra", [3], tls=rig.tls_table("required"), address=f"127.0.0.1:{extra_port}")
        rig.named("plain")["address"] = f"127.0.0.1:{new_port}"
        rig.config["listener"] = [*rig.config["listener"][:2], extra]
        await _loads(gateway)
        await until(lambda: gateway.http("/readyz")[0] == 200, "ready")
        await _until_refused(mtls)
        await _until_refused(("127.0.0.1", old_port))
        for charge_point, port in ((two, new_port), (three, extra_port)):
            async with await Peer.connect(("127.0.0.1", port), tls=charge_point.tls) as moved:
                answer = await moved.ask(f"/ocpp/{charge_point.identity}", authorization=charge_point.authorization)
                assert answer.status == 101
                await charge_point.exchange(moved, csms)
        await one.exchange(peer, csms)
        # A killed edge gets the new set, not the one it was first started with.
        os.kill(gateway.children()["edge-0"], signal.SIGKILL)
        assert await peer.ended()
        await until(lambda: gateway.http("/readyz")[0] == 200, "ready again")
        async with await Peer.connect(("127.0.0.1", new_port)) as moved:
            assert (await moved.ask("/ocpp/CP-2", authorization=two.authorization)).status == 101


@pytest.mark.requirement("A00.FR.307")
async def test_a_new_certificate_is_for_new_handshakes_and_the_old_session_lives_on(rig: Rig, csms: FakeCSMS) -> None:
    one, two = ChargePoint(rig, "CP-1"), ChargePoint(rig, "CP-2")
    rig.named("tls")["tls"] = rig.tls_table("optional", certificates=rig.tls_table("none")["certificates"][:1])
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        assert _certificate_seen(peer) == shared_server("ec").der
        renewed = rig.authority.server("ec")
        (rig.work / "server-ec.pem").write_bytes(renewed.pem)
        rig.write_private("server-ec.key", renewed.key_pem)
        # Files alone change nothing, not even for a control that is started again.
        os.kill(gateway.children()["control"], signal.SIGKILL)
        async with await two.enter_soon(gateway) as second:
            assert _certificate_seen(second) == shared_server("ec").der
        await _loads(gateway)
        async with await two.enter_soon(gateway) as second:
            assert _certificate_seen(second) == renewed.der
            await two.exchange(second, csms)
        await one.exchange(peer, csms)


@pytest.mark.requirement("A00.FR.403", "A00.FR.404")
async def test_trust_and_operator_names_are_judged_anew_for_newcomers_and_for_live_sessions(
    rig: Rig, csms: FakeCSMS
) -> None:
    old, new = ChargePoint(rig, "CP-OLD", 3), ChargePoint(rig, "CP-NEW", 3)
    other = Authority("Other Root")
    certificate = other.charge_point("SN-CP-NEW", "Other CPO")
    new.certificate = certificate
    new.use(3)
    async with rig.gateway() as gateway, await old.enter(gateway) as peer:
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await new.ask(gateway)
        (rig.work / "other-root.pem").write_bytes(other.pem)
        for name in ("tls", "mtls"):
            rig.named(name)["tls"]["client_trust"] = [str(rig.work / "other-root.pem")]
        await _loads(gateway)
        assert (await new.ask(gateway)).status == 403  # trusted now, but of an operator nobody has named
        rig.config["gateway"]["operator_names"] = ["Other CPO"]
        await _loads(gateway)
        async with await new.enter(gateway) as second:
            await new.exchange(second, csms)
        with pytest.raises((OSError, asyncio.IncompleteReadError)):
            await old.ask(gateway)
        # Sockets live for weeks: a session that rests on a root that is taken out ends.
        ended = await gateway.event("session.revoked")
        assert ended["detail"].startswith("CP-OLD")
        assert await peer.close_code() == 1008


async def test_limits_and_the_csms_change_for_new_sessions_and_what_only_a_restart_can_change_is_said(
    rig: Rig, csms: FakeCSMS
) -> None:
    one, two = ChargePoint(rig, "CP-1", 1), ChargePoint(rig, "CP-2", 1)
    async with FakeCSMS() as second_csms, rig.gateway() as gateway, await one.enter(gateway) as peer:
        rig.config["csms"][0]["urls"] = [second_csms.url]
        rig.config["limits"] = {"reconnects_per_hour": 2, "max_identity_chars": 4}
        rig.config["gateway"] |= {"edge_workers": 3, "state_dir": str(rig.work / "elsewhere"), "log_level": "debug"}
        rig.config["operations"]["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        await _loads(gateway)
        async with await two.enter(gateway) as second:
            await two.exchange(second, second_csms)
        assert "CP-2" not in csms.connections
        await one.exchange(peer, csms)
        assert (await ChargePoint(rig, "CP-TOO-LONG", 1).ask(gateway)).status == 400
        async with await two.enter(gateway):
            pass
        assert (await two.ask(gateway)).status == 429
        for key in ("gateway.edge_workers", "gateway.state_dir", "gateway.log_level", "operations.address"):
            assert f'"key": "{key}"' in gateway.log()
        assert gateway.http("/readyz")[0] == 200
        assert set(gateway.children()) == {"control", "edge-0"}
        assert not (rig.work / "elsewhere").exists()


def _break_toml(rig: Rig) -> str:
    rig.config_path.write_text("this is = = not TOML")
    return "not valid TOML"


def _forget_certificate(rig: Rig) -> str:
    (rig.work / "server-ec.pem").unlink()
    return "server-ec.pem"


def _useless_certificate(rig: Rig) -> str:
    useless = useless_server(rig.authority)
    (rig.work / "server-rsa.pem").write_bytes(useless.pem)
    rig.write_private("server-rsa.key", useless.key_pem)
    return "unknown certificate type"


def _unwritable_events(rig: Rig) -> str:
    rig.config["security_events"] = {"path": str(rig.work)}
    rig.write_config()
    return "Is a directory"


def _taken_port(rig: Rig) -> str:
    port = rig.config["csms"][0]["urls"][0].split(":")[2].partition("/")[0]
    listeners = [{**listener} for listener in rig.config["listener"]]
    listeners[0]["address"] = f"127.0.0.1:{port}"
    rig.config["listener"] = listeners
    rig.write_config()
    return f"listener plain (127.0.0.1:{port}): Address already in use"


BREAK: dict[str, Callable[[Rig], str]] = {
    "TOML": _break_toml,
    "certificate gone": _forget_certificate,
    "certificate useless": _useless_certificate,
    "events": _unwritable_events,
    "port taken": _taken_port,
}


async def test_whatever_cannot_be_used_leaves_the_last_good_state_in_force_and_says_why_and_so_does_a_new_control(
    rig: Rig, csms: FakeCSMS
) -> None:
    one, two = ChargePoint(rig, "CP-1"), ChargePoint(rig, "CP-2", 3)
    good = {**rig.config}
    files = {path: path.read_bytes() for path in rig.work.glob("server-*")}
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        for what, break_it in BREAK.items():
            why = break_it(rig)
            event = await gateway.reload(write=False)
            assert (event["event"], event["severity"]) == ("config.reload_failed", "high"), what
            assert event["decision"] == "keep_last_good"
            assert why in event["detail"], what
            assert why in gateway.live_status()["last_reload"]["why"], what
            await until(partial(_log_says, gateway, "reload_failed", why), f"the log says {why}")
            await one.exchange(peer, csms)
            async with await two.enter_soon(gateway) as second:
                await two.exchange(second, csms)
            if what in {"TOML", "certificate gone"}:
                os.kill(gateway.children()["control"], signal.SIGKILL)
                await until(lambda: gateway.http("/readyz")[0] != 200, "control is missed")
                await until(lambda: gateway.http("/readyz")[0] == 200, "control is back on the last good state")
                async with await two.enter_soon(gateway) as second:
                    await two.exchange(second, csms)
                await one.exchange(peer, csms)
                await until(partial(_status_says, gateway, why), f"the new control says {why}, too")
            rig.config = {**good}
            for path, content in files.items():
                path.write_bytes(content)
            rig.write_config()
        await _loads(gateway)
        failed = [event for event in gateway.events() if event["event"] == "config.reload_failed"]
        assert len(failed) == len(BREAK)
        await one.exchange(peer, csms)
        assert gateway.process is not None
        assert gateway.process.poll() is None


def _status_says(gateway: GatewayProcess, why: str) -> bool:
    return why in gateway.live_status().get("last_reload", {}).get("why", "")


def _log_says(gateway: GatewayProcess, event: str, why: str) -> bool:
    return any(f'"event": "{event}"' in line and why in line for line in gateway.log().splitlines())


async def test_a_sighup_during_a_reload_is_not_lost(rig: Rig, csms: FakeCSMS) -> None:
    one = ChargePoint(rig, "CP-1", 1)
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        with suspended(gateway.children()["edge-0"]):
            rig.named("plain")["address"] = f"127.0.0.1:{free_ports(1)[0]}"
            await _sighup_until_control_is_asked(rig, gateway)
            rig.config["limits"] = {"max_identity_chars": 3}
            rig.write_config()
            for _ in range(3):
                os.kill(gateway.pid, signal.SIGHUP)
        await until(lambda: _reloads(gateway) == 2, "both reloads, the later signals as one")
        async with await Peer.connect(_address(rig.named("plain"))) as second:
            assert (await second.ask("/ocpp/CP-1", authorization=one.authorization)).status == 400
        await one.exchange(peer, csms)
        assert _reloads(gateway) == 2


def _reloads(gateway: GatewayProcess) -> int:
    return sum(event["event"] == "config.reloaded" for event in gateway.events())


async def _sighup_until_control_is_asked(rig: Rig, gateway: GatewayProcess) -> None:
    """Control opens the event file anew before it asks the edges, and one that stands still does not answer."""
    rig.write_config()
    control = gateway.children()["control"]
    os.kill(gateway.pid, signal.SIGHUP)
    await until(lambda: _times_open(control, gateway.event_path) == 2, "control has been asked")


def _times_open(pid: int, path: Path) -> int:
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found += descriptor.readlink() == path
    return found


async def test_control_killed_in_the_middle_of_a_reload_fails_it_and_everything_is_as_before(
    rig: Rig, csms: FakeCSMS
) -> None:
    one, two = ChargePoint(rig, "CP-1", 1), ChargePoint(rig, "CP-2", 1)
    async with rig.gateway() as gateway, await one.enter(gateway) as peer:
        since = gateway.mark()
        rig.config["limits"] = {"max_identity_chars": 3}
        rig.named("plain")["address"] = f"127.0.0.1:{free_ports(1)[0]}"
        with suspended(gateway.children()["edge-0"]):
            before = gateway.live_status()["generation"]
            await _sighup_until_control_is_asked(rig, gateway)
            os.kill(gateway.children()["control"], signal.SIGKILL)
            await until(lambda: gateway.http("/healthz")[0] == 0, "control is gone")
        event = await gateway.event("config.reload_failed", since)
        assert event["detail"] == "the control process ended meanwhile; by somebody with SIGHUP"
        await until(lambda: gateway.http("/readyz")[0] == 200, "ready again")
        assert gateway.live_status()["generation"] > before
        assert await _refuses_connections(_address(rig.named("plain")))
        async with await two.enter_soon(gateway) as second:
            await two.exchange(second, csms)
        await one.exchange(peer, csms)


async def test_an_edge_that_is_restarted_during_a_reload_ends_up_on_the_new_configuration(
    rig: Rig, csms: FakeCSMS
) -> None:
    one = ChargePoint(rig, "CP-1", 1)
    async with rig.gateway() as gateway:
        rig.config["limits"] = {"max_identity_chars": 3}
        rig.write_config()
        since = gateway.mark()
        edge = gateway.children()["edge-0"]
        with suspended(edge):
            os.kill(gateway.pid, signal.SIGHUP)
            os.kill(edge, signal.SIGKILL)
        await gateway.event("config.reloaded", since)
        await until(lambda: gateway.http("/readyz")[0] == 200, "ready again")
        assert (await one.ask(gateway)).status == 400
        del csms


def _is_about(identity: str, event: dict[str, Any]) -> bool:
    return identity in event["detail"]


def _change(rig: Rig, one: ChargePoint) -> None:
    """What the name of the charge point says happens to its record."""
    kind = one.identity.partition("-")[0]
    certificate = one.certificate.certificate if one.certificate is not None else None
    with rig.registry() as registry:
        if kind == "DISABLED":
            registry.update(one.identity, enabled=False)
        elif kind == "REMOVED":
            registry.remove(one.identity)
        elif kind == "PASSWORD":
            registry.set_password(one.identity, hashed("quite another password"), "current")
        elif kind == "PROFILE":
            registry.update(one.identity, security_profile=SecurityProfile.TLS_CLIENT_CERTIFICATE)
        elif kind == "NOTED":
            registry.update(one.identity, notes="cleaned", vendor="V2")
        elif kind == "FINGERPRINT" and certificate is not None:
            sha256 = certificate.fingerprint(SHA256()).hex()
            registry.revoke_certificate(sha256=sha256, reason="stolen", now=1.0)
        elif kind == "SERIAL" and certificate is not None:
            issuer, serial = certificate.issuer.rfc4514_string(), f"{certificate.serial_number:x}"
            registry.revoke_certificate(issuer=issuer, serial=serial, reason="stolen", now=1.0)


@pytest.mark.requirement("A00.FR.702")
async def test_a_change_in_the_registry_ends_the_live_sessions_it_concerns_and_no_other(
    rig: Rig, csms: FakeCSMS
) -> None:
    """Those it has seen begin, and those that control, killed meanwhile, knows only from the edges."""
    profiles = {"DISABLED": 2, "REMOVED": 2, "PASSWORD": 2, "PROFILE": 2, "NOTED": 2}
    profiles |= {"FINGERPRINT": 3, "SERIAL": 3, "TRUSTED": 3}
    rig.config["websocket"] = {"close_timeout_s": 0.5}
    fleet = [ChargePoint(rig, f"{kind}-{n}", profile) for kind, profile in profiles.items() for n in (1, 2)]
    async with rig.gateway() as gateway, AsyncExitStack() as stack:
        peers: dict[str, Peer] = {}
        for round_ in ("1", "2"):
            for one in fleet:
                if one.identity.endswith(round_):
                    peers[one.identity] = await stack.enter_async_context(await one.enter_soon(gateway))
                    await one.exchange(peers[one.identity], csms)
            if round_ == "1":
                os.kill(gateway.children()["control"], signal.SIGKILL)
                await until(lambda: gateway.http("/readyz")[0] != 200, "control is missed")
                await until(lambda: gateway.http("/readyz")[0] == 200, "control is back")
        assert gateway.sessions().keys() == peers.keys()
        since = gateway.mark()
        for one in fleet:
            _change(rig, one)
        untouched = [one for one in fleet if one.identity.startswith(("NOTED", "TRUSTED"))]
        for one in fleet:
            if one not in untouched:
                assert await peers[one.identity].close_code() == 1008, one.identity
                await csms.closed(one.identity)
                await gateway.event("session.revoked", since, partial(_is_about, one.identity))
        for one in untouched:
            await one.exchange(peers[one.identity], csms)
        left = {one.identity for one in untouched}
        await until(lambda: gateway.sessions().keys() == left, "closed also where the close is not answered")
