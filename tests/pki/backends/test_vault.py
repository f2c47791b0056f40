"""The Vault client against a server of the test's own that answers as the documentation of `pki/sign` says; no Vault was at hand."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from pki.backends.http import TLSFiles
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Issued,
    RevocationAccepted,
    RevocationSource,
)
from pki.backends.vault import VaultBackend, VaultSettings
from tests.support.other_ca import https, now, request_for
from tests.support.other_ca_servers import VAULT_TOKEN, VaultServer


@contextlib.asynccontextmanager
async def serving(server: VaultServer, work: Path, **settings: Any) -> AsyncIterator[VaultBackend]:
    async with https(work, server.routes()) as (address, root):
        options: dict[str, Any] = {
            "address": address,
            "role": "charge-points",
            "token": VAULT_TOKEN,
            "tls": TLSFiles(ca_pem=root),
            "anchors": server.ca.anchors,
        }
        yield VaultBackend(VaultSettings(**{**options, **settings}), now)


@pytest.mark.parametrize("with_chain", [True, False])
async def test_a_certificate_is_issued_for_the_names_that_we_give(tmp_path: Path, with_chain: bool) -> None:
    server, request = VaultServer(with_chain=with_chain), request_for()
    async with serving(server, tmp_path, namespace="fleet") as backend:
        issued = await backend.enroll(request)
    assert isinstance(issued, Issued)
    assert issued.chain[1:] == (server.ca.sub.certificate,)
    (asked,), (headers,) = server.asked, server.headers
    assert (asked["common_name"], asked["ttl"], asked["exclude_cn_from_sans"]) == ("SN-1", "90d", True)
    assert headers["X-Vault-Namespace"] == "fleet"


async def test_a_refusal_is_denied_in_vaults_words(tmp_path: Path) -> None:
    server = VaultServer(status=400, errors=["common name SN-1 not allowed by this role"])
    async with serving(server, tmp_path) as backend:
        assert await backend.enroll(request_for()) == Denied("common name SN-1 not allowed by this role")


async def test_a_token_that_is_not_taken_is_ours_to_mend(tmp_path: Path) -> None:
    async with serving(VaultServer(), tmp_path, token="wr0ng") as backend:
        with pytest.raises(BackendUnavailable, match="403: permission denied"):
            await backend.enroll(request_for())
        with pytest.raises(BackendUnavailable, match="not taken: HTTP status 403"):
            await backend.verify_access()
        assert "wr0ng" not in repr(backend._settings)
    async with serving(VaultServer(), tmp_path) as backend:
        assert await backend.verify_access()


@pytest.mark.parametrize("status", [429, 472, 473, 500, 503])
async def test_a_sealed_or_busy_vault_settles_nothing(tmp_path: Path, status: int) -> None:
    async with serving(VaultServer(status=status, errors=["Vault is sealed"]), tmp_path) as backend:
        with pytest.raises(BackendUnavailable, match=str(status)):
            await backend.enroll(request_for())


async def test_a_role_that_changes_the_operator_is_an_alarm(tmp_path: Path) -> None:
    async with serving(VaultServer(), tmp_path) as backend:
        with pytest.raises(BackendMisbehaved, match="organizationName"):
            await backend.enroll(request_for(organization="Another CPO"))


async def test_chain_and_revocation(tmp_path: Path) -> None:
    server = VaultServer()
    async with serving(server, tmp_path) as backend:
        assert await backend.chain() == (server.ca.sub.certificate, server.ca.root.certificate)
        leaf = server.ca.issue(request_for().csr, serial_number=0x0ABC01)
        assert await backend.revoke(leaf, x509.ReasonFlags.key_compromise) == RevocationAccepted()
        assert server.asked == [{"serial_number": "0a:bc:01"}]
        source = backend.revocation_source()
        assert source == RevocationSource(crls=(backend._settings.address + "/v1/pki/crl",))
        server.status, server.errors = 400, ["certificate with serial 0a:bc:01 not found"]
        answer = await backend.revoke(leaf, x509.ReasonFlags.key_compromise)
        assert answer == ByHand("HTTP status 400: certificate with serial 0a:bc:01 not found")
        for status in (403, 429, 503):
            server.status, server.errors = status, ["later"]
            with pytest.raises(BackendUnavailable, match=f"{status}: later"):
                await backend.revoke(leaf, x509.ReasonFlags.key_compromise)


async def test_clear_text_is_for_an_agent_that_was_named_so_and_nothing_else(tmp_path: Path) -> None:
    async with serving(VaultServer(), tmp_path, address="http://localhost:8200") as backend:
        with pytest.raises(BackendUnavailable, match="do not fit"):
            await backend.enroll(request_for())
    async with serving(VaultServer(), tmp_path, tls=None) as backend:
        with pytest.raises(BackendUnavailable, match="do not fit"):
            await backend.enroll(request_for())
