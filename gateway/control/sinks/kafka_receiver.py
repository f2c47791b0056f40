"""Kafka: each record is a message that all replicas in step have. Needs the extra ``kafka``."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from gateway.config.model import Sink
from gateway.config.sinks import kafka_target
from gateway.control.sinks.receiver import Lines, NotDelivered, Rejected, tls_context

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["KafkaReceiver"]

_TIMEOUT_S: Final = 20.0
_REQUEST_MS: Final = 5_000
_CLOSE_S: Final = 2.0


class KafkaReceiver:
    """A producer and an event loop of its own, in the thread of its sink.

    The key of each message is the log's origin, so that all of them are in one partition, in the order of the log; the header
    ``tlog`` is origin and index, by which a repeat is known.
    """

    def __init__(self, sink: Sink) -> None:
        """Raises OSError for files that cannot be read, and where the extra is not installed."""
        try:
            import aiokafka
            import aiokafka.errors
        except ImportError as error:
            raise OSError("Kafka needs the extra: pip install 'ocpp-gateway[kafka]'") from error
        # What goes wrong is raised where it matters as well.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        self._kafka = aiokafka
        self._never = (aiokafka.errors.MessageSizeTooLargeError, aiokafka.errors.RecordListTooLargeError)
        self._brokers, self._topic, encrypted = kafka_target(sink.target)
        self._options: dict[str, Any] = (
            {"security_protocol": "SSL", "ssl_context": tls_context(sink)} if encrypted else {}
        )
        self._runner: asyncio.Runner | None = None
        self._producer: AIOKafkaProducer | None = None

    def deliver(self, lines: Lines) -> int:
        if self._runner is None:
            self._runner = asyncio.Runner()
        try:
            self._runner.run(asyncio.wait_for(self._deliver(lines), _TIMEOUT_S))
        except self._never as error:
            raise Rejected(self._why(error)) from error
        except (OSError, TimeoutError, self._kafka.errors.KafkaError) as error:
            self.close()
            raise NotDelivered(self._why(error)) from error
        return 0

    def _why(self, error: BaseException) -> str:
        return f"Kafka {','.join(self._brokers)}: {str(error) or type(error).__name__}"

    async def _deliver(self, lines: Lines) -> None:
        producer = self._producer or await self._start()
        sent = [
            await producer.send(
                self._topic,
                line,
                key=where.origin.encode(),
                headers=[("tlog", f"{where.origin}/{where.index}".encode())],
            )
            for where, line in lines
        ]
        for error in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error

    async def _start(self) -> "AIOKafkaProducer":
        producer = self._kafka.AIOKafkaProducer(
            bootstrap_servers=self._brokers,
            client_id="ocpp-gateway",
            acks="all",
            request_timeout_ms=_REQUEST_MS,
            **self._options,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer

    def close(self) -> None:
        """What was not acknowledged is given up; it is offered again."""
        producer, self._producer = self._producer, None
        runner, self._runner = self._runner, None
        if runner is not None:
            if producer is not None:
                with contextlib.suppress(Exception):  # it is broken already
                    runner.run(asyncio.wait_for(producer.stop(), _CLOSE_S))
            runner.close()
