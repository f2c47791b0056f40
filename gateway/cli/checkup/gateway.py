"""The running gateway, as it sees itself."""

from collections.abc import Iterator
from pathlib import Path

from gateway import __version__
from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.cli.gateway_client import Status
from gateway.config.model import Config

__all__ = ["addresses_held", "check_gateway"]


def addresses_held(config: Config, status: Status | None) -> frozenset[str]:
    """What the running gateway listens on, in the words of the configuration."""
    if status is None:
        return frozenset()
    listeners = {str(listener.get("address", "")) for listener in status.listeners}
    return frozenset(listeners | {config.operations.address})


def check_gateway(config: Config, status: Status | None, why_not: str) -> Iterator[Check]:
    """`status` of the running gateway, or None and `why_not`."""
    if status is None:
        yield warning("gateway", f"no gateway is running: {why_not}", "Start it: ocpp-gateway run.")
        return
    if status.ready:
        yield ok("gateway", f"running and ready, {len(status.sessions)} session(s)")
    else:
        yield error(
            "gateway", "running, but not ready", "See its log and ocpp-gateway status: an edge worker may be missing."
        )
    if not status.last_reload.ok:
        yield error(
            "last-reload",
            f"the last reload failed, so that an older configuration is in force: {status.last_reload.why}",
            "Correct the configuration (ocpp-gateway check-config) and reload with SIGHUP.",
        )
    for edge in status.edges:
        if edge.error:
            yield error(
                "edge", f"edge {edge.slot} cannot use its settings: {edge.error}", "Correct what it names, and reload."
            )
    if status.version != __version__:
        yield warning("version", f"{status.version} is running, {__version__} is installed", "Restart the gateway.")
    if Path(status.config).resolve() != Path(config.path).resolve():
        yield warning(
            "configuration-file",
            f"the running gateway uses {status.config}, and this check looked at {config.path}",
            f"Check that one: ocpp-gateway doctor --config {status.config}",
        )
