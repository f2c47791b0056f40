"""Stamps for records: which node and run, in which order, and what two clocks said."""

import os
import random
import socket
import time
from collections.abc import Callable

from gateway.audit.event import printable
from gateway.audit.record import Stamp, uuid7

__all__ = ["Stamper", "node_name"]

_MAX_NAME_CHARS = 64
_RANDOM_BYTES = 10


def node_name() -> str:
    """This host, as records and origins name it."""
    return printable(socket.gethostname(), _MAX_NAME_CHARS).replace(" ", "-").replace("+", "-") or "gateway"


class Stamper:
    """Stamps of one worker of this process, numbered without a gap."""

    def __init__(
        self,
        worker: str,
        boot: str,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._worker, self._boot, self._node = worker, boot, node_name()
        self._wall_ns, self._monotonic_ns = wall_ns, monotonic_ns
        self._seq = 0
        # The system's randomness costs more than all the rest of a record.
        self._random = random.Random(os.urandom(32)).randbytes  # noqa: S311  ids are to be different, not secret

    def stamp(self, ts_us: int | None = None) -> Stamp:
        """The next one. `ts_us`: when it happened, if that was not now."""
        now_us = self._wall_ns() // 1000
        self._seq += 1
        return Stamp(
            id=uuid7(now_us // 1000, self._random(_RANDOM_BYTES)),
            ts_us=now_us if ts_us is None else ts_us,
            # Fits in 53 bits for a hundred days of uptime and wraps then; what counts are differences.
            mono_ns=self._monotonic_ns() & (1 << 53) - 1,
            node=self._node,
            boot=self._boot,
            worker=self._worker,
            seq=self._seq,
        )

    def form(self) -> Stamp:
        """What all stamps of this worker have in common; nothing is numbered for it."""
        return Stamp(id="", ts_us=0, mono_ns=0, node=self._node, boot=self._boot, worker=self._worker, seq=0)

    def take_back(self) -> None:
        """The last stamp is on no record; its number is used again, as a missing one means a record taken away."""
        self._seq -= 1
