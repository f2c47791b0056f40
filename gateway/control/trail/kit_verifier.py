"""Checks one record of an audit log against a signed checkpoint. Needs Python 3.8 or newer and nothing else.

    python3 verify.py [KIT.zip | DIRECTORY] [--key VKEY]

It proves that the record is in the log whose head was signed by the Ed25519 key in ``keys``, and, if the text of the
message was disclosed, that the record commits to it. Compare that key with one that you got from somebody you trust, or
give it with --key. What it does not prove, it says.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import pathlib
import sys
import zipfile
from typing import Any, Dict, List, Tuple

Point = Tuple[int, int, int, int]
Key = Tuple[str, bytes, int, bytes]

# ---------------------------------------------------------------- Ed25519 (RFC 8032, section 5.1)

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def add(p: Point, q: Point) -> Point:
    """Add two points in extended coordinates."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    """`scalar` times `point`."""
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def decode_point(data: bytes) -> Point:
    """A point from 32 bytes. Raises ValueError."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        raise ValueError("not a point")
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (x * x - square) % P or (x == 0 and sign):
        raise ValueError("not a point")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = decode_point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """True if `signature` (64 bytes) of `message` is by the key `public` (32 bytes)."""
    if len(public) != 32 or len(signature) != 64:
        return False
    try:
        key, commitment = decode_point(public), decode_point(signature[:32])
    except ValueError:
        return False
    scalar = int.from_bytes(signature[32:], "little")
    if scalar >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + message).digest()
    left = multiply(scalar, BASE)
    right = add(commitment, multiply(int.from_bytes(digest, "little") % L, key))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# ---------------------------------------------------------------- the Merkle tree (RFC 9162, section 2.1.3.2)


def root_by(leaf: bytes, index: int, size: int, proof: List[bytes]) -> bytes:
    """The root that an inclusion proof leads to. Raises ValueError."""
    if not 0 <= index < size:
        raise ValueError("the log has no such record")
    found, last = leaf, size - 1
    for sibling in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if index & 1 or index == last:
            found = hashlib.sha256(b"\x01" + sibling + found).digest()
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            found = hashlib.sha256(b"\x01" + found + sibling).digest()
        index, last = index >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return found


# ---------------------------------------------------------------- notes, checkpoints and proofs as C2SP spells them


def exact_base64(text: str) -> bytes:
    """Bytes of the one spelling that they have. Raises ValueError."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("Base 64 in another spelling")
    return data


def parse_vkey(line: str) -> Key:
    """(name, key id, algorithm, public key) of a key's line. Raises ValueError."""
    name, key_id, rest = line.strip().split("+", 2)
    material = exact_base64(rest)
    if hashlib.sha256(name.encode() + b"\n" + material).digest()[:4].hex() != key_id:
        raise ValueError("a key whose hash is not its own")
    return name, bytes.fromhex(key_id), material[0], material[1:]


def check_checkpoint(note: str, keys: List[Key]) -> Tuple[str, int, bytes, List[str], List[str]]:
    """(origin, size, root, what signed it, what was not checked). Raises ValueError if no log key has signed."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    origin, size, root, end = text.split("\n")
    if end or str(int(size)) != size:
        raise ValueError("not a checkpoint")
    signed: List[Tuple[str, int]] = []
    unchecked: List[str] = []
    for line in lines.splitlines():
        dash, name, blob = line.split(" ")
        raw = exact_base64(blob)
        if dash != "\u2014" or len(raw) < 5:
            raise ValueError("a line that is no signature")
        known = [key for key in keys if key[0] == name and key[1] == raw[:4]]
        if not known:
            unchecked.append("a signature of %s, whose key is not in this kit" % name)
            continue
        algorithm, public, signature = known[0][2], known[0][3], raw[4:]
        if algorithm == 0x06:
            unchecked.append("the ML-DSA-44 signature of %s: it needs other software" % name)
            continue
        message = text.encode()
        if algorithm == 0x04:
            seconds = int.from_bytes(signature[:8], "big")
            message, signature = ("cosignature/v1\ntime %d\n" % seconds).encode() + message, signature[8:]
        if not ed25519_holds(public, message, signature):
            raise ValueError("the signature of %s is wrong" % name)
        signed.append((name, algorithm))
    if (origin, 0x01) not in signed:
        raise ValueError("the checkpoint is not signed by the log")
    return origin, int(size), exact_base64(root), [name for name, _ in signed], unchecked


def check_text(files: Dict[str, bytes], body: Dict[str, Any], unchecked: List[str]) -> str | None:
    """The text of the message, None if it was not disclosed. Raises ValueError if it is not what the record commits to."""
    if "text" not in files and "text.salt" not in files:
        if "commit" in body:
            unchecked.append("what the message said: its text was not disclosed to you")
        return None
    if "text" not in files or "text.salt" not in files:
        raise ValueError("a text without its salt, or a salt without its text")
    text, salt = files["text"], files["text.salt"]
    # A salt of another length could hold the beginning of the text.
    if len(salt) != 32 or hashlib.sha256(salt + text).hexdigest() != body.get("commit"):
        raise ValueError("the text is not what the record commits to")
    unchecked.append("what stood where the text has asterisks or pseudonyms: the gateway took that out before")
    return text.decode("utf-8")


def check(files: Dict[str, bytes], trusted: List[str] | None) -> Dict[str, Any]:
    """The whole kit; returns what to tell. Raises ValueError, KeyError."""
    proof, _, note = files["record.tlog-proof"].partition(b"\n\n")
    lines = proof.decode("ascii").split("\n")
    if lines.pop(0) != "c2sp.org/tlog-proof@v1":
        raise ValueError("not a proof")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    index_line = lines.pop(0)
    index = int(index_line[len("index ") :])
    if index_line != "index %d" % index:
        raise ValueError("a proof without an index")
    keys = [parse_vkey(line) for line in trusted or files["keys"].decode("ascii").split()]
    origin, size, root, signed, unchecked = check_checkpoint(note.decode(), keys)
    if files.get("checkpoint", note) != note:
        raise ValueError("the file checkpoint is another one than that of the proof")
    leaf = hashlib.sha256(b"\x00" + files["record.json"]).digest()
    if root_by(leaf, index, size, [exact_base64(line) for line in lines]) != root:
        raise ValueError("the record is not in this log")
    if not trusted:
        unchecked.append("whose keys these are: they came with the kit; compare them, or give yours with --key")
    unchecked.append("that what happened was recorded, and recorded completely; that the clock was right")
    record = json.loads(files["record.json"].decode())
    text = check_text(files, record.get("body") or {}, unchecked)
    return {
        "ok": True,
        "origin": origin,
        "index": index,
        "size": size,
        "root": root.hex(),
        "signed_by": signed,
        "record": record,
        "text": text,
        "not_proven": unchecked,
    }


def read_kit(place: pathlib.Path) -> Dict[str, bytes]:
    """Files by name. Raises OSError, zipfile.BadZipFile and what else a damaged archive leads to."""
    names = ("record.json", "record.tlog-proof", "keys")
    others = ("checkpoint", "text", "text.salt")
    if place.is_dir():
        there = [name for name in others if (place / name).exists()]
        return {name: (place / name).read_bytes() for name in (*names, *there)}
    with zipfile.ZipFile(place) as archive:
        there = [name for name in others if name in archive.namelist()]
        return {name: archive.read(name) for name in (*names, *there)}


def plain(text: str) -> str:
    """Nothing that could make a terminal show something else: whoever made the kit has chosen the names in it."""
    return "".join(each if " " <= each <= "~" else ascii(each)[1:-1] for each in text)


def main() -> int:
    """Exit code 0 if everything that can be checked holds, else 1."""
    parser = argparse.ArgumentParser(description="Checks one record of an audit log.")
    parser.add_argument("kit", nargs="?", default=str(pathlib.Path(__file__).resolve().parent))
    parser.add_argument("--key", action="append", metavar="VKEY", help="key of the log that you trust")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        result: Dict[str, Any] = check(read_kit(pathlib.Path(arguments.kit)), arguments.key)
    except Exception as error:  # noqa: BLE001  whatever is in there: nothing but "proven" is a proof
        result = {"ok": False, "error": str(error) or type(error).__name__}
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
    elif not result["ok"]:
        sys.stdout.write("NOT PROVEN: %s\n" % plain(result["error"]))
    else:
        where = (result["index"], result["size"], plain(result["origin"]))
        sys.stdout.write("PROVEN: the record below is number %d of %d in the log %s\n" % where)
        signed = plain(", ".join(result["signed_by"]))
        sys.stdout.write("signed by: %s\n%s\n" % (signed, json.dumps(result["record"], indent=1)))
        if result["text"] is not None:
            sys.stdout.write("PROVEN: the record commits to this text:\n%s\n" % json.dumps(result["text"]))
        for each in result["not_proven"]:
            sys.stdout.write("not proven: %s\n" % plain(each))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
