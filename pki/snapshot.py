"""What a chained file amounts to, kept beside it: whoever opens the file again reads only what was added since.

A cache, and never the truth (docs/decisions/0077). It counts only for a file that begins with exactly the bytes that it was made
of, of which it has the SHA-256; whatever does not fit is as good as none, and then all of the file is read.
"""

import contextlib
import gc
import hashlib
import os
import sys
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from pki.file_modes import verify_only_owner_writes

__all__ = ["Folded", "Snapshot", "give_to_owner", "read_snapshot", "uncollected", "write_snapshot"]

_DIGEST_BYTES: Final = 32
_OFFSET_BYTES: Final = 8


class Folded(Protocol):
    """What records amount to, and how that is written down."""

    @property
    def form(self) -> str:
        """Of what `dump` writes; another release may write something else."""

    def dump(self) -> bytes:
        """All of it; the same for the same records, whether they were read or restored."""

    def restore(self, state: bytes) -> None:
        """What was dumped, in place of nothing. Raises ValueError, and then nothing is restored."""


class Snapshot(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A state, and the beginning of the file that it comes from."""

    form: str
    sequence: int
    """Records in this beginning."""
    digest: bytes
    """Of the last one."""
    size_bytes: int
    sha256: bytes
    """Of the first `size_bytes`."""
    offsets: bytes
    """Where each record begins, 64 bits each, in the order of this machine."""
    state: bytes


_DECODER: "Final[msgspec.msgpack.Decoder[Snapshot]]" = msgspec.msgpack.Decoder(Snapshot)


def read_snapshot(path: Path, form: str) -> Snapshot | None:
    """The one in the file, if it is whole and of this form. Raises Misconfigured if others can write it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        verify_only_owner_writes(path, os.fstat(descriptor))
        try:
            data = file.read()
        except OSError:
            return None
    body = memoryview(data)[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != data[:_DIGEST_BYTES]:
        return None
    try:
        found = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return None
    is_ours = found.form == _full(form) and len(found.offsets) == found.sequence * _OFFSET_BYTES
    return found if is_ours and found.sequence > 0 else None


def write_snapshot(path: Path, form: str, offsets: "array[int]", state: bytes, **place: Any) -> None:
    """The file, whole or as it was before; `place`: sequence, digest, size_bytes, sha256. Raises OSError."""
    body = msgspec.msgpack.encode(Snapshot(form=_full(form), offsets=offsets.tobytes(), state=state, **place))
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            give_to_owner(file.fileno(), path.parent)
            file.write(hashlib.sha256(body).digest())
            file.write(body)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def give_to_owner(descriptor: int, directory: Path) -> None:
    """What root begins belongs to whom the directory belongs: a service that is not root goes on with it."""
    owner = directory.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """While a few hundred thousand objects are made that stay: looking for garbage among them doubles what that costs."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _full(form: str) -> str:
    return f"{sys.byteorder} {form}"
