"""`pki revoke` and nothing else: what it does to live connections and to sessions that `openssl s_client` resumes."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.embedded_ca import EmbeddedCA
from tests.support.fleet import until
from tests.support.judges import needs_openssl
from tests.support.rig import Rig
from tests.support.s_client import SClient
from tests.support.site import Site, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module"), needs_openssl]
VERSIONS = ("tls1_2", "tls1_3")


class Known:
    """The rig's CA, once the module's gateway is there."""

    ca: EmbeddedCA


def prepare(rig: Rig) -> None:
    Known.ca = EmbeddedCA(rig)
    for version in VERSIONS:
        rig.add(f"CP-{version}", security_profile=3, serial_number=f"SN-{version}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("own-revocation"), prepare) as made:
        yield made


def has_settings_after(site: Site, generation: int) -> bool:
    status = site.gateway.live_status()
    return bool(status) and status["ready"] and status["generation"] > generation


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.requirement("A00.FR.702", "A00.FR.705", "A00.FR.407")
async def test_revoking_in_the_ca_is_enough(site: Site, tmp_path: Path, version: str) -> None:
    identity = f"CP-{version}"
    shown, other = Known.ca.issue(f"SN-{version}"), Known.ca.issue(f"SN-{version}")
    client, saved = SClient(site, tmp_path, shown, version, "mtls", identity), str(tmp_path / "session.pem")
    async with client.asks("-sess_out", saved) as said:
        assert "New, TLSv1" in said
        assert " 101 " in said
    await site.closed(identity)
    since, generation = site.gateway.mark(), site.gateway.live_status()["generation"]
    async with client.asks("-sess_in", saved, "-sess_out", saved) as said:
        assert "Reused, TLSv1" in said
        assert " 101 " in said
        Known.ca.revoke(shown)
        ended = await site.gateway.event("session.revoked", since)
        assert identity in ended["detail"]
        await site.closed(identity, 1)
    revoked = await site.gateway.event("certificate.revoked", since)
    assert f"serial {shown.certificate.serial_number:x} of CN=Issuing,O=CPO: keyCompromise, by" in revoked["detail"]
    await until(partial(has_settings_after, site, generation), "the edge has contexts of a new trust generation")
    async with client.asks("-sess_in", saved) as said:
        assert "Reused" not in said
        assert " 403 " in said
    event = await site.gateway.event("cert.revoked", since, lambda event: event["charge_point_id"] == identity)
    assert event["reason"] == "certificate-revoked"
    # The near miss: another certificate of the same charge point, by the same issuer.
    (tmp_path / "other").mkdir()
    async with SClient(site, tmp_path / "other", other, version, "mtls", identity).asks() as said:
        assert " 101 " in said
