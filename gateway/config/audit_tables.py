"""The tables ``[audit]`` and ``[audit.detections]`` as frozen values."""

from typing import Literal

import msgspec

__all__ = ["Audit", "Detections"]


class Detections(msgspec.Struct, frozen=True, kw_only=True):
    """From where on the gateway tells what several records say together (docs/detections.md). A reload changes them."""

    enabled: bool = True
    """Follow the audit log and record ``detect.*`` events, each with the records that it rests on."""
    quiet_s: float = 3_600.0
    """How long the same is not told again about the same address or charge point."""
    brute_force_failures: int = 20
    """Wrong passwords from one address, or for one charge point; five times as many for one at its known address."""
    brute_force_window_s: float = 600.0
    """Within so much time."""
    enumeration_identities: int = 10
    """Identities tried from one address, none of which proves itself."""
    enumeration_window_s: float = 600.0
    """Within so much time."""
    travel_changes: int = 2
    """Changes of the network that a charge point connects from: 1 is a modem that falls back, 2 is one that returns."""
    travel_window_s: float = 900.0
    """Within so much time."""
    travel_prefix_bits_ipv4: int = 16
    """How much of an address is its network."""
    travel_prefix_bits_ipv6: int = 32
    """The same for IPv6."""
    shared_credential_window_s: float = 86_400.0
    """How long a certificate that was used for one charge point must not be used for another one."""
    clock_records: int = 3
    """Messages with a moment far from now, after which a charge point's clock counts as wrong."""
    clock_window_s: float = 3_600.0
    """Within so much time."""
    flapping_sessions: int = 12
    """Sessions that one charge point begins."""
    flapping_window_s: float = 600.0
    """Within so much time."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The audit log: what can be proven untouched later (docs/audit.md). A reload reads what concerns messages."""

    directory: str = ""
    """Empty: ``audit`` in the state directory. A local disk: not NFS."""
    keys_directory: str = ""
    """Signing keys, made at the first start, mode 0600. Empty: ``audit-keys`` in the state directory."""
    origin: str = ""
    """Names the log in checkpoints, as a URL without scheme, e.g. ``gw1.example.com/audit``. Empty: after the host."""
    failure_mode: Literal["block", "guard", "open"] = "guard"
    """While the log cannot be written: ``block`` admits nobody and ends sessions, ``guard`` admits until
    max_queue_bytes wait, ``open`` goes on and counts what is lost."""
    max_queue_bytes: int = 67_108_864
    """Memory for records that wait to be written."""
    reserve_bytes: int = 67_108_864
    """Disk space held back for the last words of a log whose disk is full; 0 holds nothing back."""
    checkpoint_interval_s: float = 1.0
    """How often the head is signed and published while the log grows."""
    heartbeat_s: float = 60.0
    """How often it is signed anew while it does not: silence can then be told from being cut off."""
    level: Literal["full", "meta", "count"] = "meta"
    """What is kept of a message that goes on: ``full`` its text too, without secrets, ``meta`` what it was, ``count`` a
    number for each session and quarter of an hour. What is refused, and what a rule matches, is always kept in full."""
    full: tuple[str, ...] = ("@disruptive", "@certificates", "@remote_start", "@logs", "@privacy", "@vendor")
    """Actions, and classes of them, that are kept in full whatever `level` says. Answers go with their calls."""
    counted: tuple[str, ...] = ("Heartbeat", "MeterValues")
    """Actions that are only counted. What stands in `full` as well is kept in full."""
    rotate: Literal["month", "never"] = "month"
    """When the log goes on in a new shard by itself: with each month (UTC), or only when `audit rotate` asks for it."""
    keep_days: int = 0
    """`audit prune` empties shards that were closed so many days ago or earlier; 0 keeps everything. Nothing else does."""
    text_days: int = 90
    """After so many days the texts of messages are destroyed, unless a hold is over them; 0 keeps them. Records stay."""
    recorded_first: tuple[str, ...] = ("@disruptive", "@certificates", "@remote_start", "@vendor")
    """Commands of the CSMS, and classes of them, that go on or are refused only once the log has them on its disk. Where it
    cannot be written they are refused, in mode ``open`` they go on. Holds for connections made after a reload."""
    record_timeout_s: float = 2.0
    """How long such a command waits for its record at most, and a reload or a call of the gateway's own for theirs."""
    detections: Detections = Detections()
    """What is told about records that say something together."""
