"""A running gateway as commands see it: what answers at the admin socket."""

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway import __version__


def status(**changes: Any) -> dict[str, Any]:
    """What the control process of this release answers, of a healthy gateway with one session."""
    return {
        "version": __version__,
        "ready": True,
        "started_at": 1.0,
        "uptime_s": 7_200.0,
        "config": "",
        "generation": 1,
        "last_reload": {"ok": True, "time": 1.0, "why": ""},
        "registered_charge_points": 3,
        "expected_edges": 1,
        "edges": [{"slot": 0, "pid": 4711, "generation": 1, "error": ""}],
        "listeners": [{"name": "tls", "address": "127.0.0.1:0", "security_profiles": [2, 3]}],
        "events": {},
        "sessions": [session("CP-1")],
        **changes,
    }


def session(charge_point_id: str) -> dict[str, Any]:
    return {
        "charge_point_id": charge_point_id,
        "session": "s",
        "generation": 1,
        "security_profile": 2,
        "subprotocol": "ocpp1.6",
        "peer": "10.0.0.9",
        "listener": "tls",
        "csms": "main",
        "opened_at": 1.0,
        "state": "open",
        "edge": 0,
    }


@contextmanager
def answering(
    state: Path, answer: bytes | dict[str, Any], http_status: int = 200, post: str = "/call"
) -> Iterator[None]:
    """Answers GET /status and POST of one path at the admin socket under this state directory."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/status"
            self._answer()

        def do_POST(self) -> None:
            assert self.path == post
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer()

        def _answer(self) -> None:
            self.send_response(http_status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingUnixStreamServer):
        def handle_error(self, *_: object) -> None:
            """A command that has seen enough hangs up."""

    path = state / "run" / "admin.sock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    state.chmod(0o700)
    with Server(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
