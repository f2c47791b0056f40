"""What control records in the audit log: security events, sessions; and what others may ask of the log."""

import errno
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway.audit.canonical import NotCanonical
from gateway.audit.event import SecurityEvent, printable
from gateway.audit.record import RecordClass, class_of_event, envelope, envelope_of_event
from gateway.audit.session_records import Traffic, session_closed_record, session_opened_record
from gateway.config.model import Config
from gateway.control.audit_writer import AuditWriter, LogRefused
from gateway.control.frame_bodies import FrameBodies
from gateway.control.relayed_log import RelayedLog
from gateway.control.settings import levels_of
from gateway.control.shredding import Shredding
from gateway.control.sinks.sink_set import SinkSet
from gateway.control.trail.holds import Holds
from gateway.control.trail.payloads import PayloadStore
from gateway.control.trail.pseudonyms import PseudonymKeys
from gateway.control.trail.retention import Retention
from gateway.control.trail.shard_writer import DiskFull
from gateway.control.trail.stamp import Stamper
from gateway.identity.evidence import CertificateProof
from gateway.link.messages import LiveSession, SessionClosed

__all__ = ["AuditTrail"]

_END_OF_TIME_US = 2**53
_log = structlog.get_logger("control.audit")


class AuditTrail:
    """The audit log for the rest of control."""

    def __init__(self, config: Config) -> None:
        state, audit = Path(config.state_dir), config.audit
        settings = msgspec.structs.replace(audit, directory=audit.directory or str(state / "audit"))
        self.directory = Path(settings.directory)
        keys = Path(audit.keys_directory or state / "audit-keys")
        self.writer = AuditWriter(settings, keys)
        self._sinks = SinkSet(config.sinks, self.directory, state / "sinks")
        boot = os.urandom(8).hex()
        self._stamper = Stamper("control", boot)
        payloads = PayloadStore(self.directory / "payload", keys / "payload")
        pseudonyms = PseudonymKeys(keys / "pseudonyms")
        self.relayed = RelayedLog(self.writer, boot, FrameBodies(pseudonyms, payloads))
        """Takes what edges relay."""
        holds = Holds(keys / "holds")
        self.shredding = Shredding(self.directory, payloads, pseudonyms, holds)
        self.retention = Retention(self.directory, holds, self._sinks.not_past)
        self._goes_on_without = self.relayed.goes_on_without = audit.failure_mode == "open"
        self._ends_sessions = audit.failure_mode == "block"
        self._use_levels(config)

    def open(self) -> None:
        """Recover the log and start to write. Blocks. Raises OSError, with a sentence where the log is refused."""
        try:
            self.writer.open()
            self._sinks.start()
        except LogRefused as error:
            raise OSError(errno.EIO, str(error)) from error
        except DiskFull as error:
            where = self.writer.status()["directory"]
            raise OSError(errno.ENOSPC, f"The audit log in {where} cannot be continued: {error}.") from error

    def close(self) -> None:
        """Write what waits, and let sinks that deliver have it. Blocks."""
        self.relayed.close()
        self.writer.close()
        self._sinks.close()

    def use(self, config: Config) -> None:
        """Put a configuration into force: sinks, and how much of which messages is kept. The log itself is as at the start."""
        self._sinks.use(config.sinks)
        self._use_levels(config)

    def _use_levels(self, config: Config) -> None:
        self.relayed.levels = levels_of(config.audit)
        self._timeout_s = config.audit.record_timeout_s

    def may_admit(self) -> bool:
        """May a charge point be admitted, whose messages would have to be recorded?"""
        return self.writer.may_proceed(RecordClass.GROUP)

    def may_relay(self) -> bool:
        """May sessions go on? In mode ``block`` only while what they say can be recorded."""
        return not self._ends_sessions or self.writer.state == "stopped" or self.may_admit()

    async def may_happen(self) -> bool:
        """What was just recorded is on the disk, or need not be (mode ``open``): now it may happen."""
        return await self.writer.durable(self._timeout_s) or self._goes_on_without

    async def is_recorded(self) -> bool:
        """What was just recorded is on the disk, whatever the failure mode does without."""
        return await self.writer.durable(self._timeout_s)

    # -- what is recorded

    def record(self, event: SecurityEvent) -> None:
        """A security event."""
        happened_us = event.time * 1_000_000
        stamp = self._stamper.stamp(int(happened_us) if 0 <= happened_us < _END_OF_TIME_US else None)
        try:
            self.writer.append(class_of_event(event), envelope_of_event(event, stamp))
        except (NotCanonical, ValueError) as error:
            # Its number was given: a record that is merely missing would look like one that was taken away.
            _log.error("audit_record_impossible", audited_event=event.event, error=str(error))
            facts = {"event": printable(event.event)}
            text = "an event that cannot be a record"
            self.writer.append(
                RecordClass.GROUP, envelope("audit.unrecordable", stamp, sev="high", text=text, log=facts)
            )

    def session_opened(self, live: LiveSession) -> None:
        """A charge point is connected to its CSMS."""
        self.writer.append(
            RecordClass.GROUP,
            session_opened_record(
                self._stamper.stamp(),
                charge_point_id=live.charge_point_id,
                session=live.session,
                address=live.peer_address,
                listener=live.listener,
                certificate_sha256=live.proof.sha256 if isinstance(live.proof, CertificateProof) else "",
                security_profile=int(live.security_profile),
                proof=type(live.proof).__name__,
                subprotocol=live.subprotocol,
                csms=live.csms,
                group=live.group,
            ),
        )

    def session_closed(self, message: SessionClosed) -> None:
        """And no longer."""
        self.relayed.ended(message.session)
        self.writer.append(
            RecordClass.GROUP,
            session_closed_record(
                self._stamper.stamp(),
                charge_point_id=message.charge_point_id,
                session=message.session,
                reason=printable(message.reason, 64),
                traffic=Traffic(
                    cp_bytes=message.bytes_from_charge_point,
                    cp_messages=message.messages_from_charge_point,
                    csms_bytes=message.bytes_from_csms,
                    csms_messages=message.messages_from_csms,
                ),
            ),
        )

    # -- for operators

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status`."""
        return {**self.writer.status(), "sinks": self._sinks.status()}

    def metrics(self) -> dict[str, float]:
        """Prometheus samples."""
        status = self.writer.status()
        return {
            "ocpp_gateway_audit_running": 1.0 if status["state"] == "running" else 0.0,
            "ocpp_gateway_audit_records": float(status["size"]),
            "ocpp_gateway_audit_waiting_records": float(status["waiting"]),
            "ocpp_gateway_audit_checkpoint_age_seconds": max(0.0, time.monotonic() - self.writer.last_published),
            **{
                f'ocpp_gateway_audit_lost_total{{class="{name}"}}': float(count)
                for name, count in status["lost"].items()
            },
            **self._sinks.metrics(),
        }
