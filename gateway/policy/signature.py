"""The detached signature of a bundle: a signed note (c2sp.org/signed-note) over its revision, by Ed25519. Pure.

The text that is signed, both lines ended by a line break::

    ocpp-gateway policy bundle v1
    <revision, 64 hexadecimal digits>

The revision is a hash of everything that decides (`gateway.policy.revision`): whoever has signed it has signed every rule, exception,
parameter and mode. Nothing says when: an older bundle that was signed once is a signed bundle.
"""

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.audit.note import ED25519, Note, NoteInvalid, NoteSignature, VerifierKey, parse_note, parse_vkey

__all__ = ["BundleSigner", "SignatureMissing", "parse_bundle_key", "verify_bundle"]

_TITLE = "ocpp-gateway policy bundle v1"


class SignatureMissing(Exception):  # noqa: N818  what is wrong with the bundle
    """No key that counts has signed this bundle."""


class BundleSigner:
    """A key that signs bundles. Shows only its public half."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        """`name`: whose key it is, without blanks and ``+``."""
        self._private = private
        self.key = VerifierKey(name, ED25519, private.public_key().public_bytes_raw())

    def sign(self, revision: str) -> bytes:
        """The signature as a file."""
        text = _text(revision)
        signature = NoteSignature(self.key.name, self.key.key_id, self._private.sign(text.encode()))
        return Note(text, (signature,)).encode()


def _text(revision: str) -> str:
    return f"{_TITLE}\n{revision}\n"


def parse_bundle_key(text: str) -> VerifierKey:
    """A key from its line. Raises NoteInvalid, also for one that is not Ed25519."""
    key = parse_vkey(text)
    if key.algorithm != ED25519:
        raise NoteInvalid("a key of another kind than Ed25519")
    return key


def verify_bundle(signature: bytes, revision: str, keys: Iterable[VerifierKey]) -> VerifierKey:
    """The first key that has signed this revision. Raises SignatureMissing."""
    try:
        note = parse_note(signature)
    except NoteInvalid as error:
        raise SignatureMissing(f"the signature is not to be read: {error}") from error
    known = {(key.name, key.key_id): key for key in keys}
    signed_by = [known[name] for each in note.signatures if (name := (each.name, each.key_id)) in known]
    if not signed_by:
        names = ", ".join(each.name for each in note.signatures)
        raise SignatureMissing(f"signed by {names}, and by none of the configured keys")
    if note.text != _text(revision):
        raise SignatureMissing("the signature is one of another bundle")
    for each in note.signatures:
        key = known.get((each.name, each.key_id))
        if key is not None and _is_good(key, each.data, note.text):
            return key
    raise SignatureMissing(f"the signature of {signed_by[0].name} is wrong")


def _is_good(key: VerifierKey, signature: bytes, text: str) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True
