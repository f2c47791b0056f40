"""Free TCP ports on loopback, for the demo, the tests and the benchmark."""

import contextlib
import random
import socket
from typing import Final

__all__ = ["free_ports"]

_FIRST: Final = 20_000
_LAST: Final = 32_000
_TRIES: Final = 1_000


def free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on now, and that no living process has been given here.

    They lie below the range from which the kernel takes the source ports of outgoing connections (Linux: 32768 on): a
    port of that range can be somebody's source port by the time a gateway wants to listen on it. Raises OSError if
    there are none.
    """
    chooser = random.SystemRandom()  # processes started at the same time seldom try the same one
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        for _ in range(_TRIES):
            if len(ports) == count:
                return ports
            sock = stack.enter_context(socket.socket())
            port = chooser.randrange(_FIRST, _LAST)
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                _claim(port)
                ports.append(port)
        raise OSError(f"fewer than {count} free ports between {_FIRST} and {_LAST}")


def _claim(port: int) -> None:
    """Take a name that one process can have, until it ends: a port is free for a while before it is listened on.

    Raises OSError if it is taken.
    """
    with socket.socket(socket.AF_UNIX) as claim:
        claim.bind(f"\0ocpp-gateway-port-{port}")
        claim.detach()  # stays open
