"""Keeps what lives long out of the garbage collector's way: a full pass over thousands of sessions stops the process."""

import gc

__all__ = ["freeze_survivors"]

_MANY = 5_000


def freeze_survivors() -> None:
    """Call this now and then; it does something once thousands of objects have come to stay.

    The objects of a session must hold no cycle once it has ended: frozen ones are freed by their reference counts
    alone. tests/edge/test_session_memory.py holds the edge to that. What is garbage at the time is collected before
    anything is frozen, so that nothing is kept for ever; between two freezes there is little to walk.
    """
    young, middle, _ = gc.get_count()
    if young >= _MANY or middle:
        gc.collect()
        gc.freeze()
