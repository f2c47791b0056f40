"""Cross-checks of a configuration: contradictions, files, certificates. Each finding points at its key."""

import ipaddress
import math
import re
from pathlib import Path as FilePath
from urllib.parse import urlsplit

import msgspec

from gateway.config.audit import check_audit
from gateway.config.certificates import (
    check_client_pair,
    check_listener_certificates,
    check_pem,
    check_private_file,
    check_trust,
)
from gateway.config.exposure import check_exposure
from gateway.config.findings import Findings
from gateway.config.firmware import check_firmware
from gateway.config.model import CSMS, LARGEST_MESSAGE_BYTES, Config, Detections, Listener
from gateway.config.own_certificate_checks import check_own_certificates, check_source_of_certificates
from gateway.config.peers import split_address
from gateway.config.pki import check_pki
from gateway.config.policy import check_policy
from gateway.config.positions import Path
from gateway.config.recording import check_recording
from gateway.config.sinks import check_sinks
from gateway.config.suggest import did_you_mean
from gateway.config.trust import check_trust_bundles, check_trust_of_listener
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["Findings", "check", "split_address"]

_HEADER_VALUE = re.compile(r"[ -~]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
_OWN_HEADERS = {
    "host",
    "upgrade",
    "connection",
    "authorization",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "content-length",
    "transfer-encoding",
}


def check(config: Config, findings: Findings) -> None:
    """Add every error and warning to `findings`."""
    _check_gateway(config, findings)
    for index, listener in enumerate(config.listeners):
        _check_listener(config, listener, ("listener", index), findings)
    for index, csms in enumerate(config.csms):
        _check_csms(csms, ("csms", index), findings)
    check_trust_bundles(config, findings, _check_positive)
    check_pki(config, findings, _check_positive)
    check_own_certificates(config, findings)
    _check_numbers(config, findings)
    check_audit(config.audit, findings)
    _check_detections(config.audit.detections, findings)
    check_policy(config.policy, findings)
    check_firmware(config.firmware, findings, _check_positive)
    if config.firmware.ca:
        check_pem(config.firmware.ca, ("firmware", "ca"), findings, allow_dev=True)
    check_recording(config, findings)
    check_sinks(config.sinks, findings)
    check_exposure(config, findings)


def _check_gateway(config: Config, findings: Findings) -> None:
    if not config.listeners:
        findings.error(("listener",), "no [[listener]]: nothing would be served")
    if not config.csms:
        findings.error(("csms",), "no [[csms]]: there is nothing to protect")
    if config.edge_workers < 1 or config.edge_workers > 256:  # noqa: PLR2004
        findings.error(("gateway", "edge_workers"), "must be 0 (one per core) to 256")
    named = (("listener", config.listeners), ("csms", config.csms), ("trust", config.trust))
    for section, tables in named:
        names = [table.name for table in tables]
        for index, name in enumerate(names):
            if name in names[:index]:
                findings.error((section, index, "name"), f"{section} {name!r} is there already")
            if not re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", name):
                findings.error((section, index, "name"), "use 1 to 40 letters, digits, dots, dashes, underscores")
    places: list[tuple[Path, str]] = [
        *((("listener", index, "address"), each.address) for index, each in enumerate(config.listeners)),
        (("operations", "address"), config.operations.address),
    ]
    if config.publication.address:
        places.append((("publication", "address"), config.publication.address))
    addresses = [address for _, address in places]
    for index, (place, address) in enumerate(places):
        try:
            split_address(address)
        except ValueError:
            findings.error(place, f"{address!r} is not an IP address with a port, e.g. 0.0.0.0:8443 or [::]:8443")
        if address in addresses[:index] and not address.endswith(":0"):  # port 0 is any free one
            findings.error(place, f"{address} is used twice")


def _check_networks(networks: tuple[str, ...], path: Path, findings: Findings) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            findings.error(path, f"{network!r} is not a network, e.g. 10.0.0.0/8")


def _check_listener(config: Config, listener: Listener, path: Path, findings: Findings) -> None:
    _check_networks(listener.allowed_networks, (*path, "allowed_networks"), findings)
    _check_networks(listener.proxy_protocol_from, (*path, "proxy_protocol_from"), findings)
    names = [csms.name for csms in config.csms]
    if listener.csms not in names:
        findings.error(
            (*path, "csms"), f"there is no [[csms]] named {listener.csms!r}", did_you_mean(listener.csms, names)
        )
    if not _PREFIX.fullmatch(listener.path_prefix):
        findings.error((*path, "path_prefix"), f"{listener.path_prefix!r} is not a plain path such as /ocpp")
    scheme = "ws" if listener.tls is None else "wss"
    if listener.url and not listener.url.startswith(f"{scheme}://"):
        findings.error((*path, "url"), f"charge points reach this listener by {scheme}://, not by {listener.url!r}")
    if not listener.security_profiles:
        findings.error((*path, "security_profiles"), "empty: nobody could connect")
    if listener.tls is None:
        _check_plain(listener, path, findings)
    else:
        _check_tls(config, listener, path, findings)


def _check_plain(listener: Listener, path: Path, findings: Findings) -> None:
    if listener.security_profiles != (SecurityProfile.BASIC,):
        findings.error(
            (*path, "security_profiles"), "a listener without [listener.tls] serves profile 1 and nothing else"
        )
    if not listener.allowed_networks:
        findings.error(
            (*path, "allowed_networks"),
            'a plain listener must say from which trusted networks (A00.FR.201), e.g. ["10.0.0.0/8"]',
        )
    findings.warning(path, f"listener {listener.name} takes passwords in clear text (A00.FR.206)")


def _check_tls(config: Config, listener: Listener, path: Path, findings: Findings) -> None:
    tls = listener.tls
    assert tls is not None
    place = (*path, "tls")
    profiles = set(listener.security_profiles)
    if SecurityProfile.BASIC in profiles:
        findings.error((*path, "security_profiles"), "profile 1 is without TLS: give it a listener of its own")
    if SecurityProfile.TLS_CLIENT_CERTIFICATE in profiles:
        if tls.client_certificate == "none":
            findings.error(
                (*place, "client_certificate"), 'profile 3 needs client_certificate "required" or "optional"'
            )
    elif tls.client_certificate != "none":
        findings.error(
            (*place, "client_certificate"), "client certificates are for profile 3, which this listener does not serve"
        )
    if SecurityProfile.TLS_BASIC in profiles and tls.client_certificate == "required":
        findings.error(
            (*place, "client_certificate"),
            'profile 2 has no client certificate: use "optional" for 2 and 3 on one port',
        )
    if tls.client_certificate != "none":
        for file in tls.client_trust:
            check_trust(file, (*place, "client_trust"), findings, allow_dev=config.unsafe_dev_certificates)
    for file in tls.server_roots:
        check_trust(file, (*place, "server_roots"), findings, allow_dev=config.unsafe_dev_certificates)
    check_trust_of_listener(config, tls, place, findings)
    if tls.cipher_policy == "legacy-quarantine" and not listener.allowed_networks:
        findings.error((*path, "allowed_networks"), "cipher_policy legacy-quarantine needs allowed_networks")
    check_source_of_certificates(tls, place, findings)
    for name in ("certificates", "next_certificates"):
        files = getattr(tls, name)
        check_listener_certificates(files, (*place, name), findings, allow_dev=config.unsafe_dev_certificates)


def _check_csms(csms: CSMS, path: Path, findings: Findings) -> None:
    if not csms.urls:
        findings.error((*path, "urls"), "empty")
    for url in csms.urls:
        _check_url(csms, url, path, findings)
    if not csms.ocpp_versions:
        findings.error((*path, "ocpp_versions"), "empty: it would speak nothing")
    for name, value in csms.headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OWN_HEADERS or not _HEADER_VALUE.fullmatch(value):
            findings.error((*path, "headers"), f"header {name!r} cannot be set")
    _check_csms_authentication(csms, path, findings)
    for name in ("connect_timeout_s", "retry_unhealthy_after_s"):
        _check_positive(getattr(csms, name), (*path, name), findings)
    if csms.certificate or csms.key:
        check_client_pair(csms.certificate, csms.key, path, findings)
    if csms.ca:
        check_pem(csms.ca, (*path, "ca"), findings, allow_dev=True)
    if csms.danger_accept_any_certificate:
        findings.warning((*path, "danger_accept_any_certificate"), "anybody can pose as this CSMS")


def _check_csms_authentication(csms: CSMS, path: Path, findings: Findings) -> None:
    if csms.authentication == "basic":
        if not csms.password_file:
            findings.error((*path, "password_file"), 'authentication "basic" needs password_file')
        elif check_private_file(csms.password_file, (*path, "password_file"), findings):
            lines = FilePath(csms.password_file).read_bytes().rstrip(b"\r\n").splitlines()
            if len(lines) != 1 or not lines[0]:
                findings.error((*path, "password_file"), f"{csms.password_file} must hold one line, the password")
        if ":" in csms.username:
            findings.error((*path, "username"), "a user name with a colon cannot be told from its password")
    if csms.authentication == "pass-through":
        findings.warning((*path, "authentication"), "pass-through hands the charge points' passwords to the CSMS")
    if csms.authentication == "mtls" and not (csms.certificate or csms.key):
        findings.error((*path, "certificate"), 'authentication "mtls" needs certificate and key')


def _check_url(csms: CSMS, url: str, path: Path, findings: Findings) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        findings.error((*path, "urls"), "not a URL")
        return
    del port
    if parts.username is not None or parts.password is not None:
        # Not shown: it may hold a password, and findings go to logs and events.
        findings.error((*path, "urls"), 'a user or password in the URL: use authentication = "basic" and password_file')
        return
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.query or parts.fragment:
        findings.error(
            (*path, "urls"), f"{url!r} must be ws:// or wss:// with host, port and path, without the identity"
        )
    if (
        parts.scheme == "ws"
        and csms.authentication in {"basic", "pass-through"}
        and not _is_loopback(parts.hostname or "")
    ):
        findings.warning((*path, "urls"), f"{url} sends passwords to the CSMS in clear text")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_positive(value: object, path: Path, findings: Findings) -> None:
    """A limit of zero would refuse everybody; one that is not a number, or without end, would be none."""
    if isinstance(value, int | float) and not (value > 0 and math.isfinite(value)):
        findings.error(path, "must be a number greater than 0")


def _check_numbers(config: Config, findings: Findings) -> None:
    """Every number in [limits] and [websocket] is positive."""
    for section, values in (("limits", config.limits), ("websocket", config.websocket)):
        for name in values.__struct_fields__:
            _check_positive(getattr(values, name), (section, name), findings)
    _check_positive(config.recording.max_bytes, ("recording", "max_bytes"), findings)
    for name in ("requests_per_address_per_minute", "max_connections"):
        _check_positive(getattr(config.publication, name), ("publication", name), findings)
    if config.websocket.max_message_bytes > LARGEST_MESSAGE_BYTES:
        findings.error(("websocket", "max_message_bytes"), "more than 16 MiB")
    if not FilePath(config.state_dir).parent.exists():
        findings.error(("gateway", "state_dir"), f"{FilePath(config.state_dir).parent} does not exist")


def _check_detections(detections: Detections, findings: Findings) -> None:
    place: Path = ("audit", "detections")
    for field in msgspec.structs.fields(Detections):
        if field.name != "enabled":
            _check_positive(getattr(detections, field.name), (*place, field.name), findings)
    for name, most in (("travel_prefix_bits_ipv4", 32), ("travel_prefix_bits_ipv6", 128)):
        if getattr(detections, name) > most:
            findings.error((*place, name), f"more than {most}")
