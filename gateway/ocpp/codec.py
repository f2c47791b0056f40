"""The strict codec: any bytes become a Frame or a MalformedFrame, decoded once, nothing repaired.

Refused is whatever two JSON parsers could read differently: duplicate keys (escaped ones too), NaN, lone surrogates,
depth, numbers beyond what a double holds, trailing data, wrong frame shapes. What passes is forwarded as the sender's
own bytes; nothing here ever writes a payload.

The common case, no backslash anywhere, is proven clean by counting: without escapes the number of quotes is twice the
number of strings in the text, and a duplicate key is lost in decoding, so a decoded object with fewer strings than that
(keys and values) had duplicates. Only texts with escapes take the slow way through `json` with hooks.
"""

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from gateway.ocpp.frames import Call, CallError, CallResult, CallResultError, Frame, Send
from gateway.ocpp.vocabulary import OCPPVersion

__all__ = [
    "MAX_DEPTH",
    "MAX_MESSAGE_ID_CHARS",
    "MalformedFrame",
    "Payload",
    "decode",
    "decode_message",
    "decode_payload",
]

Payload = dict[str, Any]

MAX_DEPTH: Final = 32
MAX_MESSAGE_ID_CHARS: Final = 36
_MAX_ACTION_CHARS = 64
_MAX_VALUES: Final = 10_000
_MAX_KEYS: Final = 1_000
_MAX_INTEGER: Final = 2**53

_decode_all: Final = msgspec.json.Decoder(Call | CallResult | CallError | CallResultError | Send).decode
_decode_value: Final = msgspec.json.Decoder().decode
_ENVELOPE_STRINGS: Final = {Call: 2, CallResult: 1, CallError: 3, CallResultError: 3, Send: 2}
_START: Final = re.compile(
    rb"[ \t\r\n]*\[[ \t\r\n]*(0|-?[1-9][0-9]{0,8})[ \t\r\n]*,"
    rb'(?:[ \t\r\n]*"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,36})"[ \t\r\n]*[,\]])?'
)
"""Message type and, if it needs no decoding, message id of a text that may be broken further on."""
_NOT_A_NUMBER: Final = re.compile(rb"[\[,:][ \t\r\n]*-?(?:NaN|Infinity)\b")
_CALL: Final = 2
_MESSAGE_TYPES: Final = frozenset({2, 3, 4, 5, 6})


class MalformedFrame(Exception):  # noqa: N818  what the peer sent
    """Not a frame that may be relayed. Holds nothing of the input but a message id that was readable and legal."""

    def __init__(
        self,
        event: str,
        detail: str,
        *,
        message_id: str | None = None,
        message_type: int | None = None,
        parsed: bool = False,
    ) -> None:
        super().__init__(detail)
        self.event = event
        """``json.malformed`` (lenient parsers read it), ``json.depth``, ``json.duplicate_key``, ``json.number_range``,
        ``json.limit``, ``json.surrogate``, ``json.nul``, ``rpc.malformed``, ``rpc.message_id``, ``rpc.message_type``,
        ``rpc.unknown_action`` (nothing that could be an action's name)."""
        self.detail = detail
        self.message_id = message_id
        self.message_type = message_type
        """What it began like, if that was readable: 2 wants an answer, the other known types are never answered."""
        self.parsed = parsed
        """True if the frame itself was readable and only its payload is at fault."""


class _Odd(Exception):  # noqa: N818  carries an event name out of the hooks of json
    def __init__(self, event: str, detail: str) -> None:
        super().__init__(detail)
        self.event = event


def decode(data: bytes, version: OCPPVersion) -> Frame:
    """The one frame in `data` (UTF-8 text of a WebSocket message). Raises MalformedFrame, and nothing else."""
    return decode_message(data, version)[0]


def decode_message(data: bytes, version: OCPPVersion) -> tuple[Frame, Payload]:
    """The one frame in `data` and its payload (or details) as a value. Raises MalformedFrame, and nothing else."""
    try:
        frame: Frame = _decode_all(data)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        _refuse_envelope(data, error)
    message_id = frame.message_id
    if not 0 < len(message_id) <= MAX_MESSAGE_ID_CHARS or not message_id.isprintable():
        raise MalformedFrame(
            "rpc.message_id", "message id empty, too long or not printable", message_type=_type_of(frame)
        )
    if type(frame) is Call:
        _check_action(frame)
        raw = frame.payload
    elif type(frame) is CallResult:
        raw = frame.payload
    elif type(frame) is CallError:
        raw = frame.details
    elif version is not OCPPVersion.V2_1:
        raise MalformedFrame("rpc.message_type", "message type of OCPP 2.1", message_type=_type_of(frame))
    elif type(frame) is Send:
        _check_action(frame)
        raw = frame.payload
    else:
        assert type(frame) is CallResultError
        raw = frame.details
    try:
        return frame, _check_object(raw, data, frame)
    except _Odd as odd:
        raise MalformedFrame(
            odd.event, str(odd), message_id=message_id, message_type=_type_of(frame), parsed=True
        ) from None


def _check_action(frame: Call | Send) -> None:
    action = frame.action
    if not 0 < len(action) <= _MAX_ACTION_CHARS or not action.isascii() or not action.isprintable():
        raise MalformedFrame(
            "rpc.unknown_action",
            "not the name of an action",
            message_id=frame.message_id,
            message_type=_type_of(frame),
            parsed=True,
        )


def _type_of(frame: Frame) -> int:
    tag = frame.__struct_config__.tag
    assert isinstance(tag, int)
    return tag


def decode_payload(raw: msgspec.Raw) -> Payload:
    """The payload of a frame that `decode` has returned."""
    value: Payload = _decode_value(raw)
    return value


def _refuse_envelope(data: bytes, error: Exception) -> NoReturn:
    """Say what is wrong with a text that is no frame, and find its message id if it can be trusted."""
    start = _START.match(data)
    message_type = int(start[1]) if start else None
    message_id = start[2].decode("ascii") if start and start[2] else None
    event, detail = "rpc.malformed", "not valid JSON"
    if isinstance(error, RecursionError):
        event, detail = "json.depth", "nested too deeply"
    elif _NOT_A_NUMBER.search(data):
        event, detail = "json.malformed", "NaN or Infinity"
    elif isinstance(error, msgspec.ValidationError):
        detail = "not the shape of a frame"
        if message_type is not None and message_type not in _MESSAGE_TYPES:
            event, detail = "rpc.message_type", "unknown message type"
        elif str(error).endswith("`$[1]`"):
            event, detail = "rpc.message_id", "message id is not a string"
    raise MalformedFrame(
        event,
        detail,
        message_id=message_id,
        message_type=message_type,
        parsed=event == "json.depth" and message_id is not None,
    ) from None


def _check_object(raw: msgspec.Raw, data: bytes, frame: Frame) -> Payload:
    """The object that every parser reads in `raw`. Raises _Odd if it is none. `data`: all of the frame that it is of."""
    if data.endswith(b"{}]"):  # the last element of a valid frame can only be empty then
        return {}
    if b"\\" in data:
        _check_slowly(bytes(raw))
        return decode_payload(raw)
    try:
        value = _decode_value(raw)
    except RecursionError:
        raise _Odd("json.depth", "nested too deeply") from None
    except (msgspec.MsgspecError, ValueError):
        value = None
        _check_slowly(bytes(raw))  # finds the reason
    if type(value) is not dict:
        raise _Odd("rpc.malformed", "payload is not an object")
    strings = _count_strings(value, 2)
    if strings > _MAX_KEYS or len(data) > _MAX_VALUES:
        _check_limits(value)
    if data.count(b'"') != 2 * (strings + _ENVELOPE_STRINGS[type(frame)]):
        raise _Odd("json.duplicate_key", "a key stands twice in one object")
    return value


def _count_strings(value: Any, depth: int) -> int:
    """Number of strings, keys and values, in a container. Raises _Odd beyond the depth and the range of integers."""
    if depth > MAX_DEPTH:
        raise _Odd("json.depth", "nested too deeply")
    total = 0
    if type(value) is dict:
        total = len(value)
        value = value.values()
    for item in value:
        kind = type(item)
        if kind is str:
            total += 1
        elif kind is dict or kind is list:
            total += _count_strings(item, depth + 1)
        elif kind is int and not -_MAX_INTEGER <= item <= _MAX_INTEGER:
            raise _Odd("json.number_range", "integer beyond 2**53")
    return total


def _check_limits(value: Any) -> None:
    """Count the values (leaves: what is no container, or an empty one) and the keys of every object, without recursion.

    Every waiting item holds a leaf at least, so the two together are never more than the leaves there are.
    """
    waiting, values = [value], 0
    while waiting:
        item = waiting.pop()
        if type(item) is dict and item:
            if len(item) > _MAX_KEYS:
                raise _Odd("json.limit", "too many keys in one object")
            waiting.extend(item.values())
        elif type(item) is list and item:
            waiting.extend(item)
        else:
            values += 1
        if values + len(waiting) > _MAX_VALUES:
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
    if type(value) is not dict:
        raise _Odd("rpc.malformed", "payload is not an object")
    _count_strings(value, 2)
    _check_limits(value)
    _check_strings(value)


def _check_strings(value: Any) -> None:
    """What escapes can hide: lone surrogates, which parsers replace, refuse or pass on, and NUL, which ends strings in C."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            waiting.extend(item.keys())
            waiting.extend(item.values())
        elif type(item) is list:
            waiting.extend(item)
        elif type(item) is str and "\0" in item:
            raise _Odd("json.nul", "NUL in a string")
        elif type(item) is str and not item.isascii():
            try:
                item.encode("utf-8")
            except UnicodeEncodeError:
                raise _Odd("json.surrogate", "lone surrogate") from None
