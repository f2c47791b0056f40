"""What is kept of a frame itself: its text without secrets, with a pseudonym in the place of each driver's token."""

import time
from collections.abc import Callable
from typing import Any, Final

from gateway.audit.known_names import TOKENS
from gateway.audit.redaction import redacted, token_pseudonym
from gateway.control.trail.pseudonyms import PseudonymKeys, subject_of
from gateway.link.relayed import RelayedFrame

__all__ = ["FrameBodies"]

_MAX_TEXT_BYTES: Final = 32_768
"""A record has at most 65535 bytes, and what is escaped in a text is escaped again in a record."""
_MAX_SUBJECTS: Final = 32
_MARKS: Final = (*(f'"{name}"'.encode() for name in sorted(TOKENS)), rb"\u", b'"payload"', b'"data"')
"""A frame without any of these names no driver: names may be spelt with escapes, and messages hide in others."""


class FrameBodies:
    """`clock`: seconds since the epoch."""

    def __init__(self, keys: PseudonymKeys, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    def subjects(self, frame: RelayedFrame) -> tuple[str, ...]:
        """Pseudonyms of the drivers in a frame. Raises OSError, KeyUnusable."""
        data = frame.data
        return self.body(frame)[1] if any(mark in data for mark in _MARKS) else ()

    def body(self, frame: RelayedFrame) -> tuple[dict[str, Any], tuple[str, ...]]:
        """What stands for a frame in its record, and pseudonyms of the drivers in it. Raises OSError, KeyUnusable."""
        year = time.strftime("%Y", time.gmtime(self._clock()))
        key, subjects = self._keys.of(year), dict[str, None]()

        def pseudonym(token: str) -> str:
            found = token_pseudonym(key, token)
            subjects[subject_of(year, found)] = None
            return found

        also = frame.note.redact if frame.note is not None else ()
        try:
            text = redacted(frame.data, frame.source.version, pseudonym, also)
        except ValueError:
            return {"omitted": "not a message"}, ()
        names = tuple(subjects)[:_MAX_SUBJECTS]
        if len(text) > _MAX_TEXT_BYTES:
            return {"omitted": "too long"}, names
        return {"text": text.decode()}, names
