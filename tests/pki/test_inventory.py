"""The fold over the journal: a record that cannot follow those before it is damage, whatever its digest says."""

import pytest
from cryptography import x509

from pki.errors import JournalDamaged
from pki.inventory import Inventory, RequestState
from pki.names import Subject
from pki.records import (
    Abandoned,
    Decided,
    Intended,
    Issued,
    JournalRecord,
    Opened,
    Requested,
    Reserved,
    RevocationReason,
    Revoked,
)
from pki.revocation import RevokedCertificate
from tests.pki.hierarchy import DAY, NOW

OPENED = Opened(at=NOW)
HELD = Requested(
    at=NOW, request="r", profile="P", issuer="i", subject=Subject("SN", "CPO"), spki=b"k", csr_sha256=b"c", applicant="a", held=True, rule="x"
)  # fmt: skip
APPROVED = Decided(at=NOW, request="r", approved=True, by="alice")
DENIED = Decided(at=NOW, request="r", approved=False, by="alice", note="no")
RESERVED = Reserved(at=NOW, request="r", serial="ff")
INTENDED = Intended(at=NOW, request="r", serial="ff", not_before=NOW, not_after=NOW + DAY, tbs=b"")
ISSUED = Issued(at=NOW, request="r", serial="ff", signature=b"s")
ABANDONED = Abandoned(at=NOW, request="r", serial="ff", reason="lint")
REVOKED = Revoked(at=NOW, serial="ff", reason=RevocationReason.SUPERSEDED, by="alice")
WHOLE = (OPENED, HELD, APPROVED, RESERVED, INTENDED, ISSUED, REVOKED)


def folded(*records: JournalRecord) -> Inventory:
    inventory = Inventory()
    for sequence, record in enumerate(records, 1):
        inventory.apply(record, sequence)
    return inventory


def test_a_whole_life() -> None:
    states = [folded(*WHOLE[:length]).requests["r"].state.value for length in range(2, len(WHOLE) + 1)]
    assert states == ["held", "approved", "reserved", "intended", "issued", "issued"]
    entry = folded(*WHOLE).certificates[0xFF]
    assert (entry.intended, entry.issued, entry.is_valid_at(NOW)) == (5, 6, False)
    assert folded(*WHOLE[:-1]).certificates[0xFF].is_valid_at(NOW)
    assert folded(OPENED, HELD, DENIED).requests["r"].state is RequestState.DENIED
    assert folded(OPENED, HELD, APPROVED, RESERVED, ABANDONED).requests["r"].reason == "lint"
    assert folded(OPENED, HELD, APPROVED, RESERVED, INTENDED, REVOKED).certificates[0xFF].revocation is not None


def test_what_is_revoked_is_told_until_it_expires() -> None:
    inventory = folded(*WHOLE)
    told = RevokedCertificate(0xFF, NOW, x509.ReasonFlags.superseded)
    assert list(inventory.revoked("i", NOW + DAY)) == [told]
    assert list(inventory.revoked("other", NOW)) == list(inventory.revoked("i", NOW + 2 * DAY)) == []
    assert list(folded(*WHOLE[:-1]).revoked("i", NOW)) == []


@pytest.mark.parametrize("reason", RevocationReason)
def test_every_reason_is_one_of_x509(reason: RevocationReason) -> None:
    assert x509.ReasonFlags(reason.value).value == reason.value


@pytest.mark.parametrize(
    "records",
    [
        (HELD,),
        (OPENED, OPENED),
        (Opened(at=NOW, format=2),),
        (OPENED, HELD, HELD),
        (OPENED, APPROVED),
        (OPENED, HELD, APPROVED, APPROVED),
        (OPENED, HELD, DENIED, RESERVED),
        (OPENED, HELD, RESERVED),
        (OPENED, HELD, APPROVED, RESERVED, RESERVED),
        (OPENED, HELD, APPROVED, INTENDED),
        (OPENED, HELD, APPROVED, RESERVED, ISSUED),
        (*WHOLE[:5], INTENDED),
        (*WHOLE[:6], ISSUED),
        (*WHOLE[:6], ABANDONED),
        (*WHOLE, REVOKED),
        (OPENED, HELD, APPROVED, RESERVED, REVOKED),
        (OPENED, HELD, APPROVED, Reserved(at=NOW, request="r", serial="xyz")),
        (OPENED, HELD, APPROVED, RESERVED, Abandoned(at=NOW, request="q", serial="ff", reason="")),
    ],
)
def test_an_order_that_cannot_be_is_damage(records) -> None:
    folded(*records[:-1])
    with pytest.raises(JournalDamaged, match=f"record {len(records)} cannot follow"):
        folded(*records)
