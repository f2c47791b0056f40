"""What the settings mean for one session: the limits of its readers and of its relay."""

from gateway.config.model import WebSocketSettings
from gateway.link.messages import AuditSettings
from gateway.relay.lanes import LaneLimits
from gateway.relay.relay import RelayLimits
from gateway.websocket.messages import ReaderLimits

__all__ = ["reader_limits", "relay_limits"]


def reader_limits(settings: WebSocketSettings) -> ReaderLimits:
    """Of each side."""
    return ReaderLimits(
        max_message_bytes=settings.max_message_bytes,
        max_fragments=settings.max_fragments,
        fragment_deadline_s=settings.fragment_deadline_s,
        control_frames_per_s=settings.control_frames_per_s,
        control_frames_burst=settings.control_frames_burst,
    )


def relay_limits(settings: WebSocketSettings, audit: AuditSettings) -> RelayLimits:
    """Of both directions."""
    return RelayLimits(
        messages_per_s=settings.messages_per_s,
        messages_burst=settings.messages_burst,
        flood_grace_s=settings.flood_grace_s,
        calls=LaneLimits(
            max_open=settings.max_open_calls,
            max_waiting=settings.max_waiting_calls,
            max_waiting_bytes=settings.max_write_buffer_bytes,
            call_timeout_s=settings.call_timeout_s,
        ),
        recorded_first=frozenset(audit.recorded_first),
    )
