"""Trust that changes under a running gateway: whose root makes whose charge points, before, during and after a reload."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_revocation import Partner
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.site import BOOT, Site, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio, pytest.mark.requirement("A00.FR.404")]
SOFT = Partner("soft")
UNRELATED = Partner("hard")


def trust(rig: Rig, **partners: Partner) -> None:
    """These bundles and no other, by name, on the listener for certificates."""
    rig.config["trust"] = []
    for name, partner in partners.items():
        (rig.work / f"{name}.pem").write_bytes(partner.pem)
        table: dict[str, Any] = {"name": name, "use": "other-operator", "roots": [str(rig.work / f"{name}.pem")]}
        rig.config["trust"].append({**table, "operator_names": [partner.operator]})
    rig.named("mtls")["tls"] = rig.tls_table("required", trust=list(partners))


def add(rig: Rig, identity: str, *operator_names: str) -> None:
    rig.add(identity, security_profile=3, serial_number=f"SN-{identity}", operator_names=operator_names)


async def status(site: Site, identity: str, shown: Any) -> int:
    async with await site.peer("mtls", shown) as peer:
        return (await peer.ask(f"/ocpp/{identity}")).status


async def test_a_partners_ca_makes_none_of_our_charge_points(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        trust(rig, soft=SOFT)
        add(rig, "OURS")
        add(rig, "THEIRS", SOFT.operator)

    async with running(tmp_path, prepare) as site:
        status_, event = await site.refused(await site.peer("mtls", SOFT.charge_point("SN-OURS")), "/ocpp/OURS")
        assert (status_, event["reason"]) == (403, "certificate-of-another-operator")
        assert await status(site, "THEIRS", SOFT.charge_point("SN-THEIRS")) == 101
        assert await status(site, "OURS", shared_authority().charge_point("SN-OURS", OPERATOR)) == 101


async def test_a_connection_from_before_its_root_was_taken_out_is_refused(tmp_path: Path) -> None:
    """No bundle is left, and the handshake was good when it was made."""

    def prepare(rig: Rig) -> None:
        trust(rig, soft=SOFT)
        add(rig, "OURS", OPERATOR)

    async with running(tmp_path, prepare) as site:
        held = await site.peer("mtls", SOFT.charge_point("SN-OURS", OPERATOR))
        own = await site.peer("mtls", shared_authority().charge_point("SN-OURS", OPERATOR))
        trust(site.rig)
        assert (await site.gateway.reload())["event"] == "config.reloaded"
        status_, event = await site.refused(held, "/ocpp/OURS")
        assert (status_, event["reason"]) == (403, "certificate-untrusted")
        async with own:
            assert (await own.ask("/ocpp/OURS")).status == 101


async def test_while_edges_learn_of_a_new_root_it_vouches_for_nobody(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        trust(rig)
        add(rig, "OURS", OPERATOR)
        add(rig, "THEIRS", SOFT.operator)

    async with running(tmp_path, prepare, edge_workers=2) as site:
        stopped = site.gateway.children()["edge-1"]
        os.kill(stopped, signal.SIGSTOP)
        try:
            trust(site.rig, soft=SOFT)
            reload = asyncio.create_task(site.gateway.reload())
            assert await _answered(site, "OURS", SOFT.charge_point("SN-OURS", OPERATOR)) == 403
            assert not reload.done()
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert (await reload)["event"] == "config.reloaded"
        assert await status(site, "THEIRS", SOFT.charge_point("SN-THEIRS")) == 101


async def _answered(site: Site, identity: str, shown: Any) -> int:
    """The first answer from the edge that runs; connections that the stopped one has accepted stay silent."""
    while True:
        try:
            async with asyncio.timeout(1):
                return await status(site, identity, shown)
        except (OSError, asyncio.IncompleteReadError):  # TimeoutError too: the stopped edge, or TLS of before
            continue


async def test_live_sessions_end_with_the_trust_in_their_root_and_with_no_other(tmp_path: Path) -> None:
    def prepare(rig: Rig) -> None:
        trust(rig, soft=SOFT, unrelated=UNRELATED)
        add(rig, "P-1", SOFT.operator)

    async with running(tmp_path, prepare) as site:
        async with await site.peer("mtls", SOFT.charge_point("SN-P-1")) as peer:
            assert (await peer.ask("/ocpp/P-1")).status == 101
            trust(site.rig, renamed=SOFT)
            assert (await site.gateway.reload())["event"] == "config.reloaded"
            peer.send_text(BOOT)
            await site.csms.received("P-1", BOOT)
            since = site.gateway.mark()
            trust(site.rig)
            assert (await site.gateway.reload())["event"] == "config.reloaded"
            assert await peer.close_code() == 1008
        assert "trust in its root withdrawn" in (await site.gateway.event("session.revoked", since))["detail"]
