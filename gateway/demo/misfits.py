"""The ones that must fail: each tries, must see a refusal, and the gateway must have recorded why."""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from gateway.demo.cast import Misfit
from gateway.demo.charge_point import Endpoints, basic, client_context

__all__ = ["Refused", "run_misfit"]

_EVENT_WAIT_S = 3.0


@dataclass(slots=True)
class Refused:
    """How an attempt ended: what the peer saw, and what the gateway recorded."""

    misfit: Misfit
    seen: str = ""
    stage: str = ""
    reason: str = ""

    @property
    def as_expected(self) -> bool:
        """True if the peer was refused for exactly the expected reason."""
        return bool(self.seen) and self.reason == self.misfit.reason.code


async def _attempt(misfit: Misfit, password: str, endpoints: Endpoints) -> tuple[str, int]:
    """What the peer sees ("" if it got in), and its port, by which its event is found."""
    port = 0
    tls = misfit.listener == "tls"
    url = f"{endpoints.tls if tls else endpoints.plain}/{misfit.id}"
    connecting = connect(
        url,
        subprotocols=[Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1"), Subprotocol("ocpp2.1")],
        ssl=client_context(endpoints.certificates, misfit.certificate) if tls else None,
        additional_headers=basic(misfit.id, password) if misfit.password else None,
        open_timeout=10,
    )
    try:
        async with connecting as connection:
            port = connection.local_address[1]
            return "", port
    except InvalidStatus as refused:
        return f"HTTP {refused.response.status_code}", port
    except ssl.SSLError as refused:
        return f"TLS {(refused.reason or 'alert').lower().replace('_', ' ')}", port
    except (InvalidMessage, OSError, EOFError):
        # In TLS 1.3 the alert comes after the client thinks it is in; `websockets` only sees the end of the stream.
        return "TLS alert" if tls else "closed", port


def _events(path: Path, offset: int) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        file.seek(offset)
        lines = file.read().split(b"\n")[:-1]
    return [msgspec.json.decode(line) for line in lines if line]


async def run_misfit(misfit: Misfit, password: str, endpoints: Endpoints, event_file: Path) -> Refused:
    """Try to get in. One at a time: the events written meanwhile are this attempt's."""
    offset = event_file.stat().st_size if event_file.exists() else 0
    refused = Refused(misfit)
    refused.seen, _ = await _attempt(misfit, password, endpoints)
    for _ in range(int(_EVENT_WAIT_S / 0.05)):
        events = [event for event in _events(event_file, offset) if event.get("reason")] if event_file.exists() else []
        if events:
            refused.stage, refused.reason = events[0]["stage"], events[0]["reason"]
            break
        await asyncio.sleep(0.05)
    return refused
