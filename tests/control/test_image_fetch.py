"""Fetching images from real servers on the loopback: what is taken, what is not, and that nobody is sent where he may not go."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from gateway.control.image_fetch import FetchedImage, FetchLimits, ImageUnavailable, fetch_image, shown_url
from tests.support.rig import shared_authority, shared_server
from tests.support.tls_material import Issued

IMAGE = bytes(range(256)) * 1_000
LOOPBACK = ("127.0.0.0/8", "::1/128")
FETCHED = FetchedImage(hashlib.sha256(IMAGE).digest(), len(IMAGE))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def limits(**changes: object) -> FetchLimits:
    return FetchLimits(**{"max_image_bytes": len(IMAGE), "timeout_s": 60.0, "private_hosts": LOOPBACK, **changes})  # type: ignore[arg-type]


async def image(request: web.Request) -> web.StreamResponse:
    del request
    return web.Response(body=IMAGE)


@asynccontextmanager
async def served(handler: Handler = image, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that answers everything in this way."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        port = runner.addresses[0][1]
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def why(address: str, **changes: object) -> str:
    with pytest.raises(ImageUnavailable) as failed:
        await fetch_image(address, limits(**changes))
    return str(failed.value)


async def test_an_image_of_just_the_size_that_it_may_have() -> None:
    heard: list[int] = []
    async with served() as server:
        found = await fetch_image(f"{server}/i.bin", limits(), lambda size, _: heard.append(size))
        assert found == FETCHED
    assert sum(heard) == len(IMAGE)


async def test_one_that_is_longer_than_it_may_be_whether_it_says_so_or_not() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        while True:
            await answer.write(IMAGE)

    async with served() as server:
        assert await why(server, max_image_bytes=len(IMAGE) - 1) == f"more than {len(IMAGE) - 1} bytes"
    async with served(endless) as server:
        assert await why(server) == f"more than {len(IMAGE)} bytes"


async def test_one_that_does_not_come() -> None:
    async def silent(request: web.Request) -> web.StreamResponse:
        del request
        await asyncio.Event().wait()
        raise AssertionError

    async with served(silent) as server:
        assert await why(server, timeout_s=0.2) == "no complete answer within 0.2 s"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert "cannot be reached" in await why(f"http://127.0.0.1:{nobody.getsockname()[1]}/")


async def test_one_that_breaks_off() -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": str(len(IMAGE))})
        await answer.prepare(request)
        await answer.write(IMAGE[:-1])
        assert request.transport is not None
        request.transport.close()
        return answer

    async with served(half) as server:
        assert await why(server) == "the answer broke off"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: web.Response(status=404), "HTTP status 404"),
        (lambda: web.Response(status=206, body=IMAGE[:5]), "HTTP status 206"),
        (lambda: web.Response(body=b""), "an empty answer"),
        (lambda: web.Response(body=IMAGE, headers={"Content-Encoding": "gzip"}), "the server compresses"),
        (lambda: web.Response(status=302, headers={"Location": "ftp://127.0.0.1/"}), "no http or https address"),
    ],
)
async def test_what_is_no_image(answer: Callable[[], web.Response], said: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        del request
        return answer()

    async with served(handler) as server:
        assert (await why(server)).startswith(said)


async def test_a_redirect_is_followed_without_the_password_and_to_the_letter() -> None:
    seen: list[tuple[str, str]] = []

    async def twice(request: web.Request) -> web.StreamResponse:
        seen.append((request.raw_path, request.headers.get("Authorization", "")))
        if request.path == "/i":
            return web.Response(status=307, headers={"Location": "/there%7E?key=%2f"})
        return await image(request)

    async with served(twice) as server:
        assert await fetch_image(server.replace("://", "://user:secret@") + "/i", limits()) == FETCHED
    assert seen[0][1].startswith("Basic ")
    assert seen[1] == ("/there%7E?key=%2f", "")


async def test_redirects_end() -> None:
    async def circle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": request.path})

    async with served(circle) as server:
        assert "more than 3 times" in await why(server)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
async def test_nobody_is_sent_to_what_only_the_gateway_reaches(host: str) -> None:
    reached: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        reached.append(request.path)
        return await image(request)

    async with served(handler) as server:
        port = server.rpartition(":")[2]
        said = await why(f"http://{host}:{port}/", private_hosts=())
        assert "no public address" in said or said == "no address that every program reads alike"
        # The near-miss: the same server, for an operator who has said so.
        assert await fetch_image(f"{server}/wanted", limits()) == FETCHED
    assert reached == ["/wanted"]


async def test_nor_by_a_redirect() -> None:
    """The first hop is allowed by its name, the second one is not: names are judged anew for each."""

    async def away(request: web.Request) -> web.StreamResponse:
        port = request.url.port
        return web.Response(status=302, headers={"Location": f"http://127.0.0.1:{port}/private"})

    async with served(away) as server:
        named = server.replace("127.0.0.1", "localhost")
        assert "127.0.0.1 is no public address" in await why(named, private_hosts=("localhost",))
        assert "more than 3 times" in await why(named, private_hosts=("localhost", "127.0.0.1"))


async def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with served() as server:
        assert await fetch_image(server, limits()) == FETCHED


async def test_tls_is_verified(tmp_path: Path) -> None:
    issued, ca, chain = shared_server("ec"), tmp_path / "ca.pem", tmp_path / "server.pem"
    ca.write_bytes(Issued(shared_authority().root, shared_authority().key).pem)
    chain.write_bytes(issued.pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    async with served(context=context) as server:
        named = server.replace("127.0.0.1", "localhost")
        assert "certificate is not good" in await why(named)
        assert await fetch_image(named, limits(ca=str(ca))) == FETCHED

        async def down(request: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": str(request.url.with_scheme("http"))})

    async with served(down, context) as server:
        assert "from https to http" in await why(server.replace("127.0.0.1", "localhost"), ca=str(ca))


@pytest.mark.parametrize(
    "address", ["", "ftp://h/i", "sftp://h/i", "file:///etc/passwd", "http://", "http://h:x/", "x"]
)
async def test_what_is_no_address(address: str) -> None:
    assert await why(address)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@fw.example:8443/a/i.bin?key=secret#secret", "https://fw.example:8443/a/i.bin"),
        ("https://fw.example/\r\nevil", "https://fw.example/evil"),
        ("http://h:secret/", "an address that cannot be read"),
        ("https://h/" + "x" * 500, "https://h/" + "x" * 150),
    ],
)
def test_what_a_log_shows_of_it(address: str, shown: str) -> None:
    assert shown_url(address) == shown
