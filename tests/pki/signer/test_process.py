"""The signer as a process of its own: its socket, what it survives, and the procedure over it."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pki.approval import Operator
from pki.chained_file import Position
from pki.errors import Reason, Refused, SignerFailed, SignerUnavailable
from pki.inventory import RequestState
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.names import Subject
from pki.profiles import CHARGE_POINT
from pki.signer.client import SignerClient
from pki.signer.launch import signer_for
from pki.signer.server import bind_socket, open_core, serve
from tests.pki.hierarchy import NOW, Hierarchy, openssl_verify
from tests.pki.request_material import csr_pem
from tests.pki.signer import test_core
from tests.pki.signer.test_core import body
from tests.pki.signer_directory import make_signer_directory, signer_process

pytestmark = pytest.mark.integration
CA = Hierarchy()
WANTED = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", "CPO"), applicant=Operator("alice"))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_signer_directory(tmp_path / "signer", CA)


@pytest.fixture
def client(directory: Path):
    made = SignerClient(directory / "socket")
    yield made
    made.close()


def issuance(directory: Path, client: SignerClient) -> Issuance:
    return Issuance(directory.parent / "journal", client, IssuancePolicy(), NOW, lambda: secrets.token_hex(8))


def test_a_certificate_comes_out_at_the_other_end(directory: Path, tmp_path: Path, client: SignerClient) -> None:
    with signer_process(directory):
        ca = issuance(directory, client)
        issued = ca.issue(ca.request(csr_pem(), WANTED, NOW).id, NOW)
        assert openssl_verify(tmp_path, issued.certificate, list(issued.chain), CA.root) == "OK"
        assert [entry.serial for entry in client.signed()] == [f"{issued.certificate.serial_number:x}"]
        assert client.remembered()[1] == 1
        ca.close()


def test_only_its_own_user_can_connect(directory: Path) -> None:
    before = os.umask(0)
    try:
        with signer_process(directory):
            assert stat.S_IMODE((directory / "socket").stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert stat.S_IMODE((directory / "signed").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_user_of_its_own_is_asked_by_those_it_was_told_of_and_by_nobody_else(directory: Path) -> None:
    # Not below tmp_path, which is closed to others.
    place = Path(tempfile.mkdtemp()) / "asked"
    place.parent.chmod(0o755)
    program = (
        "import os, socket, sys; os.setuid(int(sys.argv[1]))\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[2]); s.sendall(bytes.fromhex('0000000d81a474797065a6737461747573'))\n"
        "sys.stdout.write(str(len(s.recv(100))))"
    )

    def answered(uid: int) -> str:
        command = [sys.executable, "-c", program, str(uid), str(place)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    with signer_process(directory, "--socket", str(place), "--client-user", "12345"):
        assert answered(12345) == "100"
        assert answered(12346) in {"0", ""}
    shutil.rmtree(place.parent)


def test_without_a_signer_nothing_is_issued_and_nothing_lost(directory: Path, client: SignerClient) -> None:
    with signer_process(directory) as process:
        ca = issuance(directory, client)
        request = ca.request(csr_pem(), WANTED, NOW)
        process.kill()
        process.wait()
        with pytest.raises(SignerUnavailable):
            ca.issue(request.id, NOW)
        assert request.state is RequestState.INTENDED
        with pytest.raises(SignerUnavailable):
            ca.issue(request.id, NOW)
    with signer_process(directory):
        assert [each.id for each in ca.resume(NOW)] == [request.id]
        assert ca.inventory.requests[request.id].state is RequestState.ISSUED
        ca.close()


def test_refusals_arrive_with_their_reason(directory: Path, client: SignerClient) -> None:
    with signer_process(directory):
        with pytest.raises(Refused) as refused:
            client.sign("issuing", CHARGE_POINT.name, b"nonsense", Position(1, b"x" * 32))
        assert refused.value.reason is Reason.LINT
        client.remember(Position(2, b"y" * 32), "")
        with pytest.raises(Refused) as refused:
            client.remember(Position(1, b"x" * 32), "")
        assert refused.value.reason is Reason.JOURNAL_STEP_BACK


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0",
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 3) + b"abc",
        struct.pack(">I", 5) + b"a",
        os.urandom(5000),
    ],
)
def test_garbage_ends_that_connection_only(directory: Path, garbage: bytes, client: SignerClient) -> None:
    with signer_process(directory):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(20)
            peer.connect(str(directory / "socket"))
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert peer.recv(1) == b""
        assert len(client.issuers()) == 2


def test_many_at_once_are_served_one_after_the_other(directory: Path) -> None:
    with signer_process(directory):
        counts: list[int] = []

        def ask() -> None:
            client = SignerClient(directory / "socket")
            counts.extend(len(client.issuers()) for _ in range(5))
            client.close()

        threads = [threading.Thread(target=ask) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counts == [2] * 300


def test_a_signer_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        silent = SignerClient(tmp_path / "s", timeout_s=0.1)
        with pytest.raises(SignerUnavailable):
            silent.issuers()
        # Now its queue is full: not even the connection is made.
        with pytest.raises(SignerUnavailable):
            silent.issuers()
        silent.close()
    with pytest.raises(SignerUnavailable):
        SignerClient(tmp_path / "none").issuers()


def test_a_second_signer_on_the_same_list_does_not_start(directory: Path) -> None:
    with (
        signer_process(directory),
        pytest.raises(RuntimeError, match="in use by another process"),
        signer_process(directory),
    ):
        pass


def test_it_says_in_one_line_why_it_does_not_start(directory: Path) -> None:
    (directory / "issuing.key").chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-m", "pki.signer", "--directory", directory], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"signer: {directory}/issuing.key can be read by others: chmod 600 {directory}/issuing.key\n"


def test_it_takes_a_socket_from_its_parent_and_ends_with_it(directory: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "inherited"))
    listener.listen()
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    command = [sys.executable, "-m", "pki.signer", "--directory", str(directory)]
    command += ["--listen-fd", str(listener.fileno()), "--lifeline-fd", str(theirs.fileno()), "--ready-fd", str(write)]
    process = subprocess.Popen(command, pass_fds=(listener.fileno(), theirs.fileno(), write))
    theirs.close()
    os.close(write)
    with os.fdopen(read) as ready:
        assert ready.readline() == "ready\n"
    client = SignerClient(directory / "inherited")
    assert len(client.issuers()) == 2
    client.close()
    ours.close()
    assert process.wait(20) == 0
    listener.close()


def test_it_leaves_no_core_dump_with_keys_in_it(directory: Path) -> None:
    with signer_process(directory) as process:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert line.split()[4:6] == ["0", "0"]


def test_its_own_user_cannot_look_into_its_memory() -> None:
    program = (
        "import ctypes\nfrom pki.signer.__main__ import _keep_others_out\nis_dumpable = lambda: ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)\n"
        "before = is_dumpable()\n_keep_others_out()\nprint(before, is_dumpable())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["1", "0"]


def test_sigterm_ends_it(directory: Path) -> None:
    with signer_process(directory) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_what_lies_in_the_working_directory_does_not_run_beside_the_keys(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "elsewhere"
    (place / "pki").mkdir(parents=True)
    for module in (place / "pki" / "__init__.py", place / "msgspec.py"):
        module.write_text(f"open({str(place / 'ran')!r}, 'w').close()\n")
    monkeypatch.chdir(place)
    with signer_for(directory) as client:
        assert len(client.issuers()) == 2
    assert not (place / "ran").exists()


@contextlib.contextmanager
def served(directory: Path, silent_s: float) -> Iterator[Path]:
    """The signer's own loop on a thread of this process; the socket where it is asked."""
    core = open_core(directory)
    path = directory / "near"
    listener = bind_socket(path)
    thread = threading.Thread(target=serve, args=(listener, core), kwargs={"silent_s": silent_s}, daemon=True)
    thread.start()
    try:
        yield path
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        core.close()


def test_connections_that_ask_nothing_make_room_for_one_that_does(directory: Path) -> None:
    with served(directory, 0.05) as path, contextlib.ExitStack() as held:
        for _ in range(16):
            held.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
        client = SignerClient(path, timeout_s=20)
        assert len(client.issuers()) == 2
        client.close()


def test_one_that_was_closed_while_it_asked_nothing_is_made_anew(directory: Path) -> None:
    with served(directory, 0.05) as path, contextlib.ExitStack() as held:
        first = SignerClient(path, timeout_s=20)
        assert len(first.issuers()) == 2
        for _ in range(16):
            each = held.enter_context(contextlib.closing(SignerClient(path, timeout_s=20)))
            assert len(each.issuers()) == 2
        assert len(first.issuers()) == 2
        first.close()


def test_what_a_token_s_library_raises_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = make_signer_directory(tmp_path / "signer", test_core.CA)

    def broken(*_: object) -> bytes:
        raise RuntimeError("CKR_DEVICE_REMOVED")

    with served(directory, 5.0) as path:
        client = SignerClient(path)
        monkeypatch.setattr("pki.signer.core.sign", broken)
        tbs = body()
        with pytest.raises(SignerFailed, match="CKR_DEVICE_REMOVED"):
            client.sign("issuing", CHARGE_POINT.name, tbs, Position(1, b"x" * 32))
        monkeypatch.undo()
        assert client.sign("issuing", CHARGE_POINT.name, tbs, Position(1, b"x" * 32))
        client.close()


def test_a_path_too_long_for_a_socket_has_no_signer_and_gets_one_for_a_while(tmp_path: Path) -> None:
    deep = make_signer_directory(tmp_path / ("d" * 90) / "signer", CA)
    with signer_for(deep) as client:
        assert len(client.issuers()) == 2


AS_SOMEBODY_ELSE = """
import datetime, os, secrets, shutil, sys, tomllib
from pathlib import Path
from pki.approval import Operator
from pki.issuance import Application
from pki.names import Subject
from pki.opened import issuance_in
from pki.records import RevocationReason
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
now = datetime.datetime.now(datetime.UTC)
wanted = Application(profile="ChargePointCertificate", subject=Subject("SN-1", "CPO"), applicant=Operator("alice"))
ca = Path(sys.argv[1])
with issuance_in(ca, now, lambda: secrets.token_hex(8)) as issuance:
    issued = issuance.issue(issuance.request(sys.stdin.read(), wanted, now).id, now)
    issuance.revoke(issued.certificate.serial_number, RevocationReason.SUPERSEDED, by="alice", note="", now=now)
for name in ("issuing.key", "secret", "signed"):
    try:
        (ca / "signer" / name).read_bytes()
    except PermissionError:
        print("closed", end=" ")
"""
SIGNER_AS_SOMEBODY_ELSE = """
import os, shutil, sys, tomllib  # all before: the interpreter may be in a closed directory
from pki.signer.__main__ import main
os.setgid(12345); os.setuid(12345)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two others")
def test_the_signer_is_one_user_and_issuance_another_who_sees_no_key() -> None:
    ca = Path(tempfile.mkdtemp())
    place = make_signer_directory(ca / "signer", CA)
    for path in (place, *place.iterdir()):
        os.chown(path, 12345, 12345)
    place.chmod(0o711)
    os.chown(ca, 12346, 12346)
    ca.chmod(0o755)
    read, write = os.pipe()
    command = [sys.executable, "-c", SIGNER_AS_SOMEBODY_ELSE, "--directory", str(place), "--client-user", "12346"]
    with subprocess.Popen([*command, "--ready-fd", str(write)], pass_fds=(write,)) as process:
        os.close(write)
        with os.fdopen(read) as ready:
            assert ready.readline() == "ready\n"
        asked = [sys.executable, "-c", AS_SOMEBODY_ELSE, str(ca), "12346"]
        done = subprocess.run(asked, input=csr_pem(), capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["closed"] * 3, done.stderr
        stranger = subprocess.run([*asked[:-1], "12347"], input=csr_pem(), capture_output=True, text=True, check=False)
        assert (stranger.returncode, stranger.stdout) == (1, "")
        process.terminate()
    shutil.rmtree(ca)
