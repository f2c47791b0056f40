"""Kill -9 at every write of the procedure and of the signer: what is there afterwards, and that it is finished.

The victim is a process of its own that kills itself: before a record is written, in its middle, before it is durable, and
after that. The other side is a real signer process.
"""

import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from pki.inventory import RequestState
from pki.issuance import Issuance, IssuancePolicy
from pki.keys import certificate_key
from pki.signer.client import SignerClient
from pki.signing import certificate_of, verify_signed
from tests.pki.hierarchy import NOW, Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory, signer_process

pytestmark = pytest.mark.integration
CA = Hierarchy()
RECORDS = ("opened", "requested", "reserved", "intended", "issued", "revoked", "noted")
PHASES = ("before", "half-way", "written", "durable")
LISTED = ("remembered", "ordered", "signed", "revoked")

SABOTAGE = """
import os, signal, sys
at, phase = int(sys.argv[1]), sys.argv[2]
count, pwrite, fdatasync = 0, os.pwrite, os.fdatasync

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def sabotaged_pwrite(descriptor, data, offset):
    global count
    count += 1
    if count == at and phase == "before":
        die()
    if count == at and phase == "half-way":
        pwrite(descriptor, data[: len(data) // 2], offset)
        die()
    return pwrite(descriptor, data, offset)

def sabotaged_fdatasync(descriptor):
    if count == at and phase == "written":
        die()
    fdatasync(descriptor)
    if count == at and phase == "durable":
        die()

os.pwrite, os.fdatasync = sabotaged_pwrite, sabotaged_fdatasync
"""
ISSUE = """
import datetime, secrets
from pathlib import Path
from pki.approval import Operator
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.names import Subject
from pki.records import RevocationReason
from pki.signer.client import SignerClient

directory, now = Path(sys.argv[3]), datetime.datetime.fromisoformat(sys.argv[4])
ca = Issuance(directory / "journal", SignerClient(directory / "signer" / "socket"), IssuancePolicy(), now, lambda: secrets.token_hex(8))
wanted = Application(profile="ChargePointCertificate", subject=Subject("SN-1", "CPO"), applicant=Operator("alice"))
issued = ca.issue(ca.request((directory / "csr").read_text(), wanted, now).id, now)
ca.revoke(issued.certificate.serial_number, RevocationReason.SUPERSEDED, by="alice", note="", now=now)
"""
SIGN = """
sys.argv = ["signer", *sys.argv[3:]]
from pki.signer.__main__ import main
main()
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    make_signer_directory(tmp_path / "signer", CA)
    (tmp_path / "csr").write_text(csr_pem())
    return tmp_path


def issue(site: Path, at: int, phase: str) -> int:
    """Exit code of the issuing process; -9 if it was killed."""
    command = [sys.executable, "-c", SABOTAGE + ISSUE, str(at), phase, str(site), NOW.isoformat()]
    return subprocess.run(command, capture_output=True, check=False).returncode


def check_the_books(site: Path, *, requests: int = 1) -> Issuance:
    """The invariants: one certificate per serial number, all signatures journalled, everything finished."""
    client = SignerClient(site / "signer" / "socket")
    ca = Issuance(site / "journal", client, IssuancePolicy(), NOW, lambda: secrets.token_hex(8))
    try:
        ca.resume(NOW)
        signed = [entry for entry in client.signed() if entry.signature]
        assert len({entry.serial for entry in signed}) == len(signed)
        for entry in signed:
            certificate = x509.load_der_x509_certificate(certificate_of(entry.tbs, entry.signature))
            verify_signed(certificate, entry.tbs, certificate_key(CA.issuing))
            assert ca.certificate(int(entry.serial, 16)).certificate == certificate
        assert ca.inventory.issued_count == len(signed)
        revoked = {entry.serial for entry in ca.inventory.certificates.values() if entry.revocation is not None}
        assert set(client.revoked()) == revoked
        assert {request.state for request in ca.inventory.requests.values()} <= {RequestState.ISSUED}
        assert len(ca.inventory.requests) <= requests
        return ca
    finally:
        ca.close()
        client.close()


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("at", range(1, len(RECORDS) + 1), ids=RECORDS)
def test_the_issuing_process_is_killed_at_each_record(site: Path, at: int, phase: str) -> None:
    with signer_process(site / "signer"):
        assert issue(site, at, phase) == -signal.SIGKILL
        check_the_books(site)
        # And once more from the start, as the peer would that got no answer: the same certificate, and only one.
        code = issue(site, 0, "never")
        ca = check_the_books(site)
    assert ca.inventory.issued_count == 1
    [entry] = ca.inventory.certificates.values()
    assert entry.revocation is not None
    # Whoever asks again after the revocation is told that the key was revoked.
    is_revoked = (RECORDS[at - 1], phase) in {("revoked", "written"), ("revoked", "durable")} or RECORDS[
        at - 1
    ] == "noted"
    assert code == (1 if is_revoked else 0)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("at", range(1, len(LISTED) + 1), ids=LISTED)
def test_the_signer_is_killed_at_each_record(site: Path, at: int, phase: str) -> None:
    command = [sys.executable, "-c", SABOTAGE + SIGN, str(at), phase, "--directory", str(site / "signer")]
    victim = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    for _ in range(400):
        if (site / "signer" / "socket").exists():
            break
        with pytest.raises(subprocess.TimeoutExpired):
            victim.wait(0.05)
    assert issue(site, 0, "never") == 1
    assert victim.wait(20) == -signal.SIGKILL
    with signer_process(site / "signer"):
        check_the_books(site)
        # The key of what was revoked gets nothing any more.
        assert issue(site, 0, "never") == (1 if LISTED[at - 1] == "revoked" else 0)
        assert check_the_books(site).inventory.issued_count == 1


def test_nothing_is_killed_if_nothing_is_to_be(site: Path) -> None:
    with signer_process(site / "signer"):
        assert issue(site, len(RECORDS) + 1, "before") == 0
        assert check_the_books(site).inventory.issued_count == 1
