"""Keeps what lives long out of the garbage collector's way: a full pass over thousands of sessions stops the process."""

import gc

__all__ = ["Collector"]

_BATCH = 200


class Collector:
    """Count what is `born`, call `tick` now and then.

    The objects of a session must hold no cycle once it has ended: frozen ones are freed by their reference counts
    alone. tests/edge/test_session_memory.py holds the edge to that. What is garbage at the time is collected before
    anything is frozen, so that nothing is kept for ever; between two freezes there is little to walk.
    """

    def __init__(self) -> None:
        self._unfrozen = 0

    def born(self) -> None:
        """One more session."""
        self._unfrozen += 1

    def tick(self) -> None:
        """Freeze, if enough sessions have come since the last time."""
        if self._unfrozen >= _BATCH:
            self._unfrozen = 0
            gc.collect()
            gc.freeze()
