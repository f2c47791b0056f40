"""Making what is published: a list that the signer refuses keeps no other list from being made."""

import datetime
import secrets
from pathlib import Path

import pytest

from gateway.control.publication_work import PublicationWork
from pki.approval import Operator
from pki.errors import Reason, Refused
from pki.issuance import Application
from pki.names import Subject
from pki.opened import issuance_in
from pki.own_crls import lists_in
from pki.profiles import CHARGE_POINT
from pki.records import RevocationReason
from pki.signer.launch import signer_for
from tests.pki.hierarchy import Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory

pytestmark = pytest.mark.integration
CA = Hierarchy()
WEEK = datetime.timedelta(weeks=1)
WHOLE = '[publication]\ncrl_url = "http://p.example/{shard}.crl"\n'


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def revoke_an_odd_one(directory: Path) -> None:
    """One certificate whose list, of one, is 0.crl, and which would be on 1.crl of two."""
    wanted = Application(profile=CHARGE_POINT.name, subject=Subject("SN-1", "CPO"), applicant=Operator("alice"))
    with issuance_in(directory, now(), lambda: secrets.token_hex(8)) as ca:
        serial = 0
        while not serial & 1:
            serial = ca.issue(ca.request(csr_pem(), wanted, now()).id, now()).certificate.serial_number
        ca.revoke(serial, RevocationReason.KEY_COMPROMISE, by="alice", note="", now=now())


def test_a_list_that_is_refused_keeps_no_other_from_being_made(tmp_path: Path) -> None:
    place = make_signer_directory(tmp_path / "signer", CA)
    settings = place / "issuing.toml"
    before = settings.read_text()
    settings.write_text(before + WHOLE)
    revoke_an_odd_one(tmp_path)
    settings.write_text(before + WHOLE + "crl_shards = 2\n")  # what docs/pki.md says not to do
    work = PublicationWork(tmp_path, WEEK, WEEK, now)
    with pytest.raises(Refused) as refused:
        work.step()
    assert refused.value.reason is Reason.CRL_FORGETS
    with signer_for(place) as signer:
        made = {
            (issuer.name, shard): found is not None
            for issuer in signer.issuers()
            for shard, found in lists_in(tmp_path, issuer).items()
        }
    assert made == {("issuing", 0): False, ("issuing", 1): True, ("servers", 0): True}
    settings.write_text(before + WHOLE)
    mended = PublicationWork(tmp_path, WEEK, WEEK, now)
    mended.step()
    work.close()
    mended.close()
