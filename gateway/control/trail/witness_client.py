"""Asks a witness to cosign the current checkpoint of a log."""

import http.client
import urllib.error
import urllib.request
from typing import Final

from gateway.audit.checkpoint import SignatureInvalid, verify_checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey
from gateway.audit.proof_file import ProofFile
from gateway.audit.succession import successor_of
from gateway.audit.tiles import BundleInvalid, TileNodes
from gateway.audit.tree import consistency_proof
from gateway.control.trail.kit import NotProvable, prove
from gateway.control.trail.layout import Shard, read_file, shards_in
from gateway.control.trail.witness import request_body

__all__ = ["NotWitnessed", "cosigned_checkpoint"]

_TIMEOUT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 65_536
_UNKNOWN: Final = 404
_CONFLICT: Final = 409


class NotWitnessed(Exception):  # noqa: N818  a state
    """The witness has not signed; the text says why."""


def cosigned_checkpoint(shard: Shard, url: str, witness: VerifierKey) -> bytes:
    """The current checkpoint with the signature of the witness, verified. Raises NotWitnessed.

    `url`: submission prefix of the witness, ``http`` or ``https``. One that knows an older shard is led from there.
    """
    try:
        note, keys = read_file(shard.checkpoint), shard.read_keys()
        if witness in keys:
            raise NotWitnessed("The key given for the witness is the log's own.")
        body = _submitted(shard, note, url)
    except (OSError, NoteInvalid, SignatureInvalid, BundleInvalid, NotProvable) as error:
        raise NotWitnessed(f"The log cannot be shown to the witness: {str(error).removesuffix('.')}.") from error
    try:
        cosigned = note + body
        if witness not in verify_checkpoint(cosigned, keys, [witness]).by:
            raise NotWitnessed("The witness has signed with another key than the one given.")
    except (NoteInvalid, SignatureInvalid) as error:
        raise NotWitnessed(f"What the witness sent is no signature: {error}.") from error
    return cosigned


def _submitted(shard: Shard, note: bytes, url: str) -> bytes:
    """The signature line. Raises NotWitnessed, and what reading a log raises."""
    size = verify_checkpoint(note, shard.read_keys()).checkpoint.size
    status, body = _post(url, "add-checkpoint", request_body(0, [], note))
    if status == _UNKNOWN and _introduced(shard, url):
        status, body = _post(url, "add-checkpoint", request_body(0, [], note))
    if status == _CONFLICT and body.strip().isdigit() and 0 < int(body) <= size:
        old = int(body)
        proof = consistency_proof(TileNodes(shard.read_tile, size), old, size)
        status, body = _post(url, "add-checkpoint", request_body(old, proof, note))
    _require(status, body)
    return body


def _introduced(shard: Shard, url: str) -> bool:
    """Lead the witness from the shard before to this one; False if there is none. Raises as `_submitted` does."""
    before = next((each for each in shards_in(shard.directory.parent) if successor_of(each.name) == shard.name), None)
    if before is None:
        return False
    note = read_file(before.checkpoint)
    _submitted(before, note, url)
    proof = _proof_of_the_end(before, note)
    _require(*_post(url, "add-successor", proof.encode()))
    return True


def _proof_of_the_end(shard: Shard, note: bytes) -> ProofFile:
    """Of the last record, with the record itself."""
    if shard.is_pruned:
        record = read_file(shard.ends / "last.json")
        proof = ProofFile.parse(read_file(shard.ends / "last.tlog-proof"))
    else:
        record, proof = prove(shard, verify_checkpoint(note, shard.read_keys()).checkpoint.size - 1)
    return ProofFile(proof.index, proof.hashes, note, record)


def _require(status: int, body: bytes) -> None:
    """Raises NotWitnessed."""
    if status == 200:  # noqa: PLR2004
        return
    said = body[:200].decode("utf-8", "replace").strip()
    if status == _CONFLICT and said.isdigit():
        said = f"it has seen {said} records of this log, which is another history or an older state of it"
    raise NotWitnessed(f"The witness refuses ({status}): {said}.")


def _post(url: str, what: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the answer. Raises NotWitnessed."""
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/{what}", data=body, method="POST")  # noqa: S310
        if request.type not in {"http", "https"}:
            raise NotWitnessed("A witness has an http or https URL.")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  checked above
            return answer.status, answer.read(_MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        return error.code, error.read(_MAX_ANSWER_BYTES)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotWitnessed(f"The witness cannot be reached: {error}.") from error
