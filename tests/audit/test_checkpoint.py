"""Notes, checkpoints, cosignatures and proof files: published vectors, and every single bit."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.checkpoint import (
    Checkpoint,
    LogSigner,
    SignatureInvalid,
    WitnessSigner,
    verify_checkpoint,
)
from gateway.audit.note import (
    ED25519,
    ED25519_COSIGNATURE,
    ML_DSA_44_COSIGNATURE,
    NoteInvalid,
    VerifierKey,
    parse_note,
    parse_vkey,
)
from gateway.audit.proof_file import ProofFile
from gateway.audit.tree import leaf_hash

ORIGIN = "gateway.example/audit/0001"
NOW_S = 1_800_000_000
SIGNER = LogSigner(ORIGIN, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
WITNESS = WitnessSigner("witness.example/w1", Ed25519PrivateKey.generate())
ROOT = leaf_hash(b"x")
SIGNED = SIGNER.sign(1, ROOT, NOW_S)


def cosigned() -> bytes:
    return SIGNED + WITNESS.cosign(Checkpoint(ORIGIN, 1, ROOT), NOW_S + 5).line.encode()


class TestNote:
    def test_a_note_of_the_go_project_is_read_and_its_signature_holds(self) -> None:
        # From the documentation of golang.org/x/mod/sumdb/note: made by an implementation that is not ours.
        key = parse_vkey("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
        data = (
            "If you think cryptography is the answer to your problem,\n"
            "then you don't know what your problem is.\n\n"
            "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
        ).encode()
        note = parse_note(data)
        assert key.algorithm == ED25519
        assert (note.signatures[0].name, note.signatures[0].key_id) == (key.name, key.key_id)
        Ed25519PublicKey.from_public_bytes(key.public).verify(note.signatures[0].data, note.text.encode())
        assert note.encode() == data

    def test_a_key_is_one_line(self) -> None:
        line = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
        assert parse_vkey(line).vkey == line
        for key in (*SIGNER.keys, WITNESS.key):
            assert parse_vkey(key.vkey) == key

    @pytest.mark.parametrize(
        "line",
        [
            "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuA==",
            "sum golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "",
        ],
    )
    def test_what_is_no_key(self, line: str) -> None:
        with pytest.raises(NoteInvalid):
            parse_vkey(line)

    @pytest.mark.parametrize(
        "data",
        [
            b"text\n",
            b"text\n\n",
            "text\n\n— name AAAAAAA=".encode(),
            "text\n\n— name AAAAAA==\n".encode(),
            "text\n\n— name AAAAAAB=\n".encode(),
            "text\n\n— na+me AAAAAAA=\n".encode(),
            "te\txt\n\n— name AAAAAAA=\n".encode(),
            "text\r\n\n— name AAAAAAA=\n".encode(),
            b"text\n\n- name AAAAAAA=\n",
            b"\xff\n\n" + "— name AAAAAAA=\n".encode(),
            b"text\n\n" + "— name AAAAAAA=\n".encode() * 65,
            b"x" * (1 << 20) + "\n\n— name AAAAAAA=\n".encode(),
        ],
    )
    def test_what_is_no_note(self, data: bytes) -> None:
        with pytest.raises(NoteInvalid):
            parse_note(data)

    def test_a_text_with_empty_lines_and_many_signatures_is_one(self) -> None:
        data = b"one\n\ntwo\n\n" + "— name AAAAAAA=\n".encode() * 64
        assert parse_note(data).text == "one\n\ntwo\n"


class TestCheckpoint:
    def test_the_example_of_the_specification_is_read(self) -> None:
        text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        checkpoint = Checkpoint.parse(text)
        assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
        assert checkpoint.text == text

    @pytest.mark.parametrize(
        "text",
        [
            "o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nextension\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n1\nCsUY\n",
            "o\n1\n",
        ],
    )
    def test_what_is_no_checkpoint(self, text: str) -> None:
        with pytest.raises(NoteInvalid):
            Checkpoint.parse(text)

    def test_the_log_signs_twice_and_says_when(self) -> None:
        verified = verify_checkpoint(SIGNED, SIGNER.keys)
        assert verified.checkpoint == Checkpoint(ORIGIN, 1, ROOT)
        assert [key.algorithm for key in verified.by] == [ED25519, ML_DSA_44_COSIGNATURE]
        assert (verified.time_s, verified.unknown) == (NOW_S, ())

    def test_a_witness_is_believed_only_if_known(self) -> None:
        verified = verify_checkpoint(cosigned(), SIGNER.keys, [WITNESS.key])
        assert [key.algorithm for key in verified.by] == [ED25519, ML_DSA_44_COSIGNATURE, ED25519_COSIGNATURE]
        assert verified.time_s == NOW_S + 5
        assert verify_checkpoint(cosigned(), SIGNER.keys).unknown == ("witness.example/w1",)

    def test_what_the_witness_signs_is_spelt_as_specified(self) -> None:
        line = WITNESS.cosign(Checkpoint(ORIGIN, 1, ROOT), 7)
        text = f"cosignature/v1\ntime 7\n{Checkpoint(ORIGIN, 1, ROOT).text}".encode()
        Ed25519PublicKey.from_public_bytes(WITNESS.key.public).verify(line.data[8:], text)
        assert line.data[:8] == bytes(7) + b"\x07"

    def test_what_the_log_signs_with_ml_dsa_is_spelt_as_specified(self) -> None:
        origin = bytes([len(ORIGIN)]) + ORIGIN.encode()
        moment, start, end = (number.to_bytes(8) for number in (NOW_S, 0, 1))
        text = b"subtree/v1\n\0" + origin + moment + origin + start + end + ROOT
        signature = parse_note(SIGNED).signatures[1]
        assert signature.data[:8] == moment
        MLDSA44PublicKey.from_public_bytes(SIGNER.keys[1].public).verify(signature.data[8:], text)

    def test_a_missing_signature_is_not_overlooked(self) -> None:
        note = parse_note(SIGNED)
        for signature in note.signatures:
            data = (note.text + "\n" + signature.line).encode()
            with pytest.raises(SignatureInvalid, match="no signature by"):
                verify_checkpoint(data, SIGNER.keys)
        with pytest.raises(SignatureInvalid, match="two signatures"):
            verify_checkpoint(SIGNED + note.signatures[0].line.encode(), SIGNER.keys)

    def test_no_key_at_all_verifies_nothing(self) -> None:
        with pytest.raises(SignatureInvalid):
            verify_checkpoint(SIGNED, ())

    def test_a_signature_of_another_log_is_none(self) -> None:
        other = LogSigner(ORIGIN, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
        with pytest.raises(SignatureInvalid):
            verify_checkpoint(SIGNED, other.keys)

    def test_every_bit_of_a_checkpoint_counts(self) -> None:
        # All bits of text and Ed25519 signature; of the long ML-DSA signature one bit a byte, which takes a second.
        for place in range(len(SIGNED)):
            for bit in range(8) if place < 300 else (place % 8,):
                changed = bytearray(SIGNED)
                changed[place] ^= 1 << bit
                with pytest.raises((NoteInvalid, SignatureInvalid)):
                    verify_checkpoint(bytes(changed), SIGNER.keys)

    def test_keys_are_not_shown(self) -> None:
        key = Ed25519PrivateKey.generate()
        shown = repr(LogSigner(ORIGIN, key, MLDSA44PrivateKey.generate()))
        assert key.private_bytes_raw().hex() not in shown

    @pytest.mark.parametrize("origin", ["", "a b", "a+b", "x" * 256, "a\nb"])
    def test_what_is_no_origin(self, origin: str) -> None:
        with pytest.raises(ValueError, match="origin"):
            LogSigner(origin, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())

    def test_key_ids_differ_by_kind(self) -> None:
        same = [VerifierKey("n", kind, bytes(32)).key_id for kind in (ED25519, ED25519_COSIGNATURE)]
        assert same[0] != same[1]


class TestProofFile:
    @given(st.integers(0, 2**60), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
    def test_it_comes_back(self, index: int, hashes: list[bytes]) -> None:
        proof = ProofFile(index, tuple(hashes), SIGNED)
        assert ProofFile.parse(proof.encode()) == proof

    def test_extra_data_is_allowed_and_not_trusted(self) -> None:
        data = ProofFile(3, (ROOT,), SIGNED).encode()
        first, rest = data.split(b"\n", 1)
        assert ProofFile.parse(first + b"\nextra AAAA\n" + rest) == ProofFile(3, (ROOT,), SIGNED, bytes(3))
        assert ProofFile(3, (ROOT,), SIGNED, bytes(3)).encode() == first + b"\nextra AAAA\n" + rest

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"c2sp.org/tlog-proof@v2\nindex 1\n\nx",
            b"c2sp.org/tlog-proof@v1\n\nx",
            b"c2sp.org/tlog-proof@v1\nindex 01\n\nx",
            b"c2sp.org/tlog-proof@v1\nindex 1\nAAAA\n\nx",
            b"c2sp.org/tlog-proof@v1\nindex 1\n\xff\n\nx",
            b"c2sp.org/tlog-proof@v1\nindex 1\n" + b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n" * 64 + b"\nx",
        ],
    )
    def test_what_is_no_proof(self, data: bytes) -> None:
        with pytest.raises(NoteInvalid):
            ProofFile.parse(data)
