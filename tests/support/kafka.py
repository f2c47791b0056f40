"""A Kafka broker that nobody here wrote: librdkafka's mock cluster, as Debian ships it; on real sockets, also behind TLS."""

import asyncio
import contextlib
import ctypes
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from typing import Any

__all__ = ["LIBRARY", "Broker", "behind_tls", "broker", "library"]

LIBRARY = "librdkafka.so.1"
_PRODUCE = 0
_RETURN_POINTERS = ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new")


def library() -> Any:
    """Raises OSError where it is not installed."""
    found = ctypes.CDLL(LIBRARY)
    for name in _RETURN_POINTERS:
        getattr(found, name).restype = ctypes.c_void_p
    found.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return found


class Broker:
    """One broker. It makes topics of four partitions for whoever asks."""

    def __init__(self, kafka: Any, cluster: ctypes.c_void_p) -> None:
        self._kafka, self._cluster = kafka, cluster
        self.address = kafka.rd_kafka_mock_cluster_bootstraps(cluster).decode()
        self.port = int(self.address.rpartition(":")[2])

    def answers(self, *errors: int) -> None:
        """The next requests to take messages are refused with these codes of Kafka's."""
        for error in errors:
            self._kafka.rd_kafka_mock_push_request_errors(
                self._cluster, ctypes.c_int16(_PRODUCE), ctypes.c_size_t(1), ctypes.c_int(error)
            )

    def sleeps(self, *, awake: bool) -> None:
        """It ends its connections and takes none, until it is awake again."""
        change = "up" if awake else "down"
        getattr(self._kafka, f"rd_kafka_mock_broker_set_{change}")(self._cluster, ctypes.c_int32(1))

    def messages(self, topic: str) -> list[tuple[str, str, str, bytes]]:
        """Partition, key, headers and value of all there is, as kcat reads it; by partition, in order."""
        form = "%p\t%k\t%h\t%s\n"
        command = ["kcat", "-C", "-b", self.address, "-t", topic, "-e", "-q", "-f", form]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        rows = [line.split(b"\t", 3) for line in done.stdout.splitlines()]
        return [(partition.decode(), key.decode(), headers.decode(), value) for partition, key, headers, value in rows]


@contextlib.contextmanager
def broker() -> Iterator[Broker]:
    """A cluster of one, for as long as the context lasts."""
    kafka, why = library(), ctypes.create_string_buffer(512)
    client = ctypes.c_void_p(
        kafka.rd_kafka_new(0, ctypes.c_void_p(kafka.rd_kafka_conf_new()), why, ctypes.c_size_t(512))
    )
    cluster = ctypes.c_void_p(kafka.rd_kafka_mock_cluster_new(client, 1))
    try:
        yield Broker(kafka, cluster)
    finally:
        kafka.rd_kafka_mock_cluster_destroy(cluster)
        kafka.rd_kafka_destroy(client)


@contextlib.asynccontextmanager
async def behind_tls(made: Broker, context: ssl.SSLContext) -> AsyncIterator[tuple[int, list[Any]]]:
    """A TLS port before a broker, which then says that it is ``localhost`` and this port; and who has come, by certificate."""
    came: list[Any] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("peercert"))
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", made.port)
        named = b"127.0.0.1" + made.port.to_bytes(4), b"localhost" + port.to_bytes(4)
        await asyncio.gather(_pump(reader, inner), _pump(inner_reader, writer, named))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield port, came
    finally:
        server.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, renamed: tuple[bytes, bytes] = (b"", b"")
) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data.replace(*renamed) if renamed[0] else data)
            await writer.drain()
    writer.close()
