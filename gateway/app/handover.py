"""Values handed from process to process as sealed memory files: nothing on disk, nothing on a command line.

The supervisor parses the configuration once and hands it to control; control hands back the settings it has put into
force, secrets included, and the supervisor keeps that descriptor, unread, for the next control. So a restarted control
goes on with exactly what was in force, whatever has become of the files since.
"""

import fcntl
import os
from typing import Any, TypeVar

import msgspec

__all__ = ["pack", "unpack"]

_T = TypeVar("_T")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def pack(value: Any) -> int:
    """A descriptor with `value` in it that nobody can change any more. The caller closes it. Raises OSError."""
    descriptor = os.memfd_create("handover", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(msgspec.msgpack.encode(value))
        while view:
            view = view[os.write(descriptor, view) :]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unpack(descriptor: int, kind: type[_T]) -> _T:
    """The value in a descriptor, which is closed. Raises OSError, msgspec.MsgspecError."""
    try:
        # pread: the file position is shared with whoever else holds this memory file.
        return msgspec.msgpack.decode(os.pread(descriptor, os.fstat(descriptor).st_size, 0), type=kind)
    finally:
        os.close(descriptor)
