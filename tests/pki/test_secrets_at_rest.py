"""Keys and secrets as files: read only if nobody else can."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pki.errors import Misconfigured
from pki.keys import generate_key, write_key
from pki.secrets_at_rest import load_private_key, read_private_file, read_secret

SECRET = b"c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def private(path: Path, data: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(data)
    return path


def problem(function, *arguments) -> str:
    with pytest.raises(Misconfigured) as found:
        function(*arguments)
    return str(found.value)


def test_what_is_no_private_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in problem(read_private_file, tmp_path / "none")
    assert "is not a file" in problem(read_private_file, tmp_path)
    assert "too large" in problem(read_private_file, private(tmp_path / "large", bytes(100_001)))
    assert len(read_private_file(private(tmp_path / "fits", bytes(100_000)))) == 100_000


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = private(tmp_path / "theirs", SECRET)
    os.chown(path, 12345, -1)
    assert "belongs to another user" in problem(read_private_file, path)
    os.chown(path, 0, -1)
    assert read_private_file(path) == SECRET


def test_a_secret_is_long_and_has_no_line_end(tmp_path: Path) -> None:
    assert read_secret(private(tmp_path / "a", SECRET + b"\n")) == SECRET
    assert read_secret(private(tmp_path / "b", b"x" * 22)) == b"x" * 22
    assert "too short" in problem(read_secret, private(tmp_path / "c", b"x" * 21 + b"\n\n\n"))


def test_a_key_comes_back_with_its_secret_and_with_no_other(tmp_path: Path) -> None:
    key, path = generate_key("ec-p256"), tmp_path / "k"
    write_key(key, path, SECRET)
    assert load_private_key(path, SECRET).public_key() == key.public_key()
    for secret in (SECRET[::-1], None):
        text = problem(load_private_key, path, secret)
        assert "not a private key in PEM, or the secret does not fit" in text
        assert ("Is it encrypted" in text) is (secret is None)


def test_other_kinds_of_keys_are_told(tmp_path: Path) -> None:
    data = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    assert "neither an RSA nor an EC key" in problem(load_private_key, private(tmp_path / "k", data), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose files systemd's credentials are")
@pytest.mark.parametrize(
    ("mode", "place", "is_taken"),
    [
        (0o440, 0o550, True),  # systemd 254 and later with User=: an access list lets the service read it
        (0o440, 0o500, True),
        (0o400, 0o500, True),
        (0o444, 0o500, False),
        (0o460, 0o500, False),
        (0o440, 0o555, False),
        (0o440, 0o770, False),
    ],
)
def test_a_credential_of_systemd_may_be_readable_by_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, place: int, is_taken: bool
) -> None:
    directory = tmp_path / "credentials"
    directory.mkdir()
    path = private(directory / "ca", SECRET)
    path.chmod(mode)
    directory.chmod(place)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(directory))
    if is_taken:
        assert read_secret(path) == SECRET
    else:
        assert "can be read by others" in problem(read_secret, path)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    if mode & 0o040:
        assert "can be read by others" in problem(read_secret, path)


def test_a_pipe_is_no_secret_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "is not a file" in problem(read_secret, tmp_path / "pipe")
