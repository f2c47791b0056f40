"""What real charge points do differently, as data: each can be switched on, with a value where it has one, and combined."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

__all__ = ["QUIRKS", "Quirk", "QuirkUnknown", "Quirks", "read_quirks"]


class Quirk(NamedTuple):
    """One habit. `default` is the value if none is given; empty: it takes none. `is_number`: the value has to be one."""

    default: str
    meaning: str
    is_number: bool = False


_ANY: Final = "*"

QUIRKS: Final[Mapping[str, Quirk]] = {
    # answers
    "slow-answers": Quirk("20", "answers every call only after so many seconds", is_number=True),
    "silent": Quirk(_ANY, "never answers calls of this action (* for all)"),
    "rejects": Quirk(_ANY, "rejects calls of this action (* for all) that it should accept"),
    "no-security-actions": Quirk("", "answers NotSupported to every security action"),
    "drops-before-answer": Quirk(_ANY, "the connection breaks right before the answer to this action, once for each"),
    "drops-after-answer": Quirk(_ANY, "the connection breaks right after the answer to this action, once for each"),
    "duplicate-ids": Quirk("", "gives every call of its own the same message id"),
    # reboots
    "reboots-on": Quirk(_ANY, "loses power while it works on a call of this action, before it answers, once for each"),
    "reboots-after": Quirk(_ANY, "loses power right after it has answered a call of this action, once for each"),
    "reboots-at": Quirk(
        "5", "loses power at its so manieth step (whatever happens to it is a step), once", is_number=True
    ),
    "no-boot-after-reset": Quirk("", "sends no BootNotification after a reset that it was asked for"),
    "boot-after-reconnect": Quirk("", "sends a BootNotification after every reconnect"),
    # connections
    "never-reconnects": Quirk("", "stays away once a connection has ended, until it reboots"),
    "no-pong": Quirk("", "does not answer WebSocket pings"),
    "trailing-slash": Quirk("", "has a slash behind the identity in its URL"),
    "empty-subprotocol": Quirk("", "lists an empty subprotocol before the real one"),
    "queue-at-once": Quirk("", "sends what it has queued all at once, without waiting for answers"),
    # clock
    "clock-1970": Quirk("", "has no clock of its own: 1970 after each boot, until the CSMS says what time it is"),
    "clock-off": Quirk("10", "its clock is so many minutes ahead (less than 0: behind) and stays so", is_number=True),
    # passwords
    "password-hex-text": Quirk("", "sends the hex digits of AuthorizationKey as its password, as they were set"),
    "password-hex-upper": Quirk("", "sends the hex digits of its password in upper case"),
    "password-hex-lower": Quirk("", "sends the hex digits of its password in lower case"),
    "password-printable": Quirk(
        "", "decodes AuthorizationKey only if the result is printable, else sends the hex digits"
    ),
    "old-password-for": Quirk("3", "uses the old password for so many connections after a change", is_number=True),
    "no-reconnect-after-password": Quirk("", "stays connected when its password has changed"),
    # certificates
    "resends-csr": Quirk(
        "60", "resends the same CSR after so many seconds, doubled each time, also on 1.6", is_number=True
    ),
    "drops-csr-key": Quirk("60", "forgets the key of its CSR after so many minutes", is_number=True),
    "ignores-triggers": Quirk("", "accepts a trigger while it waits for a certificate, and does nothing"),
    "wants-root-in-chain": Quirk("", "rejects a chain without its root"),
    "wants-leaf-only": Quirk("", "rejects a chain of more than one certificate"),
    "rejects-certificate": Quirk("", "rejects every certificate made for it"),
    "alternates-certificates": Quirk("", "uses the new and the old certificate in turn"),
    "store-full": Quirk("", "has no room for another root"),
    "accepts-non-root": Quirk("", "installs certificates that are no roots"),
    "hash-upper-case": Quirk("", "reports hashes and serial numbers in upper case"),
    "serial-leading-zero": Quirk("", "reports serial numbers with leading zeroes"),
    # profiles
    "network-keys": Quirk("", "1.6: has network profiles as configuration keys (NetworkConnectionProfile1 and 2)"),
    "falls-back": Quirk("", "never manages to connect with a new network or security profile"),
    "firmware-signature-invalid": Quirk("", "finds the signature of every firmware image invalid"),
}


class QuirkUnknown(ValueError):  # noqa: N818  what was asked for
    """Not a quirk, or not with this value."""


class Quirks:
    """Those of one charge point."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __contains__(self, name: str) -> bool:
        assert name in QUIRKS, name
        return name in self._values

    def number(self, name: str) -> float:
        """The value of one that is switched on."""
        return float(self._values[name])

    def concerns(self, name: str, action: str) -> bool:
        """True if it is switched on for this action."""
        return name in self and self._values[name] in (_ANY, action)


def read_quirks(words: Iterable[str]) -> Quirks:
    """From words like ``silent`` or ``silent=Reset``. Raises QuirkUnknown with a sentence."""
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        quirk = QUIRKS.get(name)
        if quirk is None:
            raise QuirkUnknown(f"There is no quirk {name!r}.")
        if equals and not quirk.default:
            raise QuirkUnknown(f"Quirk {name!r} takes no value.")
        values[name] = value if equals else quirk.default
        if quirk.is_number and not _is_number(values[name]):
            raise QuirkUnknown(f"Quirk {name!r} needs a number.")
        if not quirk.is_number and quirk.default and not values[name]:
            raise QuirkUnknown(f"Quirk {name!r} needs an action.")
    return Quirks(values)


def _is_number(text: str) -> bool:
    try:
        return abs(float(text)) < 1e9  # noqa: PLR2004  thirty years in seconds; not nan, not inf
    except ValueError:
        return False
