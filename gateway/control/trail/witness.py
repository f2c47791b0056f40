"""A witness (c2sp.org/tlog-witness): remembers the newest head it has seen of each log, and signs only what continues it.

It belongs to people who do not administer the gateway. Whoever cuts off or exchanges the gateway's log needs them, too.

A log goes on in shards, each of which is a log of its own to a witness. It follows from one to the next by itself, with
the keys that the last record of a shard names (``add-successor``, which C2SP does not know): after that it signs nothing
more of the shard that has ended, and of the next one only what those keys have signed.
"""

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from gateway.audit.checkpoint import Checkpoint, SignatureInvalid, WitnessSigner, verify_checkpoint
from gateway.audit.note import NoteInvalid, VerifierKey, from_base64, parse_vkey
from gateway.audit.proof_file import ProofFile
from gateway.audit.succession import Closing, closing_of, renamed
from gateway.audit.tree import EMPTY_ROOT, HASH_BYTES, ProofInvalid, leaf_hash, verify_consistency, verify_inclusion
from gateway.control.trail.disk import Disk
from gateway.control.trail.layout import Published
from gateway.control.trail.reader import decoded

__all__ = ["Answer", "Witness", "request_body"]

_MAX_PROOF_LINES: Final = 63


class Answer(msgspec.Struct, frozen=True):
    """What an HTTP server has to answer."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"


class _Refused(Exception):  # noqa: N818  an answer
    def __init__(self, status: int, body: str, content_type: str = "text/plain; charset=utf-8") -> None:
        super().__init__(body)
        self.answer = Answer(status, body, content_type)


def request_body(old_size: int, proof: list[bytes], checkpoint: bytes) -> bytes:
    """What a log sends to ``add-checkpoint``."""
    from gateway.audit.note import to_base64

    lines = [f"old {old_size}", *map(to_base64, proof)]
    return "\n".join(lines).encode() + b"\n\n" + checkpoint


class _Known(msgspec.Struct, frozen=True):
    """A log that another one has handed over to."""

    keys: list[str]


class Witness:
    """One key, any number of logs. One request at a time."""

    def __init__(
        self, signer: WitnessSigner, logs: dict[str, tuple[VerifierKey, ...]], state: Path, disk: Disk
    ) -> None:
        """`logs`: the keys by origin."""
        self._signer = signer
        self._logs = logs
        self._state = state
        self._disk = disk

    def add_checkpoint(self, body: bytes, now_s: int) -> Answer:
        """Answer one request; what is signed was remembered first. Raises OSError."""
        try:
            old_size, proof, note = _parsed(body)
            checkpoint = self._authentic(note)
            self._check_goes_on(checkpoint)
            self._check_continues(old_size, proof, checkpoint)
        except _Refused as refused:
            return refused.answer
        except NoteInvalid as error:
            return Answer(400, f"{error}\n")
        head = Published(checkpoint.size, checkpoint.root)
        self._disk.replace(self._file(checkpoint.origin), msgspec.json.encode(head), durable=True)
        return Answer(200, self._signer.cosign(checkpoint, now_s).line)

    def add_successor(self, body: bytes) -> Answer:
        """Follow a log into its next shard. `body`: the proof of its last record, with the record as ``extra``.

        The head of the proof must be the newest one that was signed. Raises OSError.
        """
        try:
            proof = ProofFile.parse(body)
            checkpoint = self._authentic(proof.checkpoint)
            closing = self._proven_closing(proof, checkpoint)
            self._check_keys(proof.checkpoint, checkpoint, closing)
        except _Refused as refused:
            return refused.answer
        except NoteInvalid as error:
            return Answer(400, f"{error}\n")
        known = _Known([key.vkey for key in closing.keys])
        self._disk.replace(self._file(checkpoint.origin, "end"), msgspec.json.encode(checkpoint.size), durable=True)
        self._disk.replace(self._file(closing.keys[0].name, "log"), msgspec.json.encode(known), durable=True)
        return Answer(200, "")

    def _proven_closing(self, proof: ProofFile, checkpoint: Checkpoint) -> Closing:
        """What the last record says, if it is in the newest tree. Raises _Refused."""
        known = self.newest(checkpoint.origin)
        if (known.size, known.root) != (checkpoint.size, checkpoint.root):
            raise _Refused(409, f"{known.size}\n", "text/x.tlog.size")
        try:
            verify_inclusion(leaf_hash(proof.extra), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
        except ProofInvalid as error:
            raise _Refused(422, f"{error}\n") from error
        closing = closing_of(decoded(proof.extra))
        if closing is None or proof.index != checkpoint.size - 1:
            raise _Refused(422, "that is no last record of a shard\n")
        return closing

    def _check_keys(self, note: bytes, checkpoint: Checkpoint, closing: Closing) -> None:
        """The next keys have signed as well, and no others are known for that shard. Raises _Refused, NoteInvalid."""
        known = self._keys_of(closing.keys[0].name)
        if known and known != closing.keys:
            raise _Refused(403, "that shard is known with other keys\n")
        try:
            verify_checkpoint(note, renamed(closing.keys, checkpoint.origin))
        except SignatureInvalid as error:
            raise _Refused(403, f"the keys that follow have not signed: {error}\n") from error

    def _keys_of(self, origin: str) -> tuple[VerifierKey, ...]:
        """Those given, or those that the shard before has handed over to; none for a log that is not known."""
        if origin in self._logs:
            return self._logs[origin]
        try:
            known = msgspec.json.decode(self._file(origin, "log").read_bytes(), type=_Known)
        except FileNotFoundError:
            return ()
        return tuple(map(parse_vkey, known.keys))

    def _check_goes_on(self, checkpoint: Checkpoint) -> None:
        """A shard that has ended grows no more. Raises _Refused."""
        try:
            end = msgspec.json.decode(self._file(checkpoint.origin, "end").read_bytes(), type=int)
        except FileNotFoundError:
            return
        if checkpoint.size > end:
            raise _Refused(403, f"that log has ended with {end} records\n")

    def _authentic(self, note: bytes) -> Checkpoint:
        """The checkpoint, signed by a log we know. Raises _Refused, NoteInvalid."""
        keys = self._keys_of(note.partition(b"\n")[0].decode("utf-8", "replace"))
        if not keys:
            raise _Refused(404, "this witness does not know that log\n")
        try:
            return verify_checkpoint(note, keys).checkpoint
        except SignatureInvalid as error:
            raise _Refused(403, f"{error}\n") from error

    def _check_continues(self, old_size: int, proof: list[bytes], checkpoint: Checkpoint) -> None:
        """Raises _Refused."""
        if old_size > checkpoint.size:
            raise _Refused(400, "the old size is larger than the new one\n")
        known = self.newest(checkpoint.origin)
        if old_size != known.size:
            raise _Refused(409, f"{known.size}\n", "text/x.tlog.size")
        if old_size == checkpoint.size and known.root != checkpoint.root:
            raise _Refused(409, f"{known.size}\n", "text/x.tlog.size")
        try:
            verify_consistency(known.size, known.root, checkpoint.size, checkpoint.root, proof)
        except ProofInvalid as error:
            raise _Refused(422, f"{error}\n") from error

    def newest(self, origin: str) -> Published:
        """The head signed last; an empty log if none was. Raises OSError, msgspec.MsgspecError."""
        try:
            return msgspec.json.decode(self._file(origin).read_bytes(), type=Published)
        except FileNotFoundError:
            return Published(0, EMPTY_ROOT)

    def _file(self, origin: str, what: str = "head") -> Path:
        return self._state / f"{what}-{hashlib.sha256(origin.encode()).hexdigest()[:32]}"


def _parsed(body: bytes) -> tuple[int, list[bytes], bytes]:
    """Old size, proof, checkpoint. Raises NoteInvalid."""
    head, blank, note = body.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    number = lines[0].removeprefix("old ")
    if not blank or not lines[0].startswith("old ") or not number.isdecimal() or len(number) > 18:  # noqa: PLR2004
        raise NoteInvalid("does not begin with an old size and a proof")
    if str(int(number)) != number or len(lines) - 1 > _MAX_PROOF_LINES:
        raise NoteInvalid("an old size or a proof that cannot be")
    proof = [from_base64(line) for line in lines[1:]]
    if any(len(each) != HASH_BYTES for each in proof):
        raise NoteInvalid("a proof with something else than hashes")
    return int(number), proof, note
