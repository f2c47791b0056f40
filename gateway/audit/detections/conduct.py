"""Detections about charge points that are known: where they connect from, how often, with what, and what time they say it is."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from gateway.audit.detections.model import Detection, Seen, Session, Thresholds, network_of
from gateway.audit.detections.sessions import Sessions
from gateway.audit.detections.windows import Mark, Windows

__all__ = ["Clock", "Drift", "Flapping", "Travel"]


class Travel:
    """One identity in several networks by turns. Going over to another one, as a modem does, is no travel; coming back is."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        if seen.session is None or not seen.address:
            return
        before = self._sessions.near(seen.charge_point_id, seen.ts_us, limits.travel_window_s)
        visits = [each for each in (*before, seen.session) if each.address]
        networks = [
            network_of(each.address, limits.travel_prefix_bits_ipv4, limits.travel_prefix_bits_ipv6) for each in visits
        ]
        changes = sum(left != entered for left, entered in pairwise(networks))
        if changes >= limits.travel_changes:
            yield Detection(
                kind="impossible_travel",
                subject=seen.charge_point_id,
                severity="high",
                text=f"changed {changes} times between the networks {', '.join(sorted(set(networks)))}"
                f" in {limits.travel_window_s:.0f} s",
                evidence=tuple(each.place for each in visits),
                charge_point_id=seen.charge_point_id,
                address=seen.address,
            )


class Flapping:
    """A charge point that connects over and over: a modem, a CSMS that throws it out, or two with one identity."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._refused = Windows()

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        if seen.session is None and seen.reason != "flapping":
            return
        identity, window_s, now = seen.charge_point_id, limits.flapping_window_s, Mark(seen.ts_us, seen.place)
        refused = self._refused.near(identity, now, window_s)
        if seen.session is None:
            refused = self._refused.add(identity, now, window_s)
        opened = [*self._sessions.near(identity, seen.ts_us, window_s), *([seen.session] if seen.session else ())]
        marks = sorted((*opened, *refused), key=lambda each: each.ts_us)
        if len(marks) >= limits.flapping_sessions or seen.reason == "flapping":
            yield Detection(
                kind="flapping",
                subject=seen.charge_point_id,
                severity="low",
                text=f"connected {len(marks)} times in {limits.flapping_window_s:.0f} s",
                evidence=tuple(each.place for each in marks),
                charge_point_id=seen.charge_point_id,
                address=seen.address,
            )


class Clock:
    """Moments that cannot be. A charge point without a clock says 1970, again and again: to be mended, not to be hunted.

    Moments before 1970 or after 2100 come from no clock: they are made to break what reads them.
    """

    def __init__(self) -> None:
        self._moments = Windows()

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        if not seen.charge_point_id:
            return
        if seen.kind == "time.poison":
            yield self._told(seen, "time_poison", "high", "sends moments that no clock shows", (seen.place,))
        elif seen.kind in {"time.implausible", "cert.not_yet_valid"}:
            marks = self._moments.add(seen.charge_point_id, Mark(seen.ts_us, seen.place), limits.clock_window_s)
            if len(marks) >= limits.clock_records:
                text = f"{len(marks)} times a moment far from now: its clock is wrong"
                yield self._told(seen, "clock_wrong", "low", text, tuple(each.place for each in marks))

    @staticmethod
    def _told(seen: Seen, kind: str, severity: Any, text: str, evidence: tuple[str, ...]) -> Detection:
        return Detection(
            kind=kind,
            subject=seen.charge_point_id,
            severity=severity,
            text=text,
            evidence=evidence,
            charge_point_id=seen.charge_point_id,
            address=seen.address,
        )


_VERSIONS: Final = ("ocpp1.2", "ocpp1.5", "ocpp1.6", "ocpp2.0", "ocpp2.0.1", "ocpp2.1")


class Drift:
    """A charge point that comes back with less than it had: security profile, certificate, OCPP version."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        del limits
        now = seen.session
        if now is None:
            return
        before = self._sessions.last(seen.charge_point_id)
        lost = list(_lost(before, now)) if before is not None else []
        if before is not None and lost:
            yield Detection(
                kind="config_drift",
                subject=seen.charge_point_id,
                severity="medium",
                text=f"came back with less than before: {'; '.join(lost)}",
                evidence=(before.place, now.place),
                charge_point_id=seen.charge_point_id,
                address=seen.address,
            )


def _lost(before: Session, now: Session) -> Iterator[str]:
    if now.profile < before.profile:
        yield f"security profile {now.profile} after {before.profile}"
    if before.has_certificate and not now.has_certificate:
        yield "a password after a certificate"
    known = before.version in _VERSIONS and now.version in _VERSIONS
    if known and _VERSIONS.index(now.version) < _VERSIONS.index(before.version):
        yield f"{now.version} after {before.version}"
