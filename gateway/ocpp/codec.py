"""The strict codec: any bytes become a Frame or a MalformedFrame, decoded once, nothing repaired.

Refused is whatever two JSON parsers could read differently: duplicate keys (escaped ones too), NaN, lone surrogates,
depth, numbers beyond what a double holds, trailing data, wrong frame shapes. What passes is forwarded as the sender's
own bytes; nothing here ever writes a payload.

The common case, no backslash anywhere, is proven clean with C-level scans: without escapes the quotes delimit the
strings, so the colons between strings are the keys, and a decoded object with fewer keys than colons had duplicates.
Only texts with escapes or extreme numbers take the slow way through `json` with hooks.
"""

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from gateway.ocpp.frames import Call, CallError, CallResult, CallResultError, Frame, Send
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = ["MAX_DEPTH", "MAX_MESSAGE_ID_CHARS", "MalformedFrame", "decode", "decode_payload"]

MAX_DEPTH: Final = 32
MAX_MESSAGE_ID_CHARS: Final = 36
_MAX_ACTION_CHARS = 64
_MAX_VALUES: Final = 10_000
_MAX_KEYS: Final = 1_000
_MAX_INTEGER: Final = 2**53

_decode_all: Final = msgspec.json.Decoder(Call | CallResult | CallError | CallResultError | Send).decode
_decode_value: Final = msgspec.json.Decoder().decode
_CALL_START: Final = re.compile(rb'\s*\[\s*([0-9]{1,3})\s*,\s*"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,36})"\s*,')
_ANY_TYPE: Final = re.compile(rb"\s*\[\s*(-?[0-9]{1,9})\s*,")
_ODD_NUMBER: Final = re.compile(rb"[0-9]{16}|[0-9][eE]")
_NOT_A_NUMBER: Final = re.compile(rb"[\[,:]\s*-?(?:NaN|Infinity)\b")
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_NEVER_ANSWERED: Final = frozenset({3, 4, 5, 6})


class MalformedFrame(Exception):  # noqa: N818  what the peer sent
    """Not a frame that may be relayed. Holds nothing of the input but a message id that was readable and legal."""

    def __init__(
        self,
        event: str,
        detail: str,
        *,
        message_id: str | None = None,
        is_call: bool = False,
        is_answer: bool = False,
        parsed: bool = False,
    ) -> None:
        super().__init__(detail)
        self.event = event
        """``json.malformed`` (lenient parsers read it), ``json.depth``, ``json.duplicate_key``, ``json.number_range``,
        ``json.limit``, ``json.surrogate``, ``rpc.malformed``, ``rpc.message_id``, ``rpc.message_type``,
        ``rpc.unknown_action`` (no action name at all)."""
        self.detail = detail
        self.message_id = message_id
        self.is_call = is_call
        """True if it began like a Call, so that an answer makes sense."""
        self.is_answer = is_answer
        """True if it began like a message of another known type: those are never answered."""
        self.parsed = parsed
        """True if the frame itself was readable and only its payload is at fault."""


class _Odd(Exception):  # noqa: N818  carries an event name out of the hooks of json
    def __init__(self, event: str, detail: str) -> None:
        super().__init__(detail)
        self.event = event


def decode(data: bytes, version: OCPPVersion) -> Frame:
    """The one frame in `data` (UTF-8 text of a WebSocket message). Raises MalformedFrame, and nothing else."""
    try:
        frame: Frame = _decode_all(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        _refuse_envelope(data, error)
    message_id = frame.message_id
    if not 0 < len(message_id) <= MAX_MESSAGE_ID_CHARS or not message_id.isprintable():
        raise MalformedFrame(
            "rpc.message_id", "message id empty, too long or not printable", is_call=type(frame) is Call
        )
    if isinstance(frame, Call):
        raw = frame.payload
        if not 0 < len(frame.action) <= _MAX_ACTION_CHARS:
            raise MalformedFrame(
                "rpc.unknown_action", "action empty or too long", message_id=message_id, is_call=True, parsed=True
            )
    elif isinstance(frame, CallResult):
        raw = frame.payload
    elif isinstance(frame, CallError):
        raw = frame.details
    else:
        if version is not OCPPVersion.V2_1:
            raise MalformedFrame("rpc.message_type", "message type of OCPP 2.1")
        raw = frame.payload if isinstance(frame, Send) else frame.details
    try:
        _check_object(bytes(raw), data)
    except _Odd as odd:
        raise MalformedFrame(
            odd.event, str(odd), message_id=message_id, is_call=isinstance(frame, Call), parsed=True
        ) from None
    return frame


def decode_payload(raw: msgspec.Raw) -> dict[str, Any]:
    """The payload of a frame that `decode` has returned."""
    value: dict[str, Any] = _decode_value(raw)
    return value


def _refuse_envelope(data: bytes, error: Exception) -> NoReturn:
    """Say what is wrong with a text that is no frame, and find its message id if it can be trusted."""
    start = _CALL_START.match(data)
    message_id = start[2].decode("ascii") if start else None
    is_call = start is not None and start[1] == b"2"
    if isinstance(error, RecursionError):
        raise MalformedFrame(
            "json.depth", "nested too deeply", message_id=message_id, is_call=is_call, parsed=is_call
        ) from None
    if _NOT_A_NUMBER.search(data):
        raise MalformedFrame("json.malformed", "NaN or Infinity", message_id=message_id, is_call=is_call) from None
    kind = _ANY_TYPE.match(data)
    if kind is not None and int(kind[1]) not in {2, 3, 4, 5, 6} and isinstance(error, msgspec.ValidationError):
        raise MalformedFrame("rpc.message_type", "unknown message type") from None
    if isinstance(error, msgspec.ValidationError):
        readable = is_call and start is not None
        raise MalformedFrame(
            "rpc.malformed", "not the shape of a frame", message_id=message_id, is_call=readable
        ) from None
    raise MalformedFrame("rpc.malformed", "not valid JSON", message_id=message_id, is_call=is_call) from None


def _check_object(raw: bytes, data: bytes) -> None:
    """Raise _Odd unless `raw` is one object that every parser reads alike. `data`: the whole frame, for cheap scans."""
    if raw[:1] != b"{":
        raise _Odd("rpc.malformed", "payload is not an object")
    if len(raw) == 2:  # noqa: PLR2004  {}
        return
    outside = b"" if b"\\" in data else b"".join(raw.split(b'"')[::2])
    if not outside or _ODD_NUMBER.search(outside):
        _check_slowly(raw)
        return
    try:
        value = _decode_value(raw)
    except RecursionError:
        raise _Odd("json.depth", "nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        raise _Odd("json.malformed", "payload is not valid JSON") from None
    colons = outside.count(b":")
    if colons > _MAX_KEYS:
        _check_limits(value)
    if _count_keys(value, 2) != colons:
        raise _Odd("json.duplicate_key", "a key stands twice in one object")


def _count_keys(value: Any, depth: int) -> int:
    """Number of keys in all objects of `value`. Raises _Odd beyond the depth."""
    if depth > MAX_DEPTH:
        raise _Odd("json.depth", "nested too deeply")
    if type(value) is dict:
        total = len(value)
        for item in value.values():
            kind = type(item)
            if kind is dict or kind is list:
                total += _count_keys(item, depth + 1)
        return total
    total = 0
    if len(value) > _MAX_VALUES:
        raise _Odd("json.limit", "too many values")
    for item in value:
        kind = type(item)
        if kind is dict or kind is list:
            total += _count_keys(item, depth + 1)
    return total


def _check_limits(value: Any) -> None:
    """Count every value and the keys of every object, without recursion."""
    waiting, values = [value], 0
    while waiting:
        item = waiting.pop()
        values += 1
        if type(item) is dict:
            if len(item) > _MAX_KEYS:
                raise _Odd("json.limit", "too many keys in one object")
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)
        if values > _MAX_VALUES or len(waiting) > _MAX_VALUES:
            raise _Odd("json.limit", "too many values")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Odd("json.duplicate_key", "a key stands twice in one object")
    if len(made) > _MAX_KEYS:
        raise _Odd("json.limit", "too many keys in one object")
    return made


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > _MAX_INTEGER:  # noqa: PLR2004  2**53 has 16 digits and perhaps a sign
        raise _Odd("json.number_range", "integer beyond 2**53")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise _Odd("json.number_range", "number beyond a double")
    return value


def _constant(text: str) -> NoReturn:
    del text
    raise _Odd("json.malformed", "NaN or Infinity")


_slow_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_int=_integer, parse_float=_float, parse_constant=_constant, strict=True
)


def _check_slowly(raw: bytes) -> None:
    try:
        value = _slow_decoder.decode(raw.decode("utf-8"))
    except RecursionError:
        raise _Odd("json.depth", "nested too deeply") from None
    except (ValueError, UnicodeDecodeError):
        raise _Odd("json.malformed", "payload is not valid JSON") from None
    _count_keys(value, 2)
    _check_limits(value)
    _check_strings(value)


def _check_strings(value: Any) -> None:
    """Lone surrogates, which escapes can hide: some parsers replace them, some refuse, some pass them on."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)
        elif type(item) is str and not item.isascii():
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                raise _Odd("json.surrogate", "lone surrogate") from None
