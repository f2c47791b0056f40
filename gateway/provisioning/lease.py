"""Which one of several nodes does what only one may do: a lease that is renewed, and taken over after it has lapsed. Pure.

`generation` is the fencing token: it grows whenever the lease changes hands, so that what a holder writes after it has
lost the lease, without knowing, can be told from what its successor writes. Times are those of one clock, the database's.
"""

from typing import Final

import msgspec

__all__ = ["NOBODY", "Lease", "claimed", "is_held_by", "released"]

NOBODY: Final = ""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds it, and until when if it is not renewed (seconds since the epoch)."""

    holder: str
    generation: int
    lapses_at: float


def claimed(held: Lease | None, claimant: str, now: float, term_s: float) -> Lease | None:
    """The lease as it is to be stored when `claimant` wants or renews it; None where another one holds it.

    Whoever has let it lapse gets another generation, even if nobody has had it meanwhile: what was begun before counts no more.
    """
    if not claimant or term_s <= 0.0:
        raise ValueError("a lease needs a holder and a term")
    if held is None:
        return Lease(holder=claimant, generation=1, lapses_at=now + term_s)
    if is_held_by(held, claimant, now):
        return msgspec.structs.replace(held, lapses_at=now + term_s)
    if held.holder != NOBODY and now < held.lapses_at:
        return None
    return Lease(holder=claimant, generation=held.generation + 1, lapses_at=now + term_s)


def is_held_by(held: Lease | None, claimant: str, now: float) -> bool:
    """True while nobody else can have it."""
    return held is not None and held.holder == claimant != NOBODY and now < held.lapses_at


def released(held: Lease, holder: str) -> Lease:
    """The next one need not wait until it lapses. Unchanged where it is not this holder's."""
    return msgspec.structs.replace(held, holder=NOBODY, lapses_at=0.0) if held.holder == holder else held
