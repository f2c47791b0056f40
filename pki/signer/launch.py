"""A signer for a while: the one that runs already, or one of our own that ends with us."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pki.errors import Misconfigured, SignerUnavailable
from pki.signer.client import SignerClient
from pki.signer.server import SOCKET_NAME, bind_socket

__all__ = ["signer_for"]

_LONGEST_ADDRESS: Final = 107
"""Bytes in the path of a Unix socket."""


@contextlib.contextmanager
def signer_for(directory: Path, *, whole: bool = False) -> Iterator[SignerClient]:
    """A connection to the signer of this directory. Raises Misconfigured with its words if none can be started.

    `whole`: one that is started reads all of its list, as one that runs already has done.
    """
    running = directory / SOCKET_NAME
    if _answers(running):
        client = SignerClient(running)
        try:
            yield client
        finally:
            client.close()
        return
    with _started(directory, whole=whole) as client:
        yield client


def _answers(path: Path) -> bool:
    if len(os.fsencode(path)) > _LONGEST_ADDRESS:
        return False  # nobody can listen there
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise SignerUnavailable(f"signer at {path}: {error.strerror or error}") from None
    return True


@contextlib.contextmanager
def _started(directory: Path, *, whole: bool) -> Iterator[SignerClient]:
    # A short path of its own: a socket's path may have 107 bytes, and a directory of its own lets nobody else in.
    with tempfile.TemporaryDirectory(prefix="ocpp-signer-") as place:
        path = Path(place) / SOCKET_NAME
        listener, (ours, theirs), (reading, writing) = bind_socket(path), socket.socketpair(), os.pipe()
        inherited = (listener.fileno(), theirs.fileno(), writing)
        # -P: what lies in the working directory must not run beside the keys.
        command = [sys.executable, "-P", "-m", "pki.signer", "--directory", str(directory)]
        command += [] if whole else ["--snapshot"]
        for option, descriptor in zip(("--listen-fd", "--lifeline-fd", "--ready-fd"), inherited, strict=True):
            command += [option, str(descriptor)]
        with ours, subprocess.Popen(command, pass_fds=inherited, stderr=subprocess.PIPE) as process:  # noqa: S603  ourselves
            listener.close()
            theirs.close()
            os.close(writing)
            with os.fdopen(reading, "rb") as ready:
                if ready.readline() != b"ready\n":
                    assert process.stderr is not None
                    said = process.stderr.read().decode(errors="replace").strip()
                    raise Misconfigured(said.removeprefix("signer: ") or "the signer did not start")
            client = SignerClient(path)
            try:
                yield client
            finally:
                client.close()
                ours.close()
                process.wait()
