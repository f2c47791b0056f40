import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.audit.checkpoint import LogSigner
from gateway.audit.note import NoteInvalid, parse_note
from gateway.policy.signature import BundleSigner, SignatureMissing, parse_bundle_key, verify_bundle

REVISION, OTHER = "a" * 64, "b" * 64
PRIVATE = Ed25519PrivateKey.generate()
SIGNER = BundleSigner("ops.example.com", PRIVATE)
STRANGER = BundleSigner("ops.example.com", Ed25519PrivateKey.generate())


def test_what_a_known_key_has_signed_is_signed_by_it():
    assert verify_bundle(SIGNER.sign(REVISION), REVISION, [STRANGER.key, SIGNER.key]) == SIGNER.key


def test_one_of_several_signatures_is_enough():
    lines = SIGNER.sign(REVISION) + STRANGER.sign(REVISION).rpartition(b"\n\n")[2]
    for key in (SIGNER.key, STRANGER.key):
        assert verify_bundle(lines, REVISION, [key]) == key


@pytest.mark.parametrize(
    ("signature", "revision", "keys", "why"),
    [
        (SIGNER.sign(REVISION), OTHER, [SIGNER.key], "another bundle"),
        (SIGNER.sign(REVISION).replace(b"a" * 64, b"b" * 64), OTHER, [SIGNER.key], "is wrong"),
        (STRANGER.sign(REVISION), REVISION, [SIGNER.key], "none of the configured keys"),
        (SIGNER.sign(REVISION), REVISION, [], "none of the configured keys"),
        (b"", REVISION, [SIGNER.key], "not to be read"),
        (b"\xff\n\n", REVISION, [SIGNER.key], "not to be read"),
        (SIGNER.sign(REVISION).replace(b"bundle v1", b"bundle v2"), REVISION, [SIGNER.key], "another bundle"),
        (SIGNER.sign(REVISION) + b" ", REVISION, [SIGNER.key], "not to be read"),
    ],
)
def test_what_no_known_key_has_signed_is_not(signature, revision, keys, why):
    with pytest.raises(SignatureMissing, match=why):
        verify_bundle(signature, revision, keys)


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_a_signature_may_change(bit):
    note = parse_note(SIGNER.sign(REVISION))
    (line,) = note.signatures
    changed = line.data[:40] + bytes([line.data[40] ^ 1 << bit]) + line.data[41:]
    data = note.encode().replace(line.line.encode(), type(line)(line.name, line.key_id, changed).line.encode())
    with pytest.raises(SignatureMissing, match="is wrong"):
        verify_bundle(data, REVISION, [SIGNER.key])


def test_a_key_of_the_audit_log_is_none_for_policies():
    both = LogSigner("ops.example.com", PRIVATE, MLDSA44PrivateKey.generate())
    kinds = {key.algorithm: key for key in both.keys}
    assert parse_bundle_key(SIGNER.key.vkey) == kinds[1]
    with pytest.raises(NoteInvalid):
        parse_bundle_key(kinds[6].vkey)
    with pytest.raises(NoteInvalid):
        parse_bundle_key("ops.example.com")


def test_openssl_agrees(tmp_path: Path):
    note = parse_note(SIGNER.sign(REVISION))
    (tmp_path / "text").write_bytes(note.text.encode())
    (tmp_path / "signature").write_bytes(note.signatures[0].data)
    pem = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pem").write_bytes(pem)
    command = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        "key.pem",
        "-rawin",
        "-in",
        "text",
        "-sigfile",
        "signature",
    ]
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    (tmp_path / "text").write_bytes(note.text.replace("a", "c").encode())
    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True).returncode != 0
