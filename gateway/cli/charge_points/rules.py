"""What a record must not be, and what an operator should be told about it. The same for `add` and `set`."""

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.output import fail, shown

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.identity.record import ChargePointRecord

__all__ = ["advice", "refuse_contradictions", "refuse_identity"]

_IDENTIFIER_STRING: Final = re.compile(r"[A-Za-z0-9*\-_=+|@.]{1,48}")
"""OCPP 2.x, identifierString: without the colon, which ends the user name in a Basic header."""
_MAX_SERIAL_CHARS: Final = 25
"""What BootNotification can carry; profile 3 compares it with the certificate's CN (B01.FR.12)."""


def refuse_identity(charge_point_id: str, config: "Config", *, as_json: bool) -> None:
    """Raise Failure if no request could ever claim this identity."""
    from gateway.identity.claim import verify_identity
    from gateway.identity.refusal import Reason, Refusal

    most = config.limits.max_identity_chars
    try:
        verify_identity(charge_point_id, most)
    except Refusal as refusal:
        why = "it may not be empty, '.' or '..', and has only ASCII without / \\ % ? # ; and without blanks around it"
        if refusal.reason is Reason.IDENTITY_TOO_LONG:
            why = f"{len(charge_point_id)} characters, limits.max_identity_chars allows {most}"
        fail(f"'{shown(charge_point_id)}' cannot be an identity: {why}.", NOT_OK, as_json=as_json)


def refuse_contradictions(
    record: "ChargePointRecord", config: "Config", changed: Collection[str], *, as_json: bool
) -> None:
    """Raise Failure if what was `changed` (names of fields) makes a record that cannot be meant."""
    for message in _contradictions(record, config, changed):
        fail(message, NOT_OK, as_json=as_json)


def _contradictions(record: "ChargePointRecord", config: "Config", changed: Collection[str]) -> Iterator[str]:
    from gateway.config.suggest import did_you_mean
    from gateway.ocpp.vocabulary import SecurityProfile

    third = SecurityProfile.TLS_CLIENT_CERTIFICATE
    profiles = {record.security_profile, record.pending_security_profile}
    if "security_profile" in changed and record.security_profile is not third and ":" in record.charge_point_id:
        yield (
            "An identity with ':' cannot be used with a password: the colon ends the user name in a Basic header "
            "(RFC 7617). Use security profile 3, or another identity."
        )
    about_profile_3 = {"security_profile", "pending_security_profile", "serial_number"}
    if third in profiles and not record.serial_number and about_profile_3 & set(changed):
        yield "Security profile 3 needs --serial-number: the CN of the charge point's certificate (A00.FR.405)."
    names = [csms.name for csms in config.csms]
    if "csms" in changed and record.csms and record.csms not in names:
        hint = did_you_mean(record.csms, names)
        meant = f" Did you mean '{hint}'?" if hint else f" There is {', '.join(names) or 'none'}."
        yield f"There is no [[csms]] named '{shown(record.csms)}'.{meant}"
    if "password" in changed and record.password is not None and profiles == {third, None}:
        yield "Security profile 3 uses a certificate; a password would never be asked for."


def advice(record: "ChargePointRecord", config: "Config") -> list[str]:
    """What is legal but will not work, or not everywhere."""
    from gateway.cli.obstacles import find_obstacles

    messages = [f"it cannot connect: {obstacle.message}" for obstacle in find_obstacles(record, config)]
    if any(version.is_2x for version in record.ocpp_versions) and not _IDENTIFIER_STRING.fullmatch(
        record.charge_point_id
    ):
        messages.append("the identity is not an identifierString of OCPP 2.x (letters, digits, * - _ = + | @ . only)")
    if len(record.serial_number) > _MAX_SERIAL_CHARS:
        messages.append(f"the serial number is longer than the {_MAX_SERIAL_CHARS} characters of BootNotification")
    if "missing-subprotocol" in record.tolerances and record.default_version is None:
        messages.append("the tolerance missing-subprotocol does nothing without --default-version")
    return messages
