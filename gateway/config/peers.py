"""How somebody is reached: addresses, secrets in files, keys that go together."""

import ipaddress
import re
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from gateway.config.certificates import check_private_file
from gateway.config.findings import Findings
from gateway.config.positions import Path

__all__ = ["check_secret", "check_together", "check_url", "split_address"]


def split_address(address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:  # noqa: PLR2004
        raise ValueError("not host:port")
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    # Without brackets nobody can tell where an IPv6 address ends and the port begins.
    return str(ipaddress.IPv4Address(host)), int(port)


def check_url(url: str, schemes: tuple[str, ...], path: Path, findings: Findings) -> None:
    """With one of these schemes, a host, and no user, query or fragment."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and not parts.query and not parts.fragment
        usable = usable and parts.port != 0
        named = parts.username is not None or parts.password is not None
    except ValueError:
        findings.error(path, "not a URL")
        return
    if named:
        # Not shown: it may hold a password, and findings go to logs and events.
        findings.error(path, "a user or password in the URL: there are keys and files for them")
    elif not usable:
        findings.error(path, f"{url!r} is not an address of the form {schemes[0]}://host:port/path")


def check_secret(file: str, path: Path, findings: Findings) -> None:
    """One line, for nobody else to read; empty is none."""
    if file and check_private_file(file, path, findings):
        lines = FilePath(file).read_bytes().rstrip(b"\r\n").splitlines()
        if len(lines) != 1 or not lines[0].strip():
            findings.error(path, f"{file} must hold one line")


def check_together(place: Path, findings: Findings, **values: str) -> None:
    """All of them or none."""
    given = [name for name, value in values.items() if value]
    missing = [name for name in values if name not in given]
    if given and missing:
        findings.error((*place, missing[0]), f"{' and '.join(values)} go together")
