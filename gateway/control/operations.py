"""HTTP for operators: health, readiness and metrics on loopback; status on a Unix socket only the gateway's user can open."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from gateway.audit.event import Actor
from gateway.config.model import LARGEST_MESSAGE_BYTES
from gateway.control.account_names import AccountNames
from gateway.control.accounts import peer_actor, peer_of
from gateway.control.operator_desk import OperatorDesk
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.store.errors import StoreError

__all__ = ["Operations", "StatusSource"]

_MAX_REQUEST_BYTES: Final = 2 * LARGEST_MESSAGE_BYTES
"""What does not fit max_message_bytes is refused in words."""
_MAX_PUBLIC_REQUEST_BYTES: Final = 1024


class StatusSource(Protocol):
    """What the endpoints show."""

    def is_ready(self) -> bool:
        """True if charge points can be admitted."""

    def metrics(self) -> bytes:
        """Prometheus text."""

    def status(self) -> dict[str, Any]:
        """Everything an operator may ask about this node."""

    def requests(self) -> Sequence[OperatorRequest]:
        """What an operator's command may ask, on the private socket."""


class Operations:
    """Runs both sites."""

    def __init__(self, source: StatusSource, desk: OperatorDesk, names: AccountNames | None = None) -> None:
        """`names`: of the users who ask; those of this machine by default."""
        self._source = source
        self._desk = desk
        self._names = names or AccountNames()
        self._runners: list[web.AppRunner] = []

    async def start(self, address: str, socket_path: Path) -> None:
        """Serve. Raises OSError if the address is taken."""
        host, _, port = address.rpartition(":")
        public = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        await self._serve(public, lambda runner: web.TCPSite(runner, host.strip("[]"), int(port)))
        await asyncio.to_thread(socket_path.unlink, missing_ok=True)
        private = [web.get("/status", self._status), *(self._post(each) for each in self._source.requests())]
        await self._serve(public, lambda runner: web.UnixSite(runner, str(socket_path)), private)
        await asyncio.to_thread(socket_path.chmod, 0o600)

    async def _serve(
        self,
        routes: Mapping[str, Callable[[web.Request], Any]],
        site: Callable[[web.AppRunner], web.BaseSite],
        private: Sequence[web.RouteDef] = (),
    ) -> None:
        max_bytes = _MAX_REQUEST_BYTES if private else _MAX_PUBLIC_REQUEST_BYTES
        application = web.Application(client_max_size=max_bytes)
        application.add_routes([*private, *(web.get(path, handler) for path, handler in routes.items())])
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        await site(runner).start()

    async def stop(self) -> None:
        """Close both sites."""
        for runner in self._runners:
            await runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        ready = self._source.is_ready()
        return web.Response(text="ready\n" if ready else "not ready\n", status=200 if ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._source.metrics(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(self._source.status())

    def _post(self, asked_for: OperatorRequest) -> web.RouteDef:
        async def answered(request: web.Request) -> web.Response:
            try:
                question = msgspec.json.decode(await request.read(), type=asked_for.question)
                answer = await self._desk.answer(asked_for, question, await self._actor(request))
            except (msgspec.MsgspecError, ValueError) as error:
                return _refused(f"not a request: {error}", 400)
            except RecursionError:
                return _refused("not a request: nested too deeply", 400)
            except web.HTTPRequestEntityTooLarge:
                return _refused(f"it is longer than {_MAX_REQUEST_BYTES} bytes", 413)
            except RequestRefused as refused:
                return _refused(str(refused), 404 if refused.is_gone else 400)
            except StoreError as error:
                return _refused(str(error), 503)
            return web.json_response(msgspec.to_builtins(answer))

        return web.post(asked_for.path, answered)

    async def _actor(self, request: web.Request) -> Actor:
        """Who has connected. Raises RequestRefused for a peer that is gone."""
        try:
            peer = peer_of(request.get_extra_info("socket").fileno())
        except (AttributeError, OSError) as error:
            raise RequestRefused("who asks is not known") from error
        names = await self._names.of(peer.uids)
        return peer_actor(peer, request.headers, names.__getitem__)


def _refused(why: str, status: int) -> web.Response:
    return web.json_response({"refused": why}, status=status)
