"""CMP through the openssl command, against openssl's own mock server."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from gateway.demo.ports import free_ports
from pki.backends.cmp import CMPBackend, CMPSettings
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Issued,
    Pending,
    RevocationAccepted,
)
from tests.support.judges import needs_openssl
from tests.support.other_ca import OtherCA, now, request_for
from tests.support.other_ca_servers import CMP_SECRET, cmp_server

pytestmark = needs_openssl
CA = OtherCA()


def backend(work: Path, server: str, **changes: Any) -> CMPBackend:
    options: dict[str, Any] = {
        "server": server,
        "path": "pkix/",
        "recipient": "/CN=Other Sub",
        "trusted_pem": "",
        "anchors": CA.anchors,
        "reference": "fleet",
        "secret_file": str(work / "secret"),
        "timeout_s": 10.0,
    }
    return CMPBackend(CMPSettings(**{**options, **changes}), now)


async def test_a_certificate_is_issued_for_the_charge_points_own_csr(tmp_path: Path) -> None:
    request = request_for()
    leaf = CA.issue(request.csr)
    async with cmp_server(tmp_path, CA, leaf) as server:
        assert await backend(tmp_path, server).enroll(request) == Issued((leaf, CA.sub.certificate))


async def test_a_rejection_is_denied(tmp_path: Path) -> None:
    request = request_for()
    async with cmp_server(tmp_path, CA, CA.issue(request.csr), "-pkistatus", "2", "-failure", "2") as server:
        denied = await backend(tmp_path, server).enroll(request)
    assert isinstance(denied, Denied)
    assert "PKIFailureInfo: badRequest" in denied.reason


async def test_a_ca_that_lets_us_wait_is_pending(tmp_path: Path) -> None:
    request = request_for()
    async with cmp_server(tmp_path, CA, CA.issue(request.csr), "-poll_count", "100", "-check_after", "1") as server:
        assert await backend(tmp_path, server, timeout_s=3.0).enroll(request) == Pending(30.0)


async def test_a_certificate_for_another_key_is_an_alarm(tmp_path: Path) -> None:
    request = request_for()
    async with cmp_server(tmp_path, CA, CA.issue(request.csr, "SN-2")) as server:
        with pytest.raises(BackendMisbehaved, match="commonName"):
            await backend(tmp_path, server).enroll(request)


async def test_a_server_that_does_not_know_the_secret_is_not_believed(tmp_path: Path) -> None:
    request = request_for()
    async with cmp_server(tmp_path, CA, CA.issue(request.csr)) as server:
        (tmp_path / "other").write_text("another secret")
        with pytest.raises(BackendUnavailable) as error:
            await backend(tmp_path, server, secret_file=str(tmp_path / "other")).enroll(request)
    assert "another secret" not in str(error.value)


async def test_nobody_there_settles_nothing(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CMP_SECRET)
    port = free_ports(1)[0]
    with pytest.raises(BackendUnavailable):
        await backend(tmp_path, f"http://127.0.0.1:{port}", timeout_s=2.0).enroll(request_for())


async def test_what_cmp_does_not_offer_here_is_said(tmp_path: Path) -> None:
    made = backend(tmp_path, "http://127.0.0.1:1")
    assert await made.chain() == CA.anchors
    with pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:1"):
        await made.verify_access()


async def test_a_certificate_is_revoked_at_the_ca_that_has_issued_it(tmp_path: Path) -> None:
    request = request_for()
    leaf, other = CA.issue(request.csr), CA.issue(request.csr)
    async with cmp_server(tmp_path, CA, leaf) as server:
        made = backend(tmp_path, server)
        for reason in (x509.ReasonFlags.key_compromise, x509.ReasonFlags.unspecified):
            assert await made.revoke(leaf, reason) == RevocationAccepted()
        refused = await made.revoke(other, x509.ReasonFlags.superseded)
        assert isinstance(refused, ByHand)
        assert "request not accepted" in refused.why


async def test_one_that_the_ca_had_revoked_before_is_accepted_and_another_failure_is_not(tmp_path: Path) -> None:
    leaf = CA.issue(request_for().csr)
    for failure, expected in ((10, RevocationAccepted), (2, ByHand)):
        async with cmp_server(tmp_path, CA, leaf, "-pkistatus", "2", "-failure", str(failure)) as server:
            answer = await backend(tmp_path, server).revoke(leaf, x509.ReasonFlags.superseded)
        assert isinstance(answer, expected)


async def test_a_ca_that_does_not_answer_has_not_revoked_anything(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(CMP_SECRET)
    made = backend(tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}", timeout_s=2.0)
    with pytest.raises(BackendUnavailable):
        await made.revoke(CA.issue(request_for().csr), x509.ReasonFlags.superseded)
