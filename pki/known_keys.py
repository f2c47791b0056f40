"""Has this key been here before? The same request again gets the same answer; anything else has a reason."""

import datetime
from dataclasses import dataclass
from typing import Final

from pki.errors import Reason, Refused
from pki.inventory import Inventory, RequestEntry, RequestState
from pki.names import Subject

__all__ = ["Asked", "RepeatRules", "known_request"]

_RENEWAL_PART: Final = 3
"""A renewal is expected in the last third of a certificate's life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for, and with which key."""

    profile: str
    subject: Subject
    names: tuple[str, ...]
    spki_sha256: bytes
    csr_sha256: bytes
    by_operator: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatRules:
    """`authority_keys`: that nobody else may have. `unsafe_accept_old_keys`: a renewal may come with the key that it had."""

    authority_keys: frozenset[bytes]
    unsafe_accept_old_keys: bool


def known_request(
    inventory: Inventory, asked: Asked, rules: RepeatRules, now: datetime.datetime
) -> tuple[RequestEntry | None, tuple[str, ...]]:
    """The request that this one repeats, if it does, and notes. Raises Refused for a key that may not come (again)."""
    if asked.spki_sha256 in rules.authority_keys:
        raise Refused(Reason.KEY_OF_AUTHORITY)
    before = inventory.by_key(asked.spki_sha256)
    for request in before:
        _verify_same(inventory, asked, request)
    if not before:
        return None, ()
    last = before[-1]
    if last.state is RequestState.DENIED and last.csr_sha256 == asked.csr_sha256 and not asked.by_operator:
        return last, ()
    if last.state in {RequestState.ABANDONED, RequestState.DENIED}:
        return None, ()
    has_same_names = _names(last.names, last.subject) == _names(asked.names, asked.subject)
    if has_same_names and (last.state.is_open or _answers_still(inventory, last, now)):
        return last, ()
    if not has_same_names and not last.state.is_open:
        return None, (f"the key of {last.id}, for other names",)
    if not has_same_names:
        raise Refused(Reason.KEY_USED_BEFORE, f"request {last.id} for other names is not done yet")
    if not rules.unsafe_accept_old_keys:
        raise Refused(Reason.KEY_USED_BEFORE)
    return None, ("renewed with its old key",)


def _verify_same(inventory: Inventory, asked: Asked, request: RequestEntry) -> None:
    """A key has one identity and one use, and is never revoked; what was only asked for and not given binds nobody."""
    if request.serial is not None and inventory.certificates[request.serial].revocation is not None:
        raise Refused(Reason.KEY_REVOKED)
    if request.state in {RequestState.DENIED, RequestState.ABANDONED}:
        return
    if request.subject != asked.subject:
        raise Refused(Reason.KEY_OF_ANOTHER_IDENTITY, request.subject.common_name)
    if request.profile != asked.profile:
        raise Refused(Reason.KEY_OF_ANOTHER_USE, request.profile)


def _names(names: tuple[str, ...], subject: Subject) -> frozenset[str]:
    """Alternative names as they are written: the CN if there are none, and in any case."""
    return frozenset(map(str.lower, names or (subject.common_name,)))


def _answers_still(inventory: Inventory, request: RequestEntry, now: datetime.datetime) -> bool:
    """It is issued, and its certificate has so much time left that this is a repetition and no renewal."""
    entry = None if request.serial is None else inventory.certificates[request.serial]
    if entry is None or not entry.issued or entry.not_before is None or entry.not_after is None:
        return False
    return now < entry.not_after - (entry.not_after - entry.not_before) / _RENEWAL_PART
