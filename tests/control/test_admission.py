"""The admission desk: one claim in, a grant or a refusal out, and everything durable before the grant."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, ClassVar

import bcrypt
import msgspec
import pytest
import structlog

from gateway.identity.evidence import CertificateProof
from gateway.identity.record import StoredPassword
from gateway.identity.refusal import Reason
from gateway.link.messages import AdmitGranted, AdmitRefused
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.store.registry import Registry
from tests.control.conftest import OPERATOR, OTHER_PASSWORD, PASSWORD, Control, phc_of, record_of, stored
from tests.support.claims import make_claim
from tests.support.edges import TableEdge
from tests.support.rig import shared_authority

ONE, TWO, THREE = SecurityProfile
CP = ChargePointId("CP-1")
ISSUED = shared_authority().charge_point("SN-1", OPERATOR)
IMPORTED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


def claim(identity: str = "CP-1", password: str | bytes | None = PASSWORD, **more):
    return make_claim(identity, password=password, **more)


def by_certificate(identity: str = "CP-1", leaf: bytes = ISSUED.der):
    return make_claim(identity, leaf=leaf)


class TestOpening:
    async def test_before_sessions_have_been_counted_nobody_gets_in(self, control: Control) -> None:
        await control.add(record_of())
        control.desk.open = False
        answer = await control.refusal(claim())
        assert (answer.reason, answer.retry_after_s, answer.proven) == ("control-down", 3, False)
        control.desk.open = True
        await control.enter(claim())

    async def test_answers_name_their_request_and_grants_their_session(self, control: Control) -> None:
        await control.add(record_of())
        granted, refused = await control.ask(claim()), await control.ask(claim(password="x"))
        assert isinstance(granted, AdmitGranted)
        assert (granted.request_id, granted.admission.session, refused.request_id) == (1, "s-1", 2)

    async def test_a_listener_that_is_gone_admits_nobody(self, control: Control) -> None:
        await control.add(record_of())
        assert await control.refused(claim(listener="gone")) is Reason.CONTROL_DOWN

    async def test_a_csms_that_is_not_configured_is_named(self, control: Control) -> None:
        await control.add(record_of(csms="third"))
        assert await control.refused(claim()) is Reason.CSMS_UNREACHABLE
        assert "'third'" in control.events[-1].detail

    async def test_the_records_own_csms_decides_about_versions(self, control: Control) -> None:
        await control.add(record_of(csms="second"))
        assert await control.refused(claim()) is Reason.SUBPROTOCOL
        assert (await control.enter(claim(subprotocols=("ocpp2.1",)))).admission.csms == "second"


class TestWhoIsTold:
    @pytest.mark.parametrize("change", [{"enabled": False}, {"security_profile": ONE}])
    async def test_only_who_has_proven_himself_may_learn_about_the_record(
        self, control: Control, change: dict[str, Any]
    ) -> None:
        await control.add(record_of(**change))
        right, wrong = await control.refusal(claim()), await control.refusal(claim(password="x"))
        assert (right.proven, wrong.proven) == (True, False)
        assert [event.verified for event in control.events] == [True, False]

    async def test_observations_are_of_who_got_in_alone(self, control: Control) -> None:
        await control.add(record_of())
        await control.refused(claim(password="x", address="203.0.113.9"))
        await control.store.flush()
        assert control.record().last_address == ""
        await control.enter(claim(address="192.0.2.7"))
        await control.store.flush()
        record = control.record()
        assert (record.last_address, record.password_reading, record.last_seen_at > 0) == ("192.0.2.7", "raw", True)


@pytest.mark.requirement("A05.FR.07", "A05.FR.09", "TC_083_CSMS", "TC_A_19_CSMS")
class TestFloor:
    async def test_it_is_on_disk_before_the_grant_is_given(self, control: Control, url: str) -> None:
        await control.add(record_of(security_profile=2))
        await control.enter(claim())
        other = Registry.open(url)
        assert (other.get("CP-1") or record_of()).floor is TWO
        other.close()

    async def test_where_it_cannot_be_written_nothing_is_granted(self, control: Control, tmp_path: Path) -> None:
        await control.add(record_of(security_profile=2))
        with sqlite3.connect(tmp_path / "registry.sqlite") as database:
            database.execute(
                "CREATE TRIGGER full BEFORE UPDATE ON charge_points BEGIN SELECT RAISE(FAIL, 'disk full'); END"
            )
        answer = await control.refusal(claim())
        assert (answer.reason, answer.proven) == ("control-down", True)
        assert control.sessions.get(CP) is None
        with sqlite3.connect(tmp_path / "registry.sqlite") as database:
            database.execute("DROP TRIGGER full")
        await control.enter(claim())

    async def test_a_lower_profile_is_refused_although_the_record_was_taken_back_to_it(self, control: Control) -> None:
        await control.add(record_of(security_profile=2))
        await control.enter(claim())
        lowered = msgspec.structs.replace(control.record(), pending_security_profile=ONE)
        control.directory.put(lowered)
        assert await control.refused(claim(tls=False, listener="plain")) is Reason.PROFILE_BELOW_FLOOR
        await control.enter(claim())

    async def test_a_running_upgrade_raises_it_only_when_it_is_proven(self, control: Control) -> None:
        await control.add(record_of(security_profile=1, pending_security_profile=TWO))
        await control.enter(claim())
        assert control.record().floor is None
        await control.enter(claim(tls=False, listener="plain"))
        assert control.record().floor is ONE

    async def test_nothing_is_written_for_who_has_nothing_new(self, control: Control) -> None:
        await control.add(record_of())
        await control.enter(claim())
        counter = control.registry.change_counter()
        await control.enter(claim())
        assert control.registry.change_counter() == counter


@pytest.mark.requirement("A00.FR.427")
class TestKeys:
    async def test_a_key_is_bound_at_its_first_use_and_refused_for_another_charge_point(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"), record_of("B", 3, serial_number="SN-2"))
        await control.enter(by_certificate("A"))
        owner = control.registry.bound_keys()
        assert list(owner.values()) == ["A"]
        clone = shared_authority().charge_point("SN-2", OPERATOR, key=ISSUED.key)
        assert await control.refused(by_certificate("B", clone.der)) is Reason.CERT_KEY_SHARED
        await control.enter(by_certificate("B", shared_authority().charge_point("SN-2", OPERATOR).der))

    async def test_a_renewed_certificate_with_the_same_key_is_the_same_charge_points(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"))
        await control.enter(by_certificate("A"))
        await control.enter(by_certificate("A", shared_authority().charge_point("SN-1", OPERATOR, key=ISSUED.key).der))

    async def test_a_binding_that_another_node_has_just_made_counts(self, control: Control) -> None:
        await control.add(record_of("A", 3, serial_number="SN-1"), record_of("B", 3, serial_number="SN-2"))
        leaf = control.authenticator._leaf(ISSUED.der)
        control.registry.bind_key(leaf.spki_sha256, "B", 1.0)
        assert await control.refused(by_certificate("A")) is Reason.CERT_KEY_SHARED


@pytest.mark.requirement("A01.FR.03")
class TestPasswordCandidates:
    async def test_the_candidate_that_was_used_is_the_password_now(self, control: Control) -> None:
        await control.add(record_of(pending_password=stored(OTHER_PASSWORD)))
        answer = await control.ask(claim(password=OTHER_PASSWORD))
        assert isinstance(answer, AdmitGranted)
        record, entry = control.record(), control.sessions.get(CP)
        assert (record.password, record.pending_password) == (stored(OTHER_PASSWORD), None)
        assert entry is not None and entry.password_phc == phc_of(OTHER_PASSWORD)
        control.sessions.closed(CP, answer.admission.generation)
        assert await control.refused(claim()) is Reason.PASSWORD_WRONG
        await control.enter(claim(password=OTHER_PASSWORD))

    async def test_while_the_old_one_is_used_the_candidate_is_dead(self, control: Control) -> None:
        await control.add(record_of(pending_password=stored(OTHER_PASSWORD)))
        await control.enter(claim())
        assert control.record().pending_password is None
        assert await control.refused(claim(password=OTHER_PASSWORD)) is Reason.PASSWORD_WRONG

    async def test_a_wrong_password_decides_nothing(self, control: Control) -> None:
        await control.add(record_of(pending_password=stored(OTHER_PASSWORD)))
        await control.refused(claim(password="x"))
        assert control.record().pending_password == stored(OTHER_PASSWORD)

    async def test_one_that_was_promoted_earlier_does_not_promote_its_successor(self, control: Control) -> None:
        """The successor was never used; the charge point, which still has the one before, would be locked out."""
        await control.add(record_of(pending_password=stored(OTHER_PASSWORD)))
        await control.enter(claim(password=OTHER_PASSWORD))
        control.registry.update(
            "CP-1", pending_password=StoredPassword(phc=phc_of("third-password-here"), created_at=2.0)
        )
        await control.follow()
        await control.enter(claim(password=OTHER_PASSWORD))
        record = control.record()
        assert (record.password, record.pending_password) == (stored(OTHER_PASSWORD), None)
        await control.enter(claim(password=OTHER_PASSWORD))

    async def test_a_candidate_that_an_operator_has_just_set_is_not_taken_for_the_one_that_was_used(
        self, control
    ) -> None:
        await control.add(record_of(pending_password=stored(OTHER_PASSWORD)))
        third = StoredPassword(phc=phc_of("third-password-here"), created_at=2.0)
        control.registry.update("CP-1", pending_password=third)
        assert await control.refused(claim(password=OTHER_PASSWORD)) is Reason.PASSWORD_WRONG
        assert (control.record().password, control.record().pending_password) == (stored(), third)
        await control.enter(claim(password="third-password-here"))

    async def test_nor_is_it_dropped_for_another_one(self, control: Control) -> None:
        await control.add(record_of(pending_password=stored(OTHER_PASSWORD)))
        third = StoredPassword(phc=phc_of("third-password-here"), created_at=2.0)
        control.registry.update("CP-1", pending_password=third)
        await control.enter(claim())
        assert control.record().pending_password == third

    @pytest.mark.parametrize("slot", ["password", "pending_password"])
    async def test_an_imported_hash_is_replaced_by_a_better_one_and_the_session_rests_on_that(
        self, control, slot
    ) -> None:
        fields: dict[str, Any] = {"password": None, slot: StoredPassword(phc=IMPORTED, created_at=5.0)}
        await control.add(record_of(**fields))
        await control.ask(claim())
        record, entry = control.record(), control.sessions.get(CP)
        assert record.password is not None and entry is not None
        assert record.password.phc.startswith("$argon2id$")
        assert (record.password.created_at, record.pending_password) == (5.0, None)
        assert entry.password_phc == record.password.phc
        control.sessions.closed(CP, entry.generation)
        await control.enter(claim())


class TestDuplicates:
    async def test_a_live_session_keeps_its_place_and_the_second_one_hears_nothing_but_no(
        self, control: Control
    ) -> None:
        await control.add(record_of())
        first = await control.stay(claim())
        assert await control.refused(claim()) is Reason.DUPLICATE
        entry = control.sessions.get(CP)
        assert entry is not None and entry.generation == first.admission.generation
        assert control.edge.told == []

    async def test_a_dead_one_is_replaced(self, control: Control) -> None:
        await control.add(record_of())
        first = await control.stay(claim())
        control.edge.silent.add(first.admission.session)
        second = await control.stay(claim())
        assert second.admission.generation > first.admission.generation
        control.edge.deliver(control.sessions)
        entry = control.sessions.get(CP)
        assert entry is not None and entry.session == second.admission.session

    async def test_who_has_not_proven_himself_or_may_not_enter_probes_nobody(self, control: Control) -> None:
        await control.add(record_of())
        await control.stay(claim())
        assert await control.refused(claim(password="x")) is Reason.PASSWORD_WRONG
        assert await control.refused(claim(listener="plain", tls=False)) is Reason.PROFILE_BELOW_FLOOR
        assert await control.refused(claim(subprotocols=("ocpp0.1",))) is Reason.SUBPROTOCOL
        assert control.edge.probed == []

    async def test_of_many_at_the_same_moment_one_gets_in(self, control: Control) -> None:
        await control.add(record_of())
        await control.enter(claim())

        async def ask() -> AdmitGranted | AdmitRefused:
            answer = await control.ask(claim())
            if isinstance(answer, AdmitGranted):
                control.edge.open(answer.admission)
            return answer

        answers = await asyncio.gather(*(ask() for _ in range(8)))
        assert sorted(getattr(answer, "reason", "in") for answer in answers) == 7 * ["duplicate"] + ["in"]
        assert control.sessions._turns == {}

    async def test_spellings_of_one_identity_are_one_session(self, control: Control) -> None:
        await control.add(record_of("CP-A", ocpp_versions=(OCPPVersion.V2_1,)))
        await control.stay(claim("cp-a", subprotocols=("ocpp2.1",)))
        assert await control.refused(claim("CP-A", subprotocols=("ocpp2.1",))) is Reason.DUPLICATE

    async def test_an_edge_that_died_between_grant_and_opening_stands_in_nobodys_way(
        self, control, monkeypatch
    ) -> None:
        monkeypatch.setattr("gateway.control.sessions._ORPHAN_WAIT_S", 0.0)
        await control.add(record_of())
        await control.ask(claim())
        control.edge.lose_link(control.sessions)
        await control.stay(claim(), TableEdge())

    async def test_a_session_that_comes_to_light_while_the_floor_is_written_is_not_overrun(
        self, control: Control, tmp_path: Path
    ) -> None:
        await control.add(record_of())
        other = TableEdge()
        hidden = await control.stay(claim(), other)
        control.sessions.closed(CP, hidden.admission.generation)
        control.registry.lower_floor("CP-1", None, reason="test")
        await control.follow()
        go_on = await held_up(control, tmp_path, claim())
        other.say_hello(control.sessions)
        answer = await go_on()
        assert (answer.reason, other.probed) == ("duplicate", [hidden.admission.session])


async def held_up(control: Control, tmp_path: Path, attempt):
    """An admission that waits for the disk; call the result to let it go on and get its answer."""
    lock = sqlite3.connect(tmp_path / "registry.sqlite", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    asking = asyncio.ensure_future(control.refusal(attempt))
    async with asyncio.timeout(120):
        while not control.store._pool._work_queue.empty() or not control.sessions._turns:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
    assert not asking.done()

    async def go_on():
        lock.execute("ROLLBACK")
        lock.close()
        return await asking

    return go_on


class TestMeanwhile:
    """Probing, hashing and writing take time; what is granted is judged by what the registry says at the end."""

    CHANGES: ClassVar[list[tuple[dict[str, Any], Reason]]] = [
        ({"enabled": False}, Reason.DISABLED),
        ({"password": None}, Reason.PASSWORD_WRONG),
        ({"password": StoredPassword(phc="$argon2id$x")}, Reason.PASSWORD_WRONG),
        ({"security_profile": THREE}, Reason.PROFILE_MISMATCH),
        ({"floor": THREE, "security_profile": THREE}, Reason.PROFILE_BELOW_FLOOR),
        ({"csms": "third"}, Reason.CSMS_UNREACHABLE),
        ({"ocpp_versions": ()}, Reason.SUBPROTOCOL),
    ]

    @pytest.mark.parametrize(("change", "reason"), CHANGES)
    async def test_during_the_probe_of_an_old_session(
        self, control: Control, change: dict[str, Any], reason: Reason
    ) -> None:
        await control.add(record_of())
        first = await control.stay(claim())
        control.edge.silent.add(first.admission.session)

        def change_it() -> None:
            control.directory.put(msgspec.structs.replace(control.record(), **change))

        control.edge.on_probe = change_it
        assert await control.refused(claim()) is reason
        control.edge.deliver(control.sessions)
        assert control.sessions.get(CP) is None

    @pytest.mark.parametrize(("change", "reason"), CHANGES)
    async def test_while_the_password_is_hashed(self, control: Control, change: dict[str, Any], reason: Reason) -> None:
        await control.add(record_of())
        asking = asyncio.ensure_future(control.refusal(claim()))
        await asyncio.sleep(0)
        control.directory.put(msgspec.structs.replace(control.record(), **change))
        assert (await asking).reason == reason.code

    async def test_removed_while_the_password_is_hashed(self, control: Control) -> None:
        await control.add(record_of())
        asking = asyncio.ensure_future(control.refusal(claim()))
        await asyncio.sleep(0)
        control.directory._records.clear()
        assert (await asking).reason == "identity-unknown"

    async def test_removed_and_registered_in_another_case(self, control: Control) -> None:
        await control.add(record_of())
        asking = asyncio.ensure_future(control.refusal(claim()))
        await asyncio.sleep(0)
        control.directory.put(record_of("cp-1"))
        assert (await asking).reason == "identity-unknown"

    async def test_removed_by_another_process_before_the_floor_is_written(self, control: Control) -> None:
        await control.add(record_of())
        control.registry.remove("CP-1")
        assert await control.refused(claim()) is Reason.IDENTITY_UNKNOWN
        assert control.sessions.get(CP) is None

    async def test_disabled_by_another_process_before_the_floor_is_written(self, control: Control) -> None:
        await control.add(record_of())
        control.registry.update("CP-1", enabled=False)
        assert await control.refused(claim()) is Reason.DISABLED

    @pytest.mark.requirement("A00.FR.702")
    async def test_revoked_during_the_probe(self, control: Control) -> None:
        await control.add(record_of("CP-1", 3, serial_number="SN-1"))
        first = await control.stay(by_certificate())
        control.edge.silent.add(first.admission.session)
        proof = first.admission.proof
        assert isinstance(proof, CertificateProof)
        control.registry.revoke_certificate(sha256=proof.sha256, reason="lost", now=1.0)
        revocations = control.registry.revocations()

        def change_it() -> None:
            control.directory._revocations = revocations

        control.edge.on_probe = change_it
        assert await control.refused(by_certificate()) is Reason.CERT_REVOKED

    async def test_the_tolerance_it_rests_on_is_taken_back_during_the_probe(self, control: Control) -> None:
        await control.add(record_of(tolerances=("username-differs",)))
        first = await control.stay(claim(user="fixed"))
        control.edge.silent.add(first.admission.session)
        control.edge.on_probe = lambda: control.directory.put(msgspec.structs.replace(control.record(), tolerances=()))
        assert await control.refused(claim(user="fixed")) is Reason.IDENTITY_MISMATCH


class TestAtOnce:
    """What needs no waiting is answered without a task, and is the same answer."""

    async def known(self, control: Control) -> None:
        """A charge point that has been here before: its key is bound, its floor is raised."""
        await control.add(record_of("CP-1", 3, serial_number="SN-1", password=None))
        await control.enter(by_certificate())

    def at_once(self, control: Control, claim=None) -> AdmitGranted | None:
        return control.desk.grant_at_once(control.request(claim or by_certificate()), control.edge)

    async def test_it_is_what_the_long_way_gives(self, control: Control) -> None:
        await self.known(control)
        short = self.at_once(control)
        assert short is not None
        assert self.at_once(control) is None, "there is a session now"
        control.sessions.closed(CP, short.admission.generation)
        long = await control.desk.decide(control.request(by_certificate()), control.edge)
        assert isinstance(long, AdmitGranted)
        same = {"generation": 0, "session": ""}
        assert msgspec.structs.replace(short.admission, **same) == msgspec.structs.replace(long.admission, **same)
        assert long.admission.generation > short.admission.generation
        await control.store.flush()
        assert control.record().last_address == by_certificate().transport.peer.address

    async def test_the_first_contact_is_made_durable_first(self, control: Control) -> None:
        await control.add(record_of("CP-1", 3, serial_number="SN-1", password=None))
        assert self.at_once(control) is None
        assert control.registry.bound_keys() == {}

    async def test_not_while_another_admission_of_it_is_under_way(self, control: Control) -> None:
        await self.known(control)
        async with control.sessions.exclusive(CP):
            assert self.at_once(control) is None
        assert self.at_once(control) is not None

    async def test_not_before_sessions_have_been_counted(self, control: Control) -> None:
        await self.known(control)
        control.desk.open = False
        assert self.at_once(control) is None

    async def test_its_source_has_proven_itself_as_on_the_long_way(self, control: Control) -> None:
        await self.known(control)
        address = by_certificate().transport.peer.address
        for _ in range(101):  # by somebody behind the same address translation: the exemption is used up
            control.limiter.failed(address, CP, 1.0)
        assert not control.limiter.has_proven(address, CP)
        assert self.at_once(control) is not None
        assert control.limiter.has_proven(address, CP)

    async def test_its_defect_is_one_of_this_way_only(self, control: Control, monkeypatch) -> None:
        await self.known(control)
        monkeypatch.setattr(control.authenticator, "by_certificate_alone", lambda *_: 1 // 0)
        with structlog.testing.capture_logs() as logs:
            assert isinstance(await control.ask(by_certificate()), AdmitGranted)
        assert [entry["event"] for entry in logs] == ["grant_at_once_failed"]

    async def test_not_for_a_password(self, control: Control) -> None:
        await control.add(record_of())
        await control.enter(claim())
        assert self.at_once(control, claim()) is None

    @pytest.mark.parametrize(
        "change", [{"enabled": False}, {"serial_number": "SN-2"}, {"security_profile": ONE}, {"operator_names": ("X",)}]
    )
    async def test_refusals_go_the_long_way(self, control: Control, change: dict[str, Any]) -> None:
        await self.known(control)
        control.directory.put(msgspec.structs.replace(control.record(), **change))
        assert self.at_once(control) is None
        assert not control.events

    async def test_who_comes_back_too_often_waits(self, control: Control) -> None:
        control.desk.limits = msgspec.structs.replace(control.desk.limits, reconnects_per_hour=2)
        await self.known(control)
        await control.enter(by_certificate())
        assert self.at_once(control) is None
        assert await control.refused(by_certificate()) is Reason.FLAPPING


class TestFlapping:
    async def test_a_charge_point_that_comes_back_too_often_waits_and_others_do_not(self, control: Control) -> None:
        control.desk.limits = msgspec.structs.replace(control.desk.limits, reconnects_per_hour=3)
        await control.add(record_of("A"), record_of("B"))
        for _ in range(3):
            await control.enter(claim("A"))
        answer = await control.refusal(claim("A"))
        assert (answer.reason, answer.proven, 0 < answer.retry_after_s <= 1_200) == ("flapping", True, True)
        await control.enter(claim("B"))

    async def test_nobody_else_can_use_up_its_connections(self, control: Control) -> None:
        control.desk.limits = msgspec.structs.replace(control.desk.limits, reconnects_per_hour=1)
        await control.add(record_of())
        for attempt in (claim(password="x"), claim(password=None), claim(user="X")):
            await control.refused(attempt)
        await control.enter(claim())

    async def test_what_is_remembered_is_bounded(self, control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gateway.control.admission._MAX_RECONNECT_ENTRIES", 1)
        await control.add(record_of("A"), record_of("B"))
        for identity in "AB":
            await control.enter(claim(identity))
        assert list(control.desk._reconnects) == ["B"]
