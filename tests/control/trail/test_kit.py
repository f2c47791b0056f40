"""The auditor kit: proven by a verifier that knows nothing of ours, and by nothing less than the right bytes."""

import base64
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.tree import leaf_hash
from gateway.control.trail import kit_verifier
from gateway.control.trail.kit import NotProvable, make_kit
from gateway.control.trail.layout import Shard
from gateway.control.trail.payloads import Disclosed, PayloadStore
from tests.audit.test_checkpoint import WITNESS
from tests.support.trail import NOW_S, SIGNER, grown_shard, opened, records


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("log") / "0001"
    grown_shard(directory, 100, 200, 400)
    return directory


def unpacked(kit: bytes, directory: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(kit)) as archive:
        archive.extractall(directory)
    return directory


def verify(directory: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """As an auditor: another interpreter, without site-packages, in an empty environment."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", "--json", *arguments],
        cwd=directory, env={}, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stderr == b""
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("index", [0, 255, 256, 699])
def test_a_record_is_proven_to_somebody_who_has_only_python(log: Path, tmp_path: Path, index: int) -> None:
    code, result = verify(unpacked(make_kit(Shard(log), index), tmp_path))
    assert (code, result["ok"], result["index"], result["size"]) == (0, True, index, 700)
    assert result["record"] == json.loads(records(index, 1)[0])
    assert result["signed_by"] == [SIGNER.origin]
    assert any("ML-DSA-44" in each for each in result["not_proven"])
    assert any("whose keys" in each for each in result["not_proven"])


def test_with_a_key_of_ones_own_nobody_else_is_believed(log: Path, tmp_path: Path) -> None:
    kit = unpacked(make_kit(Shard(log), 5), tmp_path)
    code, result = verify(kit, "--key", SIGNER.keys[0].vkey)
    assert code == 0
    assert not any("whose keys" in each for each in result["not_proven"])
    code, result = verify(kit, "--key", WITNESS.key.vkey)
    assert (code, result["error"]) == (1, "the checkpoint is not signed by the log")


def test_the_kit_itself_can_be_given(log: Path, tmp_path: Path) -> None:
    (tmp_path / "kit.zip").write_bytes(make_kit(Shard(log), 5))
    (tmp_path / "verify.py").write_bytes(Path(kit_verifier.__file__).read_bytes())
    assert verify(tmp_path, "kit.zip")[0] == 0
    (tmp_path / "kit.zip").write_bytes(b"PK no")
    assert verify(tmp_path, "kit.zip")[0] == 1
    assert verify(tmp_path, "none.zip")[0] == 1


def test_the_same_record_gives_the_same_kit(log: Path) -> None:
    assert make_kit(Shard(log), 5) == make_kit(Shard(log), 5)


@pytest.mark.parametrize("name", ["record.json", "record.tlog-proof", "keys"])
def test_no_bit_of_it_can_be_changed(log: Path, name: str) -> None:
    """In this process, as there are many; ML-DSA lines are passed over, because the verifier says that it does."""
    with zipfile.ZipFile(io.BytesIO(make_kit(Shard(log), 300))) as archive:
        files = {each: archive.read(each) for each in ("record.json", "record.tlog-proof", "keys")}
    data = files[name]
    checked = data.index(b"\n", data.index("\u2014".encode())) if name == "record.tlog-proof" else len(data)
    checked = data.index(b"\n") if name == "keys" else checked
    for place in range(checked):
        for bit in (0, 5) if name == "record.tlog-proof" else range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises((ValueError, KeyError, IndexError)):
                kit_verifier.check({**files, name: bytes(changed)}, None)


def test_the_checkpoint_beside_the_proof_is_the_one_in_it_or_not_there(log: Path, tmp_path: Path) -> None:
    kit = unpacked(make_kit(Shard(log), 300), tmp_path)
    whole = (kit / "checkpoint").read_bytes()
    for other in (b"", whole[:-1], whole + b"\n", whole.replace(b"700", b"701", 1)):
        (kit / "checkpoint").write_bytes(other)
        assert verify(kit)[0] == 1
    (kit / "checkpoint").write_bytes(whole)
    assert verify(kit)[0] == 0
    (kit / "checkpoint").unlink()
    assert verify(kit)[0] == 0


def test_a_damaged_archive_is_not_proven_and_ends_in_no_traceback(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, kit = make_kit(Shard(log), 300), tmp_path / "kit.zip"
    monkeypatch.setattr(sys, "argv", ["verify.py", str(kit), "--json"])
    for place in range(0, len(whole), 61):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        kit.write_bytes(damaged)
        kit_verifier.main()  # where it is padding, or of verify.py itself, it may be proven
        answer = json.loads(capsys.readouterr().out)
        assert answer["ok"] is False or answer["record"] == json.loads(records(300, 1)[0])


@pytest.mark.parametrize("record", [b"[" * 100_000, b'{"body":7}', b"[]", b"\xff"])
def test_a_record_that_is_none_is_not_proven_and_ends_in_no_traceback(
    record: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the keys of a log can sign anything."""
    keys = "".join(f"{key.vkey}\n" for key in SIGNER.keys).encode()
    files = {"record.json": record, "keys": keys}
    note = SIGNER.sign(1, leaf_hash(record), NOW_S)
    files["record.tlog-proof"] = b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + note
    kit = tmp_path / "kit"
    kit.mkdir()
    for name, data in files.items():
        (kit / name).write_bytes(data)
    monkeypatch.setattr(sys, "argv", ["verify.py", str(kit), "--json"])
    assert kit_verifier.main() == 1
    assert "not in this log" not in json.loads(capsys.readouterr().out)["error"]


def test_names_that_somebody_has_chosen_move_no_cursor() -> None:
    assert kit_verifier.plain("gw1/0001\x1b[2Jx\u202e\n") == r"gw1/0001\x1b[2Jx\u202e\n"


def test_what_is_not_signed_yet_or_not_whole_is_not_proven(log: Path, tmp_path: Path) -> None:
    with pytest.raises(NotProvable, match="not under a checkpoint"):
        make_kit(Shard(log), 700)
    grown_shard(tmp_path, 300)
    bundle = tmp_path / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"n":7,', b'"n":8,'))
    with pytest.raises(NotProvable, match="audit verify"):
        make_kit(Shard(tmp_path), 7)
    assert make_kit(Shard(tmp_path), 8)


def test_a_witness_in_the_checkpoint_is_checked_if_its_key_is_there(log: Path) -> None:
    checkpoint = (log / "checkpoint").read_bytes()
    line = WITNESS.cosign(Checkpoint.parse(checkpoint.decode().partition("\n\n")[0] + "\n"), NOW_S).line
    keys = [kit_verifier.parse_vkey(key.vkey) for key in (*SIGNER.keys, WITNESS.key)]
    signed = kit_verifier.check_checkpoint(checkpoint.decode() + line, keys)[3]
    assert signed == [SIGNER.origin, WITNESS.key.name]
    name, _, blob = line.rstrip("\n").rpartition(" ")
    raw = bytearray(base64.b64decode(blob))
    raw[40] ^= 1
    with pytest.raises(ValueError, match="is wrong"):
        kit_verifier.check_checkpoint(f"{checkpoint.decode()}{name} {base64.b64encode(raw).decode()}\n", keys)


class TestDisclosure:
    """Two messages; the text of one is shown to somebody."""

    TEXTS = (b'[2,"1","DataTransfer",{"vendorId":"A"}]', b'[2,"2","DataTransfer",{"vendorId":"B"}]')

    @pytest.fixture
    def kept(self, tmp_path: Path) -> list[Disclosed]:
        payloads = PayloadStore(tmp_path / "payload", tmp_path / "keys")
        commits = [payloads.add("2026-11-28", text) for text in self.TEXTS]
        payloads.flush()
        batch = [b'{"body":{"commit":"%s","day":"2026-11-28"},"n":1}' % each.encode() for each in commits]
        writer, _ = opened(tmp_path / "0001")
        writer.commit([*batch, b'{"n":2}'])
        writer.grow([*batch, b'{"n":2}'])
        writer.publish(NOW_S)
        return [payloads.of("2026-11-28").disclosed(each) for each in commits]

    def files(self, place: Path, index: int, disclosed: Disclosed | None) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(make_kit(Shard(place / "0001"), index, disclosed))) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def test_the_text_is_proven_and_the_other_one_stays_hidden(self, tmp_path: Path, kept: list[Disclosed]) -> None:
        kit = unpacked(make_kit(Shard(tmp_path / "0001"), 0, kept[0]), tmp_path / "kit")
        code, result = verify(kit)
        assert (code, result["text"]) == (0, self.TEXTS[0].decode())
        assert any("asterisks" in each for each in result["not_proven"])
        # As anybody may check it: the words of the README, and openssl.
        salted = (kit / "text.salt").read_bytes() + (kit / "text").read_bytes()
        done = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=salted, capture_output=True, check=True)
        assert done.stdout.split()[0].decode() == result["record"]["body"]["commit"]
        everything = b"".join(path.read_bytes() for path in kit.iterdir())
        assert self.TEXTS[1] not in everything
        assert kept[1].salt not in everything

    def test_without_it_nothing_of_it_is_in_the_kit(self, tmp_path: Path, kept: list[Disclosed]) -> None:
        files = self.files(tmp_path, 0, None)
        assert not any(kept[0].salt in data or kept[0].text in data for data in files.values())
        result = kit_verifier.check(files, None)
        assert result["text"] is None
        assert any("not disclosed" in each for each in result["not_proven"])
        # A record that commits to nothing leaves nothing unsaid.
        assert "disclosed" not in str(kit_verifier.check(self.files(tmp_path, 2, None), None)["not_proven"])

    def test_no_bit_of_text_or_salt_can_be_changed(self, tmp_path: Path, kept: list[Disclosed]) -> None:
        files = self.files(tmp_path, 0, kept[0])
        for name in ("text", "text.salt"):
            for place in range(len(files[name])):
                changed = bytearray(files[name])
                changed[place] ^= 1 << place % 8
                with pytest.raises(ValueError, match="not what the record commits to"):
                    kit_verifier.check({**files, name: bytes(changed)}, None)

    @pytest.mark.parametrize("moved", [-1, 1, 20])
    def test_the_salt_cannot_take_a_part_of_the_text(self, tmp_path: Path, kept: list[Disclosed], moved: int) -> None:
        """Salt and text put together are the same bytes then."""
        whole, files = kept[0].salt + kept[0].text, self.files(tmp_path, 0, kept[0])
        files |= {"text.salt": whole[: 32 + moved], "text": whole[32 + moved :]}
        assert hashlib.sha256(files["text.salt"] + files["text"]).hexdigest() in files["record.json"].decode()
        with pytest.raises(ValueError, match="not what the record commits to"):
            kit_verifier.check(files, None)

    @pytest.mark.parametrize("left", ["text", "text.salt"])
    def test_half_of_a_disclosure_is_none(self, tmp_path: Path, kept: list[Disclosed], left: str) -> None:
        files = self.files(tmp_path, 0, kept[0])
        del files[left]
        with pytest.raises(ValueError, match="without its"):
            kit_verifier.check(files, None)

    @pytest.mark.parametrize("index", [1, 2])
    def test_the_text_of_another_record_is_refused(self, tmp_path: Path, kept: list[Disclosed], index: int) -> None:
        with pytest.raises(ValueError, match="not what the record commits to"):
            kit_verifier.check(self.files(tmp_path, index, kept[0]), None)


class TestEd25519:
    @pytest.mark.parametrize(
        ("public", "message", "signature"),
        [
            # RFC 8032, section 7.1, tests 1 to 3.
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "af82",
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ],
    )
    def test_vectors_of_rfc_8032(self, public: str, message: str, signature: str) -> None:
        key, text, signed = map(bytes.fromhex, (public, message, signature))
        assert kit_verifier.ed25519_holds(key, text, signed)
        assert not kit_verifier.ed25519_holds(key, text + b"x", signed)

    @settings(max_examples=25, deadline=None)
    @given(st.binary(max_size=200), st.integers(0, 511))
    def test_it_agrees_with_openssl(self, message: bytes, bit: int) -> None:
        key = Ed25519PrivateKey.generate()
        public, signature = key.public_key().public_bytes_raw(), key.sign(message)
        assert kit_verifier.ed25519_holds(public, message, signature)
        bent = bytearray(signature)
        bent[bit // 8] ^= 1 << bit % 8
        assert not kit_verifier.ed25519_holds(public, message, bytes(bent))

    def test_a_scalar_that_is_too_large_is_not_reduced(self) -> None:
        key = Ed25519PrivateKey.generate()
        signature = key.sign(b"x")
        larger = int.from_bytes(signature[32:], "little") + kit_verifier.L
        bent = signature[:32] + larger.to_bytes(32, "little")
        assert not kit_verifier.ed25519_holds(key.public_key().public_bytes_raw(), b"x", bent)

    @pytest.mark.parametrize(("public", "signature"), [(b"", bytes(64)), (bytes(32), b""), (b"\xff" * 32, bytes(64))])
    def test_what_is_no_key_or_no_signature(self, public: bytes, signature: bytes) -> None:
        assert not kit_verifier.ed25519_holds(public, b"", signature)
