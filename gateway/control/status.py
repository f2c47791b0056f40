"""What `ocpp-gateway status` and `why` ask of a running node, as one JSON object."""

from collections.abc import Iterable
from typing import Any

from gateway.config.model import Config
from gateway.control.link_server import EdgeLink
from gateway.control.sessions import Entry
from gateway.identity.evidence import CertificateProof

__all__ = ["edges_status", "listeners_status", "session_status"]


def edges_status(links: Iterable[EdgeLink]) -> list[dict[str, Any]]:
    """The edge workers that are there."""
    return [
        {"slot": link.slot, "pid": link.pid, "generation": link.applied_generation, "error": link.settings_error}
        for link in sorted(links, key=lambda link: link.slot)
    ]


def listeners_status(config: Config) -> list[dict[str, Any]]:
    """Where charge points may connect, and on which profiles."""
    return [
        {"name": each.name, "address": each.address, "security_profiles": [int(p) for p in each.security_profiles]}
        for each in config.listeners
    ]


def session_status(entry: Entry) -> dict[str, Any]:
    """A session, or one that is about to begin."""
    live = entry.live
    return {
        "charge_point_id": entry.charge_point_id,
        "session": entry.session,
        "generation": entry.generation,
        "security_profile": int(entry.security_profile),
        "subprotocol": live.subprotocol if live else "",
        "peer": live.peer_address if live else "",
        "listener": live.listener if live else "",
        "csms": live.csms if live else "",
        "opened_at": live.opened_at if live else 0,
        "state": "open" if live else "connecting",
        "edge": entry.edge.slot if entry.edge is not None else None,
        "renewal_only": entry.proof.renewal_only if isinstance(entry.proof, CertificateProof) else "",
    }
