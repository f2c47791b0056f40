"""The obvious alternative: a gateway on the plain `websockets` package, with mTLS and the same strict decode. A peer to compare with."""

import argparse
import asyncio
import contextlib
import ssl

import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bench.probe import install
from gateway.ocpp.codec import decode
from gateway.ocpp.vocabulary import OCPPVersion

Connection = ClientConnection | ServerConnection
_OCPP = [Subprotocol("ocpp1.6")]


async def pump(source: Connection, target: Connection) -> None:
    try:
        while True:
            data = await source.recv(decode=False)
            decode(data, OCPPVersion.V1_6)
            await target.send(data, text=True)
    except ConnectionClosed:
        await target.close()


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--up", type=int, required=True)
    parser.add_argument("--certs", required=True)
    parser.add_argument("--no-client-certificates", action="store_true")
    arguments = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{arguments.certs}/server.pem", f"{arguments.certs}/server.key")
    context.load_verify_locations(f"{arguments.certs}/ca.pem")
    context.verify_mode = ssl.CERT_NONE if arguments.no_client_certificates else ssl.CERT_REQUIRED

    async def handler(charge_point: ServerConnection) -> None:
        assert charge_point.request is not None
        url = f"ws://127.0.0.1:{arguments.up}{charge_point.request.path}"
        async with connect(url, compression=None, ping_interval=None, subprotocols=_OCPP) as csms:
            back = asyncio.create_task(pump(csms, charge_point))
            await pump(charge_point, csms)
            back.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await back

    async with serve(
        handler,
        "127.0.0.1",
        arguments.port,
        ssl=context,
        compression=None,
        ping_interval=None,
        subprotocols=_OCPP,
        backlog=4096,
    ):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    install()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
