"""Tells the other CA behind `[pki] backend` which of its certificates are revoked here, until it has accepted or cannot.

The wish is the record of the revocation in the journal; what comes of it is a record, too. So a restart forgets nothing, and an
answer that was lost is asked for again. What is revoked here is refused here, whatever the CA says.
"""

import asyncio
import datetime
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.model import PKI, Config
from gateway.control.backends import backend_of
from gateway.control.background import in_background
from gateway.control.part import NodePart
from gateway.provisioning.revocation_wish import (
    RevocationWish,
    as_noted,
    at_once,
    failed,
    is_due,
    is_noted,
    put_by_hand,
)
from pki.backends.interface import Backend, BackendUnavailable, ByHand, RevocationAccepted, RevocationAnswer
from pki.errors import Misconfigured, PKIError, Refused
from pki.journal_follower import RevokedNews
from pki.opened import issuance_in_turn
from pki.records import Told, ToldState
from pki.registration_authority import RegistrationAuthority
from pki.revocation import reason_from_text

__all__ = ["AuthorityRevocations"]

_AT_ONCE: Final = 4
_IN_A_ROUND: Final = 64
_NAMED_AT_ONCE: Final = 20
"""More certificates with the same outcome in a round are one event with their number."""
_PATIENCE_S: Final = 2.0
"""For the journal; an outcome that cannot be written is written in the next round."""
_SAY_AGAIN_S: Final = 6 * 3_600.0
_BY: Final = "gateway"
_log = structlog.get_logger("control.ca")

Report = Callable[[str, str, str, str], None]
"""event, severity, decision, detail"""
Notes = Mapping[str, tuple[ToldState, str]]
"""By serial number: what is to be on record."""


class AuthorityRevocations(NodePart):
    """One per node, on its event loop; does nothing where the gateway's own CA issues."""

    name = "ca_revocations"
    tick_every_s = 1.0

    def __init__(self, report: Report, pki: PKI, wall_clock: Callable[[], float] = time.time) -> None:
        """`pki`: as `use` takes it from the configuration."""
        self._report = report
        self._pki = pki
        self._wall_clock = wall_clock
        self._backend: Backend | None = None
        self._wishes: dict[str, RevocationWish] = {}
        """By serial number."""
        self._notes: dict[str, tuple[ToldState, str]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._failed_in_round = 0
        self._failure = ""
        self._said_at = 0.0

    def use(self, config: Config) -> None:
        """Ask the CA of this configuration, from the next tick on, about everything that waits."""
        if config.pki.ca != self._pki.ca:
            self._wishes, self._notes = {}, {}
        self._pki, self._backend = config.pki, None
        self._wishes = {serial: at_once(wish) for serial, wish in self._wishes.items()}

    def heard(self, directory: str, news: Sequence[RevokedNews | Told]) -> None:
        """What is new in the journal in `directory`, or all of it anew: the same twice is the same once."""
        if directory != self._pki.ca:
            return
        for each in news:
            if isinstance(each, Told):
                self._heard_told(each)
            elif each.received is not None:
                wish = _wish_of(each, each.received)
                self._wishes.setdefault(wish.serial, wish)

    def _heard_told(self, told: Told) -> None:
        wish = self._wishes.get(told.serial)
        if told.state.is_over:
            self._wishes.pop(told.serial, None)
            self._notes.pop(told.serial, None)
        elif wish is not None and not wish.noted:
            # Of a process before us. It is asked at once, as what was in its way may be gone.
            at = told.at.timestamp()
            before = (put_by_hand if told.state is ToldState.BY_HAND else failed)(wish, at, told.detail)
            self._wishes[told.serial] = at_once(as_noted(before, at))

    async def tick(self) -> None:
        """Tell what is due, and put on record what has come of it."""
        now = self._wall_clock()
        for serial in [serial for serial, wish in self._wishes.items() if wish.not_after < now]:
            del self._wishes[serial]  # nobody lets it in any more, and CAs take no revocation of it
        if self._pki.ca and self._pki.backend != "embedded":
            due = sorted((each for each in self._wishes.values() if is_due(each, now)), key=lambda each: each.due_at)
            if due:
                await self._tell(due[:_IN_A_ROUND])
            await self._write()

    # -- the CA

    async def _tell(self, due: Sequence[RevocationWish]) -> None:
        pki, self._failed_in_round = self._pki, 0
        answers = await asyncio.gather(*(self._asked(wish) for wish in due))
        if pki is not self._pki:
            return  # another configuration is in force: that one's CA is asked
        failures, accepted, by_hand = [], [], []
        for before, answer in zip(due, answers, strict=True):
            if answer is None or before.serial not in self._wishes:
                continue  # it is due still, or somebody has confirmed it meanwhile
            match answer:
                case RevocationAccepted():
                    del self._wishes[before.serial]
                    self._notes[before.serial] = ToldState.ACCEPTED, ""
                    accepted.append(before.serial)
                case ByHand(why=why):
                    self._put(put_by_hand(before, self._wall_clock(), why))
                    if not before.is_by_hand or before.why != why:
                        by_hand.append(f"{before.serial}: {why}")
                case str() as why:
                    self._put(failed(before, self._wall_clock(), why))
                    failures.append(why)
        self._announce(accepted, by_hand)
        self._announce_failure(failures)

    async def _asked(self, wish: RevocationWish) -> RevocationAnswer | str | None:
        """The CA's answer, or why there is none; None if it was not asked, as it has not answered others just now."""
        async with self._room:
            if self._failed_in_round >= _AT_ONCE:
                return None
            try:
                self._backend = self._backend or backend_of(self._pki)
                certificate = x509.load_der_x509_certificate(wish.certificate)
                return await self._backend.revoke(certificate, reason_from_text(wish.reason))
            except (BackendUnavailable, Misconfigured) as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001  a wish must not be lost for a defect in the way to one CA
                _log.error("revocation_not_told", serial=wish.serial, error=repr(error), exc_info=error)
                why = f"a defect, {type(error).__name__}"
            self._failed_in_round += 1
            return why

    def _put(self, wish: RevocationWish) -> None:
        self._wishes[wish.serial] = wish
        if not is_noted(wish, self._wall_clock()):
            self._notes[wish.serial] = (ToldState.BY_HAND if wish.is_by_hand else ToldState.FAILED), wish.why

    # -- the journal

    async def _write(self) -> None:
        notes, directory = dict(self._notes), self._pki.ca
        if not notes:
            return
        try:
            await in_background(partial(_write_notes, Path(directory), notes))
        except (PKIError, OSError) as error:
            _log.warning("revocation_outcome_not_written", count=len(notes), why=str(error))
            return
        if directory != self._pki.ca:
            return
        now = self._wall_clock()
        for serial, note in notes.items():
            if self._notes.get(serial) == note:
                del self._notes[serial]
            if serial in self._wishes:
                self._wishes[serial] = as_noted(self._wishes[serial], now)

    # -- what operators hear

    def _announce(self, accepted: Sequence[str], by_hand: Sequence[str]) -> None:
        backend = self._pki.backend
        for serial in accepted[:_NAMED_AT_ONCE]:
            self._report("certificate.revocation_told", "info", "allow", f"serial {serial}: {backend} has accepted it")
        if len(accepted) > _NAMED_AT_ONCE:
            detail = f"{backend} has accepted {len(accepted) - _NAMED_AT_ONCE} more"
            self._report("certificate.revocation_told", "info", "allow", detail)
        remedy = f"revoke it at the CA behind {backend}, then: ocpp-gateway pki told SERIAL"
        for each in by_hand[:_NAMED_AT_ONCE]:
            self._report("certificate.revocation_by_hand", "high", "allow_alert", f"serial {each}; {remedy}")
        if len(by_hand) > _NAMED_AT_ONCE:
            detail = f"{len(by_hand) - _NAMED_AT_ONCE} more, see ocpp-gateway pki status; {remedy}"
            self._report("certificate.revocation_by_hand", "high", "allow_alert", detail)

    def _announce_failure(self, failures: Sequence[str]) -> None:
        """Once for each reason, and again every six hours while it lasts."""
        if not failures:
            self._failure = ""
            return
        now, why = self._wall_clock(), failures[0]
        if why != self._failure or now - self._said_at > _SAY_AGAIN_S:
            self._failure, self._said_at = why, now
            detail = f"{self._waiting()} revocations wait for the CA behind {self._pki.backend}: {why}; here they are in force"
            self._report("certificate.revocation_failed", "high", "allow_alert", detail)

    def _waiting(self) -> int:
        return sum(not each.is_by_hand for each in self._wishes.values())

    def status(self) -> dict[str, Any] | None:
        """How many wait, how many somebody has to see to, and why the last try has failed."""
        if not self._pki.ca or self._pki.backend == "embedded":
            return None
        waiting = self._waiting()
        return {
            "backend": self._pki.backend,
            "waiting": waiting,
            "by_hand": len(self._wishes) - waiting,
            "failure": self._failure,
        }

    def metrics(self) -> dict[str, float]:
        """The same numbers."""
        shown = self.status()
        if shown is None:
            return {}
        return {f"ocpp_gateway_ca_revocations_{name}": float(shown[name]) for name in ("waiting", "by_hand")}


def _write_notes(directory: Path, notes: Notes) -> None:
    """On a thread. Raises PKIError, OSError."""
    with issuance_in_turn(directory, _now, lambda: secrets.token_hex(6), _PATIENCE_S) as ca:
        if not isinstance(ca, RegistrationAuthority):
            raise Misconfigured(f"{directory} is the directory of an embedded CA")
        for serial, (state, detail) in notes.items():
            try:
                ca.note_told(int(serial, 16), state, detail, _BY, _now())
            except Refused as error:
                # Another journal was put in its place.
                _log.warning("revocation_outcome_is_of_another_journal", serial=serial, why=str(error))


def _wish_of(news: RevokedNews, certificate: x509.Certificate) -> RevocationWish:
    return RevocationWish(
        serial=f"{news.serial:x}",
        reason=news.reason,
        certificate=certificate.public_bytes(Encoding.DER),
        not_after=certificate.not_valid_after_utc.timestamp(),
        wished_at=news.at.timestamp(),
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
