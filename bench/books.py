"""What an operator waits for: the commands of `pki` on a CA that has issued 100 000 certificates.

`.venv/bin/python -m bench.books [COUNT]`. The books are written at once, in the form that issuance writes them; what is in them
is true but for the signatures. Each command runs as a process of its own, the first time and again.
"""

import argparse
import datetime
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from bench.issuing import csr_of, enrol_with, make_hierarchy, opened
from pki.chained_file import START, Position, chain_digest
from pki.names import Subject
from pki.records import Intended, Issued, Opened, Requested, Reserved, RevocationReason, Revoked
from pki.signer.book import Ordered

__all__ = ["fill"]

_COUNT: Final = 100_000
_REVOKED_EVERY: Final = 100
_NAME: Final = "SN-{:07d}"
_SPKI_BYTES: Final = 64
"""Of an EC point, without the octet before it."""


class _Book:
    """A chained file, written without waiting for the disk after each record."""

    def __init__(self, path: Path) -> None:
        path.touch(0o600)
        self._file = path.open("wb")
        self._encoder = msgspec.json.Encoder()
        self.head = START

    def add(self, record: object) -> Position:
        """The place of the record."""
        body = self._encoder.encode(record)
        digest = chain_digest(self.head.digest, body)
        self._file.write(digest.hex().encode() + b" " + body + b"\n")
        self.head = Position(self.head.sequence + 1, digest)
        return self.head

    def close(self) -> None:
        """All of it is in the file."""
        self._file.close()


def fill(directory: Path, count: int) -> str:
    """Make a CA there that has issued so many, and revoked one in a hundred; a serial number in hex."""
    make_hierarchy(directory)
    key = ec.generate_private_key(ec.SECP256R1())
    (directory / "new.csr").write_text(csr_of("SN-NEW", key))
    with opened(directory) as ca:
        certificate = enrol_with(ca, _NAME.format(0), ec.generate_private_key(ec.SECP256R1()))
    for name in ("journal", "signer/signed"):
        (directory / name).unlink()
    journal, signer = _Book(directory / "journal"), _Book(directory / "signer" / "signed")
    now = datetime.datetime.now(datetime.UTC)
    journal.add(Opened(at=now))
    for number in range(1, count + 1):
        _issue(journal, signer, certificate.tbs_certificate_bytes, number, now)
    journal.close()
    signer.close()
    return f"{_serial(count // 2):x}"


def _serial(number: int) -> int:
    return (1 << 158) | number


def _issue(journal: _Book, signer: _Book, template: bytes, number: int, now: datetime.datetime) -> None:
    name, serial, request = _NAME.format(number), f"{_serial(number):x}", f"{number:012x}"
    tbs = template.replace(_NAME.format(0).encode(), name.encode())
    spki_at = tbs.index(bytes.fromhex("2a8648ce3d030107034200")) + 12
    tbs = tbs[:spki_at] + secrets.token_bytes(_SPKI_BYTES) + tbs[spki_at + _SPKI_BYTES :]
    start = tbs.index(b"\x02\x14") + 2
    tbs = tbs[:start] + _serial(number).to_bytes(20, "big") + tbs[start + 20 :]
    spki = tbs[spki_at - 27 : spki_at + _SPKI_BYTES]
    ends = now + datetime.timedelta(days=number % 90, hours=1)
    journal.add(
        Requested(
            at=now,
            request=request,
            profile="ChargePointCertificate",
            issuer="issuing",
            subject=Subject(name, "Bench"),
            spki=spki,
            csr_sha256=secrets.token_bytes(32),
            applicant="the certificate 0f",
            held=False,
            rule="renewal",
        )
    )
    journal.add(Reserved(at=now, request=request, serial=serial))
    place = journal.add(Intended(at=now, request=request, serial=serial, not_before=now, not_after=ends, tbs=tbs))
    signature = secrets.token_bytes(71)
    signer.add(Ordered(now, serial, "issuing", "ChargePointCertificate", tbs, place))
    listed = signer.add({"record": "signed", "at": now, "serial": serial, "signature": signature})
    journal.add(Issued(at=now, request=request, serial=serial, signature=signature, list=listed))
    if number % _REVOKED_EVERY == 0:
        place = journal.add(Revoked(at=now, serial=serial, reason=RevocationReason.SUPERSEDED, by="bench"))
        signer.add({"record": "remembered", "at": now, "journal": place, "revoked": serial})


def _commands(directory: Path, serial: str) -> Iterator[tuple[str, ...]]:
    yield ("status",)
    yield ("list", "SN-00123")
    yield ("list", "--expiring", "30", "--json")
    yield ("show", _NAME.format(77))
    yield ("issue", str(directory / "new.csr"), "--common-name", "SN-NEW", "--organization", "Bench")
    yield ("revoke", serial, "--reason", "superseded")
    yield ("crl", "--sign")
    yield ("reconcile",)


def _run(directory: Path, command: tuple[str, ...]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU with everything that it has started."""
    environment = {**os.environ, "OCPP_GATEWAY_CA": str(directory)}
    before, started = os.times(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "pki", *command], env=environment, capture_output=True, check=False
    )
    after = os.times()
    if done.returncode not in {0, 1}:
        sys.exit(done.stderr.decode())
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - started, cpu


def _parse(argv: list[str] | None) -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench.books", description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=_COUNT)
    parser.add_argument("--directory", type=Path, help="make the CA here and leave it")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Prints seconds."""
    options = _parse(argv)
    with tempfile.TemporaryDirectory() as place:
        directory = options.directory or Path(place)
        serial = fill(directory, options.count)
        sizes = [(directory / name).stat().st_size / 1e6 for name in ("journal", "signer/signed")]
        print(f"{options.count} certificates; journal {sizes[0]:.0f} MB, the signer's list {sizes[1]:.0f} MB")
        for command in _commands(directory, serial):
            times = [_run(directory, command) for _ in range(2)]
            text = "; again ".join(f"{clock:.2f} s ({cpu:.2f} s of CPU)" for clock, cpu in times)
            print(f"pki {' '.join(command)}: {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
