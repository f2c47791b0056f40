"""Why a registered charge point can never connect with this configuration, before it even tries.

Not here: what is decided when it tries (`gateway.identity.admission`), and charge points that are disabled on purpose.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from gateway.config.model import Config
from gateway.identity.record import ChargePointRecord
from gateway.ocpp.vocabulary import SecurityProfile

__all__ = ["REMEDIES", "Kind", "Obstacle", "find_obstacles"]

Kind = Literal[
    "identity-too-long",
    "security-profile-not-served",
    "no-serial-number",
    "no-operator-name",
    "no-password",
    "csms-unknown",
    "no-common-ocpp-version",
]

REMEDIES: dict[Kind, str] = {
    "identity-too-long": "Raise limits.max_identity_chars, or register the charge point under a shorter identity.",
    "security-profile-not-served": "Add the security profile to a listener, or change that of the charge point.",
    "no-serial-number": "ocpp-gateway charge-point set ID --serial-number S: it is the CN of the certificate.",
    "no-operator-name": "Set gateway.operator_names, or ocpp-gateway charge-point set ID --operator-name O.",
    "no-password": "ocpp-gateway charge-point set ID --new-password.",
    "csms-unknown": "Add a [[csms]] of that name, or ocpp-gateway charge-point set ID --csms NAME.",
    "no-common-ocpp-version": "Compare ocpp_versions of the charge point with those of its [[csms]].",
}
_WITH_PASSWORD = frozenset({SecurityProfile.BASIC, SecurityProfile.TLS_BASIC})


class Obstacle(NamedTuple):
    """One thing in the way, in words about one charge point."""

    kind: Kind
    message: str


def find_obstacles(record: ChargePointRecord, config: Config) -> list[Obstacle]:
    """Everything in the way; a charge point that may use two profiles is fine if one of them works."""
    profiles = (record.security_profile, record.pending_security_profile)
    ways = [list(_on_profile(record, profile, config)) for profile in profiles if profile is not None]
    found = [] if [] in ways else ways[0]
    if len(record.charge_point_id) > config.limits.max_identity_chars:
        length, most = len(record.charge_point_id), config.limits.max_identity_chars
        found.append(Obstacle("identity-too-long", f"its identity has {length} characters, {most} are allowed"))
    return found


def _on_profile(record: ChargePointRecord, profile: SecurityProfile, config: Config) -> Iterator[Obstacle]:
    if not any(profile in listener.security_profiles for listener in config.listeners):
        yield Obstacle("security-profile-not-served", f"no listener serves security profile {int(profile)}")
    if profile in _WITH_PASSWORD and record.password is None and record.pending_password is None:
        yield Obstacle("no-password", f"security profile {int(profile)} needs a password, and none is set")
    if profile is SecurityProfile.TLS_CLIENT_CERTIFICATE:
        if not record.serial_number:
            yield Obstacle("no-serial-number", "security profile 3 needs a serial number, and none is set (A00.FR.405)")
        if not record.operator_names and not config.operator_names:
            yield Obstacle("no-operator-name", "no operator name is accepted in its certificate (A00.FR.404)")
    yield from _at_csms(record, profile, config)


def _at_csms(record: ChargePointRecord, profile: SecurityProfile, config: Config) -> Iterator[Obstacle]:
    spoken = {csms.name: set(csms.ocpp_versions) for csms in config.csms}
    if record.csms and record.csms not in spoken:
        yield Obstacle("csms-unknown", f"its CSMS '{record.csms}' is not in the configuration")
        return
    serving = [listener.csms for listener in config.listeners if profile in listener.security_profiles]
    reachable = [record.csms] if record.csms else serving
    if reachable and not any(spoken.get(name, set()) & set(record.ocpp_versions) for name in reachable):
        versions = ", ".join(record.ocpp_versions) or "no version at all"
        yield Obstacle("no-common-ocpp-version", f"it may speak {versions}, and its CSMS speaks none of that")
