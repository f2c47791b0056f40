"""The auditor kit: one record, its proof, the checkpoint, the keys, and a verifier that needs nothing of ours."""

import io
import zipfile
from pathlib import Path
from typing import Final

from gateway.audit.checkpoint import SignatureInvalid, verify_checkpoint
from gateway.audit.note import NoteInvalid
from gateway.audit.proof_file import ProofFile
from gateway.audit.tiles import BundleInvalid, TileNodes
from gateway.audit.tree import ProofInvalid, inclusion_proof, leaf_hash, verify_inclusion
from gateway.control.trail.layout import Shard, read_file
from gateway.control.trail.payloads import Disclosed
from gateway.control.trail.reader import RecordMissing, ShardReader

__all__ = ["NotProvable", "make_kit", "prove"]

_README: Final = """\
One record of an audit log, and the proof that it is in there.

record.json        the record, byte for byte as it was hashed
record.tlog-proof  c2sp.org/tlog-proof@v1: index, inclusion proof (RFC 6962) and the signed head of the log
checkpoint         that head once more (c2sp.org/tlog-checkpoint)
keys               the public keys of the log, one a line (c2sp.org/signed-note)
verify.py          checks all of it: python3 verify.py        (Python 3.8 or newer, nothing else)
text, text.salt    the text of the message and its salt, if it was disclosed to you: SHA-256 over salt and text (cat
                   text.salt text | sha256sum) is body.commit of the record

Compare the keys with those that the operator of the log published earlier, or with those in a checkpoint that somebody
kept who does not administer the gateway. verify.py checks the Ed25519 signature; the ML-DSA-44 signature beside it
needs other software, e.g. ocpp-gateway audit verify.
"""
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)
"""Of all files in the archive: the same record gives the same kit."""


class NotProvable(Exception):  # noqa: N818  a state
    """The record is not under a checkpoint, or the log is not whole around it."""


def prove(shard: Shard, index: int) -> tuple[bytes, ProofFile]:
    """A record and its proof, verified. Raises NotProvable."""
    try:
        note = read_file(shard.checkpoint)
        head = verify_checkpoint(note, shard.read_keys()).checkpoint
        if index >= head.size:
            raise NotProvable(f"Record {index} is not under a checkpoint yet; there are {head.size}.")
        record = ShardReader(shard).record(index)
        hashes = inclusion_proof(TileNodes(shard.read_tile, head.size), index, head.size)
        verify_inclusion(leaf_hash(record), index, head.size, hashes, head.root)
    except (OSError, NoteInvalid, SignatureInvalid, BundleInvalid, ProofInvalid, RecordMissing) as error:
        raise NotProvable(
            f"The log does not prove record {index}: {error}. Run 'ocpp-gateway audit verify'."
        ) from error
    return record, ProofFile(index, tuple(hashes), note)


def make_kit(shard: Shard, index: int, disclosed: Disclosed | None = None) -> bytes:
    """The kit as a zip file; without `disclosed` the text of the message stays hidden. Raises NotProvable, OSError."""
    record, proof = prove(shard, index)
    files = {
        "README.txt": _README.encode(),
        "record.json": record,
        "record.tlog-proof": proof.encode(),
        "checkpoint": proof.checkpoint,
        "keys": read_file(shard.keys),
        "verify.py": (Path(__file__).parent / "kit_verifier.py").read_bytes(),
    }
    if disclosed is not None:
        files |= {"text": disclosed.text, "text.salt": disclosed.salt}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as kit:
        for name, data in files.items():
            kit.writestr(zipfile.ZipInfo(name, _MOMENT), data, zipfile.ZIP_DEFLATED)
    return archive.getvalue()
