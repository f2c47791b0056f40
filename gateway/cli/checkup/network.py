"""The network: CSMS addresses, and the ports that listeners need."""

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.cli.checkup.check import Check, error, ok, warning
from gateway.config.checks import split_address
from gateway.config.model import CSMS, Config

__all__ = ["check_csms", "check_ports"]

_MAX_CONNECT_S = 5.0


def check_csms(config: Config) -> Iterator[Check]:
    """Each address resolves, accepts TCP and, for wss://, proves itself. One that works is enough to run."""
    for csms in config.csms:
        problems = {url: _try(csms, url) for url in csms.urls}
        for url, problem in problems.items():
            if not problem:
                yield ok("csms", f"CSMS {csms.name} answers at {url}")
            elif all(problems.values()):
                yield error("csms", f"CSMS {csms.name} at {url}: {problem}", _remedy(problem))
            else:
                yield warning("csms", f"CSMS {csms.name} at {url}: {problem}; another address works", _remedy(problem))


def _remedy(problem: str) -> str:
    if problem.startswith("TLS"):
        return "Check ca, server_name, certificate and key of this [[csms]]."
    return "Check urls of this [[csms]], and whether the CSMS and the network in between are up."


def _try(csms: CSMS, url: str) -> str:
    """What is wrong with an address, empty if nothing."""
    try:
        parts = urlsplit(url)
        host, port, secure = parts.hostname or "", parts.port, parts.scheme == "wss"
    except ValueError as problem:
        return f"is no address: {problem}"
    try:
        context = _client_context(csms) if secure else None
    except (OSError, ValueError) as problem:  # ssl.SSLError is an OSError
        return f"TLS cannot be set up: {_reason(problem)}"
    try:
        address = (host, port or (443 if secure else 80))
        with socket.create_connection(address, timeout=min(csms.connect_timeout_s, _MAX_CONNECT_S)) as connection:
            if context is not None:
                context.wrap_socket(connection, server_hostname=csms.server_name or host).close()
    except socket.gaierror as problem:
        return f"the name {host} cannot be resolved ({problem.strerror})"
    except ssl.SSLError as problem:
        return f"TLS fails: {_reason(problem)}"
    except (OSError, ValueError) as problem:
        return f"cannot be reached: {_reason(problem)}"
    return ""


def _client_context(csms: CSMS) -> ssl.SSLContext:
    """As the edge verifies (`gateway.edge.csms`), so that what is fine here is fine there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if csms.ca:
        context.load_verify_locations(cafile=csms.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if csms.danger_accept_any_certificate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if csms.certificate and csms.key:
        context.load_cert_chain(csms.certificate, csms.key)
    return context


def _reason(problem: Exception) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return problem.verify_message
    return (problem.strerror if isinstance(problem, OSError) else "") or str(problem) or type(problem).__name__


def check_ports(config: Config, held: frozenset[str]) -> Iterator[Check]:
    """Every address can be bound, or is held by the running gateway (`held`: addresses it listens on)."""
    wanted = [(f"listener {listener.name}", listener.address) for listener in config.listeners]
    for what, address in (*wanted, ("operations", config.operations.address)):
        try:
            problem = _bind(address)
        except ValueError:
            continue  # the configuration check has said so
        if problem == 0:
            yield ok("port", f"{what}: {address} is free")
        elif problem == errno.EADDRINUSE and address in held:
            yield ok("port", f"{what}: {address} is held by the running gateway")
        else:
            yield error("port", f"{what}: {address}: {os.strerror(problem)}", _port_remedy(problem))


def _bind(address: str) -> int:
    """0 if the address can be bound, else the error number."""
    host, port = split_address(address)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as problem:
            return problem.errno or errno.EIO
    return 0


def _port_remedy(problem: int) -> str:
    return {
        errno.EADDRINUSE: "Stop what listens there (ss -ltnp shows it), or choose another port.",
        errno.EACCES: "Ports below 1024 need CAP_NET_BIND_SERVICE: AmbientCapabilities in the systemd unit.",
        errno.EADDRNOTAVAIL: "No interface has this address: correct it, or bind 0.0.0.0 or [::].",
    }.get(problem, "Correct the address.")
