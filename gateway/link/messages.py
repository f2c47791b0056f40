"""Messages between edge and control, and their framing: u32 big-endian length, then msgpack of one tagged array.

Edge asks, control answers: an edge holds no database and no password hashes, and admits nobody by itself.
A message is at most `MAX_MESSAGE_BYTES`; a longer one is not sent. One that is longer all the same, or does not decode,
is a programming error on our own side and ends the link (the peer reconnects), never a crash.
"""

from typing import Final, Literal

import msgspec

from gateway.audit.event import SecurityEvent
from gateway.audit.relayed import Levels
from gateway.config.model import CSMS, Limits, Listener, Trust, WebSocketSettings
from gateway.identity.evidence import Admission, Claim, Proof
from gateway.link.images import ImageAsked, ImageChecked
from gateway.link.policy_counts import CountersKept, PolicyTallies
from gateway.link.profiles import ProfileNoted, ProfileSeen
from gateway.link.relayed import FramesRecorded, RelayedFrames
from gateway.ocpp.password_messages import Outcome
from gateway.ocpp.vocabulary import BootState, ChargePointId, SecurityProfile
from gateway.policy.rules import Pack
from gateway.policy.site import SitePolicy
from gateway.policy.verdict import FleetAsk

__all__ = [
    "MAX_MESSAGE_BYTES",
    "AdmitGranted",
    "AdmitRefused",
    "AdmitRequest",
    "AuditSettings",
    "BootStateChanged",
    "BudgetAnswer",
    "BudgetRequest",
    "CSMSSettings",
    "CallOutcome",
    "CertificatePEM",
    "CertificateRequest",
    "CertificateRequestTaken",
    "ControlMessage",
    "Counters",
    "Disconnect",
    "Drain",
    "EdgeMessage",
    "EdgeSettings",
    "GatewayCall",
    "GatewayCallDone",
    "Hello",
    "ListenerSettings",
    "LiveSession",
    "PasswordNoted",
    "PasswordOutcome",
    "PasswordSeen",
    "PolicySettings",
    "Probe",
    "ProbeAnswer",
    "ProfileNoted",
    "ProfileSeen",
    "QuarantineChanged",
    "RecordedLines",
    "RecordingSettings",
    "Registered",
    "Report",
    "SessionClosed",
    "SessionOpened",
    "SettingsApplied",
    "SettingsUpdate",
    "TrustSettings",
]

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""Room for a Hello with every session of a large edge."""


class CertificatePEM(msgspec.Struct, frozen=True, array_like=True):
    """A server certificate as PEM bytes: chain leaf first, and the unencrypted key."""

    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        return "CertificatePEM(<hidden>)"


class ListenerSettings(msgspec.Struct, frozen=True, array_like=True):
    """A listener with the file contents it needs: the edge reads no files."""

    listener: Listener
    certificates: tuple[CertificatePEM, ...]
    client_trust_pem: bytes


class CSMSSettings(msgspec.Struct, frozen=True, array_like=True):
    """A CSMS with the secrets and certificates needed to dial it."""

    csms: CSMS
    password: bytes
    ca_pem: bytes
    client_certificate: CertificatePEM | None

    def __repr__(self) -> str:
        return f"CSMSSettings({self.csms.name!r}, <secrets hidden>)"


class PolicySettings(msgspec.Struct, frozen=True, array_like=True):
    """Rule packs and the site's use of them, checked by control; edges compile what they need of it."""

    revision: str
    """SHA-256 of everything loaded."""
    packs: tuple[Pack, ...]
    site: SitePolicy
    read_at: float = 0.0
    """When it was read and found good, in seconds since the epoch."""


class RecordingSettings(msgspec.Struct, frozen=True, array_like=True):
    """Record what is relayed, with pseudonyms made by this key in place of tokens."""

    key: bytes
    groups: tuple[str, ...]
    """Empty: all."""

    def __repr__(self) -> str:
        return "RecordingSettings(<hidden>)"


class TrustSettings(msgspec.Struct, frozen=True, array_like=True):
    """A trust bundle with its certificates. For control, which judges by it; edges find its roots in their listeners."""

    trust: Trust
    roots_pem: bytes


class AuditSettings(msgspec.Struct, frozen=True, array_like=True):
    """What waits for its record, and what happens without one."""

    recorded_first: tuple[str, ...] = ()
    """Actions of the CSMS whose effect waits until the log has them."""
    timeout_s: float = 2.0
    """How long it waits at most."""
    goes_on_without: bool = False
    """Whether it happens then."""
    levels: Levels = Levels()
    """How much of which messages is wanted."""


class EdgeSettings(msgspec.Struct, frozen=True, array_like=True):
    """Everything an edge worker needs. Replaced as a whole; `generation` grows by one each time."""

    generation: int
    trust_generation: int
    """Grows when certificates, trust anchors or revocations change: the edge then makes fresh TLS contexts."""
    listeners: tuple[ListenerSettings, ...]
    csms: tuple[CSMSSettings, ...]
    limits: Limits
    websocket: WebSocketSettings
    policy: PolicySettings
    recording: RecordingSettings | None = None
    """None: nothing is recorded."""
    trust: tuple[TrustSettings, ...] = ()
    audit: AuditSettings = AuditSettings()


class LiveSession(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A relay that lives in an edge worker."""

    session: str
    charge_point_id: ChargePointId
    generation: int
    security_profile: SecurityProfile
    subprotocol: str
    peer_address: str
    listener: str
    csms: str
    opened_at: float
    proof: Proof
    """How the identity was proven; judged again when the registry changes."""
    registered: bool = False
    """The CSMS has accepted its registration, perhaps while control was away and could not be told."""
    group: str = ""
    """By whose policy it is judged."""
    boot_state: BootState = "unknown"
    """What restricts it, or has restricted it, since the CSMS answered its BootNotification."""


# ---------------------------------------------------------------- edge -> control


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """First message on every link. `sessions`: relays that outlived the control process."""

    slot: int
    pid: int
    sessions: tuple[LiveSession, ...] = ()


class AdmitRequest(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """May this claim enter? Answered by AdmitGranted or AdmitRefused with the same request_id."""

    request_id: int
    session: str
    """Connection id the edge gave at accept: ``<boot>-<slot>-<n>``."""
    claim: Claim


class SessionOpened(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """The CSMS was dialled and the charge point has its 101."""

    live: LiveSession


class SessionClosed(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """A granted admission has ended, whether or not its relay ever opened."""

    session: str
    charge_point_id: ChargePointId
    generation: int
    reason: str
    messages_from_charge_point: int = 0
    messages_from_csms: int = 0
    bytes_from_charge_point: int = 0
    bytes_from_csms: int = 0
    answers_pings: bool = False


class Registered(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """The session registered (BootNotification Accepted, or for 1.6 its first answered Call): proves an upgrade."""

    session: str
    charge_point_id: ChargePointId
    generation: int
    serial_number: str = ""
    """From BootNotification, as claimed; empty when absent."""
    vendor: str = ""
    model: str = ""
    firmware: str = ""


class BootStateChanged(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """The CSMS has answered a BootNotification so that something else may be said from now on."""

    session: str
    charge_point_id: ChargePointId
    generation: int
    boot_state: BootState


class Report(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """Security events, batched."""

    events: tuple[SecurityEvent, ...]


class Counters(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Absolute counter and gauge values of this edge since its start, name (with labels) -> value."""

    values: dict[str, float]


class RecordedLines(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """Lines for the recording, each with its end."""

    lines: bytes
    count: int


CallOutcome = Literal["result", "error", "timeout", "gone", "not_sent"]


class GatewayCallDone(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """What became of a GatewayCall. ``gone``: there is no such session; ``not_sent``: the charge point has not seen it."""

    request_id: str
    session: str
    outcome: CallOutcome
    payload: bytes = b""
    """JSON as the charge point wrote it: of a result, or the details of an error."""
    error: str = ""
    """Of the outcome ``error`` the charge point's code, of every other one our words."""
    description: str = ""
    """The charge point's words."""


class CertificateRequest(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """A charge point asks the gateway for a certificate. Answered by CertificateRequestTaken with the same request_id.

    It may come twice, to different control processes: the same request is the same request.
    """

    request_id: int
    session: str
    charge_point_id: ChargePointId
    generation: int
    csr: str
    """PEM as sent."""
    certificate_type: str
    """As sent; empty where none was."""
    ocpp_request_id: int | None
    """Of OCPP 2.1."""
    root: tuple[str, ...] = ()
    """hashRootCertificate of 2.1, in four parts; empty where none was named."""


class PasswordSeen(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """The CSMS gives a charge point another password. Answered by PasswordNoted with the same request_id.

    It may come twice, to different control processes: the same password is the same change.
    """

    request_id: int
    session: str
    charge_point_id: ChargePointId
    generation: int
    password: str
    """As it stands in the message."""

    def __repr__(self) -> str:
        return f"PasswordSeen({self.request_id}, {self.charge_point_id!r}, <hidden>)"


class PasswordOutcome(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """What the charge point has said about the password that the CSMS has given it last over this session."""

    session: str
    charge_point_id: ChargePointId
    outcome: Outcome


class QuarantineChanged(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """A rule keeps commands of the CSMS from a charge point; empty: none does any more. Passed on to the other edges as it is."""

    charge_point_id: ChargePointId
    rule: str


class ProbeAnswer(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """Whether the probed session answered. A session that did not has been closed, both legs, before this is sent."""

    request_id: int
    session: str
    alive: bool


class SettingsApplied(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """`error` is empty if the settings are in force; else the edge kept the old ones."""

    generation: int
    error: str = ""


# ---------------------------------------------------------------- control -> edge


class SettingsUpdate(msgspec.Struct, frozen=True, array_like=True, tag=51):
    """First message from control, and again after every reload."""

    settings: EdgeSettings


class AdmitGranted(msgspec.Struct, frozen=True, array_like=True, tag=52):
    """Go on and dial the CSMS."""

    request_id: int
    admission: Admission


class AdmitRefused(msgspec.Struct, frozen=True, array_like=True, tag=53):
    """Refuse. `reason` is a Reason code; the security event has already been recorded by control."""

    request_id: int
    reason: str
    retry_after_s: int = 0
    proven: bool = False
    """The peer had proven its identity (password or certificate) before it was refused."""


class Probe(msgspec.Struct, frozen=True, array_like=True, tag=54):
    """Ping the charge point of this session; close both legs if no frame arrives within timeout_s. Answer either way."""

    request_id: int
    session: str
    timeout_s: float


class Disconnect(msgspec.Struct, frozen=True, array_like=True, tag=55):
    """The admission is revoked (disabled, removed, certificate revoked, replaced): close both legs now."""

    session: str
    reason: str
    cause: Literal["revoked", "unrecorded"] = "revoked"
    """``unrecorded``: nothing is wrong with the admission; what the session says cannot be recorded."""


class Drain(msgspec.Struct, frozen=True, array_like=True, tag=56):
    """Accept nothing new and close every session within `timeout_s`, spread evenly."""

    timeout_s: float


class GatewayCall(msgspec.Struct, frozen=True, array_like=True, tag=58):
    """A call of the gateway's own to the charge point of a session. Answered by GatewayCallDone with the same request_id."""

    request_id: str
    """Nobody can guess it, and no control process uses one twice: it is the message id as well."""
    session: str
    action: str
    payload: bytes
    """A JSON object."""
    timeout_s: float
    quiet_s: float = -1.0
    """Not negative: sent at once and while no transaction runs, or not at all (``not_sent``). A session that began without a
    BootNotification must be so old for that to be known."""

    def __repr__(self) -> str:
        return f"GatewayCall({self.request_id!r}, {self.action!r}, <payload hidden>)"


class CertificateRequestTaken(msgspec.Struct, frozen=True, array_like=True, tag=59):
    """Whether control has the request, on its disk if it has."""

    request_id: int
    accepted: bool


class PasswordNoted(msgspec.Struct, frozen=True, array_like=True, tag=60):
    """Whether control has a hash of the password on its disk."""

    request_id: int
    session: str
    charge_point_id: ChargePointId
    stored: bool


class BudgetRequest(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """May a message draw on these budgets of the whole node? Answered by BudgetAnswer with the same request_id."""

    request_id: int
    asks: tuple[FleetAsk, ...]


class BudgetAnswer(msgspec.Struct, frozen=True, array_like=True, tag=57):
    """By rule: whether its budget was kept."""

    request_id: int
    answers: dict[str, bool]


EdgeMessage = (
    Hello
    | AdmitRequest
    | SessionOpened
    | SessionClosed
    | Registered
    | BootStateChanged
    | Report
    | Counters
    | ProbeAnswer
    | SettingsApplied
    | BudgetRequest
    | RecordedLines
    | GatewayCallDone
    | CertificateRequest
    | RelayedFrames
    | PasswordSeen
    | PasswordOutcome
    | ProfileSeen
    | QuarantineChanged
    | PolicyTallies
    | ImageAsked
    | CountersKept
)
ControlMessage = (
    SettingsUpdate
    | AdmitGranted
    | AdmitRefused
    | Probe
    | Disconnect
    | Drain
    | BudgetAnswer
    | GatewayCall
    | CertificateRequestTaken
    | FramesRecorded
    | PasswordNoted
    | ProfileNoted
    | QuarantineChanged
    | ImageChecked
    | CountersKept
)
