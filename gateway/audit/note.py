"""Signed notes (c2sp.org/signed-note): a text, and lines that say which keys have signed it.

Only the format is here, strictly: a note has exactly one spelling, so that no bit of a stored one can change unseen.
"""

import base64
import binascii
import hashlib
import re
from typing import Final, Literal

import msgspec

__all__ = [
    "ED25519",
    "ED25519_COSIGNATURE",
    "ML_DSA_44_COSIGNATURE",
    "Note",
    "NoteInvalid",
    "NoteSignature",
    "VerifierKey",
    "from_base64",
    "parse_note",
    "parse_signature_lines",
    "parse_vkey",
    "to_base64",
]

ED25519: Final = 0x01
ED25519_COSIGNATURE: Final = 0x04
ML_DSA_44_COSIGNATURE: Final = 0x06
Algorithm = Literal[0x01, 0x04, 0x06]
_PUBLIC_BYTES: Final = {ED25519: 32, ED25519_COSIGNATURE: 32, ML_DSA_44_COSIGNATURE: 1312}
_MAX_NOTE_BYTES: Final = 1 << 20
_MAX_SIGNATURES: Final = 64
_KEY_ID_BYTES: Final = 4
_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})\n")
_VKEY: Final = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class NoteInvalid(Exception):  # noqa: N818  a verdict
    """Bytes that are no signed note, or a key that is none."""


class NoteSignature(msgspec.Struct, frozen=True):
    """One signature line."""

    name: str
    key_id: bytes
    """Four bytes; with the name it identifies the key."""
    data: bytes

    @property
    def line(self) -> str:
        """The line, with its line break."""
        return f"— {self.name} {to_base64(self.key_id + self.data)}\n"


class Note(msgspec.Struct, frozen=True):
    """A text and its signatures, none of them verified yet."""

    text: str
    """Ends in a line break."""
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The note as a file."""
        return (self.text + "\n" + "".join(each.line for each in self.signatures)).encode()


class VerifierKey(msgspec.Struct, frozen=True):
    """The public half of a key that signs notes."""

    name: str
    """Who it belongs to: a URL without scheme."""
    algorithm: Algorithm
    public: bytes
    """32 bytes of Ed25519, 1312 of ML-DSA-44."""

    @property
    def key_id(self) -> bytes:
        """First four bytes of the hash over name, algorithm and key."""
        head = self.name.encode() + b"\n" + bytes([self.algorithm])
        return hashlib.sha256(head + self.public).digest()[:_KEY_ID_BYTES]

    @property
    def vkey(self) -> str:
        """One line that holds the key, as other tools read it."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.algorithm]) + self.public)}"


def to_base64(data: bytes) -> str:
    """Standard Base 64 (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """The bytes, of the one spelling they have. Raises NoteInvalid: unused bits must not carry anything either."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteInvalid("not Base 64") from error
    if to_base64(data) != text:
        raise NoteInvalid("Base 64 in another spelling than the one there is")
    return data


def parse_note(data: bytes) -> Note:
    """A note from a file. Raises NoteInvalid."""
    if len(data) > _MAX_NOTE_BYTES:
        raise NoteInvalid("too large for a note")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteInvalid("not UTF-8") from error
    if any(each < " " and each != "\n" for each in text):
        raise NoteInvalid("a control character")
    body, blank, lines = text.rpartition("\n\n")
    if not blank or not body:
        raise NoteInvalid("no empty line between text and signatures")
    return Note(body + "\n", parse_signature_lines(lines))


def parse_signature_lines(lines: str) -> tuple[NoteSignature, ...]:
    """One or more signature lines, each ended by a line break. Raises NoteInvalid."""
    found = []
    for line in lines.splitlines(keepends=True):
        match = _LINE.fullmatch(line)
        if match is None:
            raise NoteInvalid("a line that is no signature")
        raw = from_base64(match[2])
        if len(raw) <= _KEY_ID_BYTES:
            raise NoteInvalid("a signature without content")
        found.append(NoteSignature(match[1], raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:]))
    if not 0 < len(found) <= _MAX_SIGNATURES:
        raise NoteInvalid(f"{len(found)} signatures")
    return tuple(found)


def parse_vkey(text: str) -> VerifierKey:
    """A key from its line. Raises NoteInvalid."""
    match = _VKEY.fullmatch(text)
    if match is None:
        raise NoteInvalid("not a verifier key: NAME+HASH+KEY")
    raw = from_base64(match[3])
    if len(raw) - 1 != _PUBLIC_BYTES.get(raw[0]):
        raise NoteInvalid("a verifier key of an unknown kind or length")
    key = VerifierKey(match[1], raw[0], raw[1:])  # type: ignore[arg-type]
    if key.key_id.hex() != match[2]:
        raise NoteInvalid("a verifier key whose hash is not its own")
    return key
