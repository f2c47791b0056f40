"""Which images were fetched a short while ago: a whole fleet is updated with one fetch. Time comes in as an argument."""

from collections import OrderedDict
from typing import Final

import msgspec

from gateway.control.image_fetch import FetchedImage

__all__ = ["ImageMemory", "Known"]

_MAX_KNOWN: Final = 64
_FRESH_S: Final = 10.0


class Known(msgspec.Struct, frozen=True):
    """What was at an address."""

    image: FetchedImage | None
    failure: str
    """Why there is none."""
    at: float
    """Monotonic seconds."""


class ImageMemory:
    """By address. What is very young stands for what is there now, for better or worse; what is older only vouches.

    A signature that an older digest does not bear out is one for a newer image as likely as a forged one.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, address: str, now: float, image: FetchedImage | None, failure: str = "") -> Known:
        """What has just been found; the oldest one makes room."""
        self._known.pop(address, None)
        known = self._known[address] = Known(image, failure, now)
        if len(self._known) > _MAX_KNOWN:
            self._known.popitem(last=False)
        return known

    def fresh(self, address: str, now: float) -> Known | None:
        """What is so young that asking again would only be a burden to the server."""
        known = self._known.get(address)
        return known if known is not None and now - known.at < _FRESH_S else None

    def older(self, address: str, now: float, remember_s: float) -> FetchedImage | None:
        """An image that may still vouch for a signature."""
        known = self._known.get(address)
        return known.image if known is not None and now - known.at < remember_s else None
