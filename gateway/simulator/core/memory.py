"""The non-volatile memory: all that a charge point still knows after its power was cut. It holds secrets."""

from typing import Any

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion

__all__ = [
    "ClientCertificate",
    "Memory",
    "NetworkSlot",
    "PendingRequest",
    "QueuedCall",
    "Root",
    "Transaction",
    "restore",
    "save",
]


class NetworkSlot(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach a CSMS (SetNetworkProfile; 1.6 has one, and a second one while it changes its profile)."""

    url: str
    """Without identity."""
    security_profile: int
    message_timeout_s: int = 30
    identity: str = ""
    """OCPP 2.1 only; empty: the charge point's own."""
    password: str = ""
    """OCPP 2.1 only; empty: SecurityCtrlr.BasicAuthPassword."""

    def __repr__(self) -> str:
        return f"NetworkSlot({self.url!r}, {self.security_profile})"


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate with its key."""

    chain_pem: str
    key_pem: str

    def __repr__(self) -> str:
        return "ClientCertificate()"


class PendingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a certificate that has been made, and perhaps sent."""

    csr_pem: str
    key_pem: str
    certificate_type: str
    request_id: int
    sent: int = 0
    is_accepted: bool = False
    """The CSMS has it; else it has to be sent again on the next connection."""

    def __repr__(self) -> str:
        return f"PendingRequest({self.certificate_type!r}, {self.request_id}, sent={self.sent})"


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """An installed root."""

    certificate_type: str
    """As the 2.x messages spell it, e.g. ``CSMSRootCertificate``."""
    pem: str = ""
    is_fallback: bool = False
    """Kept until a connection with its successor has worked (M05.FR.12)."""


class QueuedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that must get through, also after a power cut: transaction messages and critical security events."""

    action: str
    payload: dict[str, Any]
    transaction: int | None = None
    attempts: int = 0


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """What is being charged."""

    number: int
    name: str
    """transactionId of 2.x."""
    id_token: str
    meter_wh: int = 0
    sequence: int = 0


class Memory(msgspec.Struct, kw_only=True):
    """See the module."""

    identity: str
    version: OCPPVersion
    serial_number: str
    security_profile: int
    slots: dict[int, NetworkSlot]
    priority: list[int]
    next_priority: list[int] = []
    """What `priority` will be after the next reset; empty: as it is."""
    active_slot: int
    """The last one that has led to a registration."""
    password: str = ""
    """As it was set: text, or for 1.6 the hex digits of AuthorizationKey."""
    old_password: str = ""
    old_password_uses: int = 0
    settings: dict[str, str] = {}
    certificates: list[ClientCertificate] = []
    """Newest first; the second one is what there was before."""
    request: PendingRequest | None = None
    roots: list[Root] = []
    queue: list[QueuedCall] = []
    transaction: Transaction | None = None
    transaction_ids: dict[int, int] = {}
    """1.6: what the CSMS has called the transactions."""
    boot_reason: str = "PowerUp"
    boots: int = 0
    numbers: int = 0
    """The last number given out: for transactions, requests."""
    discarded_certificate: bool = False
    """The newest certificate did not work; to be reported once there is a connection."""
    happened: list[str] = []
    """Quirks that show themselves once."""

    def __repr__(self) -> str:
        return f"Memory({self.identity!r})"

    def next_number(self) -> int:
        """A number that was never given out before."""
        self.numbers += 1
        return self.numbers


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Memory)


def save(memory: Memory) -> bytes:
    """All of it as JSON, with its secrets."""
    return _encode(memory)


def restore(data: bytes) -> Memory:
    """What `save` has written. Raises msgspec.MsgspecError for anything else."""
    return _decoder.decode(data)
