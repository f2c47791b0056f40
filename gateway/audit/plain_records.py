"""Records of frames that simply went on, thousands in a second: one text for each action, with places. Pure.

What differs between two such frames are numbers, clocks and names. Everything else is written once, by `message_record`
itself, so that there is one description of what a record looks like.
"""

import re
from typing import Final

import msgspec

from gateway.audit.record import Stamp
from gateway.audit.relayed import Head, Message, message_record
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["PlainRecords", "filled", "is_plain"]

_PLAIN: Final = re.compile(r"[!#-\[\]-~]{1,64}").fullmatch
"""Names that stand in JSON as they are, and whole."""
_MOST_TEXTS: Final = 512
_ID: Final = "00000000-0000-7000-8000-00000000c0de"
_MESSAGE_ID, _IDENTITY, _SESSION = "message-id-of-this-frame", "identity-of-this-charge-point", "id-of-this-session"
_NUMBER, _MONO, _AFTER, _SIZE, _SEQ, _TS = (9_007_199_254_740_100 + place for place in range(6))
"""Stand in the place of what differs. Where one of them is found twice, no text is made."""


class PlainRecords:
    """Of one run of an edge, under one policy. `stamp`: one of the worker whose records these are."""

    def __init__(self, stamp: Stamp, policy: str, edge_boot: str) -> None:
        self._stamp = msgspec.structs.replace(stamp, id=_ID, ts_us=_TS, mono_ns=_MONO, seq=_SEQ)
        self._policy = policy
        self._edge_boot = edge_boot
        self._texts: dict[tuple[str, str, bool, bool], str] = {}

    def text(self, action: str, version: OCPPVersion, *, from_csms: bool, is_answer: bool) -> str:
        """For `filled`; empty where the records of such frames have to be made by `message_record`."""
        key = action, version.value, from_csms, is_answer
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            head = Head("result" if is_answer else "call", _MESSAGE_ID, "" if is_answer else action)
            message = Message(
                head=head, action=action, charge_point_id=_IDENTITY, session=_SESSION, version=version,
                from_csms=from_csms, size=_SIZE, after_ms=_AFTER if is_answer else None, decision="forward", said=(),
                policy=self._policy, edge_boot=self._edge_boot, number=_NUMBER,
            )  # fmt: skip
            text = self._texts[key] = _with_places(message_record(self._stamp, message), is_answer=is_answer)
        return text


def _with_places(record: bytes, *, is_answer: bool) -> str:
    """In the order in which they stand. Empty where something that a peer has chosen looks like one of them."""
    found = [_IDENTITY, _NUMBER, _ID, _MONO, *([_AFTER] if is_answer else []), _SIZE, _MESSAGE_ID, _SEQ, _SESSION, _TS]
    text = record.decode().replace("%", "%%")
    if any(text.count(str(each)) != 1 for each in found):
        return ""
    for each in found:
        text = text.replace(str(each), "%s" if isinstance(each, str) else "%d")
    return text


def is_plain(name: str) -> bool:
    """True of an id that `filled` takes: of a message, a charge point, a session."""
    return _PLAIN(name) is not None


def filled(
    text: str, stamp: Stamp, charge_point_id: str, session: str, message_id: str, number: int, size: int,
    after_ms: int | None,
) -> bytes:  # fmt: skip
    """The canonical envelope: byte for byte what `message_record` makes.

    `text`: of `PlainRecords.text`, not empty; of an answer where `after_ms` is not None. The three ids are plain.
    """
    ends = (size, message_id, stamp.seq, session, stamp.ts_us)
    if after_ms is None:
        return (text % (charge_point_id, number, stamp.id, stamp.mono_ns, *ends)).encode()
    return (text % (charge_point_id, number, stamp.id, stamp.mono_ns, after_ms, *ends)).encode()
