"""NATS JetStream: each record is a message that a stream has acknowledged. Needs the extra ``nats``."""

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.config.model import Sink
from gateway.config.sinks import nats_target
from gateway.control.sinks.receiver import Lines, NotDelivered, tls_context

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["NATSReceiver"]

_TIMEOUT_S: Final = 20.0


class NATSReceiver:
    """A connection and an event loop of its own, in the thread of its sink.

    `Nats-Msg-Id` is origin and index: a stream that remembers ids drops what was delivered twice.
    """

    def __init__(self, sink: Sink) -> None:
        """Raises OSError for files that cannot be read, and where the extra is not installed."""
        try:
            import nats
        except ImportError as error:
            raise OSError("NATS needs the extra: pip install 'ocpp-gateway[nats]'") from error
        self._nats = nats
        self._server, self._subject, encrypted = nats_target(sink.target)
        self._options: dict[str, Any] = {"tls": tls_context(sink)} if encrypted else {}
        if sink.secret_file:
            self._options["token"] = Path(sink.secret_file).read_text("ascii").strip()
        self._runner = asyncio.Runner()
        self._connection: Client | None = None

    def deliver(self, lines: Lines) -> int:
        try:
            self._runner.run(asyncio.wait_for(self._deliver(lines), _TIMEOUT_S))
        except (OSError, TimeoutError, self._nats.errors.Error) as error:
            self._forget()
            raise NotDelivered(f"NATS {self._server}: {str(error) or type(error).__name__}") from error
        return 0

    async def _deliver(self, lines: Lines) -> None:
        if self._connection is None:
            self._connection = await self._nats.connect(
                self._server, allow_reconnect=False, connect_timeout=5, error_cb=_silent, **self._options
            )
        stream = self._connection.jetstream()
        for where, line in lines:  # one after the other: their order is the order of the log
            await stream.publish(self._subject, line, headers={"Nats-Msg-Id": f"{where.origin}/{where.index}"})

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is broken already
                self._runner.run(asyncio.wait_for(connection.close(), 2.0))

    def close(self) -> None:
        self._forget()
        self._runner.close()


async def _silent(_: Exception) -> None:
    """What goes wrong is raised where it matters as well."""
