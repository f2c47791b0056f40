"""Resumed TLS sessions and revocation, with `openssl s_client -sess_out` and `-sess_in` against a real gateway."""

import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.fleet import until
from tests.support.judges import needs_openssl
from tests.support.rig import OPERATOR, Rig, shared_authority
from tests.support.s_client import SClient
from tests.support.site import Site, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), needs_openssl]
VERSIONS = {"tls1_2": "1", "tls1_3": "2"}
ENGINES = ("mtls", "stdlib")


def serial(version: str, listener: str) -> str:
    return f"SN-{version}-{listener}"


def prepare(rig: Rig) -> None:
    rig.config["listener"].append(rig.listener("stdlib", [3], tls=rig.tls_table("required", engine="stdlib")))
    for version in VERSIONS:
        for listener in ENGINES:
            rig.add(f"CP-{version}-{listener}", security_profile=3, serial_number=serial(version, listener))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("resumption"), prepare) as made:
        yield made


def revoke(site: Site, file: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "gateway", "charge-point", "revoke-certificate", "--file", file, "--reason", "stolen",
         "--config", site.rig.config_path],
        check=True,
        capture_output=True,
    )  # fmt: skip


def has_settings_after(site: Site, generation: int) -> bool:
    status = site.gateway.live_status()
    return bool(status) and status["ready"] and status["generation"] > generation


@pytest.mark.parametrize("listener", ENGINES)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.requirement("A00.FR.702", "A00.FR.705", "A00.FR.407")
async def test_a_saved_session_is_worth_nothing_once_its_certificate_is_revoked(
    site: Site, tmp_path: Path, version: str, listener: str
) -> None:
    identity = f"CP-{version}-{listener}"
    shown = shared_authority().charge_point(serial(version, listener), OPERATOR)
    client, saved = SClient(site, tmp_path, shown, version, listener, identity), str(tmp_path / "session.pem")
    async with client.asks("-sess_out", saved) as said:
        assert "New, TLSv1" in said
        assert " 101 " in said
    await site.closed(identity)
    since, generation = site.gateway.mark(), site.gateway.live_status()["generation"]
    async with client.asks("-sess_in", saved, "-sess_out", saved) as said:
        assert "Reused, TLSv1" in said
        assert " 101 " in said
        revoke(site, tmp_path / "client.pem")
        await site.gateway.event("session.revoked", since)
        await site.closed(identity, 1)
    await until(partial(has_settings_after, site, generation), "the edge has contexts of a new trust generation")
    async with client.asks("-sess_in", saved) as said:
        assert "Reused" not in said
        assert " 403 " in said
    event = await site.gateway.event("cert.revoked", since, lambda event: event["charge_point_id"] == identity)
    assert event["reason"] == "certificate-revoked"
