"""Asks a running gateway over its admin socket."""

import http.client
import socket
from pathlib import Path
from typing import Any

import msgspec

from gateway.config.model import Config

__all__ = ["GatewayUnreachable", "get_status"]

_TIMEOUT_S = 5.0


class GatewayUnreachable(Exception):  # noqa: N818  a state
    """No gateway answers at the admin socket of this configuration."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)


def get_status(config: Config) -> dict[str, Any]:
    """The status of the gateway that runs with this configuration. Raises GatewayUnreachable."""
    path = Path(config.state_dir) / "run" / "admin.sock"
    connection = _UnixConnection(str(path))
    try:
        connection.request("GET", "/status")
        body = connection.getresponse().read()
        status: dict[str, Any] = msgspec.json.decode(body)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise GatewayUnreachable(f"no gateway answers at {path}: {error}") from error
    finally:
        connection.close()
    return status
