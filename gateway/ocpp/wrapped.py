"""Calls inside calls: `-Signed` actions (part 4, chapter 7) and the ISO 15118 messages that 1.6 tunnels in DataTransfer.

A gate or rule that looked only at the outer action would miss them. The inner call is what is judged; what is forwarded are
the outer bytes, unchanged. Signatures are not verified here: a receiver may process the inner message without checking,
so the gateway has to judge it either way.
"""

import base64
import binascii
from typing import Any, Final

import msgspec

from gateway.ocpp.codec import MalformedFrame, decode
from gateway.ocpp.vocabulary import OCPPVersion, name_of_setting

__all__ = ["InnerCall", "Unreadable", "as_signed", "inner_call", "inner_result", "may_wrap", "unsigned"]

_SUFFIX: Final = "-Signed"
_TUNNEL_VENDOR: Final = "org.openchargealliance.iso15118pnc"
_TUNNELLED: Final = frozenset(
    {
        "Authorize",
        "CertificateSigned",
        "DeleteCertificate",
        "Get15118EVCertificate",
        "GetCertificateStatus",
        "GetInstalledCertificateIds",
        "InstallCertificate",
        "SignCertificate",
        "TriggerMessage",
    }
)


class Unreadable(Exception):  # noqa: N818  names the state
    """A wrapped call whose inside cannot be read: nothing may be assumed about it, so it does not pass."""


class InnerCall(msgspec.Struct, frozen=True):
    """What a wrapped call really says."""

    action: str
    payload: dict[str, Any]
    version: OCPPVersion
    """The version whose schema the inner payload follows: the tunnel carries 2.0.1 messages over 1.6."""
    signed: bool


def as_signed(action: str) -> str:
    """The action under which a signed call of this one travels."""
    return action + _SUFFIX


def unsigned(action: str) -> str:
    """The action that a call is about, whether or not it is signed."""
    return action.removesuffix(_SUFFIX)


def inner_result(version: OCPPVersion, payload: dict[str, Any]) -> dict[str, Any] | None:
    """The answer inside a DataTransfer result of the ISO 15118 tunnel of 1.6; None if there is none to be read."""
    data = payload.get("data")
    if isinstance(data, dict):
        return data
    if not isinstance(data, str):
        return None
    try:
        return _strict_object(version, data.encode("utf-8", "surrogatepass"))
    except Unreadable:
        return None


def may_wrap(version: OCPPVersion, action: str) -> bool:
    """True if a call of this action can be a wrapped one: `inner_call` has to look at it."""
    return action.endswith(_SUFFIX) or (version is OCPPVersion.V1_6 and action == "DataTransfer")


def inner_call(version: OCPPVersion, action: str, payload: dict[str, Any]) -> InnerCall | None:
    """The call inside, None if this is not a wrapped one. Raises Unreadable."""
    signed = action.endswith(_SUFFIX)
    if signed:
        action, payload = action.removesuffix(_SUFFIX), _jws_payload(version, payload)
        if action.endswith(_SUFFIX):
            raise Unreadable("signed twice")
    if _is_tunnel(version, action, payload):
        return _tunnelled(payload, signed=signed)
    return InnerCall(action, payload, version, signed=True) if signed else None


def _is_tunnel(version: OCPPVersion, action: str, payload: dict[str, Any]) -> bool:
    """Whether a call is the tunnel of ISO 15118 messages. A vendorId has no case (CiString255Type): nor has it here."""
    if version is not OCPPVersion.V1_6 or action != "DataTransfer":
        return False
    vendor = payload.get("vendorId")
    return isinstance(vendor, str) and name_of_setting(vendor) == _TUNNEL_VENDOR


def _jws_payload(version: OCPPVersion, payload: dict[str, Any]) -> dict[str, Any]:
    """The payload of a flattened JWS."""
    text = payload.get("payload")
    if not isinstance(text, str):
        raise Unreadable("no JWS payload")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable("JWS payload is not base64url") from None
    return _strict_object(version, raw)


def _strict_object(version: OCPPVersion, raw: bytes) -> dict[str, Any]:
    """An inner payload is held to the same strictness as an outer one: what two parsers read differently is refused."""
    try:
        frame = decode(b'[2,"inner","Inner",' + raw + b"]", version)
    except MalformedFrame as malformed:
        raise Unreadable(malformed.detail) from None
    value: dict[str, Any] = msgspec.json.decode(frame.payload)  # type: ignore[union-attr]
    return value


def _tunnelled(payload: dict[str, Any], *, signed: bool) -> InnerCall:
    action, data = payload.get("messageId"), payload.get("data")
    if not isinstance(action, str) or action not in _TUNNELLED:
        raise Unreadable("messageId of the ISO 15118 tunnel")
    if isinstance(data, dict):
        # Some stacks send the object itself instead of its text.
        return InnerCall(action, data, OCPPVersion.V2_0_1, signed=signed)
    if not isinstance(data, str):
        raise Unreadable("data of the ISO 15118 tunnel")
    return InnerCall(
        action,
        _strict_object(OCPPVersion.V2_0_1, data.encode("utf-8", "surrogatepass")),
        OCPPVersion.V2_0_1,
        signed=signed,
    )
