"""What must not be kept of a message: secrets by nobody, names of drivers by nobody who reads the record. Pure.

A record keeps the frame's shape, so that rules can be run on it again: a secret becomes as many asterisks, a token of a
driver a keyed pseudonym that is the same wherever the token stands. Everything that is not sensitive stays as it was sent.

What is sensitive is known by name, wherever it stands, not by action: a GetConfiguration result shows the same password as
ChangeConfiguration sets, and a vendor's DataTransfer has both. In doubt more is taken out than must be.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

import msgspec

__all__ = ["Pseudonym", "redacted", "token_pseudonym"]

Pseudonym = Callable[[str], str]
"""A token of a driver -> what stands for it in a record."""

_PSEUDONYM_CHARS: Final = 20
"""An idTag of 1.6 is at most this long."""
_SECRET_WORDS: Final = re.compile(
    "authorizationkey|password|passwd|passphrase|passcode|secret|privatekey|apikey|accesstoken|bearer|credential|simpin"
    "|sharedkey|presharedkey|wifikey|wpakey|^psk|psk$|^pwd|pwd$|^pin$"
)
"""In the name of a field, configuration key or variable, lower-case letters and digits only."""
_SECRET_FIELDS: Final = frozenset({"exirequest", "exiresponse"})
"""ISO 15118 messages: they carry contract certificates with their keys."""
_TOKEN_FIELDS: Final = frozenset(
    {
        "idtag", "parentidtag", "idtoken", "groupidtoken", "additionalidtoken", "emaid", "contractid", "evccid", "vin",
        "customeridentifier", "licenseplate", "macaddress", "email", "phone", "phonenumber",
    }
)  # fmt: skip
_PERSONAL_DATA_OF: Final = frozenset({"NotifyCustomerInformation"})
"""Actions whose `data` is about a person."""
_VALUE_FIELDS: Final = frozenset({"value", "attributevalue", "actualvalue"})
_WRAPPED: Final = ("payload", "data")
"""Where a signed (RFC 7515) or tunnelled message has the message that it is about."""
_PRIVATE_KEY: Final = "PRIVATE KEY-----"
_USER_OF_URL: Final = re.compile(r"(?<=://)[^/?#\s]*(?=@)")
_SECRET_IN_TEXT: Final = re.compile(
    r"""(?ix) ( (?: authorization_?key | pass(?:word|wd|phrase|code)? | pwd | secret | api[_-]?key | token | signature | sig
    | credential | psk | x-amz-[a-z-]+ ) ["']? \s* [=:] \s* ["']? | \b (?: basic | bearer ) \s+ ) ( [^\s"'&;,}]+ )"""
)
_NOT_OF_NAMES: Final = re.compile("[^a-z0-9]")
_MAX_NAME_CHARS: Final = 64
_MAX_NESTED: Final = 4
"""Messages in strings in messages."""


def token_pseudonym(key: bytes, token: str) -> str:
    """20 hexadecimal digits that stand for a token, equal for spellings that differ in case or outer blanks.

    `key`: at least 16 bytes. Keyed, because the few bytes of a card number can all be tried (HMAC-SHA-256, truncated).
    """
    normal = token.strip().casefold().encode("utf-8", "surrogatepass")
    return hmac.new(key, b"token\x00" + normal, hashlib.sha256).hexdigest()[:_PSEUDONYM_CHARS].upper()


def redacted(text: bytes, pseudonym: Pseudonym, also: Iterable[str] = ()) -> bytes:
    """A frame as it may be kept: the same bytes if nothing in it is sensitive. `text` is JSON that was strictly decoded.

    `also`: what matching rules want to have taken out (``payload.NAME...``, ``facts.NAME``). Raises ValueError if `text`
    is no JSON array.
    """
    frame = msgspec.json.decode(text)
    if not isinstance(frame, list) or not frame:
        raise ValueError("not a frame")
    walk = _Walk(pseudonym, frozenset(also))
    action = next((part for part in frame[2:3] if isinstance(part, str)), "") if frame[0] in (2, 6) else ""
    kept = [walk.top(part, action) if index > 1 else part for index, part in enumerate(frame)]
    return msgspec.json.encode(kept) if walk.changed else text


class _Walk:
    """One message. `changed`: something was taken out."""

    def __init__(self, pseudonym: Pseudonym, also: frozenset[str]) -> None:
        self.changed = False
        self._pseudonym = pseudonym
        self._values_too = "facts.config_changes" in also
        self._urls_too = "facts.urls" in also
        self._paths = {tuple(name.split(".")[1:]) for name in also if name.startswith("payload.")}
        known = {"facts.config_changes", "facts.urls", "facts.tokens"}
        # Of any other fact it is not known where it comes from.
        self._everything = any(name.startswith("facts.") and name not in known for name in also)
        self._nested = 0

    def top(self, part: Any, action: str) -> Any:
        """An element of the frame behind its message id."""
        if not isinstance(part, dict):
            return self._text(part) if isinstance(part, str) else part
        if self._everything:
            return self._masked(part)
        kept = self._object(part)
        wrapper = next((name for name in _WRAPPED if isinstance(part.get(name), str)), "") if self._paths else ""
        if wrapper and (_is_signed(part) or action == "DataTransfer"):
            kept[wrapper] = self._masked(kept[wrapper])  # the rule's names are those of the message inside
        if action in _PERSONAL_DATA_OF and "data" in kept:
            kept["data"] = self._masked(kept["data"])
        for path in self._paths:
            self._mask_path(kept, path)
        return kept

    def _mask_path(self, value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, list):
            for each in value:
                self._mask_path(each, path)
        elif isinstance(value, dict) and path and path[0] in value:
            if len(path) == 1:
                value[path[0]] = self._masked(value[path[0]])
            else:
                self._mask_path(value[path[0]], path[1:])

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        hides_values = self._values_too or _names_secret(value)
        signed = _is_signed(value)
        kept = {}
        for name, inner in value.items():
            plain = _plain(name)[:_MAX_NAME_CHARS]
            if (hides_values and plain in _VALUE_FIELDS) or _is_secret(plain):
                kept[name] = self._masked(inner)
            elif hides_values and plain == "variableattribute":
                kept[name] = self._attributes(inner)
            elif plain == "vpn" and isinstance(inner, dict):
                kept[name] = self._object(
                    {key: self._masked(each) if key == "key" else each for key, each in inner.items()}
                )
            elif plain in _TOKEN_FIELDS and isinstance(inner, str):
                kept[name] = self._token(inner)
            elif signed and name == "payload" and isinstance(inner, str):
                kept[name] = self._signed(inner)
            else:
                kept[name] = self._value(inner)
        return kept

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        return value

    def _attributes(self, attributes: Any) -> Any:
        """What NotifyReport says of a variable: several attributes, each with a value."""
        if not isinstance(attributes, list):
            return self._masked(attributes)
        return [
            {name: self._masked(inner) if name == "value" else inner for name, inner in each.items()}
            if isinstance(each, dict)
            else self._masked(each)
            for each in attributes
        ]

    def _token(self, token: str) -> str:
        if not token:
            return token
        self.changed = True
        return self._pseudonym(token)

    def _text(self, text: str) -> str:
        """A string whose name says nothing: another message in it, a URL, words about a password."""
        if _PRIVATE_KEY in text:
            return str(self._masked(text))
        if text[:1] in ("{", "[") and self._nested < _MAX_NESTED and (inside := self._inside(text)) is not None:
            return inside
        if self._urls_too and "://" in text:
            return str(self._masked(text))
        kept = _USER_OF_URL.sub(_asterisks, text) if "://" in text else text
        kept = _SECRET_IN_TEXT.sub(lambda found: found[1] + "*" * len(found[2]), kept)
        self.changed = self.changed or kept != text
        return kept

    def _inside(self, text: str) -> str | None:
        """JSON in a string, as in DataTransfer; None if it is none."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return None
        before, self.changed = self.changed, False
        self._nested += 1
        kept = self._value(value)
        self._nested -= 1
        inside = msgspec.json.encode(kept).decode() if self.changed else text
        self.changed = self.changed or before
        return inside

    def _signed(self, text: str) -> str:
        """The message in a signed one, base64url without padding (RFC 7515)."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError):
            return str(self._masked(text))
        inside = self._inside(plain) if plain[:1] in ("{", "[") else None
        if inside is None:
            return str(self._masked(text))
        return text if inside == plain else base64.urlsafe_b64encode(inside.encode()).rstrip(b"=").decode()

    def _masked(self, value: Any) -> Any:
        """The same shape without what it says."""
        if isinstance(value, str):
            self.changed = self.changed or bool(value)
            return "*" * len(value)
        if isinstance(value, dict):
            return {name: self._masked(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._masked(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.changed = True
            return 0
        return value


@lru_cache(4_096)
def _short_plain(name: str) -> str:
    return _NOT_OF_NAMES.sub("", name.lower())


def _plain(name: str) -> str:
    """A name without what spellings of it differ in. Peers choose names: long ones are not remembered."""
    return _short_plain(name) if len(name) <= _MAX_NAME_CHARS else _NOT_OF_NAMES.sub("", name.lower())


@lru_cache(4_096)
def _is_secret(plain: str) -> bool:
    return plain in _SECRET_FIELDS or _SECRET_WORDS.search(plain) is not None


def _is_signed(value: dict[str, Any]) -> bool:
    """Call or result, the wrapper is a flattened JWS."""
    return isinstance(value.get("payload"), str) and not {"signature", "protected"}.isdisjoint(value)


def _names_secret(value: dict[str, Any]) -> bool:
    """True for a configuration key or variable that is a secret: its name is data, its value stands beside it."""
    for holder in (value.get("key"), value.get("variable"), value.get("variableName")):
        name = holder.get("name") if isinstance(holder, dict) else holder
        if isinstance(name, str) and _is_secret(_plain(name)[:_MAX_NAME_CHARS]):
            return True
    return False


def _asterisks(found: "re.Match[str]") -> str:
    return "*" * len(found[0])
