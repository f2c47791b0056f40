"""Asks a running gateway over its admin socket."""

import http
import http.client
import socket
from pathlib import Path
from typing import Any

import msgspec

from gateway.config.model import Config

__all__ = [
    "CallResponse",
    "Edge",
    "GatewayFailed",
    "GatewayUnreachable",
    "Reload",
    "RevocationList",
    "Session",
    "Status",
    "admin_socket",
    "ask_about_audit",
    "call_charge_point",
    "get_status",
    "order",
    "renew_certificate",
    "rotate_password",
]

_TIMEOUT_S = 5.0


class GatewayUnreachable(Exception):  # noqa: N818  a state
    """No gateway answers at the admin socket of this configuration."""


class GatewayFailed(GatewayUnreachable):
    """A gateway answers, and that it has failed."""


class Session(msgspec.Struct, frozen=True):
    """One connection of a charge point."""

    charge_point_id: str
    subprotocol: str = ""
    security_profile: int = 0
    peer: str = ""
    listener: str = ""
    csms: str = ""
    state: str = ""
    opened_at: float = 0.0


class Edge(msgspec.Struct, frozen=True):
    """One edge worker that is connected to control."""

    slot: int
    pid: int
    error: str = ""


class Reload(msgspec.Struct, frozen=True):
    """How the last reload ended."""

    ok: bool
    why: str = ""


class RevocationList(msgspec.Struct, frozen=True):
    """A list of another CA that the gateway follows."""

    trust: str
    source: str
    state: str = ""
    policy: str = ""
    next_update: float = 0.0
    failure: str = ""


class Status(msgspec.Struct, frozen=True):
    """What the commands use of the gateway's status; `raw` is all of it, for --json."""

    version: str
    ready: bool
    uptime_s: float
    config: str
    last_reload: Reload
    registered_charge_points: int
    expected_edges: int
    edges: list[Edge]
    sessions: list[Session]
    listeners: list[dict[str, Any]] = []
    revocation_lists: list[RevocationList] = []
    raw: dict[str, Any] = {}

    def is_connected(self, charge_point_id: str) -> bool:
        """True if exactly this charge point has a session."""
        return any(session.charge_point_id == charge_point_id for session in self.sessions)


class CallResponse(msgspec.Struct, frozen=True):
    """What became of a call to a charge point. `refused`: why it was not sent, else empty."""

    outcome: str = ""
    payload: Any = None
    error: str = ""
    description: str = ""
    schema_violation: str = ""
    refused: str = ""
    raw: dict[str, Any] = {}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float = _TIMEOUT_S) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def admin_socket(config: Config) -> Path:
    """Where a gateway with this configuration listens for us."""
    return Path(config.state_dir) / "run" / "admin.sock"


def get_status(config: Config) -> Status:
    """The status of the gateway that runs with this configuration. Raises GatewayUnreachable."""
    raw = _ask(config, "GET", "/status", Status)
    return msgspec.structs.replace(msgspec.convert(raw, Status), raw=raw)


def call_charge_point(
    config: Config, charge_point_id: str, action: str, payload: dict[str, Any], timeout_s: float
) -> CallResponse:
    """Let the running gateway ask a charge point. Raises GatewayUnreachable."""
    request = {"charge_point_id": charge_point_id, "action": action, "payload": payload, "timeout_s": timeout_s}
    raw = _ask(config, "POST", "/call", CallResponse, msgspec.json.encode(request), timeout_s + _TIMEOUT_S)
    return msgspec.structs.replace(msgspec.convert(raw, CallResponse), raw=raw)


class _AuditAnswer(msgspec.Struct, frozen=True):
    refused: str = ""


def ask_about_audit(config: Config, what: str, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Ask for something about the audit log: subject, shred, hold, rotate, prune. Raises GatewayUnreachable.

    ``refused`` in the answer says why it is not done.
    """
    return _ask(config, "POST", f"/audit/{what}", _AuditAnswer, msgspec.json.encode(question), timeout_s)


class _Order(msgspec.Struct, frozen=True):
    refused: str


def renew_certificate(config: Config, charge_point_id: str) -> str:
    """Let a charge point ask for a new certificate. Empty, or why not. Raises GatewayUnreachable."""
    body = msgspec.json.encode({"charge_point_id": charge_point_id})
    return msgspec.convert(_ask(config, "POST", "/renew", _Order, body), _Order).refused


def order(config: Config, path: str, question: dict[str, Any], timeout_s: float = 30.0) -> dict[str, Any]:
    """What the running gateway answers; `refused` in it is empty, or says why it will not. Raises GatewayUnreachable."""
    return _ask(config, "POST", path, _Order, msgspec.json.encode(question), timeout_s)


def rotate_password(config: Config, charge_point_id: str) -> str:
    """Let the gateway give a charge point another password. Empty, or why not. Raises GatewayUnreachable."""
    body = msgspec.json.encode({"charge_point_id": charge_point_id})
    return msgspec.convert(_ask(config, "POST", "/rotate-password", _Order, body), _Order).refused


def _ask(
    config: Config, method: str, target: str, kind: type, body: bytes | None = None, timeout_s: float = _TIMEOUT_S
) -> dict[str, Any]:
    """A JSON object that is a `kind`. Raises GatewayUnreachable."""
    path = admin_socket(config)
    connection = _UnixConnection(str(path), timeout_s)
    try:
        connection.request(method, target, body, _headers() if body else {})
        response = connection.getresponse()
        answer = response.read()
        if response.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise GatewayFailed(f"the gateway at {path} answers with HTTP status {response.status}; see its log")
        raw: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        msgspec.convert(raw, kind)
    except msgspec.MsgspecError as error:
        raise GatewayUnreachable(f"what answers at {path} is not a gateway of this release: {error}") from error
    except PermissionError as error:
        raise GatewayUnreachable(f"{path} belongs to another user: run this as the user of the gateway") from error
    except (OSError, http.client.HTTPException) as error:
        raise GatewayUnreachable(f"no gateway answers at {path}: {_reason(error)}") from error
    finally:
        connection.close()
    return raw


def _headers() -> dict[str, str]:
    """Who asks is what the gateway sees at its socket; this is what he says of himself."""
    from gateway.cli.actor import claimed
    from gateway.control.accounts import claims

    return {"Content-Type": "application/json", **claims(*claimed())}


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
