"""Who has vouched for a client certificate: remembered, because OpenSSL tells it only in the handshake that verified it.

A ticket can be used only with the context that made it, so that what a context has seen is all that can be resumed.
"""

import hashlib
from collections import OrderedDict
from typing import Final

__all__ = ["VerifiedChains"]

_MAX_LEAVES: Final = 200_000
"""More than one edge carries. What is forgotten is refused when it resumes, by control, which lets nobody in by an unknown root."""
_KEY_BYTES: Final = 16


class VerifiedChains:
    """By leaf: the issuers in DER. Only what a full handshake has verified comes in."""

    __slots__ = ("_by_leaf", "_shared")

    def __init__(self) -> None:
        self._by_leaf: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        self._shared: dict[tuple[bytes, ...], tuple[bytes, ...]] = {}
        """A fleet has few issuers: one object for all of their certificates."""

    def note(self, leaf_der: bytes, issuers_der: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """A full handshake has verified this leaf by these issuers; gives them back as the one object for all."""
        key = _key(leaf_der)
        shared = self._by_leaf[key] = self._shared.setdefault(issuers_der, issuers_der)
        self._by_leaf.move_to_end(key)
        if len(self._by_leaf) > _MAX_LEAVES:
            self._by_leaf.popitem(last=False)
        return shared

    def of(self, leaf_der: bytes) -> tuple[bytes, ...]:
        """The issuers of a leaf; empty without a leaf, or where nothing is known."""
        return self._by_leaf.get(_key(leaf_der), ()) if leaf_der else ()


def _key(leaf_der: bytes) -> bytes:
    return hashlib.sha256(leaf_der).digest()[:_KEY_BYTES]
