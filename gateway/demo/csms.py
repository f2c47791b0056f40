"""A demo CSMS on the `ocpp` and `websockets` packages. Unmodified means: it knows nothing of the gateway and has no security at all."""

import asyncio
import datetime
import logging
from collections.abc import Callable
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call_16
from ocpp.v16 import call_result as result_16
from ocpp.v21 import ChargePoint as ChargePoint21
from ocpp.v21 import call as call_21
from ocpp.v21 import call_result as result_21
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call_201
from ocpp.v201 import call_result as result_201
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

__all__ = ["DemoCSMS"]

_CALL_AFTER_BOOT_S = 0.2
_INTERVAL_S = 60


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class _Session16(ChargePoint16):  # type: ignore[misc]
    """1.6: answers what a charging session needs."""

    next_transaction = 1000

    @on("BootNotification")  # type: ignore[untyped-decorator]
    def boot(self, **_: Any) -> Any:
        return result_16.BootNotification(current_time=_now(), interval=_INTERVAL_S, status="Accepted")

    @on("Heartbeat")  # type: ignore[untyped-decorator]
    def heartbeat(self) -> Any:
        return result_16.Heartbeat(current_time=_now())

    @on("StatusNotification")  # type: ignore[untyped-decorator]
    def status(self, **_: Any) -> Any:
        return result_16.StatusNotification()

    @on("Authorize")  # type: ignore[untyped-decorator]
    def authorize(self, **_: Any) -> Any:
        return result_16.Authorize(id_tag_info={"status": "Accepted"})

    @on("StartTransaction")  # type: ignore[untyped-decorator]
    def start_transaction(self, **_: Any) -> Any:
        _Session16.next_transaction += 1
        return result_16.StartTransaction(
            transaction_id=_Session16.next_transaction, id_tag_info={"status": "Accepted"}
        )

    @on("MeterValues")  # type: ignore[untyped-decorator]
    def meter_values(self, **_: Any) -> Any:
        return result_16.MeterValues()

    @on("StopTransaction")  # type: ignore[untyped-decorator]
    def stop_transaction(self, **_: Any) -> Any:
        return result_16.StopTransaction()

    async def ask(self) -> Any:
        return await self.call(call_16.GetConfiguration(key=["HeartbeatInterval"]))


class _Handlers2x:
    """2.0.1 and 2.1 differ in nothing that the demo uses but the package they come from."""

    results: Any

    @on("BootNotification")  # type: ignore[untyped-decorator]
    def boot(self, **_: Any) -> Any:
        return self.results.BootNotification(current_time=_now(), interval=_INTERVAL_S, status="Accepted")

    @on("Heartbeat")  # type: ignore[untyped-decorator]
    def heartbeat(self, **_: Any) -> Any:
        return self.results.Heartbeat(current_time=_now())

    @on("StatusNotification")  # type: ignore[untyped-decorator]
    def status(self, **_: Any) -> Any:
        return self.results.StatusNotification()

    @on("TransactionEvent")  # type: ignore[untyped-decorator]
    def transaction_event(self, **_: Any) -> Any:
        return self.results.TransactionEvent()

    @on("MeterValues")  # type: ignore[untyped-decorator]
    def meter_values(self, **_: Any) -> Any:
        return self.results.MeterValues()


_VARIABLE = [{"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}]


class _Session201(_Handlers2x, ChargePoint201):  # type: ignore[misc]
    results = result_201

    async def ask(self) -> Any:
        return await self.call(call_201.GetVariables(get_variable_data=_VARIABLE))


class _Session21(_Handlers2x, ChargePoint21):  # type: ignore[misc]
    results = result_21

    async def ask(self) -> Any:
        return await self.call(call_21.GetVariables(get_variable_data=_VARIABLE))


_SESSIONS: dict[str, Callable[[str, ServerConnection], Any]] = {
    "ocpp1.6": _Session16,
    "ocpp2.0.1": _Session201,
    "ocpp2.1": _Session21,
}


class DemoCSMS:
    """Listens on a loopback port of its own. `answered`: identities that answered the CSMS's call."""

    def __init__(self) -> None:
        self.port = 0
        self.answered: set[str] = set()
        self._server: Server | None = None
        logging.getLogger("ocpp").setLevel(logging.CRITICAL)
        logging.getLogger("websockets").setLevel(logging.CRITICAL)

    async def start(self) -> None:
        """Serve on a free port."""
        names = [Subprotocol(name) for name in _SESSIONS]
        self._server = await serve(self._session, "127.0.0.1", 0, subprotocols=names)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Close every session."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _session(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        identity = connection.request.path.rsplit("/", 1)[-1]
        session = _SESSIONS[connection.subprotocol or ""](identity, connection)
        try:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(self._ask(identity, session))
                try:
                    await session.start()
                finally:
                    asking.cancel()
        except* ConnectionClosed:
            pass

    async def _ask(self, identity: str, session: Any) -> None:
        await asyncio.sleep(_CALL_AFTER_BOOT_S)
        if await session.ask() is not None:
            self.answered.add(identity)
