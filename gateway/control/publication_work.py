"""What the embedded CA publishes, made: lists and OCSP responses as they become due. On a thread that may wait and compute.

It reads the journal beside whoever writes it, and has the signer for as long as it signs lists.
"""

import datetime
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.control.publication import Publications, PublishedCRL
from pki.crl import CRLTooSoon
from pki.errors import Reason, Refused
from pki.inventory import Inventory
from pki.issuer import Issuer
from pki.journal import Journal
from pki.opened import JOURNAL, issuance_in_turn, signer_in_turn
from pki.own_crls import (
    ListFile,
    OwnList,
    is_due,
    list_file,
    next_list,
    read_list,
    revoked_by_shard,
    shard_count,
    write_list,
)
from pki.own_ocsp import OwnOCSP, has_responder, known_responder, new_responder

__all__ = ["PublicationWork", "Signed"]

_PATIENCE_S: Final = 15.0
_SIGN_FOR_S: Final = 0.4
"""OCSP responses at once: then others have the signer for as long, so that a fleet's worth of them is signed beside everything else."""
_PLAN_EVERY_S: Final = 30.0
_ANOTHER_RESPONDER_S: Final = 3_600.0


@dataclass(slots=True)
class Signed:
    """What one step has done."""

    lists: list[OwnList] = field(default_factory=list)
    found: list[OwnList] = field(default_factory=list)
    """Newer lists that somebody else has made: a command."""
    responses: int = 0
    planned: bool = False
    """It was looked for what is due; else only what was due before was worked off."""
    refused: str = ""
    """Why the signer has refused a list; it is tried again when lists are planned the next time."""


class PublicationWork:
    """One CA's directory."""

    def __init__(
        self,
        directory: Path,
        crl_lifetime: datetime.timedelta,
        ocsp_lifetime: datetime.timedelta,
        clock: Callable[[], datetime.datetime],
    ) -> None:
        self.directory = directory
        self._crl_lifetime = crl_lifetime
        self._ocsp_lifetime = ocsp_lifetime
        self._clock = clock
        self._journal: Journal | None = None
        self._inode = 0
        self._issuers: list[Issuer] = []
        self._lists: dict[tuple[str, int], OwnList | None] = {}
        self._files: dict[tuple[str, int], ListFile | None] = {}
        """The files as they were when lists were read from them."""
        self._ocsp: dict[str, OwnOCSP] = {}
        self._ocsp_facts: dict[str, dict[str, Any]] = {}
        self._unusable: set[int] = set()
        """Certificates of responders whose key the signer does not have any more."""
        self._made: set[int] = set()
        """Certificates of responders that were issued for this very process."""
        self._no_other_before: dict[str, float] = {}
        """By issuing CA: when another responder may be made (monotonic)."""
        self._addresses: dict[int, str] = {}
        """Where certificates that were revoked say that their list is."""
        self._planned_at = 0.0
        self._pressing = False
        """A list that is due could not be made yet."""

    def step(self) -> Signed:
        """Do what is due. Raises PKIError, OSError: then it is to be tried again later."""
        has_changed = self._read_journal()
        now, done = self._clock(), Signed()
        self._read_lists(done)
        if has_changed or self._pressing or time.monotonic() - self._planned_at > _PLAN_EVERY_S:
            done.planned = True
            self._know_issuers()
            self._pressing = not self._sign_lists(now, done)
            self._choose_responders(now)
            for each in self._ocsp.values():
                each.plan(self._inventory, now)
            self._planned_at = time.monotonic()
        self._sign_responses(now, done)
        self._look_at_responses(now, thoroughly=done.planned)
        return done

    def close(self) -> None:
        """Forget the journal."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    @property
    def _inventory(self) -> Inventory:
        return Inventory() if self._journal is None else self._journal.inventory

    def _read_journal(self) -> bool:
        """True if there is something new in it, or nothing was read before."""
        path = self.directory / JOURNAL
        try:
            found = path.stat()
        except FileNotFoundError:
            self.close()
            return not self._planned_at
        if self._journal is None or found.st_ino != self._inode:
            self.close()
            self._journal, self._inode = Journal(path, read_only=True, whole=True), found.st_ino
            return True
        before = self._journal.head
        try:
            if found.st_size != self._journal.size_bytes:
                self._journal.catch_up()
        except BaseException:
            self.close()
            raise
        return self._journal.head != before

    def _know_issuers(self) -> None:
        """Those of the start: an issuing CA that is added needs a restart, as its signer does."""
        if self._issuers:
            return
        with signer_in_turn(self.directory, _PATIENCE_S) as signer:
            self._issuers = signer.issuers()
        for issuer in self._issuers:
            for shard in range(shard_count(issuer)):
                self._lists[issuer.name, shard] = None
        self._read_lists(Signed())

    # -- lists

    def _address_of(self, serial: int) -> str:
        found = self._addresses.get(serial)
        if found is None and self._journal is not None:
            found = self._addresses[serial] = self._journal.crl_address(serial)
        return found or ""

    def _sign_lists(self, now: datetime.datetime, done: Signed) -> bool:
        """False if one that is due has to wait for the second in which the last one was made to be over."""
        due = []
        for issuer in self._issuers:
            revoked = revoked_by_shard(issuer, self._inventory, self._address_of, now, self._crl_lifetime)
            for shard, entries in revoked.items():
                if is_due(self._lists[issuer.name, shard], entries, now):
                    due.append((issuer, shard, entries))
        if not due:
            return True
        is_done = True
        with signer_in_turn(self.directory, _PATIENCE_S) as signer:
            self._read_lists(done)  # a command may have had the signer until now
            for issuer, shard, entries in due:
                if not is_due(self._lists[issuer.name, shard], entries, now):
                    continue
                key, before = signer.revocation_key(issuer), self._lists[issuer.name, shard]
                try:
                    made = next_list(issuer, shard, entries, before, key, now, self._crl_lifetime)
                except CRLTooSoon:
                    is_done = False
                    continue
                except Refused as error:
                    done.refused = f"{issuer.name}, shard {shard}: {error}"
                    continue  # and no reason to make no other one
                write_list(self.directory, made)
                self._lists[issuer.name, shard] = made
                done.lists.append(made)
        return is_done

    def _read_lists(self, done: Signed) -> None:
        """Those that are newer in the files than here: a command may have made them beside us. Never an older one."""
        for issuer in self._issuers:
            for shard in range(shard_count(issuer)):
                key, file = (issuer.name, shard), list_file(self.directory, issuer, shard)
                if file == self._files.get(key):
                    continue
                before, found = self._lists[key], read_list(self.directory, issuer, shard)
                self._files[key] = file
                if found is not None and (before is None or found.stamp.number > before.stamp.number):
                    self._lists[key] = found
                    done.found.append(found)

    # -- OCSP

    def _choose_responders(self, now: datetime.datetime) -> None:
        """One that is there, as long as it outlives two lives of a response; else another one."""
        for issuer in self._issuers:
            if not has_responder(issuer):
                continue
            ocsp = self._ocsp.setdefault(issuer.name, OwnOCSP(issuer, self._ocsp_lifetime))
            found = known_responder(self._inventory, issuer, now + 2 * self._ocsp_lifetime, self._unusable)
            if found is None and time.monotonic() < self._no_other_before.get(issuer.name, 0.0):
                continue
            if found is None:
                with issuance_in_turn(self.directory, self._clock, lambda: secrets.token_hex(6), _PATIENCE_S) as ca:
                    made = new_responder(ca, issuer, "gateway", now)
                    ocsp.use(ca.certificate(made).certificate)
                self._made.add(made)
            elif found != ocsp.responder and self._journal is not None:
                ocsp.use(self._journal.certificate(found))

    def _sign_responses(self, now: datetime.datetime, done: Signed) -> None:
        due = [
            (name, each) for name, each in self._ocsp.items() if each.waiting and each.responder not in self._unusable
        ]
        if not due:
            return
        with signer_in_turn(self.directory, _PATIENCE_S) as signer:
            until = time.monotonic() + _SIGN_FOR_S
            for name, each in due:
                try:
                    done.responses += each.sign(signer, now, lambda: time.monotonic() < until)
                except Refused as error:
                    if error.reason is not Reason.RESPONDER_KEY or each.responder is None:
                        raise
                    done.refused = self._responder_lost(name, each.responder)
                done.refused = done.refused or each.refused

    def _responder_lost(self, issuer: str, responder: int) -> str:
        """Its key was in the memory of a signer that has ended, or its file is lost: another one, but not again and again."""
        self._unusable.add(responder)
        self._pressing = True
        if responder not in self._made:
            return ""
        self._no_other_before[issuer] = time.monotonic() + _ANOTHER_RESPONDER_S
        return (
            f"{issuer}: the signer has forgotten the key that it made for an OCSP responder; where its own key is in a token, "
            "it has to run as a service (docs/pki.md)"
        )

    def _look_at_responses(self, now: datetime.datetime, *, thoroughly: bool) -> None:
        """How they stand. Not all of them are looked at each time: there may be a hundred thousand."""
        for name, each in self._ocsp.items():
            if thoroughly or not each.waiting or name not in self._ocsp_facts:
                self._ocsp_facts[name] = each.facts(now)
            else:
                self._ocsp_facts[name] |= {"responses": len(each), "waiting": each.waiting}

    # -- what comes of it

    def content(self) -> Publications:
        """Everything that is to be served."""
        return Publications(
            certificates={each.name: each.certificate.public_bytes(Encoding.DER) for each in self._issuers},
            crls={
                key: PublishedCRL(found.der, found.stamp.this_update, found.stamp.next_update)
                for key, found in self._lists.items()
                if found is not None
            },
            ocsp={name: each.responses for name, each in self._ocsp.items()},
        )

    def seconds_left(self) -> dict[str, float]:
        """By issuing CA: for how long the list that ends first is good; negative where one has ended or is missing."""
        now, found = self._clock(), dict[str, float]()
        for (name, _), each in self._lists.items():
            left = -1.0 if each is None else (each.stamp.next_update - now).total_seconds()
            found[name] = min(left, found.get(name, left))
        return found

    def responses_about(self, serial: int) -> list[dict[str, Any]]:
        """How the response about a certificate stands; one for each issuing CA that has such a number."""
        now = self._clock()
        found = [(name, each.fact_of(serial, now)) for name, each in self._ocsp.items()]
        return [{"issuer": name, **fact} for name, fact in found if fact is not None]

    def status(self) -> dict[str, Any]:
        """For `ocpp-gateway status`: lists and responders, shortly."""
        return {
            "lists": [
                {
                    "issuer": name,
                    "shard": shard,
                    "number": each.stamp.number,
                    "revoked": len(each.serials),
                    "this_update": each.stamp.this_update.timestamp(),
                    "next_update": each.stamp.next_update.timestamp(),
                }
                for (name, shard), each in self._lists.items()
                if each is not None
            ],
            "ocsp": [{"issuer": name, **facts} for name, facts in self._ocsp_facts.items()],
        }
