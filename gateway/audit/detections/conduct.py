"""Detections about charge points that are known: where they connect from, how often, with what, and what time they say it is."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec

from gateway.audit.detections.model import Detection, Seen, Thresholds, network_of
from gateway.audit.detections.windows import Mark, Recent, Windows
from gateway.audit.record import part

__all__ = ["Clock", "Drift", "Flapping", "Travel"]


class Travel:
    """One identity in several networks by turns. Going over to another one, as a modem does, is no travel; coming back is."""

    def __init__(self) -> None:
        self._visits = Windows()

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        if seen.kind != "session.opened" or not seen.address:
            return
        network = network_of(seen.address, limits.travel_prefix_bits_ipv4, limits.travel_prefix_bits_ipv6)
        mark = Mark(seen.ts_us, seen.place, network)
        marks = self._visits.add(seen.charge_point_id, mark, limits.travel_window_s)
        changes = sum(before.value != after.value for before, after in pairwise(marks))
        if changes >= limits.travel_changes:
            yield Detection(
                kind="impossible_travel",
                subject=seen.charge_point_id,
                severity="high",
                text=f"changed {changes} times between the networks {', '.join(sorted({each.value for each in marks}))}"
                f" in {limits.travel_window_s:.0f} s",
                evidence=tuple(each.place for each in marks),
                charge_point_id=seen.charge_point_id,
                address=seen.address,
            )


class Flapping:
    """A charge point that connects over and over: a modem, a CSMS that throws it out, or two with one identity."""

    def __init__(self) -> None:
        self._sessions = Windows()

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        if seen.kind != "session.opened" and seen.reason != "flapping":
            return
        marks = self._sessions.add(seen.charge_point_id, Mark(seen.ts_us, seen.place), limits.flapping_window_s)
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


class _Posture(msgspec.Struct, frozen=True):
    place: str
    profile: int
    certificate: bool
    version: str


_VERSIONS: Final = ("ocpp1.2", "ocpp1.5", "ocpp1.6", "ocpp2.0", "ocpp2.0.1", "ocpp2.1")


class Drift:
    """A charge point that comes back with less than it had: security profile, certificate, OCPP version."""

    def __init__(self) -> None:
        self._postures: Recent[_Posture] = Recent()

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        del limits
        if seen.kind != "session.opened":
            return
        auth, version = part(seen.record, "auth"), part(seen.record, "ocpp").get("version")
        profile = auth.get("profile")
        now = _Posture(
            seen.place,
            profile if type(profile) is int else 0,
            auth.get("proof") == "CertificateProof",
            version if isinstance(version, str) else "",
        )
        before = self._postures.get(seen.charge_point_id)
        self._postures.put(seen.charge_point_id, now)
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


def _lost(before: _Posture, now: _Posture) -> Iterator[str]:
    if now.profile < before.profile:
        yield f"security profile {now.profile} after {before.profile}"
    if before.certificate and not now.certificate:
        yield "a password after a certificate"
    known = before.version in _VERSIONS and now.version in _VERSIONS
    if known and _VERSIONS.index(now.version) < _VERSIONS.index(before.version):
        yield f"{now.version} after {before.version}"
