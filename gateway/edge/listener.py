"""A listener as the edge uses it: settings with networks parsed and the TLS context built."""

import ipaddress
from functools import lru_cache

from gateway.config.model import Listener
from gateway.edge.tls import TLSContext
from gateway.edge.tls_context import build_tls_context
from gateway.link.messages import EdgeSettings, ListenerSettings

__all__ = ["ListenerState", "build_listeners"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address, IPv4-mapped IPv6 unwrapped so that one network list serves both; None if it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _within(networks: tuple[Network, ...], text: str) -> bool:
    address = _address(text)
    return address is not None and any(
        address.version == network.version and address in network for network in networks
    )


class ListenerState:
    """Read-only after construction; live connections keep the one they started with."""

    __slots__ = ("_allowed", "_proxies", "listener", "settings", "tls")

    def __init__(self, settings: ListenerSettings, tls: TLSContext | None) -> None:
        self.settings = settings
        self.listener: Listener = settings.listener
        self.tls = tls
        self._allowed = _networks(settings.listener.allowed_networks)
        self._proxies = _networks(settings.listener.proxy_protocol_from)

    def allows(self, address: str) -> bool:
        """A00.FR.201: a plain listener without networks allows nobody; a TLS listener without them everybody."""
        if not self._allowed:
            return self.tls is not None
        return _within(self._allowed, address)

    def serves(self, server_name: str, host: str) -> bool:
        """Two tenants on one listener: the name that chose the certificate (SNI) must be the name that is asked for."""
        if not server_name or not self.listener.server_name_must_match_host or server_name == host:
            return True
        return _address(host.strip("[]")) is not None

    def expects_proxy_header(self, address: str) -> bool:
        """True if `address` is a load balancer that must speak PROXY protocol."""
        return bool(self._proxies) and _within(self._proxies, address)


def build_listeners(
    settings: EdgeSettings, previous: dict[str, ListenerState], trust_changed: bool
) -> dict[str, ListenerState]:
    """States for all listeners; TLS contexts are reused only where neither trust nor TLS settings changed.

    Raises what `build_tls_context` raises; the caller then keeps `previous`.
    """
    states = {}
    for listener in settings.listeners:
        old = previous.get(listener.listener.name)
        keep = old is not None and not trust_changed and old.settings.certificates == listener.certificates
        keep = keep and old is not None and old.listener.tls == listener.listener.tls
        context = old.tls if keep and old is not None else build_tls_context(listener, settings.trust_generation)
        states[listener.listener.name] = ListenerState(listener, context)
    return states
