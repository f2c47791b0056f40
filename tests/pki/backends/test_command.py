"""A command as a backend: real processes, and what becomes of each way in which they can end."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.backends.command import CommandBackend, CommandSettings
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Issued,
    Pending,
    RevocationAccepted,
)
from tests.support.other_ca import OtherCA, now, request_for

CA = OtherCA()


class Hook:
    """A Python program that does what the test says with the request in `asked`."""

    def __init__(self, work: Path) -> None:
        self.work = work

    def backend(self, program: str, **settings: Any) -> CommandBackend:
        path = self.work / "hook.py"
        head = f"import json, sys, os, time\nasked = json.loads(sys.stdin.readline())\nwork = {str(self.work)!r}\n"
        path.write_text(head + program)
        command = (sys.executable, str(path))
        return CommandBackend(CommandSettings(command=command, anchors=CA.anchors, **settings), now)

    def prepare(self, *certificates: x509.Certificate) -> str:
        """A program that prints these."""
        pem = b"".join(each.public_bytes(Encoding.PEM) for each in certificates).decode()
        (self.work / "answer.pem").write_text(pem)
        return 'json.dump(asked, open(work + "/asked.json", "w"))\nprint(open(work + "/answer.pem").read())\n'

    def asked(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.work / "asked.json").read_text())
        return found


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    return Hook(tmp_path)


async def test_what_it_prints_is_the_certificate(hook: Hook) -> None:
    request = request_for()
    leaf = CA.issue(request.csr)
    backend = hook.backend(hook.prepare(CA.sub.certificate, leaf))
    assert await backend.enroll(request) == Issued((leaf, CA.sub.certificate))
    assert hook.asked() == {
        "action": "enroll",
        "csr": request.csr_pem,
        "identity": "CP-1",
        "common_name": "SN-1",
        "organization": "Example CPO",
        "idempotency_key": "key-1",
    }


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("sys.exit(75)", Pending(60.0)),
        ("print(120); sys.exit(75)", Pending(120.0)),
        ("print(0); sys.exit(75)", Pending(5.0)),
        ("print('later'); sys.exit(75)", Pending(60.0)),
        ("sys.stderr.write('not in the\\nasset list'); sys.exit(77)", Denied("not in the asset list")),
        ("sys.exit(77)", Denied("refused without a word")),
    ],
)
async def test_it_may_ask_for_patience_or_refuse(hook: Hook, program: str, expected: object) -> None:
    assert await hook.backend(program).enroll(request_for()) == expected


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("sys.stderr.write('no route'); sys.exit(1)", "exit code 1: no route"),
        ("os.kill(os.getpid(), 9)", "exit code -9"),
        ("print('x' * 300_000)", "bytes of output"),
    ],
)
async def test_anything_else_settles_nothing(hook: Hook, program: str, why: str) -> None:
    with pytest.raises(BackendUnavailable, match=why):
        await hook.backend(program).enroll(request_for())


async def test_output_that_is_no_certificate_or_another_one_is_an_alarm(hook: Hook) -> None:
    with pytest.raises(BackendMisbehaved, match="no certificates"):
        await hook.backend("print('hello')").enroll(request_for())
    other = CA.issue(request_for().csr)
    with pytest.raises(BackendMisbehaved, match="0 certificates"):
        await hook.backend(hook.prepare(other, CA.sub.certificate)).enroll(request_for())


async def test_one_that_hangs_is_ended_with_everything_it_has_started(hook: Hook, tmp_path: Path) -> None:
    program = 'child = os.fork()\nif child: open(work + "/pid", "w").write(str(child))\nwhile True: time.sleep(60)\n'
    backend = hook.backend(program, timeout_s=2.0)
    with pytest.raises(BackendUnavailable, match="longer than 2 s"):
        await backend.enroll(request_for())
    child = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in {"Z", "X"}


async def test_it_sees_no_variables_of_ours(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cret")
    backend = hook.backend("sys.stderr.write(str(sorted(os.environ))); sys.exit(77)")
    denied = await backend.enroll(request_for())
    assert isinstance(denied, Denied)
    assert "PATH" in denied.reason
    assert "DATABASE" not in denied.reason
    assert os.environ["DATABASE_PASSWORD"] == "s3cret"


async def test_one_that_is_not_there_settles_nothing() -> None:
    backend = CommandBackend(CommandSettings(command=("/nonexistent",), anchors=CA.anchors), now)
    with pytest.raises(BackendUnavailable, match="No such file"):
        await backend.enroll(request_for())


async def test_chain_and_revocation(hook: Hook) -> None:
    backend = hook.backend(hook.prepare(CA.sub.certificate, CA.root.certificate))
    assert await backend.chain() == (CA.sub.certificate, CA.root.certificate)
    leaf = CA.issue(request_for().csr, serial_number=0xABC)
    assert await backend.revoke(leaf, x509.ReasonFlags.key_compromise) == RevocationAccepted()
    assert hook.asked() == {
        "action": "revoke",
        "serial_number": "abc",
        "reason": "keyCompromise",
        "certificate": leaf.public_bytes(Encoding.PEM).decode(),
    }
    for code in (3, 75):
        with pytest.raises(BackendUnavailable, match=f"exit code {code}"):
            await hook.backend(f"sys.exit({code})").revoke(leaf, x509.ReasonFlags.superseded)
    program = "sys.stderr.write('ask the PKI team'); sys.exit(77)"
    assert await hook.backend(program).revoke(leaf, x509.ReasonFlags.superseded) == ByHand("ask the PKI team")
