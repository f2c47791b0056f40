"""The few file operations that the log is made of.

Everything that must survive goes through here, so that a test can stand in the place of a disk that fails.
"""

import contextlib
import os
from pathlib import Path

__all__ = ["Disk"]

_FILE_MODE = 0o640
_DIRECTORY_MODE = 0o750


class Disk:
    """The real one. Every method raises OSError, and nothing here tries a second time."""

    def open_append(self, path: Path) -> int:
        """A new file for appending. Raises FileExistsError."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, _FILE_MODE)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write some of it; returns how much."""
        return os.write(descriptor, data)

    def truncate(self, descriptor: int, size: int) -> None:
        """Cut off what was written beyond `size`."""
        os.ftruncate(descriptor, size)

    def fdatasync(self, descriptor: int) -> None:
        """Wait until the content is on the disk."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """Let go."""
        os.close(descriptor)

    def write_all(self, descriptor: int, data: bytes) -> None:
        """Write everything."""
        view, done = memoryview(data), 0
        while done < len(data):
            done += self.write(descriptor, view[done:].tobytes() if done else data)

    def replace(self, path: Path, data: bytes, *, durable: bool) -> None:
        """A file appears whole or not at all, in the place of one that may be there. Makes its directories.

        `durable`: on disk when this returns, its name included.
        """
        self.make_directory(path.parent)
        part = path.with_name(f".{path.name}.part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)
        try:
            self.write_all(descriptor, data)
            if durable:
                self.fdatasync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        finally:
            self.close(descriptor)
        part.replace(path)
        if durable:
            self.sync_directory(path.parent)

    def sync_file(self, path: Path) -> None:
        """Wait until a file that was written before is on the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Wait until the names in a directory are on the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_directory(self, path: Path) -> None:
        """With what is above it."""
        path.mkdir(parents=True, exist_ok=True, mode=_DIRECTORY_MODE)

    def remove(self, path: Path) -> None:
        """A file that may be gone already."""
        path.unlink(missing_ok=True)

    def reserve(self, path: Path, size_bytes: int) -> None:
        """Take room on the disk, to be given up when there is none left."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
        try:
            os.posix_fallocate(descriptor, 0, size_bytes)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        """What this user may still write there."""
        found = os.statvfs(path)
        return found.f_bavail * found.f_frsize
