"""Demo charge points on the `ocpp` and `websockets` packages: boot, heartbeat, a whole transaction, answers to the CSMS."""

import asyncio
import base64
import datetime
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
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
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateway.demo.cast import Actor
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["Endpoints", "Progress", "client_context", "run_charge_point"]

_METER_VALUES = 3
_ANSWER_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the gateway listens, and what the charge points trust."""

    plain: str
    tls: str
    certificates: Path
    ca_root: Path
    """Of the CA that gives charge points their certificates over OCPP."""


@dataclass(slots=True)
class Progress:
    """What one charge point has done so far; the view shows it."""

    state: str = "waiting"
    admitted: bool = False
    messages: int = 0
    transaction_completed: bool = False
    csms_call_answered: bool = False
    transactions: int = 0
    error: str = ""
    changed: Callable[[], None] = field(default=lambda: None, repr=False)

    def step(self, state: str) -> None:
        """One more message exchanged, now in `state`."""
        self.state = state
        self.messages += 1
        self.changed()


def client_context(certificates: Path, certificate: str = "") -> ssl.SSLContext:
    """TLS of a charge point: trusts the development root, shows its certificate if it has one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(certificates / "root.pem")
    if certificate:
        context.load_cert_chain(certificates / f"{certificate}.pem", certificates / f"{certificate}.key")
    return context


def basic(identity: str, password: str) -> dict[str, str]:
    """An Authorization header."""
    return {"Authorization": "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


class _Client16(ChargePoint16):  # type: ignore[misc]
    asked: asyncio.Event

    @on("GetConfiguration")  # type: ignore[untyped-decorator]
    def get_configuration(self, **_: Any) -> Any:
        self.asked.set()
        return result_16.GetConfiguration(
            configuration_key=[{"key": "HeartbeatInterval", "readonly": False, "value": "60"}]
        )


_ANSWER = [
    {
        "attributeStatus": "Accepted",
        "attributeValue": "60",
        "component": {"name": "OCPPCommCtrlr"},
        "variable": {"name": "HeartbeatInterval"},
    }
]


class _Client201(ChargePoint201):  # type: ignore[misc]
    asked: asyncio.Event

    @on("GetVariables")  # type: ignore[untyped-decorator]
    def get_variables(self, **_: Any) -> Any:
        self.asked.set()
        return result_201.GetVariables(get_variable_result=_ANSWER)


class _Client21(ChargePoint21):  # type: ignore[misc]
    asked: asyncio.Event

    @on("GetVariables")  # type: ignore[untyped-decorator]
    def get_variables(self, **_: Any) -> Any:
        self.asked.set()
        return result_21.GetVariables(get_variable_result=_ANSWER)


_CLIENTS: dict[OCPPVersion, Any] = {
    OCPPVersion.V1_6: _Client16,
    OCPPVersion.V2_0_1: _Client201,
    OCPPVersion.V2_1: _Client21,
}


async def run_charge_point(
    actor: Actor, password: str, endpoints: Endpoints, progress: Progress, *, rounds: int
) -> None:
    """One connection with `rounds` transactions (0: until cancelled). Raises what the libraries raise."""
    tls = actor.security_profile > 1
    url = f"{endpoints.tls if tls else endpoints.plain}/{actor.id}"
    progress.state = "connecting"
    async with connect(
        url,
        subprotocols=[Subprotocol(actor.version.subprotocol)],
        ssl=client_context(endpoints.certificates, actor.certificate) if tls else None,
        additional_headers=None if actor.certificate else basic(actor.id, password),
        open_timeout=15,
    ) as connection:
        progress.admitted = True
        await _live(actor, connection, progress, rounds)


async def _live(actor: Actor, connection: ClientConnection, progress: Progress, rounds: int) -> None:
    client = _CLIENTS[actor.version](actor.id, connection)
    client.asked = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        receiving = group.create_task(client.start())
        try:
            await _boot(actor, client, progress)
            while True:
                await (
                    _transaction_16(client, progress)
                    if actor.version is OCPPVersion.V1_6
                    else _transaction_2x(actor, client, progress)
                )
                progress.transaction_completed = True
                progress.transactions += 1
                async with asyncio.timeout(_ANSWER_WAIT_S):
                    await client.asked.wait()
                # The answer leaves behind the handler that noticed the question; one more exchange sees it off.
                await client.call(_heartbeat(actor), suppress=False)
                progress.csms_call_answered = True
                progress.step("idle")
                if rounds and progress.transactions >= rounds:
                    break
                await asyncio.sleep(2.0)
        finally:
            receiving.cancel()
    progress.state = "done"


def _heartbeat(actor: Actor) -> Any:
    calls: Any = {OCPPVersion.V1_6: call_16, OCPPVersion.V2_0_1: call_201, OCPPVersion.V2_1: call_21}[actor.version]
    return calls.Heartbeat()


async def _boot(actor: Actor, client: Any, progress: Progress) -> None:
    if actor.version is OCPPVersion.V1_6:
        boot: Any = call_16.BootNotification("Demo", "Demo Vendor", charge_point_serial_number=actor.serial_number)
    else:
        calls: Any = call_201 if actor.version is OCPPVersion.V2_0_1 else call_21
        station = {"model": "Demo", "vendorName": "Demo Vendor", "serialNumber": actor.serial_number}
        boot = calls.BootNotification(charging_station=station, reason="PowerUp")
    answer = await client.call(boot, suppress=False)
    if answer.status != "Accepted":
        raise RuntimeError(f"BootNotification {answer.status}")
    progress.step("booted")
    await client.call(_heartbeat(actor), suppress=False)
    progress.step("heartbeat")


async def _transaction_16(client: Any, progress: Progress) -> None:
    await client.call(call_16.StatusNotification(1, "NoError", "Preparing"), suppress=False)
    progress.step("plugged in")
    started = await client.call(call_16.StartTransaction(1, "DEMO-TAG", 1000, _now()), suppress=False)
    progress.step("charging")
    for number in range(_METER_VALUES):
        value = {"value": str(1000 + 100 * number), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        sample = {"timestamp": _now(), "sampledValue": [value]}
        await client.call(call_16.MeterValues(1, [sample], started.transaction_id), suppress=False)
        progress.step("charging")
    await client.call(call_16.StopTransaction(1300, _now(), started.transaction_id), suppress=False)
    progress.step("charged")


async def _transaction_2x(actor: Actor, client: Any, progress: Progress) -> None:
    calls: Any = call_201 if actor.version is OCPPVersion.V2_0_1 else call_21
    transaction = {"transactionId": f"{actor.id}-{progress.transactions}"}
    steps = [
        ("Started", "CablePluggedIn"),
        *[("Updated", "MeterValuePeriodic")] * _METER_VALUES,
        ("Ended", "EVDeparted"),
    ]
    for number, (kind, trigger) in enumerate(steps):
        event = calls.TransactionEvent(
            event_type=kind,
            timestamp=_now(),
            trigger_reason=trigger,
            seq_no=number,
            transaction_info=transaction,
            evse={"id": 1},
            meter_value=[{"timestamp": _now(), "sampledValue": [{"value": 1000.0 + 100 * number}]}],
        )
        await client.call(event, suppress=False)
        progress.step("charged" if kind == "Ended" else "charging")
