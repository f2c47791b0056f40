"""From an upgrade request to a claimed identity: one grammar, decoded exactly once, compared exactly.

Nothing is authenticated here. The raw segment is never used again; the URL towards the CSMS is made from the decoded
value by `encode_identity`.
"""

import re
from typing import Final

import msgspec

from gateway.audit.event import printable
from gateway.identity.evidence import Tolerance
from gateway.identity.record import ChargePointRecord
from gateway.identity.refusal import Reason, Refusal
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion

__all__ = [
    "Target",
    "choose_subprotocols",
    "encode_identity",
    "fold",
    "ignores_case",
    "matches",
    "read_target",
    "require_tolerances",
    "verify_identity",
]

_ABSOLUTE: Final = re.compile(r"(?:ws|wss|http|https)://[A-Za-z0-9.\-:\[\]]+(/.*)", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_ALLOWED: Final = re.compile(r"[A-Za-z0-9 !$&'()*+,\-.:=@_|~\[\]{}<>^`\"]+")
"""Printable ASCII without what separates: slash, backslash, percent, question mark, hash, semicolon."""
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_AS_IT_IS: Final = re.compile(r"[A-Za-z0-9\-._~]+").fullmatch
"""Nothing but unreserved characters (RFC 3986, 2.3): the same text encoded and decoded, as nearly all identities are."""
_MISSING: Final[dict[str, Reason]] = {
    "missing-connection-upgrade": Reason.HTTP_NOT_WEBSOCKET,
    "missing-subprotocol": Reason.SUBPROTOCOL,
    "empty-subprotocol-element": Reason.TOLERANCE_NOT_GRANTED,
    "absolute-form-target": Reason.IDENTITY_CONFUSION,
    "trailing-slash": Reason.IDENTITY_CONFUSION,
}


class Target(msgspec.Struct, frozen=True):
    """Whom a request target claims to be, and the tolerances without which it would be refused."""

    charge_point_id: ChargePointId
    needs: tuple[Tolerance, ...] = ()


def read_target(target: str, path_prefix: str, max_identity_chars: int) -> Target:
    """The identity in a request target (T-01): `path_prefix`, a slash, one percent-encoded segment.

    Raises Refusal: PATH_UNKNOWN, IDENTITY_CONFUSION, IDENTITY_INVALID, IDENTITY_TOO_LONG.
    """
    needs: list[Tolerance] = []
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise Refusal(Reason.IDENTITY_CONFUSION, "request target is not a path")
        target = absolute[1]
        needs.append("absolute-form-target")
    if "?" in target or "#" in target or ";" in target or "\\" in target:
        raise Refusal(Reason.IDENTITY_CONFUSION, "query, fragment, parameter or backslash in the path")
    prefix = path_prefix.rstrip("/") + "/"
    if not target.startswith(prefix):
        raise Refusal(Reason.PATH_UNKNOWN, "path " + printable(target, 80))
    segment = target[len(prefix) :]
    if segment.endswith("/") and len(segment) > 1:
        segment = segment[:-1]
        needs.append("trailing-slash")
    return Target(_read_segment(segment, max_identity_chars), tuple(needs))


def _read_segment(segment: str, max_chars: int) -> ChargePointId:
    identity = segment if _AS_IT_IS(segment) and len(segment) <= max_chars else _decoded(segment, max_chars)
    verify_identity(identity, max_chars)
    return ChargePointId(identity)


def _decoded(segment: str, max_chars: int) -> str:
    """Raises Refusal."""
    if not segment or "/" in segment:
        raise Refusal(Reason.IDENTITY_CONFUSION, "empty or more than one path segment")
    if len(_ESCAPE.sub("", segment)) + len(_ESCAPE.findall(segment)) > 4 * max_chars:
        raise Refusal(Reason.IDENTITY_TOO_LONG, f"more than {max_chars} characters")
    if "%" in _ESCAPE.sub("", segment):
        raise Refusal(Reason.IDENTITY_CONFUSION, "incomplete percent-encoding")
    if not segment.isascii():
        raise Refusal(Reason.IDENTITY_CONFUSION, "not percent-encoded: " + printable(segment, 80))
    raw = _ESCAPE.sub(lambda match: chr(int(match[0][1:], 16)), segment).encode("latin-1")
    if any(byte < 0x20 or byte == 0x7F for byte in raw):  # noqa: PLR2004  controls and DEL
        raise Refusal(Reason.IDENTITY_INVALID, "control character: " + printable(raw, 80))
    try:
        identity = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(Reason.IDENTITY_INVALID, "not UTF-8: " + printable(raw, 80)) from None
    if len(identity) > max_chars:
        raise Refusal(Reason.IDENTITY_TOO_LONG, f"{len(identity)} characters, {max_chars} are allowed")
    return identity


def verify_identity(identity: str, max_identity_chars: int = 64) -> None:
    """Raise Refusal unless `identity` (decoded) is one that the gateway accepts. Used for URLs and by the registry.

    A `%` could be a second layer of encoding, non-ASCII could look like another identity, dots could be a path.
    """
    if not identity or len(identity) > max_identity_chars:
        raise Refusal(Reason.IDENTITY_TOO_LONG if identity else Reason.IDENTITY_CONFUSION, "length of the identity")
    if identity in {".", ".."} or not _ALLOWED.fullmatch(identity) or identity != identity.strip():
        raise Refusal(Reason.IDENTITY_CONFUSION, "characters of the identity: " + printable(identity, 80))


def encode_identity(charge_point_id: ChargePointId) -> str:
    """The identity as one path segment, e.g. ``RDAM|123`` -> ``RDAM%7C123`` (T-01)."""
    if _AS_IT_IS(charge_point_id):
        return str(charge_point_id)
    return "".join(chr(b) if b in _UNRESERVED else f"%{b:02X}" for b in charge_point_id.encode("utf-8"))


def fold(charge_point_id: str) -> str:
    """The registry's unique key: two spellings that differ only in case are one charge point, never two (T-04)."""
    return charge_point_id.casefold()


def matches(claimed: ChargePointId, record: ChargePointRecord) -> bool:
    """Exact spelling; another case only where every version of the record is 2.x, whose identities ignore case."""
    if claimed == record.charge_point_id:
        return True
    return ignores_case(record) and fold(claimed) == fold(record.charge_point_id)


def ignores_case(record: ChargePointRecord) -> bool:
    """True where every version of the record is 2.x, whose identities ignore case (T-04)."""
    return bool(record.ocpp_versions) and OCPPVersion.V1_6 not in record.ocpp_versions


def require_tolerances(needs: tuple[Tolerance, ...], granted: tuple[Tolerance, ...]) -> None:
    """Raise the Refusal of the first need that the registry does not grant."""
    for need in needs:
        if need not in granted:
            reason = _MISSING.get(need, Reason.TOLERANCE_NOT_GRANTED)
            raise Refusal(reason, f"tolerance {need} is not granted")


def choose_subprotocols(
    offered: tuple[str, ...], record: ChargePointRecord, csms_versions: tuple[OCPPVersion, ...]
) -> tuple[tuple[str, ...], OCPPVersion | None]:
    """(what to offer the CSMS in the charge point's order, version assumed because nothing was offered).

    Raises Refusal SUBPROTOCOL when nothing is left (TC_088, TC_B_58: refuse without upgrading).
    """
    allowed = {version.subprotocol for version in record.ocpp_versions if version in csms_versions}
    if not offered and "missing-subprotocol" in record.tolerances and record.default_version is not None:
        token = record.default_version.subprotocol
        if token in allowed:
            return (token,), record.default_version
    chosen = tuple(token for token in offered if token in allowed)
    if not chosen:
        shown = ", ".join(printable(token, 24) for token in offered[:4]) or "nothing"
        raise Refusal(Reason.SUBPROTOCOL, f"offered {shown}; allowed {', '.join(sorted(allowed)) or 'nothing'}")
    return chosen, None
