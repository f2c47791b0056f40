"""The signer's list, opened from its snapshot: it knows what it knew."""

from pathlib import Path

import msgspec
import pytest

from pki.chained_file import Position
from pki.errors import Reason, Refused
from pki.signer.book import Listed, Ordered, SignerBook
from tests.pki.hierarchy import NOW

SERIALS = (0x1F, 1 << 158, 0x20)


def filled(path: Path) -> None:
    book = SignerBook(path)
    for number, serial in enumerate(SERIALS, 1):
        order = Ordered(NOW, f"{serial:x}", "issuing", "P", b"tbs %d" % number, Position(number, b"d" * 32))
        book.add_order(order)
        if number > 1:
            book.add_signature(serial, b"signature %d" % number, NOW)
    for number in (4, 5):
        book.add_list(Listed(NOW, "issuing", "http://crl", number, b"t" * 32, NOW))
    book.remember(Position(8, b"e" * 32), "1f", NOW)
    book.remember(Position(9, b"f" * 32), "", NOW)
    book.close()


def known(book: SignerBook) -> tuple[object, ...]:
    return (
        book.remembered,
        book.place,
        book.signed_count,
        [book.order(serial) for serial in SERIALS],
        [book.signature(serial) for serial in SERIALS],
        list(book.revoked()),
        book.last_list("issuing", "http://crl"),
        book.listed(0),
        book.listed_revoked(0),
        [book.digest_at(number) for number in range(12)],
    )


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pki.chained_file._SNAPSHOT_EVERY", 2)
    path = tmp_path / "signed"
    filled(path)
    return path


def test_a_list_opened_from_its_snapshot_knows_and_refuses_the_same(path: Path) -> None:
    whole = SignerBook(path, whole=True)
    facts = known(whole)
    whole.close()
    assert path.with_name("signed.snapshot").exists()
    book = SignerBook(path, whole=False)
    assert known(book) == facts
    assert book.dump() == whole.dump()
    with pytest.raises(Refused) as refused:
        book.remember(Position(8, b"e" * 32), "", NOW)
    assert refused.value.reason is Reason.JOURNAL_STEP_BACK
    book.remember(Position(10, b"g" * 32), "20", NOW)
    facts = known(book)
    book.close()
    again = SignerBook(path, whole=True)
    assert (known(again), again.has_wrong_snapshot) == (facts, False)
    again.close()


def test_what_no_list_has_dumped_is_an_error_and_leaves_it_as_it_was(path: Path) -> None:
    book = SignerBook(path)
    facts, dumped = known(book), msgspec.msgpack.decode(book.dump())
    for state in (b"", b"\xc1", msgspec.msgpack.encode(dumped[:3])):
        with pytest.raises(ValueError, match=r"."):
            book.restore(state)
    assert known(book) == facts
    book.close()
