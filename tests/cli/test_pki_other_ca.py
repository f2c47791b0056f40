"""`pki` in the directory of a registration authority: what another CA does not know yet of what is revoked here."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from gateway.cli.exit_codes import NOT_OK, OK
from pki.approval import Operator
from pki.issuance import Application
from pki.names import Subject
from pki.opened import issuance_in
from pki.profiles import CHARGE_POINT
from pki.records import ToldState
from pki.registration_authority import MARK
from tests.cli.conftest import Cli
from tests.pki.request_material import csr_pem
from tests.support.other_ca import OPERATOR, OtherCA


class Place:
    """A directory before a CA that has no revocation, with one certificate."""

    def __init__(self, directory: Path, cli: Cli, backend: str = "est") -> None:
        self.ca, self._cli = directory, cli
        (directory / MARK).write_text(f"{backend}\n")
        other, csr, now = OtherCA(), csr_pem(organization=OPERATOR), self.now()
        wanted = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", OPERATOR), applicant=Operator("alice"))
        with issuance_in(directory, now, lambda: "r1") as ra:
            leaf = other.issue(x509.load_pem_x509_csr(csr.encode()))
            ra.receive(ra.request(csr, wanted, now).id, (leaf, other.sub.certificate), now)  # type: ignore[attr-defined]
        self.serial = f"{leaf.serial_number:x}"

    @staticmethod
    def now() -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def __call__(self, *words: object) -> Any:
        return self._cli("pki", *words, "--ca", self.ca)

    def note(self, state: ToldState, detail: str) -> None:
        """As the gateway does."""
        with issuance_in(self.ca, self.now(), lambda: "r2") as ra:
            ra.note_told(int(self.serial, 16), state, detail, "gateway", self.now())  # type: ignore[attr-defined]

    def told(self) -> Any:
        [shown] = self("show", self.serial, "--json").json()
        return shown.get("told_to_ca")


@pytest.fixture
def place(tmp_path: Path, cli: Cli) -> Place:
    return Place(tmp_path, cli)


def test_what_the_ca_does_not_know_is_shown_until_somebody_has_seen_to_it(place: Place) -> None:
    assert place("status").code == OK
    assert place.told() is None
    revoked = place("revoke", place.serial, "--reason", "keyCompromise")
    assert revoked.code == OK
    assert "refuses it within a second" in revoked.out
    assert f"by hand, then: ocpp-gateway pki told {place.serial}" in revoked.out
    assert place.told() == {"state": "waiting"}
    assert "the gateway tells it while it runs" in place("status").err
    place.note(ToldState.BY_HAND, "EST has no revocation")
    assert (place.told()["state"], place.told()["detail"]) == ("by-hand", "EST has no revocation")
    status = place("status", "--json")
    assert status.code == NOT_OK
    assert [each["serial"] for each in status.json()["untold"]] == [place.serial]
    assert "pki told" in status.json()["attention"][0]
    assert "by-hand: EST has no revocation" in place("status").out
    done = place("told", place.serial, "--note", "ticket 7")
    assert (done.code, done.out) == (OK, f"Noted: the CA behind est knows that {place.serial} is revoked.\n")
    assert (place.told()["state"], place.told()["detail"]) == ("confirmed", "ticket 7")
    assert place("status").code == OK
    assert "knows already" in place("told", place.serial).out


def test_a_ca_that_can_be_told_is_told_by_the_gateway(tmp_path: Path, cli: Cli) -> None:
    place = Place(tmp_path, cli, "vault")
    revoked = place("revoke", place.serial, "--reason", "keyCompromise")
    assert f"tells the CA behind vault; ocpp-gateway pki show {place.serial}" in revoked.out
    assert "by hand" not in revoked.out


def test_only_what_is_revoked_here_can_be_known_there(place: Place) -> None:
    for serial in (place.serial, "abc"):
        refused = place("told", serial, "--json")
        assert refused.code == NOT_OK
        assert refused.json()["details"] == {"reason": "certificate-unknown"}
