"""Private keys: strong enough, and written for their owner alone."""

import os
import stat
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki.keys import KeyKind, generate_key, write_key


@pytest.mark.requirement("A00.FR.502", "A00.FR.503")
@pytest.mark.parametrize(
    ("kind", "family", "bits"),
    [
        ("ec-p256", ec.EllipticCurvePrivateKey, 256),
        ("ec-p384", ec.EllipticCurvePrivateKey, 384),
        ("ec-p521", ec.EllipticCurvePrivateKey, 521),
        ("rsa-2048", rsa.RSAPrivateKey, 2048),
        ("rsa-3072", rsa.RSAPrivateKey, 3072),
        ("rsa-4096", rsa.RSAPrivateKey, 4096),
    ],
)
def test_every_kind_is_what_it_says(kind: KeyKind, family: type, bits: int) -> None:
    key = generate_key(kind)
    assert isinstance(key, family)
    assert key.key_size == bits


def test_the_kinds_tested_are_all_there_are() -> None:
    assert set(get_args(KeyKind)) == {
        "ec-p256",
        "ec-p384",
        "ec-p521",
        "rsa-2048",
        "rsa-3072",
        "rsa-4096",
    }


def test_no_two_keys_are_the_same() -> None:
    assert generate_key("ec-p256").public_key() != generate_key("ec-p256").public_key()


def test_a_key_is_written_for_its_owner_alone_whatever_the_umask_and_openssl_reads_it(tmp_path: Path) -> None:
    key, path = generate_key("ec-p256"), tmp_path / "a.key"
    before = os.umask(0)
    try:
        write_key(key, path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_pem_private_key(path.read_bytes(), None).public_key() == key.public_key()
    subprocess.run(["openssl", "pkey", "-in", str(path), "-noout", "-check"], check=True, capture_output=True)


def test_an_older_file_is_replaced_and_never_written_into(tmp_path: Path) -> None:
    """A file that others have opened, or a link that leads elsewhere, must not receive the new key."""
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "a.key"
    elsewhere.write_text("old")
    elsewhere.chmod(0o644)
    path.symlink_to(elsewhere)
    write_key(generate_key("ec-p256"), path)
    assert elsewhere.read_text() == "old"
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
