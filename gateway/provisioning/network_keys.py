"""OCPP 1.6 with network profiles, as some vendors have ported them back from 2.0.1: two URLs, and the order in which they are tried.

Keys of the configuration: NetworkConnectionProfile1 and 2 hold a URL each, NetworkConfigurationPriority names them in order. What
is written counts from the next start on, and the second one of the order is the way back. Whoever has keys of these names that
hold something else is left alone. Pure.
"""

from typing import Any, Final, NamedTuple

from gateway.provisioning.messages import Message

__all__ = ["KeyPlan", "NetworkKeys", "keys_question", "network_keys_of"]

_SLOTS: Final = ("NetworkConnectionProfile1", "NetworkConnectionProfile2")
_PRIORITY: Final = "NetworkConfigurationPriority"
_MAX_VALUE_CHARS: Final = 500


class KeyPlan(NamedTuple):
    """What to write, in this order. `before`: the order of now, to be put back."""

    slot: str
    url: str
    priority: str
    before: str

    @property
    def messages(self) -> tuple[Message, Message]:
        """The URL into the slot that is not used, then the order."""
        return _change(self.slot, self.url), _change(_PRIORITY, self.priority)

    @property
    def way_back(self) -> Message:
        """The order as it was."""
        return _change(_PRIORITY, self.before)


class NetworkKeys(NamedTuple):
    """What a charge point has in them."""

    urls: tuple[str, str]
    priority: tuple[int, ...]
    """Indexes of `urls`; the first one is in use, or will be after the next start."""

    def plan(self, url: str) -> KeyPlan | None:
        """How it is told a new URL; None for one that does not fit. The slot in use is never overwritten.

        One that was told already, by a process that has died since, is told the same again.
        """
        if not _is_url(url) or len(url) > _MAX_VALUE_CHARS:
            return None
        known = [number for number, each in enumerate(self.urls) if each.rstrip("/") == url.rstrip("/")]
        slot = known[0] if known else 1 - self.priority[0]
        others = [number for number in self.priority if number != slot] or [1 - slot]
        return KeyPlan(_SLOTS[slot], url, _order((slot, *others)), _order((*others, slot)))


def keys_question() -> Message:
    """Has it got them?"""
    return Message("GetConfiguration", {"key": [*_SLOTS, _PRIORITY]})


def network_keys_of(answer: Any) -> NetworkKeys | None:
    """From the result of `keys_question`; None where it has no such keys, cannot change them, or means something else by them."""
    found = answer.get("configurationKey") if isinstance(answer, dict) else None
    values = {
        str(each.get("key", "")).lower(): each.get("value", "")
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict) and each.get("readonly") is False
    }
    urls = tuple(values.get(slot.lower()) for slot in _SLOTS)
    order = values.get(_PRIORITY.lower())
    if not all(isinstance(each, str) for each in (*urls, order)):
        return None
    words = [word.strip().lower() for word in str(order).split(",")]
    numbers = [number for word in words for number, slot in enumerate(_SLOTS) if word == slot.lower()]
    if not numbers or len(numbers) != len(words) or len(set(numbers)) != len(numbers):
        return None
    first, second = str(urls[0]), str(urls[1])
    keys = NetworkKeys((first, second), tuple(numbers))
    are_urls = _is_url(keys.urls[numbers[0]]) and all(not each or _is_url(each) for each in keys.urls)
    return keys if are_urls else None


def _is_url(text: str) -> bool:
    return text.startswith(("ws://", "wss://"))


def _order(numbers: tuple[int, ...]) -> str:
    return ",".join(_SLOTS[number] for number in numbers)


def _change(key: str, value: str) -> Message:
    return Message("ChangeConfiguration", {"key": key, "value": value})
