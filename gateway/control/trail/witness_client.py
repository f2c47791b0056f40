"""Asks a witness to cosign the current checkpoint of a log."""

import http.client
import urllib.error
import urllib.request
from typing import Final

from gateway.audit.checkpoint import SignatureInvalid, verify_checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey
from gateway.audit.tiles import BundleInvalid, TileNodes
from gateway.audit.tree import consistency_proof
from gateway.control.trail.layout import Shard
from gateway.control.trail.witness import request_body

__all__ = ["NotWitnessed", "cosigned_checkpoint"]

_TIMEOUT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 65_536
_CONFLICT: Final = 409


class NotWitnessed(Exception):  # noqa: N818  a state
    """The witness has not signed; the text says why."""


def cosigned_checkpoint(shard: Shard, url: str, witness: VerifierKey) -> bytes:
    """The current checkpoint with the signature of the witness, verified. Raises NotWitnessed.

    `url`: submission prefix of the witness, ``http`` or ``https``.
    """
    try:
        note = shard.checkpoint.read_bytes()
        keys = shard.read_keys()
        if witness in keys:
            raise NotWitnessed("The key given for the witness is the log's own.")
        size = verify_checkpoint(note, keys).checkpoint.size
        status, body = _post(url, request_body(0, [], note))
        if status == _CONFLICT and body.strip().isdigit() and 0 < int(body) <= size:
            old = int(body)
            proof = consistency_proof(TileNodes(shard.read_tile, size), old, size)
            status, body = _post(url, request_body(old, proof, note))
    except (OSError, NoteInvalid, SignatureInvalid, BundleInvalid) as error:
        raise NotWitnessed(f"The log cannot be shown to the witness: {error}.") from error
    if status != 200:  # noqa: PLR2004
        said = body[:200].decode("utf-8", "replace").strip()
        if status == _CONFLICT and said.isdigit():
            said = f"it has seen {said} records of this log, which is another history or an older state of it"
        raise NotWitnessed(f"The witness refuses ({status}): {said}.")
    try:
        cosigned = note + body
        if witness not in verify_checkpoint(cosigned, keys, [witness]).by:
            raise NotWitnessed("The witness has signed with another key than the one given.")
    except (NoteInvalid, SignatureInvalid) as error:
        raise NotWitnessed(f"What the witness sent is no signature: {error}.") from error
    return cosigned


def _post(url: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the answer. Raises NotWitnessed."""
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/add-checkpoint", data=body, method="POST")  # noqa: S310
        if request.type not in {"http", "https"}:
            raise NotWitnessed("A witness has an http or https URL.")
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  checked above
            return answer.status, answer.read(_MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        return error.code, error.read(_MAX_ANSWER_BYTES)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotWitnessed(f"The witness cannot be reached: {error}.") from error
