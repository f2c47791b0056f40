"""Who and what the cases of a file name: the worlds have all of it, whatever the names are."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.attacks.case import Case

__all__ = ["CONDITIONS", "PASSWORDS", "SERIAL_OWNER", "Roster", "identity_of"]

PASSWORDS = {
    "CP-A01": "correct-horse-battery",
    "CP-B02": "cpb-password-001",
    "RDAM|123": "x" * 16,
    "CP0007": "password-of-seven-07",
    "CP-D16": "password-of-deflate-16",
}
"""Charge points that are always there, on profile 2."""
SERIAL_OWNER = "CP-P3"
"""The charge point on security profile 3 whose serial number is CP-A01: what a client certificate names in its CN."""
_SOME_PASSWORD = "password-of-somebody"
_PROVISIONED = re.compile(r"station (\S+) provisioned with password (\S+) on profile 2 listener")
_ALSO = re.compile(r"(\S+) also provisioned with another password")
_SESSION = re.compile(
    r"OCPP (?:1\.6|2\.0\.1|2\.1) session of (\S+) authenticated and (?:BootNotification Accepted|booted)"
)
_FIRMWARE_HOST = re.compile(r"allow-list (\S+) over https")
_LOG_HOST = re.compile(r"(\S+\.\S+) listed")
_HOST = re.compile(r"\r\nHost: ([^\r:]+)")
CONDITIONS = (_PROVISIONED, _ALSO, _SESSION, _FIRMWARE_HOST, _LOG_HOST)
"""Preconditions that a roster sees to."""


def identity_of(case: Case) -> str:
    """The charge point that a case is about."""
    for condition in case.conditions:
        if found := _PROVISIONED.fullmatch(condition) or _SESSION.fullmatch(condition):
            return found[1]
    return "CP-A01"


@dataclass
class Roster:
    """What the worlds of a run must have."""

    passwords: dict[str, str] = field(default_factory=lambda: dict(PASSWORDS))
    owners: dict[str, tuple[str, str]] = field(default_factory=lambda: {"CP-A01": (SERIAL_OWNER, "ExampleCPO")})
    """By serial number: the charge point on profile 3, and its operator's name."""
    tenants: list[str] = field(default_factory=lambda: ["tenant-a.example.test", "tenant-b.example.test"])
    firmware_hosts: list[str] = field(default_factory=lambda: ["fw.vendor.example"])
    log_hosts: list[str] = field(default_factory=lambda: ["logs.example.test"])
    sessions: Counter[str] = field(default_factory=Counter)
    """Charge points from the pool that the cases take at most, by group."""

    @classmethod
    def of(cls, cases: Iterable[Case]) -> "Roster":
        """All that these cases name."""
        roster = cls()
        for case in cases:
            roster._add(case)
        return roster

    def _add(self, case: Case) -> None:
        for condition in case.conditions:
            self._add_condition(condition)
        certificate = case.tls.get("client_cert")
        if isinstance(certificate, dict) and isinstance(serial := certificate.get("CN"), str):
            self.owners.setdefault(serial, (f"CP-P3-{len(self.owners)}", str(certificate.get("O", ""))))
        if "sni" in case.tls:
            self._add_names(self.tenants, [str(case.tls["sni"]), *_HOST.findall(case.http)])
        # A play for each version, side and configuration; the steps of a script may be those of as many charge points.
        plays = len(case.version) * (2 if case.direction == "both" else 1) * (1 if case.layer else 2)
        self.sessions["uk" if "UK group" in case.preconditions else ""] += plays * max(1, len(case.steps))

    def _add_condition(self, condition: str) -> None:
        if found := _PROVISIONED.fullmatch(condition):
            self.passwords[found[1]] = found[2]
        elif found := _ALSO.fullmatch(condition) or _SESSION.fullmatch(condition):
            self.passwords.setdefault(found[1], _SOME_PASSWORD)
        elif found := _FIRMWARE_HOST.fullmatch(condition):
            self._add_names(self.firmware_hosts, [found[1]])
        elif found := _LOG_HOST.fullmatch(condition):
            self._add_names(self.log_hosts, [found[1]])

    @staticmethod
    def _add_names(known: list[str], more: list[str]) -> None:
        known += [name for name in dict.fromkeys(more) if name not in known]
