"""The registry in memory: it follows every change, and nothing that is gone stays."""

import sqlite3
from pathlib import Path

import msgspec
import pytest
import structlog

from gateway.audit.event import Actor
from gateway.control.directory import Directory
from gateway.control.missed_changes import MissedChanges
from gateway.control.store_thread import StoreThread
from gateway.identity.evidence import CertificateProof
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion
from gateway.store.errors import StoreError
from gateway.store.registry import Registry
from tests.control.conftest import record_of

CP, ONLY_2X = ChargePointId("CP-1"), (OCPPVersion.V2_1,)
PROOF = CertificateProof(
    sha256="ab" * 32, spki_sha256="0a" * 32, serial_number="abc", common_name="SN", issuer="CN=CA", not_after=1.0
)


class Following:
    def __init__(self, url: str) -> None:
        self.registry = Registry.open(url)
        self.store = StoreThread(url)
        self.directory = Directory()

    async def refresh(self) -> tuple[frozenset[ChargePointId], bool]:
        return await self.directory.refresh(self.store)

    def known(self) -> set[str]:
        return {str(record.charge_point_id) for record in self.directory.records()}


@pytest.fixture
async def following(url: str):
    made = Following(url)
    await made.directory.load(made.store)
    yield made
    await made.store.close()
    made.registry.close()


class TestFinding:
    async def test_by_the_spelling_that_the_versions_allow(self, following: Following) -> None:
        following.registry.add(record_of("CP-A"))
        following.registry.add(record_of("CP-B", ocpp_versions=ONLY_2X))
        await following.refresh()
        found = following.directory
        assert [found.find(ChargePointId(name)) is not None for name in ("CP-A", "cp-a", "CP-B", "cp-b", "CP-C")] == [
            True,
            False,
            True,
            True,
            False,
        ]
        assert found.get("cp-a") is not None
        assert found.get("CP-C") is None
        assert len(found) == 2


class TestFollowing:
    async def test_nothing_new_is_nothing(self, following: Following) -> None:
        assert await following.refresh() == (frozenset(), False)

    async def test_what_other_processes_add_change_and_remove(self, following: Following) -> None:
        following.registry.add(record_of("CP-1"))
        following.registry.add(record_of("CP-2"))
        changed, revoked = await following.refresh()
        assert (set(changed), revoked) == ({"CP-1", "CP-2"}, False)
        following.registry.update("CP-1", enabled=False)
        following.registry.remove("CP-2")
        changed, revoked = await following.refresh()
        assert (set(changed), revoked) == ({"CP-1", "CP-2"}, False)
        assert following.known() == {"CP-1"}
        record = following.directory.find(CP)
        assert record is not None and not record.enabled
        assert await following.refresh() == (frozenset(), False)

    @pytest.mark.parametrize(("before", "after"), [("CP-1", "cp-1"), ("cp-1", "CP-1"), ("Cp-1", "cP-1")])
    async def test_removed_and_registered_in_another_case_at_once_is_known_in_the_new_one(
        self, following: Following, before: str, after: str
    ) -> None:
        following.registry.add(record_of(before))
        await following.refresh()
        following.registry.remove(before)
        following.registry.add(record_of(after))
        assert (await following.refresh())[0] == {before, after}
        assert following.known() == {after}

    @pytest.mark.requirement("A00.FR.702", "A00.FR.705")
    async def test_revocations_of_either_kind_are_noticed_and_nothing_else_is_taken_for_one(self, following) -> None:
        following.registry.add(record_of("CP-1"))
        assert (await following.refresh())[1] is False
        assert not following.directory.is_revoked(PROOF)
        following.registry.revoke_certificate(issuer="CN=CA", serial="ABC", reason="lost", now=1.0)
        assert await following.refresh() == (frozenset(), True)
        assert following.directory.is_revoked(PROOF)
        assert not following.directory.is_revoked(msgspec.structs.replace(PROOF, serial_number="abd"))
        assert not following.directory.is_revoked(msgspec.structs.replace(PROOF, issuer="CN=CB"))
        following.registry.revoke_certificate(sha256="cd" * 32, reason="lost", now=1.0)
        assert (await following.refresh())[1] is True
        assert following.directory.is_revoked(msgspec.structs.replace(PROOF, sha256="cd" * 32, issuer="x"))
        assert following.directory.revocations() == following.registry.revocations()

    async def test_owners_of_keys_follow_too(self, following: Following) -> None:
        following.registry.add(record_of("CP-1"))
        following.registry.bind_key("0a" * 32, "CP-1", 1.0)
        await following.refresh()
        assert following.directory.owner_of("0a" * 32) == "CP-1"
        following.registry.unbind_keys("CP-1")
        await following.refresh()
        assert following.directory.owner_of("0a" * 32) is None

    async def test_what_this_process_has_just_done_is_known_at_once(self, following: Following) -> None:
        following.directory.put(record_of("CP-1"))
        following.directory.bound("0a" * 32, CP)
        following.directory.learnt(CP, answers_pings=True)
        following.directory.learnt(ChargePointId("nobody"), answers_pings=True)
        record = following.directory.get("CP-1")
        assert record is not None and record.answers_pings
        assert following.directory.owner_of("0a" * 32) == "CP-1"
        assert len(following.directory) == 1

    async def test_what_was_learnt_and_is_not_written_yet_outlasts_what_is_read(self, following: Following) -> None:
        following.registry.add(record_of("CP-1"))
        await following.refresh()
        following.directory.learnt(CP, vendor="V", model="M")
        following.registry.update("CP-1", notes="changed by somebody else")
        await following.refresh()
        record = following.directory.get("CP-1")
        assert record is not None and (record.notes, record.vendor, record.model) == (
            "changed by somebody else",
            "V",
            "M",
        )
        following.registry.learn("CP-1", vendor="W")
        following.registry.update("CP-1", notes="again")
        await following.refresh()
        record = following.directory.get("CP-1")
        assert record is not None and (record.vendor, record.model) == ("W", "M")

    async def test_what_is_as_it_was_stays_the_same_object(self, following: Following) -> None:
        following.registry.add(record_of("CP-1", notes="as it was, in words"))
        await following.refresh()
        before = following.directory.get("CP-1")
        assert before is not None
        following.directory.put(msgspec.structs.replace(before, notes="".join(list(before.notes)), model="M"))
        after = following.directory.get("CP-1")
        assert after == msgspec.structs.replace(before, model="M")
        assert after.notes is before.notes

    async def test_another_charge_point_of_the_same_name_has_learnt_nothing(self, following: Following) -> None:
        following.directory.put(record_of("CP-1", created_at=1.0, vendor="V"))
        following.directory.put(record_of("CP-1", created_at=2.0))
        record = following.directory.get("CP-1")
        assert record is not None and record.vendor == ""


class TestTrouble:
    async def test_a_registry_restored_from_a_backup_is_read_whole(self, following: Following, tmp_path: Path) -> None:
        following.registry.add(record_of("old"))
        following.registry.add(record_of("kept"))
        with sqlite3.connect(tmp_path / "registry.sqlite") as live, sqlite3.connect(tmp_path / "backup") as backup:
            live.backup(backup)
        following.registry.remove("old")
        following.registry.add(record_of("new"))
        await following.refresh()
        assert following.known() == {"kept", "new"}
        with sqlite3.connect(tmp_path / "registry.sqlite") as live, sqlite3.connect(tmp_path / "backup") as backup:
            backup.backup(live)
        changed, _ = await following.refresh()
        assert changed >= {"old", "new"}
        assert following.known() == {"old", "kept"}

    async def test_a_damaged_row_counts_as_removed_and_hides_no_other_change(self, following, tmp_path: Path) -> None:
        for name in ("bad", "good"):
            following.registry.add(record_of(name))
        await following.refresh()
        following.registry.update("bad", notes="x")
        following.registry.update("good", enabled=False)
        with sqlite3.connect(tmp_path / "registry.sqlite") as database:
            database.execute("UPDATE charge_points SET tolerances = 'nonsense' WHERE charge_point_id = 'bad'")
        with structlog.testing.capture_logs() as logs:
            assert (await following.refresh())[0] == {"bad", "good"}
        assert [entry["event"] for entry in logs] == ["row_damaged"]
        assert following.known() == {"good"}
        good = following.directory.get("good")
        assert good is not None and not good.enabled

    async def test_a_damaged_row_does_not_keep_the_others_from_being_loaded(self, following, tmp_path: Path) -> None:
        for name in ("bad", "good"):
            following.registry.add(record_of(name))
        with sqlite3.connect(tmp_path / "registry.sqlite") as database:
            database.execute("UPDATE charge_points SET ocpp_versions = '5' WHERE charge_point_id = 'bad'")
        with structlog.testing.capture_logs() as logs:
            assert await following.directory.load(following.store) is False
        assert following.known() == {"good"}
        assert "'bad' is damaged" in logs[0]["error"]

    async def test_a_database_that_cannot_be_read_changes_nothing_that_is_known(
        self, following, tmp_path: Path
    ) -> None:
        following.registry.add(record_of("CP-1"))
        await following.refresh()
        with sqlite3.connect(tmp_path / "registry.sqlite") as database:
            database.execute("ALTER TABLE meta RENAME TO gone")
        with pytest.raises(StoreError):
            await following.refresh()
        assert following.known() == {"CP-1"}


async def test_who_has_changed_something_is_heard_of_and_the_next_one_is_not_taken_for_him(
    following: Following, url: str
) -> None:
    heard: list[str] = []
    following.directory.on_change = lambda change: heard.append(change[3].name)
    alice, bob = Registry.open(url, actor="root (sudo alice)"), Registry.open(url, actor="bob\u2028")
    alice.add(record_of("CP-A"))
    bob.add(record_of("CP-B"))
    await following.refresh()
    assert sorted(heard) == ["bob\\xe2\\x80\\xa8", "root (sudo alice)"]
    heard.clear()
    following.registry.update("CP-A", enabled=False)
    bob.remove(ChargePointId("CP-B"))
    await following.refresh()
    assert sorted(heard) == ["a gateway, or a writer without a name", "bob\\xe2\\x80\\xa8"]
    alice.revoke_certificate(sha256="ab" * 32, reason="stolen", now=1.0)
    assert await following.refresh() == (frozenset(), True)
    assert following.directory.revoked_by == Actor(name="root (sudo alice)", known_by="registry")
    following.registry.revoke_certificate(sha256="cd" * 32, reason="stolen", now=1.0)
    await following.refresh()
    assert following.directory.revoked_by.name == "a gateway, or a writer without a name"
    alice.close()
    bob.close()


async def test_changes_by_others_are_heard_of_and_those_of_this_process_are_not(following: Following) -> None:
    heard: list[str] = []
    following.directory.on_change = lambda change: heard.append(change[0])
    following.registry.add(record_of("CP-A"))
    await following.refresh()
    following.registry.add(record_of("CP-B"))
    own = following.registry.get("CP-B")
    assert own is not None
    following.directory.put(own)
    await following.refresh()
    following.registry.remove(ChargePointId("CP-A"))
    await following.refresh()
    assert heard == ["admin.charge_point_added", "admin.charge_point_removed"]


async def test_what_was_changed_just_before_everything_is_read_anew_is_heard_of_too(
    following: Following, url: str
) -> None:
    heard: list[str] = []
    following.registry.add(record_of("CP-A"))
    following.registry.add(record_of("CP-B"))
    following.directory.on_change = lambda change: heard.append(f"{change[0]} {change[1]} by {change[3].name}")
    await following.refresh()
    heard.clear()
    alice = Registry.open(url, actor="alice")
    alice.update("CP-A", enabled=False)
    alice.remove(ChargePointId("CP-B"))
    alice.add(record_of("CP-C"))
    await following.directory.load(following.store)
    changed = ("changed CP-A", "removed CP-B", "added CP-C")
    assert sorted(heard) == sorted(f"admin.charge_point_{each} by alice" for each in changed)
    heard.clear()
    await following.directory.load(following.store)
    await following.refresh()
    assert heard == []
    alice.close()


async def test_what_was_changed_while_no_gateway_ran_is_told_once_and_only_that(
    following: Following, url: str, tmp_path: Path
) -> None:
    told: list[tuple[str, ...]] = []

    def tell(*event: str, actor: Actor | None = None) -> None:
        told.append((*event, *([actor.name] if actor else ())))

    async def run() -> list[tuple[str, ...]]:
        told.clear()
        directory = Directory()
        await directory.load(following.store)
        part = MissedChanges(following.store, directory, tell, tmp_path / "told")
        await part.load()
        await part.tick()
        return [event[:1] + event[3:] for event in told]

    alice = Registry.open(url, actor="alice")
    alice.add(record_of("CP-A"))
    assert await run() == [], "before the first start everything is as it is"
    assert await run() == []
    following.registry.update("CP-A", enabled=False)
    assert await run() == [], "what the gateway itself has changed it has told itself"
    alice.remove(ChargePointId("CP-A"))
    alice.revoke_certificate(sha256="ab" * 32, reason="stolen", now=1.0)
    assert sorted(await run()) == [
        ("admin.charge_point_changed", "CP-A was added, changed or removed while no gateway ran", "CP-A", "alice"),
        ("admin.revocations_changed", "certificates were revoked, or no more, while no gateway ran", "alice"),
    ]
    assert await run() == []
    (tmp_path / "told").write_text("not a number")
    assert await run() == []
    alice.close()
