"""A certificate that is revoked here, and the CA that has issued it is to know: when it is told, and told again. Pure.

Here it is revoked whatever becomes of the wish. Every function takes the time, in seconds since the epoch.
"""

from typing import Final

import msgspec

__all__ = ["RevocationWish", "as_noted", "at_once", "failed", "is_due", "is_noted", "put_by_hand"]

_FIRST_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 3_600.0
_BY_HAND_RETRY_S: Final = 86_400.0
"""A CA that refused today may take it tomorrow, as when it had not known of the certificate yet."""
_NOTED_EVERY_S: Final = 3_600.0
_MAX_DOUBLINGS: Final = 10


class RevocationWish(msgspec.Struct, frozen=True, kw_only=True):
    """One certificate. `is_by_hand`: the CA has said that somebody has to see to it there."""

    serial: str
    """Lower-case hex without leading zeros."""
    reason: str
    """As in RFC 5280."""
    certificate: bytes
    """DER."""
    not_after: float
    wished_at: float
    due_at: float = 0.0
    attempts: int = 0
    is_by_hand: bool = False
    why: str = ""
    """Of the last attempt, for people."""
    noted: str = ""
    """What is on record of that."""
    noted_at: float = 0.0


def is_due(wish: RevocationWish, now: float) -> bool:
    """True if the CA is to be told now."""
    return now >= wish.due_at


def at_once(wish: RevocationWish) -> RevocationWish:
    """What was in its way may be gone: the CA is asked without waiting any longer."""
    return msgspec.structs.replace(wish, due_at=0.0)


def failed(wish: RevocationWish, now: float, why: str) -> RevocationWish:
    """The CA could not be told: again after 5 s, doubling up to an hour."""
    wait_s = min(_FIRST_RETRY_S * 2 ** min(wish.attempts, _MAX_DOUBLINGS), _LONGEST_RETRY_S)
    return msgspec.structs.replace(wish, attempts=wish.attempts + 1, due_at=now + wait_s, is_by_hand=False, why=why)


def put_by_hand(wish: RevocationWish, now: float, why: str) -> RevocationWish:
    """The CA has no revocation, or refuses it: asked again after a day."""
    return msgspec.structs.replace(wish, attempts=0, due_at=now + _BY_HAND_RETRY_S, is_by_hand=True, why=why)


def is_noted(wish: RevocationWish, now: float) -> bool:
    """True if what the last attempt came to is on record, or others like it were there a moment ago."""
    said = _said(wish)
    return said == wish.noted or (not wish.is_by_hand and bool(wish.noted) and now < wish.noted_at + _NOTED_EVERY_S)


def as_noted(wish: RevocationWish, at: float) -> RevocationWish:
    """It is on record as it is."""
    return msgspec.structs.replace(wish, noted=_said(wish), noted_at=at)


def _said(wish: RevocationWish) -> str:
    return f"{'by hand' if wish.is_by_hand else 'failed'}: {wish.why}"
