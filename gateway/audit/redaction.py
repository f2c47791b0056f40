"""What may be kept of a message. Pure.

A record keeps the frame's shape, so that rules can be run on it again: whatever is taken out of a text becomes as many asterisks, a
token of a driver a keyed pseudonym that is the same wherever the token stands.

The rule is turned round: kept is what the standard's own fields hold, if those are known to be harmless (`known_names`), and
nothing else. So a vendor's own field, a text in a text, or a spelling that nobody has thought of is taken out without anybody
having to know of it. What is kept is kept as it was sent, unless something else in the frame is taken out: then the frame is
written anew, and numbers with it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import msgspec

from gateway.audit.known_names import ALL, CERTIFICATES, HARMLESS_KEYS, KEPT, MASKED, TOKENS, URLS, VALUES
from gateway.ocpp.codec import MalformedFrame, decode_message
from gateway.ocpp.frames import Call, CallError, CallResult, CallResultError, Send
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.ocpp.wrapped import unsigned

__all__ = ["Pseudonym", "is_plain_word", "redacted", "token_pseudonym", "tokens_in"]

Pseudonym = Callable[[str], str]
"""A token of a driver -> what stands for it in a record."""

_PSEUDONYM_CHARS: Final = 20
"""An idTag of 1.6 is at most this long."""
_PLAIN_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,59}")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")
_SHORT: Final = 64
_SIGNED: Final = frozenset({"signature", "protected"})
_WRAPPER: Final = _SIGNED | {"payload", "header"}
_VPN: Final = frozenset({"server", "password", "user"})
_PRIVATE_KEY: Final = "PRIVATE KEY"
_TUNNEL: Final = "org.openchargealliance.iso15118pnc"
_OF_CERTIFICATES: Final = frozenset(
    {"SignCertificate", "CertificateSigned", "InstallCertificate", "SignedUpdateFirmware", "UpdateFirmware"}
)
"""Actions whose certificates are no driver's."""
_OF_DRIVERS: Final = frozenset({"customerCertificate", "iso15118CertificateHashData", "contractCertificateHashData"})
_KNOWN_FACTS: Final = frozenset({"facts.config_changes", "facts.urls", "facts.tokens"})


def token_pseudonym(key: bytes, token: str) -> str:
    """20 hexadecimal digits that stand for a token, equal for spellings that differ in case or outer blanks.

    `key`: at least 16 bytes. Keyed, because the few bytes of a card number can all be tried (HMAC-SHA-256, truncated).
    """
    normal = token.strip().casefold().encode("utf-8", "surrogatepass")
    return hmac.new(key, b"token\x00" + normal, hashlib.sha256).hexdigest()[:_PSEUDONYM_CHARS].upper()


def is_plain_word(text: str) -> bool:
    """Could be an action or an error code: names of the standard are plain words."""
    return _PLAIN_WORD.fullmatch(text) is not None


def redacted(text: bytes, version: OCPPVersion, pseudonym: Pseudonym, also: Iterable[str] = ()) -> bytes:
    """A frame as it may be kept: the same bytes if all of it may.

    `also`: what matching rules want to have taken out (``payload.NAME...``, ``facts.NAME``). Raises ValueError if the strict
    codec does not take `text`: nobody can say what a frame holds that two parsers would read differently.
    """
    try:
        frame, payload = decode_message(text, version)
    except MalformedFrame as malformed:
        raise ValueError(malformed.event) from None
    walk = _Walk(version, pseudonym, frozenset(also))
    if isinstance(frame, Call | Send):
        kept: list[Any] = [2 if isinstance(frame, Call) else 6, frame.message_id, walk.word(frame.action)]
        kept.append(walk.payload(frame.action, payload))
    elif isinstance(frame, CallResult):
        kept = [3, frame.message_id, walk.payload("", payload)]
    else:
        assert isinstance(frame, CallError | CallResultError)
        kind = 4 if isinstance(frame, CallError) else 5
        kept = [kind, frame.message_id, walk.word(frame.code), walk.masked(frame.description), walk.masked(payload)]
    return msgspec.json.encode(kept) if walk.changed else text


def tokens_in(text: bytes, version: OCPPVersion) -> frozenset[str]:
    """What stands where a frame has drivers' tokens: of one that is kept, their pseudonyms. Raises ValueError, as `redacted`."""
    found: set[str] = set()

    def note(token: str) -> str:
        found.add(token)
        return token

    redacted(text, version, note)
    return frozenset(found)


class _Walk:
    """One message. `changed`: something was taken out."""

    def __init__(self, version: OCPPVersion, pseudonym: Pseudonym, also: frozenset[str]) -> None:
        self.changed = False
        self._version = version
        self._pseudonym = pseudonym
        self._values_too = "facts.config_changes" in also
        self._urls_too = "facts.urls" in also
        self._paths = {tuple(name.split(".")[1:]) for name in also if name.startswith("payload.")}
        # Of any other fact it is not known where it comes from.
        self._everything = any(name.startswith("facts.") and name not in _KNOWN_FACTS for name in also)
        self._certificates = False

    def payload(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Of a call, or of a result, whose action is not known (empty)."""
        self._certificates = unsigned(action) in _OF_CERTIFICATES
        if self._everything:
            return dict(self.masked(payload))
        if isinstance(payload.get("payload"), str) and not _SIGNED.isdisjoint(payload):
            return {
                name if name in _WRAPPER else self._name(name, place): (
                    self._signed(each) if name == "payload" else self.masked(each)
                )
                for place, (name, each) in enumerate(payload.items())
            }
        kept = self._object(payload)
        if unsigned(action) == "DataTransfer":
            kept |= {name: self._transferred(payload, each) for name, each in payload.items() if name == "data"}
        for path in self._paths:
            self._mask_path(kept, path)
        return kept

    def word(self, text: str) -> str:
        """An action or an error code."""
        return text if is_plain_word(text) else str(self.masked(text))

    def masked(self, value: Any) -> Any:
        """The same shape without what it says."""
        if isinstance(value, str):
            self.changed = self.changed or bool(value)
            return "*" * len(value)
        if isinstance(value, dict):
            return {self._name(name, place): self.masked(inner) for place, (name, inner) in enumerate(value.items())}
        if isinstance(value, list):
            return [self.masked(each) for each in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.changed = True
            return 0
        return value

    def _name(self, name: str, place: int) -> str:
        """A name of the standard as it is; peers may write into others what they like."""
        if name in ALL:
            return name
        self.changed = True
        return f"field{place}"

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        """Fields of the standard's own."""
        key = self._setting(value)
        return {
            self._name(name, place): self._field(name, inner, key) for place, (name, inner) in enumerate(value.items())
        }

    def _setting(self, value: dict[str, Any]) -> str | None:
        """Whose value stands beside it, in plain letters; empty if it is nobody's, None if nothing may be kept of it."""
        if self._values_too:
            return None
        names = [value["key"]] if "key" in value and _VPN.isdisjoint(value) else []
        if "variable" in value or "component" in value:
            variable = value.get("variable")
            names.append(variable.get("name") if isinstance(variable, dict) else None)
        plain = {_letters(name) if isinstance(name, str) else "" for name in names}
        if not plain:
            return ""
        return plain.pop() if len(plain) == 1 and plain <= HARMLESS_KEYS else None

    def _field(self, name: str, value: Any, setting: str | None) -> Any:
        if name in VALUES or name == "variableAttribute":
            return self._value(value, setting)
        if name in TOKENS:
            return self._token(value)
        if name in URLS:
            return self._each_text(value, self._url)
        if name in CERTIFICATES:
            return self._each_text(value, self._certificate)
        if name == "key":
            # In a VPN's settings it is the key; everywhere else the name of a setting, or several.
            return self.masked(value) if setting == "" else self._kept(value)
        if name in _OF_DRIVERS or (name in MASKED and not _holds_objects(value)):
            return self.masked(value)
        return self._kept(value) if name in KEPT or name in MASKED else self.masked(value)

    def _kept(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self._kept(each) for each in value]
        if isinstance(value, str) and (_PRIVATE_KEY in value or "://" in value):
            return self.masked(value)
        return value

    def _value(self, value: Any, setting: str | None) -> Any:
        """What a setting is set to, or what was measured."""
        if isinstance(value, list):
            return [self._value(each, setting) for each in value]
        if isinstance(value, dict):
            # A variable's attributes: their own values are those of the variable.
            return {
                self._name(name, place): (self._value if name in VALUES else partial(self._field, name))(each, setting)
                for place, (name, each) in enumerate(value.items())
            }
        if setting is None:
            return value if str(value).lower() in {"true", "false"} else self.masked(value)
        if setting or not isinstance(value, str):
            return self._kept(value)
        return value if _NUMBER.fullmatch(value) else self.masked(value)

    def _token(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._token(each) for each in value]
        if isinstance(value, dict):
            return self._object(value)
        if not isinstance(value, str):
            return self.masked(value)
        if not value:
            return value
        self.changed = True
        return self._pseudonym(value)

    def _each_text(self, value: Any, keep: Callable[[str], str]) -> Any:
        if isinstance(value, str):
            return keep(value)
        return [self._each_text(each, keep) for each in value] if isinstance(value, list) else self.masked(value)

    def _url(self, text: str) -> str:
        scheme, mark, rest = text.partition("://")
        if not mark or self._urls_too or not _PLAIN_WORD.fullmatch(scheme):
            return str(self.masked(text))
        user, at, place = rest.rpartition("@")
        end = min((place.index(each) for each in "?#" if each in place), default=len(place))
        kept = scheme + mark + "*" * len(user) + at + place[:end] + "*" * (len(place) - end)
        self.changed = self.changed or kept != text
        return kept

    def _certificate(self, text: str) -> str:
        return text if self._certificates and _PRIVATE_KEY not in text else str(self.masked(text))

    def _transferred(self, payload: dict[str, Any], data: Any) -> Any:
        """What DataTransfer carries: of a vendor's own messages only the shape, of the ISO 15118 tunnel what is the standard's."""
        vendor = payload.get("vendorId")
        if not isinstance(vendor, str) or vendor.lower() != _TUNNEL:
            return self.masked(data)
        if isinstance(data, dict):
            return self._object(data)
        return self._inside(data) if isinstance(data, str) else self.masked(data)

    def _signed(self, text: Any) -> Any:
        """The message in a signed one, base64url without padding (RFC 7515)."""
        try:
            plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
        except (binascii.Error, ValueError, TypeError):
            return self.masked(text)
        if self._paths:
            return self.masked(text)  # the rule's names are those of the message inside
        kept = self._inside(plain)
        return text if kept == plain else base64.urlsafe_b64encode(kept.encode()).rstrip(b"=").decode()

    def _inside(self, text: str) -> str:
        """A message as a text. Strictly decoded, as the one around it was."""
        try:
            frame = b'[3,"inner",' + text.encode("utf-8", "surrogatepass") + b"]"
            _, payload = decode_message(frame, self._version)
        except MalformedFrame:
            return str(self.masked(text))
        before, self.changed = self.changed, False
        kept = self._object(payload)
        inside = msgspec.json.encode(kept).decode() if self.changed else text
        self.changed = self.changed or before
        return inside

    def _mask_path(self, value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, list):
            for each in value:
                self._mask_path(each, path)
        elif isinstance(value, dict) and path and path[0] in value:
            if len(path) == 1:
                value[path[0]] = self.masked(value[path[0]])
            else:
                self._mask_path(value[path[0]], path[1:])


def _letters(name: str) -> str:
    """A setting's name, compared without case, dots and blanks (CiString50)."""
    return "".join(filter(str.isalnum, name.lower())) if len(name) <= _SHORT and name.isascii() else ""


def _holds_objects(value: Any) -> bool:
    """A list of objects under a name that elsewhere is that of a text: they are walked."""
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)
