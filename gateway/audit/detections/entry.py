"""Detections about who tries to get in: guessing, going through names, credentials in other hands."""

from collections.abc import Iterator

from gateway.audit.detections.model import Detection, Seen, Thresholds, network_of
from gateway.audit.detections.sessions import Sessions
from gateway.audit.detections.windows import Mark, Windows

__all__ = ["BruteForce", "Enumeration", "SharedCredential", "Takeover"]

_WRONG = frozenset({"password-wrong", "guessing"})
_UNPROVEN = _WRONG | {
    "identity-unknown",
    "auth-missing",
    "identity-mismatch",
    "certificate-of-another-charge-point",
}
_AT_HOME = 5
"""A charge point with a wrong password tries again and again, from where it has proven itself before. Somebody beside it
may guess from there as well, so it is told, but later."""
_CERTIFICATE_DIGITS = 32
"""Of a fingerprint: nobody finds two certificates that have these in common."""


class BruteForce:
    """Wrong passwords: from one address, or for one charge point from anywhere. Entering makes up for what came before."""

    def __init__(self, sessions: Sessions) -> None:
        self._failures = Windows()
        self._sessions = sessions

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        identity, address = seen.charge_point_id, seen.address
        if seen.session is not None:
            for key in (f"address {address}", f"identity {identity}"):
                self._failures.drop(key, lambda mark: mark.value == f"{identity} {address}")
        elif seen.reason in _WRONG:
            mark = Mark(seen.ts_us, seen.place, f"{identity} {address}", seen.count)
            yield from self._count("address", address, mark, seen, limits)
            yield from self._count("identity", identity, mark, seen, limits)

    def _count(self, what: str, subject: str, mark: Mark, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        if not subject:
            return
        marks = self._failures.add(f"{what} {subject}", mark, limits.brute_force_window_s)
        failures = sum(each.count for each in marks)
        last = self._sessions.last(seen.charge_point_id)
        at_home = all(each.value == mark.value for each in marks) and last is not None and last.address == seen.address
        if failures >= limits.brute_force_failures * (_AT_HOME if at_home else 1):
            yield Detection(
                kind="brute_force",
                subject=subject,
                severity="medium" if at_home else "high",
                text=f"{failures} wrong passwords {'from' if what == 'address' else 'for'} {subject}"
                f" in {limits.brute_force_window_s:.0f} s",
                evidence=tuple(each.place for each in marks),
                charge_point_id=seen.charge_point_id if what == "identity" or at_home else "",
                address=seen.address if what == "address" else "",
            )


class Enumeration:
    """Many names from one address, none of which proves itself. A depot behind one address is none: its names do."""

    def __init__(self, sessions: Sessions) -> None:
        self._tried = Windows()
        self._sessions = sessions

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        identity, address = seen.charge_point_id, seen.address
        if seen.session is not None:
            self._tried.drop(address, lambda mark: mark.value == identity)
        elif seen.reason in _UNPROVEN and identity and address and not self._is_at_home(identity, address):
            marks = self._tried.add(address, Mark(seen.ts_us, seen.place, identity), limits.enumeration_window_s)
            first = {mark.value: mark.place for mark in reversed(marks)}
            if len(first) >= limits.enumeration_identities:
                yield Detection(
                    kind="enumeration",
                    subject=address,
                    severity="high",
                    text=f"{len(first)} identities tried from {address} in {limits.enumeration_window_s:.0f} s,"
                    " none of them proven",
                    evidence=tuple(reversed(first.values())),
                    address=address,
                )

    def _is_at_home(self, identity: str, address: str) -> bool:
        last = self._sessions.last(identity)
        return last is not None and last.address == address


class Takeover:
    """A second connection with the right credentials, from another network than the one that is connected."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        live = self._sessions.last(seen.charge_point_id) if seen.reason == "duplicate" else None
        if live is not None and seen.session is None:
            home, network = (
                network_of(address, limits.travel_prefix_bits_ipv4, limits.travel_prefix_bits_ipv6)
                for address in (live.address, seen.address)
            )
            if home != network:
                yield Detection(
                    kind="takeover_attempt",
                    subject=seen.charge_point_id,
                    severity="critical",
                    text=f"connected from {home}, and again with valid credentials from {seen.address}:"
                    " they are in somebody else's hands",
                    evidence=(live.place, seen.place),
                    charge_point_id=seen.charge_point_id,
                    address=seen.address,
                )


class SharedCredential:
    """One client certificate, or one key, in use by two charge points."""

    def __init__(self) -> None:
        self._users = Windows()

    def see(self, seen: Seen, limits: Thresholds) -> Iterator[Detection]:
        """Look at one record."""
        peer = seen.record.get("peer")
        certificate = peer.get("cert") if isinstance(peer, dict) else None
        if seen.reason == "certificate-key-shared":
            yield self._told(
                seen, seen.charge_point_id, "its key already belongs to another charge point", (seen.place,)
            )
        if not isinstance(certificate, str) or not certificate or not seen.charge_point_id:
            return
        key, mark = certificate[:_CERTIFICATE_DIGITS], Mark(seen.ts_us, seen.place, seen.charge_point_id)
        self._users.drop(key, lambda before: before.value == mark.value)  # many records name one certificate
        marks = self._users.add(key, mark, limits.shared_credential_window_s)
        users = {each.value: each.place for each in marks}
        if len(users) > 1:
            text = f"certificate {certificate[:16]} is used for {', '.join(sorted(users)[:5])}"
            yield self._told(seen, certificate, text, tuple(users.values()))

    @staticmethod
    def _told(seen: Seen, subject: str, text: str, evidence: tuple[str, ...]) -> Detection:
        return Detection(
            kind="shared_credential",
            subject=subject,
            severity="critical",
            text=text,
            evidence=evidence,
            charge_point_id=seen.charge_point_id,
            address=seen.address,
        )
