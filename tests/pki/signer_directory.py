"""A signer's directory as ceremonies leave it, a signer in this process, and one in a process of its own."""

import contextlib
import datetime
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from pki.chained_file import Position
from pki.issuer import Issuer
from pki.keys import write_key
from pki.ocsp import OCSPWindow
from pki.signer.core import SigningCore
from pki.signer.protocol import OCSPStatus, SignedEntry, SignResponses
from pki.signer.settings import load_issuers
from tests.pki.hierarchy import Hierarchy

SECRET = b"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
SETTINGS = {
    "issuing": 'profiles = ["ChargePointCertificate", "OCSPResponder"]\n',
    "servers": 'profiles = ["CSMSCertificate"]\ndomains = ["example.com"]\n',
}


def make_signer_directory(directory: Path, ca: Hierarchy) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = directory / "secret"
    secret.touch(0o600)
    secret.write_bytes(SECRET + b"\n")
    for name, certificate, key in (
        ("issuing", ca.issuing, ca.keys["issuing"]),
        ("servers", ca.server_issuing, ca.keys["server"]),
    ):
        chain = certificate.public_bytes(Encoding.PEM) + ca.root.public_bytes(Encoding.PEM)
        (directory / f"{name}.pem").write_bytes(chain)
        write_key(key, directory / f"{name}.key", SECRET)
        (directory / f"{name}.toml").write_text(
            f'certificate = "{name}.pem"\norganizations = ["CPO"]\n{SETTINGS[name]}'
            f'[key]\nfile = "{name}.key"\nsecret_file = "secret"\n'
        )
    return directory


class NearSigner:
    """The signer's own code without the socket."""

    def __init__(self, directory: Path, clock=lambda: datetime.datetime.now(datetime.UTC)) -> None:
        self.core = SigningCore(load_issuers(directory), directory / "signed", clock)

    def issuers(self) -> list[Issuer]:
        return self.core.issuers

    @property
    def place(self) -> Position:
        return self.core.book.place

    def remembered(self) -> tuple[Position, int]:
        return self.core.book.remembered, self.core.book.signed_count

    def digest_at(self, sequence: int) -> bytes | None:
        return self.core.book.digest_at(sequence)

    def sign(self, issuer: str, profile: str, tbs: bytes, journal: Position) -> bytes:
        return self.core.sign(issuer, profile, tbs, journal)

    def remember(self, journal: Position, revoked: str = "") -> None:
        self.core.remember(journal, revoked)

    def revoked(self) -> list[int]:
        return list(self.core.book.revoked())

    def signed(self) -> list[SignedEntry]:
        found, start = self.core.book.listed(0)
        while start:
            more, start = self.core.book.listed(start)
            found += more
        return found

    def new_responder(self, issuer: str) -> bytes:
        return self.core.new_responder(issuer)

    def sign_responses(
        self, issuer: str, responder: int, window: OCSPWindow, statuses: Sequence[OCSPStatus]
    ) -> list[list[tuple[bytes, bytes]]]:
        made = self.core.sign_responses(SignResponses(issuer, f"{responder:x}", *window, list(statuses)))
        return [[(each.tbs, each.signature) for each in one] for one in made]


@contextlib.contextmanager
def signer_process(directory: Path, *options: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`python -m pki.signer`, ready."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "pki.signer", "--directory", str(directory), "--ready-fd", str(writing), *options]
    process = subprocess.Popen(command, pass_fds=(writing,), stderr=subprocess.PIPE, env={**os.environ, **environment})
    os.close(writing)
    try:
        with os.fdopen(reading, "rb") as ready:
            line = ready.readline()
        if line != b"ready\n":
            assert process.stderr is not None
            raise RuntimeError(process.stderr.read().decode())
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
