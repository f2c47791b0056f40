"""An old copy of the journal beside a registry that knows nothing: what the signer was told is revoked stays so.

The signer runs as a service, or its list is read as it lies there.
"""

import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.model import PKI, Config
from gateway.control.own_books import OwnBooks
from pki.opened import issuance_in
from pki.records import RevocationReason
from tests.control.test_own_revocations import Followed
from tests.pki.hierarchy import NOW
from tests.pki.signer_directory import signer_process

pytestmark = pytest.mark.integration


class Asked(Followed):
    """The part that compares the books, of a node that starts."""

    def __init__(self, directory: Path, url: str, *, runs: bool) -> None:
        super().__init__(directory, url)
        self.runs = runs
        self.books = self.comparing()

    def comparing(self) -> OwnBooks:
        config = Config(
            path="gateway.toml",
            state_dir="",
            database_url="",
            edge_workers=1,
            log_level="info",
            listeners=(),
            csms=(),
            pki=PKI(ca=str(self.directory)),
        )
        return OwnBooks(self.store, lambda *event: self.told.append(event), config)

    async def start(self) -> None:
        """Before anybody is admitted."""
        with signer_process(self.directory / "signer") if self.runs else contextlib.nullcontext():
            await self.books.load()

    def revoke(self, serial: str) -> None:
        with issuance_in(self.directory, NOW, lambda: secrets.token_hex(6)) as ca:
            ca.revoke(int(serial, 16), RevocationReason.SUPERSEDED, by="alice", note="", now=NOW)

    def revoked(self) -> set[str]:
        return {serial for _, serial in self.registry.revocations().issuer_serials}


@pytest.fixture(params=[True, False], ids=["service", "at-rest"])
async def asked(
    tmp_path: Path, url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Asked]:
    monkeypatch.setattr("gateway.control.own_books._START_WAITS_S", 3600.0)  # however slow the machine is
    made = Asked(tmp_path / "ca", url, runs=request.param)
    yield made
    await made.store.close()
    made.registry.close()


async def test_an_old_journal_and_an_empty_registry_do_not_un_revoke(asked: Asked) -> None:
    lost, kept = asked.issue_and_revoke(2, 0)
    journal = asked.directory / "journal"
    old = journal.read_bytes()
    asked.revoke(lost)
    journal.write_bytes(old)
    await asked.start()
    [(event, severity, decision, detail)] = asked.told
    assert (event, severity, decision) == ("trust.journal_failed", "critical", "keep_last_good")
    assert "an old copy was put back" in detail
    assert asked.revoked() == {lost}
    assert kept not in asked.revoked()
    assert "old copy" in (asked.books.status() or {})["problem"]


async def test_a_journal_that_is_gone_is_noticed_too(asked: Asked) -> None:
    [lost] = asked.issue_and_revoke(1, 1)
    (asked.directory / "journal").unlink()
    await asked.start()
    assert [event for event, *_ in asked.told] == ["trust.journal_failed"]
    assert asked.revoked() == {lost}


async def test_books_that_agree_are_no_event_and_revoke_nobody(asked: Asked) -> None:
    await asked.start()
    asked.issue_and_revoke(2, 1)
    asked.books = asked.comparing()
    await asked.start()
    assert (asked.told, asked.revoked()) == ([], set())
    assert (asked.books.status() or {})["problem"] == ""


async def test_an_old_list_is_noticed_and_what_it_has_forgotten_is_in_the_journal(asked: Asked) -> None:
    first, second = asked.issue_and_revoke(2, 0)
    signed = asked.directory / "signer" / "signed"
    asked.revoke(first)
    old = signed.read_bytes()
    asked.revoke(second)
    signed.write_bytes(old)
    await asked.part.load()
    await asked.start()
    assert "an old copy of the list was put back" in (asked.books.status() or {})["problem"]
    assert asked.revoked() == {first, second}


async def test_a_list_that_is_gone_is_noticed(asked: Asked) -> None:
    asked.issue_and_revoke(1, 0)
    (asked.directory / "signer" / "signed").unlink()
    await asked.start()
    assert "an old copy of the list was put back" in (asked.books.status() or {})["problem"]


async def test_a_signer_that_has_died_leaves_its_list(asked: Asked) -> None:
    [lost] = asked.issue_and_revoke(1, 1)
    (asked.directory / "journal").unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(asked.directory / "signer" / "socket"))
    asked.runs = False
    await asked.start()
    assert asked.revoked() == {lost}


async def test_a_signer_that_hangs_keeps_nobody_out_for_long(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.issue_and_revoke(1, 1)
    monkeypatch.setattr("gateway.control.own_books._START_WAITS_S", 0.01)
    asked.runs = False
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(asked.directory / "signer" / "socket"))
        hanging.listen()
        await asked.start()  # it ends; whoever has asked is reset when the socket is closed
    assert asked.told == []
