"""`[firmware]`: how the gateway fetches images of signed firmware updates (docs/policy.md), and what is wrong in it."""

import ipaddress
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.config.findings import Findings
from gateway.config.positions import Path

__all__ = ["Firmware", "check_firmware"]

_LONGEST_HOLD_S: Final = 25.0
_LONGEST_FETCH_S: Final = 3_600.0
_LONGEST_MEMORY_S: Final = 86_400.0
_KNOWN_SCHEMES: Final = ("ftp", "ftps", "sftp")


class Firmware(msgspec.Struct, frozen=True, kw_only=True):
    """How images of signed firmware updates are fetched and held against their signatures. Whose: says the site's policy.

    `gates: {firmware_image: monitor}`, or `enforce`; without it the gateway fetches nothing (docs/policy.md).
    """

    hold_s: float = 20.0
    """How long an update waits at most until its image has been looked at: less than your CSMS waits for an answer, at most 25, and
    never longer than four fifths of `[websocket]` call_timeout_s. A fetch goes on behind it: the next try finds the image."""
    fetch_timeout_s: float = 600.0
    """How long one fetch may take, redirects included; at most an hour."""
    max_image_bytes: int = 536_870_912
    """A longer image is not fetched to its end, and counts as one that nobody has looked at."""
    remember_s: float = 600.0
    """How long an image that was fetched stands for what is at its address: a whole fleet is updated with one fetch."""
    private_hosts: tuple[str, ...] = ()
    """Host names, and networks in CIDR, that may be fetched from although they are not public: the CSMS names the address, and
    must not reach what only the gateway reaches."""
    ca: str = ""
    """PEM file with the roots that may vouch for file servers; empty: the system's."""
    unsafe_unchecked_schemes: tuple[str, ...] = ()
    """Of ftp, ftps and sftp, which the gateway cannot fetch: updates from such addresses go on although nobody has looked at the
    image. Others are refused where the gate enforces."""


def check_firmware(
    firmware: Firmware, findings: Findings, check_positive: Callable[[object, Path, Findings], None]
) -> None:
    """Add what is wrong to `findings`."""
    for name in ("hold_s", "fetch_timeout_s", "max_image_bytes"):
        check_positive(getattr(firmware, name), ("firmware", name), findings)
    if firmware.hold_s > _LONGEST_HOLD_S:
        findings.error(("firmware", "hold_s"), f"at most {_LONGEST_HOLD_S:g}: a CSMS gives up on a call after 30 s")
    if firmware.fetch_timeout_s > _LONGEST_FETCH_S:
        findings.error(("firmware", "fetch_timeout_s"), f"at most {_LONGEST_FETCH_S:g}")
    if not 0 <= firmware.remember_s <= _LONGEST_MEMORY_S:
        findings.error(("firmware", "remember_s"), f"from 0 to {_LONGEST_MEMORY_S:g}: images change where they are")
    for host in firmware.private_hosts:
        if why := _why_not(host):
            findings.error(("firmware", "private_hosts"), f"{host!r} {why}")
    for scheme in firmware.unsafe_unchecked_schemes:
        if scheme not in _KNOWN_SCHEMES:
            known = ", ".join(_KNOWN_SCHEMES)
            findings.error(("firmware", "unsafe_unchecked_schemes"), f"{scheme!r} is not one of {known}")


def _why_not(host: str) -> str:
    """What is wrong with an entry of `private_hosts`; empty if nothing is."""
    if "/" not in host:
        is_name = bool(host) and host == host.lower() and not any(each in host for each in ":@ *?#")
        return "" if is_name else "is neither a host name in lower case nor a network in CIDR"
    try:
        ipaddress.ip_network(host)
    except ValueError:
        return "is not a network in CIDR"
    return ""
