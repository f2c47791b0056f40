"""The words of the field as types: versions, security profiles, origins, identities.

OCPP 2.x calls a charge point "charging station"; we use the 1.6 word everywhere.
Nothing here knows about frames (see `codec`) or about who may connect (see `gateway.identity`).
"""

from enum import Enum, IntEnum, StrEnum
from typing import Literal, NewType

__all__ = ["BootState", "ChargePointId", "OCPPVersion", "Origin", "SecurityProfile", "name_of_setting"]

ChargePointId = NewType("ChargePointId", str)
"""The OCPP identity of a charge point: the decoded last path segment of its connection URL."""

BootState = Literal["unknown", "pending", "rejected", "accepted"]
"""What the CSMS has last said to a BootNotification. Unknown: nothing was observed, so nothing may be concluded."""


class OCPPVersion(StrEnum):
    """A version the gateway relays; the value is what people write."""

    V1_6 = "1.6"
    V2_0_1 = "2.0.1"
    V2_1 = "2.1"

    @property
    def subprotocol(self) -> str:
        """The IANA-registered WebSocket subprotocol, e.g. ``ocpp2.0.1`` (OCPP-J part 4, 3.1.2)."""
        return f"ocpp{self.value}"

    @classmethod
    def from_subprotocol(cls, token: str) -> "OCPPVersion | None":
        """The version a subprotocol token stands for, exactly spelled, or None."""
        return _BY_SUBPROTOCOL.get(token)

    @property
    def is_2x(self) -> bool:
        """True for 2.0.1 and 2.1, whose RPC layer differs from 1.6 in several places."""
        return self is not OCPPVersion.V1_6


_BY_SUBPROTOCOL = {version.subprotocol: version for version in OCPPVersion}


class SecurityProfile(IntEnum):
    """OCPP security profiles. There is no zero and no default: an unknown profile is not a weak profile."""

    BASIC = 1
    TLS_BASIC = 2
    TLS_CLIENT_CERTIFICATE = 3


def name_of_setting(text: str) -> str:
    """What the name of a 1.6 key, a component, a variable or a vendor is compared by.

    These names have no case (CiString, identifierString). Charge points may forgive blanks around one, and take a NUL for
    its end: what one of them could take for a name, the gateway must take for it as well.
    """
    return text.partition("\0")[0].strip().lower()


class Origin(Enum):
    """Who sent a frame. Role words, because directions can be read backwards."""

    CHARGE_POINT = "charge-point"
    CSMS = "csms"
    GATEWAY = "gateway"
