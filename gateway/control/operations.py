"""HTTP for operators: health, readiness and metrics on loopback; status on a Unix socket only the gateway's user can open."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from gateway.config.model import LARGEST_MESSAGE_BYTES
from gateway.control.own_calls import CallAnswer, CallRefused
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

    async def call(self, charge_point_id: str, action: str, payload: Any, timeout_s: float) -> CallAnswer:
        """Ask a charge point in the gateway's own name. Raises CallRefused."""

    async def renew(self, charge_point_id: str) -> str:
        """Let a charge point ask for a new certificate. Empty, or why that cannot be. Raises StoreError."""


class _RenewRequest(msgspec.Struct, frozen=True):
    charge_point_id: str


class _CallRequest(msgspec.Struct, frozen=True):
    charge_point_id: str
    action: str
    payload: dict[str, Any]
    timeout_s: float = 30.0


class Operations:
    """Runs both sites."""

    def __init__(self, source: StatusSource) -> None:
        self._source = source
        self._runners: list[web.AppRunner] = []

    async def start(self, address: str, socket_path: Path) -> None:
        """Serve. Raises OSError if the address is taken."""
        host, _, port = address.rpartition(":")
        public = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        await self._serve(public, lambda runner: web.TCPSite(runner, host.strip("[]"), int(port)))
        await asyncio.to_thread(socket_path.unlink, missing_ok=True)
        private = [web.get("/status", self._status), web.post("/call", self._call), web.post("/renew", self._renew)]
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

    async def _call(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=_CallRequest)
            answer = await self._source.call(asked.charge_point_id, asked.action, asked.payload, asked.timeout_s)
        except (msgspec.MsgspecError, ValueError) as error:
            return web.json_response({"refused": f"not a request: {error}"}, status=400)
        except RecursionError:
            return web.json_response({"refused": "not a request: nested too deeply"}, status=400)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response({"refused": f"it is longer than {_MAX_REQUEST_BYTES} bytes"}, status=413)
        except CallRefused as refused:
            return web.json_response({"refused": str(refused)}, status=404 if refused.is_gone else 400)
        return web.json_response(msgspec.to_builtins(answer))

    async def _renew(self, request: web.Request) -> web.Response:
        try:
            asked = msgspec.json.decode(await request.read(), type=_RenewRequest)
            refused = await self._source.renew(asked.charge_point_id)
        except (msgspec.MsgspecError, ValueError) as error:
            return web.json_response({"refused": f"not a request: {error}"}, status=400)
        except StoreError as error:
            return web.json_response({"refused": str(error)}, status=503)
        return web.json_response({"refused": refused}, status=400 if refused else 200)
