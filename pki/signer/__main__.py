"""`python -m pki.signer --directory DIR [--client-user NAME] ...`: the signer as a process of its own.

Without `--listen-fd` it makes a socket. Its own user, root and the client users may ask. When it can sign it writes one line to
`--ready-fd`. It ends on SIGTERM, or when the socket in `--lifeline-fd` is closed at its other end.
"""

import argparse
import ctypes
import os
import pwd
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

from pki.errors import PKIError
from pki.signer.server import SNAPSHOT_NAME, SOCKET_NAME, bind_socket, open_core, serve

__all__ = ["main"]

_UNUSABLE = 2
_PR_SET_DUMPABLE = 4
"""prctl(2)."""


def main(arguments: list[str] | None = None) -> int:
    """Runs until it is told to end; 0 then, 2 if it cannot start."""
    options = _parser().parse_args(arguments)
    directory: Path = options.directory
    _keep_others_out()
    # What is not finished is repeated from the lists: there is nothing to wait for.
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    try:
        core = open_core(directory, whole=not options.snapshot)
        if options.listen_fd is None:
            path = options.socket or directory / SOCKET_NAME
            listener = bind_socket(path, others=bool(options.client_user))
        else:
            listener = socket.socket(fileno=options.listen_fd)
    except PKIError as error:
        print(f"signer: {error}", file=sys.stderr)  # noqa: T201
        return _UNUSABLE
    except OSError as error:
        print(f"signer: {error.filename or directory}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        return _UNUSABLE
    if core.book.has_wrong_snapshot:
        what = f"{directory / SNAPSHOT_NAME} did not say what the list says, and is made anew"
        print(f"signer: {what}: find out who has written it", file=sys.stderr)  # noqa: T201
    if options.lifeline_fd is not None:
        threading.Thread(target=_watch, args=(options.lifeline_fd,), daemon=True).start()
    if options.ready_fd is not None:
        os.write(options.ready_fd, b"ready\n")
        os.close(options.ready_fd)
    serve(listener, core, frozenset(options.client_user))
    return 0


def _keep_others_out() -> None:
    """A core dump would have the keys in it, and so would the memory that a debugger of the same user looks into."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pki.signer", description="Holds issuing keys, and signs.")
    parser.add_argument(
        "--directory", type=Path, required=True, help="issuing CAs, keys, and the list of what was signed"
    )
    parser.add_argument("--socket", type=Path, help="where to be asked; default: DIRECTORY/socket")
    parser.add_argument(
        "--client-user", type=_uid, action="append", default=[], help="a user who may ask; may be repeated"
    )
    parser.add_argument(
        "--snapshot", action="store_true", help="start from the snapshot of the list, without reading all of it"
    )
    parser.add_argument("--listen-fd", type=int, help="a listening Unix socket that is inherited")
    parser.add_argument("--ready-fd", type=int, help="gets a line when the signer can sign")
    parser.add_argument("--lifeline-fd", type=int, help="the signer ends when this is closed at its other end")
    return parser


def _uid(name: str) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"no such user: {name}") from None


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 64):
        pass
    os._exit(0)


def _end(_signal: int, _frame: FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
