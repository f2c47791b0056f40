"""What is kept of a frame itself: its text without secrets, with a pseudonym in the place of each driver's token, sealed."""

import time
from collections.abc import Callable
from typing import Any, Final

from gateway.audit.known_names import TOKENS
from gateway.audit.redaction import redacted, token_pseudonym
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys, subject_of
from gateway.link.relayed import RelayedFrame

__all__ = ["MARKS", "MAX_SUBJECTS", "FrameBodies", "names_nobody"]

_MAX_TEXT_BYTES: Final = 1_048_576
MAX_SUBJECTS: Final = 32
"""A record names no more drivers. Of more that are in a text, ``body.drivers`` says how many: who looks for one reads it."""
MARKS: Final = (*(f'"{name}"'.encode() for name in sorted(TOKENS)), rb"\u", b'"payload"', b'"data"')
"""A frame without any of these names no driver: names may be spelt with escapes, and messages hide in others."""


def names_nobody(data: bytes) -> bool:
    """True of most frames that name no driver, and of none that does: each of MARKS has one of these in it."""
    return not (
        b"\\" in data or b"dT" in data or b"erId" in data or b"EMAID" in data or b'load"' in data or b'data"' in data
    )


class FrameBodies:
    """`clock`: seconds since the epoch."""

    def __init__(self, keys: PseudonymKeys, payloads: PayloadStore, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._payloads = payloads
        self._clock = clock

    def subjects(self, frame: RelayedFrame) -> tuple[str, ...]:
        """Pseudonyms of the drivers in a frame. Raises OSError, KeyUnusable."""
        if names_nobody(frame.data):
            return ()
        for mark in MARKS:
            if mark in frame.data:
                return self._read(frame, time.gmtime(self._clock()))[1][:MAX_SUBJECTS]
        return ()

    def body(self, frame: RelayedFrame) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What stands for a frame in its record, and pseudonyms of the drivers in it. Raises OSError, KeyUnusable.

        Its text is on the disk after the next `flush`.
        """
        now = time.gmtime(self._clock())
        text, subjects = self._read(frame, now)
        if text is None:
            return {"omitted": "not a message"}, ()
        if len(text) > _MAX_TEXT_BYTES:
            return {"omitted": "too long"}, subjects[:MAX_SUBJECTS]
        day = time.strftime("%Y-%m-%d", now)
        body = {"commit": self._payloads.add(day, text), "day": day, "bytes": len(text)}
        if len(subjects) > MAX_SUBJECTS:
            body["drivers"] = len(subjects)
        return body, subjects[:MAX_SUBJECTS]

    def flush(self) -> None:
        """Wait for the disk. Raises OSError."""
        self._payloads.flush()

    def _read(self, frame: RelayedFrame, now: time.struct_time) -> tuple[bytes | None, tuple[str, ...]]:
        """The text as it may be kept, None if nothing of it may; and the pseudonyms in it, with the key of the text's own year."""
        year = time.strftime("%Y", now)
        key, subjects = self._keys.of(year), dict[str, None]()

        def pseudonym(token: str) -> str:
            found = token_pseudonym(key, token)
            subjects[subject_of(year, found)] = None
            return found

        also = frame.note.redact if frame.note is not None else ()
        try:
            text = redacted(frame.data, frame.source.version, pseudonym, also)
        except ValueError:
            return None, ()
        return text, tuple(subjects)
