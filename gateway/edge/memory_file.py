"""PEM bytes as a file name, for OpenSSL calls that only take files. Nothing touches a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["memory_file"]


@contextmanager
def memory_file(content: bytes) -> Iterator[str]:
    """A path under which `content` can be read while the context is open (memfd_create, Linux)."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
