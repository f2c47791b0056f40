"""The state directory: made if missing, and one running gateway's at a time."""

import errno
import fcntl
import os
from pathlib import Path

__all__ = ["claim_state_dir"]


def claim_state_dir(state_dir: Path) -> int:
    """Make the directories and lock them. The returned descriptor is the lock, which the kernel lifts when we die.

    Without it a second gateway would take the first one's control socket, and with it the first one's edges.
    Raises OSError, with a sentence where another gateway holds the lock.
    """
    run_dir = state_dir / "run"
    for directory in (state_dir, run_dir):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = run_dir / "lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise
        raise OSError(
            errno.EBUSY, f"another gateway (process {holder}) is running with the state directory {state_dir}"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
