"""What an edge asks control about the image of a firmware update, and what it hears: only control fetches anything."""

import msgspec

from gateway.ocpp.vocabulary import ChargePointId
from gateway.policy.firmware_image import ImageVerdict

__all__ = ["ImageAsked", "ImageChecked"]


class ImageAsked(msgspec.Struct, frozen=True, array_like=True, tag=22):
    """Is the image of this update the one that was signed? Answered by ImageChecked with the same request_id."""

    request_id: int
    charge_point_id: ChargePointId
    location: str
    certificate: str
    """PEM as it came, as are location and signature."""
    signature: str
    holds: bool
    """The update waits for the answer; else it has gone on, and nobody is in a hurry."""

    def __repr__(self) -> str:
        return f"ImageAsked({self.request_id!r}, {self.charge_point_id!r}, <location hidden>)"


class ImageChecked(msgspec.Struct, frozen=True, array_like=True, tag=62):
    """What was found out."""

    request_id: int
    verdict: ImageVerdict
