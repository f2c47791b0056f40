"""Records of frames that simply went on, thousands in a second: one text for each session and action, with places. Pure.

What differs between two such frames of a session are numbers, clocks and ids. Everything else is written once, by
`message_record` itself, so that there is one description of what a record looks like.
"""

import re
from typing import Final

import msgspec

from gateway.audit.record import Stamp
from gateway.audit.relayed import Head, Message, message_record
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion

__all__ = ["PlainRecords", "filled"]

_PLAIN_ID: Final = re.compile(r"[!#-\[\]-~]{1,64}").fullmatch
"""Ids that stand in JSON as they are, and whole."""
_MOST_TEXTS: Final = 8_192
_ID: Final = "00000000-0000-7000-8000-00000000c0de"
_MESSAGE_ID: Final = "message-id-of-this-frame"
_NUMBER, _MONO, _AFTER, _SIZE, _SEQ, _TS = (9_007_199_254_740_100 + place for place in range(6))
"""Stand in the place of what differs. Where one of them is found twice, no text is made."""


class PlainRecords:
    """Of one run of an edge, under one policy. `stamp`: one of the worker whose records these are."""

    def __init__(self, stamp: Stamp, policy: str, edge_boot: str) -> None:
        self._stamp = msgspec.structs.replace(stamp, id=_ID, ts_us=_TS, mono_ns=_MONO, seq=_SEQ)
        self._policy = policy
        self._edge_boot = edge_boot
        self._texts: dict[tuple[str, bool, bool, str], str] = {}

    def text(
        self,
        session: str,
        charge_point_id: ChargePointId,
        version: OCPPVersion,
        action: str,
        message_id: str,
        *,
        from_csms: bool,
        is_answer: bool,
    ) -> str:
        """For `filled`; empty where the record of this frame has to be made by `message_record`."""
        if _PLAIN_ID(message_id) is None:
            return ""
        key = session, from_csms, is_answer, action
        text = self._texts.get(key)
        if text is None:
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            after_ms = _AFTER if is_answer else None
            head = Head("result" if is_answer else "call", _MESSAGE_ID, "" if is_answer else action)
            message = Message(
                head=head, action=action, charge_point_id=charge_point_id, session=session, version=version,
                from_csms=from_csms, size=_SIZE, after_ms=after_ms, decision="forward", said=(), policy=self._policy,
                edge_boot=self._edge_boot, number=_NUMBER,
            )  # fmt: skip
            text = self._texts[key] = _with_places(message_record(self._stamp, message), is_answer=is_answer)
        return text


def _with_places(record: bytes, *, is_answer: bool) -> str:
    """In the order in which they stand. Empty where something that a peer has chosen looks like one of them."""
    found = [_NUMBER, _ID, _MONO, *([_AFTER] if is_answer else []), _SIZE, _MESSAGE_ID, _SEQ, _TS]
    text = record.decode().replace("%", "%%")
    if any(text.count(str(each)) != 1 for each in found):
        return ""
    for each in found:
        text = text.replace(str(each), "%s" if isinstance(each, str) else "%d")
    return text


def filled(text: str, stamp: Stamp, message_id: str, number: int, size: int, after_ms: int | None) -> bytes:
    """The canonical envelope: byte for byte what `message_record` makes. `text`: of `PlainRecords.text`, not empty."""
    if after_ms is None:
        values = (number, stamp.id, stamp.mono_ns, size, message_id, stamp.seq, stamp.ts_us)
        return (text % values).encode()
    return (text % (number, stamp.id, stamp.mono_ns, after_ms, size, message_id, stamp.seq, stamp.ts_us)).encode()
