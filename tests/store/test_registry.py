"""The registry: what operators change, what charge points prove, and how others learn of it."""

import msgspec
import pytest

from gateway.identity.record import ChargePointRecord, StoredPassword
from gateway.ocpp.vocabulary import ChargePointId, OCPPVersion, SecurityProfile
from gateway.store.errors import AlreadyExists, BelowFloor, NotFound, StoreError
from gateway.store.registry import Registry
from tests.support.records import make_record

ONE, TWO, THREE = SecurityProfile
FULL = make_record(
    "RDAM|123",
    3,
    floor=TWO,
    pending_security_profile=THREE,
    serial_number="SN-4711",
    operator_names=("Stadtwerke Übersee, Ltd.", "Other"),
    group="depot",
    csms="main",
    ocpp_versions=(OCPPVersion.V1_6,),
    default_version=OCPPVersion.V1_6,
    pending_password=StoredPassword(phc="$2b$12$pending", created_at=6.0),
    password_reading="raw",
    tolerances=("trailing-slash", "no-pong"),
    enabled=False,
    answers_pings=True,
    notes="two\nlines 'quoted'",
    vendor="V",
    model="M",
    firmware="1.0",
    last_seen_at=7.5,
    last_address="10.0.0.9",
    created_at=8.0,
)


def stored(registry: Registry, charge_point_id: str = "CP-1") -> ChargePointRecord:
    record = registry.get(charge_point_id)
    assert record is not None
    return record


class TestAdd:
    def test_every_field_of_a_record_comes_back(self, registry, clock):
        registry.add(FULL)
        expected = msgspec.structs.replace(FULL, updated_at=clock.now)
        assert registry.get("RDAM|123") == expected
        assert registry.load_all() == {"RDAM|123": expected}

    def test_minimal_record_is_stamped_with_the_time(self, registry, clock):
        registry.add(make_record())
        assert (stored(registry).created_at, stored(registry).updated_at) == (clock.now, clock.now)

    @pytest.mark.parametrize("variant", ["CP-1", "cp-1", "Cp-1"])
    def test_same_identity_or_case_variant_is_refused(self, registry, variant):
        registry.add(make_record("CP-1"))
        with pytest.raises(AlreadyExists) as caught:
            registry.add(make_record(variant))
        assert caught.value.existing == "CP-1"
        assert list(registry.load_all()) == ["CP-1"]

    def test_near_miss_identity_is_another_charge_point(self, registry):
        for name in ("CP-1", "CP-1 2", "CP-11", "CP-"):
            registry.add(make_record(name))
        assert set(registry.load_all()) == {"CP-1", "CP-1 2", "CP-11", "CP-"}

    def test_profile_below_its_own_floor_is_refused(self, registry):
        with pytest.raises(BelowFloor):
            registry.add(make_record(security_profile=1, floor=TWO))
        assert registry.load_all() == {}

    def test_several_are_added_together_or_not_at_all(self, registry):
        registry.add(make_record("B"))
        with pytest.raises(AlreadyExists):
            registry.apply(add=[make_record("A"), make_record("b")])
        assert set(registry.load_all()) == {"B"}


class TestGetAndFind:
    def test_get_needs_the_exact_spelling(self, registry):
        registry.add(make_record("CP-1"))
        assert registry.get("cp-1") is None
        assert registry.get("CP-") is None

    def test_find_by_part_of_identity_in_any_case_or_serial_number(self, registry):
        registry.add(make_record("Alpha-1"))
        registry.add(make_record("beta-1", serial_number="SN-ALPHA"))
        registry.add(make_record("gamma"))
        for text in ("alpha", "ALPHA"):
            assert [each.charge_point_id for each in registry.find(text)] == ["Alpha-1", "beta-1"]

    @pytest.mark.parametrize("wildcard", ["%", "_", "a%1"])
    def test_find_takes_wildcards_literally(self, registry, wildcard):
        registry.add(make_record("alpha-1"))
        assert registry.find(wildcard) == []

    def test_find_by_group_with_limit_and_offset(self, registry):
        for number in range(4):
            registry.add(make_record(f"CP-{number}", group="a" if number else "b"))
        ids = [each.charge_point_id for each in registry.find(group="a", limit=2, offset=1)]
        assert ids == ["CP-2", "CP-3"]

    def test_load_gives_only_those_that_still_exist(self, registry):
        registry.add(make_record("A"))
        registry.add(make_record("B"))
        assert set(registry.load([ChargePointId("A"), ChargePointId("gone")])) == {"A"}


class TestUpdate:
    def test_changes_named_fields_only(self, registry, clock):
        registry.add(FULL)
        clock.now = 2_000.0
        returned = registry.update("RDAM|123", enabled=True, tolerances=("no-pong",))
        expected = msgspec.structs.replace(FULL, enabled=True, tolerances=("no-pong",), updated_at=2_000.0)
        assert returned == expected == registry.get("RDAM|123")

    def test_unknown_identity_names_the_case_variant(self, registry):
        registry.add(make_record("CP-1"))
        with pytest.raises(NotFound, match="There is 'CP-1'"):
            registry.update("cp-1", notes="x")
        with pytest.raises(NotFound) as caught:
            registry.update("CP-2", notes="x")
        assert caught.value.case_variant == ""

    @pytest.mark.parametrize(
        "change",
        [
            {"security_profile": 0},
            {"security_profile": 4},
            {"tolerances": ("be-nice",)},
            {"enabled": "yes"},
            {"group": None},
        ],
    )
    def test_value_of_wrong_type_is_refused(self, registry, change):
        registry.add(make_record())
        before = stored(registry)
        with pytest.raises(StoreError):
            registry.update("CP-1", **change)
        assert stored(registry) == before

    @pytest.mark.parametrize("field", ["floor", "charge_point_id", "fold", "colour"])
    def test_field_with_its_own_method_or_none_at_all_is_a_mistake_of_the_caller(self, registry, field):
        registry.add(make_record())
        with pytest.raises(TypeError, match=field):
            registry.update("CP-1", **{field: None})

    @pytest.mark.requirement("A05.FR.09")
    def test_profile_below_floor_is_refused_and_at_floor_accepted(self, registry):
        registry.add(make_record(security_profile=3, floor=TWO))
        with pytest.raises(BelowFloor, match="proven security profile 2"):
            registry.update("CP-1", security_profile=ONE)
        assert registry.update("CP-1", security_profile=TWO).security_profile is TWO

    def test_no_difference_is_no_change(self, registry, clock):
        registry.add(make_record())
        counter = registry.change_counter()
        clock.now += 5
        registry.update("CP-1", notes="")
        assert registry.change_counter() == counter
        assert stored(registry).updated_at == 1_000.0


class TestReplaceAndRemove:
    def test_replace_keeps_a_higher_floor_and_the_birthday(self, registry, clock):
        registry.add(make_record(security_profile=2, floor=TWO))
        clock.now = 2_000.0
        registry.replace(make_record(security_profile=3, notes="new"))
        record = stored(registry)
        assert (record.floor, record.notes, record.created_at, record.updated_at) == (TWO, "new", 1_000.0, 2_000.0)

    def test_replace_below_the_registered_floor_is_refused(self, registry):
        registry.add(make_record(security_profile=2, floor=TWO))
        with pytest.raises(BelowFloor):
            registry.replace(make_record(security_profile=1))

    def test_replace_and_remove_of_unknown_identity(self, registry):
        with pytest.raises(NotFound):
            registry.replace(make_record())
        with pytest.raises(NotFound):
            registry.remove("CP-1")

    def test_remove_needs_the_exact_spelling_and_takes_bindings_along(self, registry):
        registry.add(make_record("CP-1"))
        registry.bind_key("aa" * 32, "CP-1", 1.0)
        with pytest.raises(NotFound):
            registry.remove("cp-1")
        registry.remove("CP-1")
        assert registry.load_all() == {}
        assert registry.bound_keys() == {}


class TestFloor:
    @pytest.mark.requirement("A05.FR.09")
    @pytest.mark.parametrize("before", [None, *SecurityProfile])
    @pytest.mark.parametrize("to", list(SecurityProfile))
    def test_raise_floor_is_the_maximum(self, registry, before, to):
        registry.add(make_record(security_profile=3, floor=before))
        registry.raise_floor("CP-1", to)
        assert stored(registry).floor == max(before or to, to)

    def test_raise_floor_of_unknown_identity(self, registry):
        with pytest.raises(NotFound):
            registry.raise_floor("CP-1", TWO)

    @pytest.mark.requirement("A05.FR.09")
    def test_prove_upgrade_sets_profile_and_floor_and_clears_pending(self, registry):
        registry.add(make_record(security_profile=1, pending_security_profile=TWO))
        registry.upgrades.prove("CP-1", TWO, 1.0, "")
        record = stored(registry)
        assert (record.security_profile, record.floor, record.pending_security_profile) == (TWO, TWO, None)

    def test_prove_upgrade_below_the_floor_is_refused(self, registry):
        registry.add(make_record(security_profile=3, floor=THREE))
        with pytest.raises(BelowFloor):
            registry.upgrades.prove("CP-1", TWO, 1.0, "")
        assert stored(registry).security_profile is THREE

    def test_lower_floor_is_kept_with_its_reason(self, registry, clock):
        registry.add(make_record(security_profile=3, floor=THREE))
        registry.lower_floor("CP-1", ONE, reason="board replaced, ticket 7")
        registry.lower_floor("CP-1", None, reason="again")
        assert stored(registry).floor is None
        acts = registry.lowered_floors("CP-1")
        assert [(act.from_floor, act.to_floor, act.reason, act.lowered_at) for act in acts] == [
            (THREE, ONE, "board replaced, ticket 7", clock.now),
            (ONE, None, "again", clock.now),
        ]
        assert registry.lowered_floors("CP-2") == []

    @pytest.mark.parametrize(("floor", "to"), [(None, None), (None, ONE), (TWO, TWO), (TWO, THREE)])
    def test_lower_floor_that_does_not_lower_is_refused(self, registry, floor, to):
        registry.add(make_record(security_profile=3, floor=floor))
        with pytest.raises(StoreError, match="below that"):
            registry.lower_floor("CP-1", to, reason="x")
        assert stored(registry).floor == floor

    def test_lower_floor_without_reason_is_refused(self, registry):
        registry.add(make_record(security_profile=3, floor=THREE))
        with pytest.raises(StoreError, match="reason"):
            registry.lower_floor("CP-1", ONE, reason="  ")
        assert stored(registry).floor is THREE


class TestPasswords:
    def test_new_current_password_keeps_pending_and_forgets_the_reading(self, registry, clock):
        registry.add(FULL)
        registry.set_password("RDAM|123", "$argon2id$new", "current")
        record = stored(registry, "RDAM|123")
        assert record.password == StoredPassword(phc="$argon2id$new", created_at=clock.now)
        assert record.pending_password == FULL.pending_password
        assert record.password_reading == ""

    def test_pending_password_leaves_the_current_one_and_its_reading(self, registry):
        registry.add(FULL)
        registry.set_password("RDAM|123", None, "pending")
        record = stored(registry, "RDAM|123")
        assert (record.password, record.pending_password, record.password_reading) == (FULL.password, None, "raw")

    def test_promote_pending(self, registry):
        registry.add(FULL)
        registry.promote_pending("RDAM|123")
        registry.promote_pending("RDAM|123")
        record = stored(registry, "RDAM|123")
        assert (record.password, record.pending_password) == (FULL.pending_password, None)

    def test_only_the_candidate_that_was_used_is_promoted_and_only_the_one_that_is_refuted_is_dropped(self, registry):
        registry.add(FULL)
        registry.promote_pending("RDAM|123", "$2b$12$another")
        registry.drop_pending("RDAM|123", "$2b$12$another")
        assert stored(registry, "RDAM|123").pending_password == FULL.pending_password
        registry.promote_pending("RDAM|123", "$2b$12$pending")
        record = stored(registry, "RDAM|123")
        assert (record.password, record.pending_password) == (FULL.pending_password, None)
        registry.set_password("RDAM|123", "$2b$12$next", "pending")
        registry.drop_pending("RDAM|123", "$2b$12$next")
        assert stored(registry, "RDAM|123").pending_password is None

    def test_dropping_what_is_not_there_is_no_change(self, registry):
        registry.add(make_record("CP-1"))
        counter = registry.change_counter()
        registry.drop_pending("CP-1")
        registry.promote_pending("CP-1", "$x")
        assert registry.change_counter() == counter

    def test_drop_pending(self, registry):
        registry.add(FULL)
        registry.drop_pending("RDAM|123")
        record = stored(registry, "RDAM|123")
        assert (record.password, record.pending_password) == (FULL.password, None)

    def test_replace_phc_only_where_the_old_hash_still_is(self, registry, clock):
        registry.add(FULL)
        clock.now = 9_000.0
        assert registry.replace_phc("RDAM|123", "$2b$12$pending", "$argon2id$better")
        record = stored(registry, "RDAM|123")
        assert record.pending_password == StoredPassword(phc="$argon2id$better", created_at=6.0)
        assert record.password == FULL.password
        counter = registry.change_counter()
        assert not registry.replace_phc("RDAM|123", "$2b$12$pending", "$argon2id$late")
        assert registry.change_counter() == counter

    def test_no_method_of_passwords_knows_a_case_variant(self, registry):
        registry.add(make_record("CP-1"))
        for call in (
            lambda: registry.set_password("cp-1", None, "current"),
            lambda: registry.promote_pending("cp-1"),
            lambda: registry.drop_pending("cp-1"),
            lambda: registry.replace_phc("cp-1", "a", "b"),
        ):
            with pytest.raises(NotFound):
                call()

    def test_secrets_are_in_no_repr_and_no_error(self, registry):
        registry.add(FULL)
        with pytest.raises(StoreError) as caught:
            registry.update("RDAM|123", notes=5)
        for text in (repr(registry.load_all()), str(caught.value), repr(caught.value)):
            assert "$argon2id$current" not in text
            assert "$2b$" not in text


class TestChanges:
    def test_every_operators_change_is_counted_and_named(self, registry):
        steps = [
            lambda: registry.add(make_record("A", floor=ONE)),
            lambda: registry.update("A", notes="x"),
            lambda: registry.replace(make_record("A", notes="y")),
            lambda: registry.set_password("A", "$h", "pending"),
            lambda: registry.promote_pending("A"),
            lambda: registry.replace_phc("A", "$h", "$i"),
            lambda: registry.raise_floor("A", TWO),
            lambda: registry.upgrades.prove("A", THREE, 1.0, ""),
            lambda: registry.lower_floor("A", None, reason="r"),
            lambda: registry.remove("A"),
        ]
        for step in steps:
            counter = registry.change_counter()
            step()
            assert registry.changed_since(counter) == (counter + 1, {"A"}), step

    def test_only_what_changed_later_is_named(self, registry):
        registry.add(make_record("A"))
        first = registry.change_counter()
        registry.add(make_record("B"))
        second = registry.change_counter()
        registry.update("A", notes="x")
        assert registry.changed_since(0)[1] == {"A", "B"}
        assert registry.changed_since(first)[1] == {"A", "B"}
        assert registry.changed_since(second)[1] == {"A"}
        assert registry.changed_since(registry.change_counter())[1] == frozenset()

    def test_counter_from_the_future_names_everybody(self, registry):
        registry.add(make_record("A"))
        registry.add(make_record("B"))
        registry.remove("B")
        assert registry.changed_since(99) == (3, {"A", "B"})

    def test_removed_and_added_again_is_named_once(self, registry):
        registry.add(make_record("A"))
        registry.remove("A")
        registry.add(make_record("A"))
        assert registry.changed_since(0) == (3, {"A"})

    def test_learning_is_not_a_change_and_unknown_identities_are_ignored(self, registry):
        registry.add(make_record("A"))
        counter = registry.change_counter()
        registry.learn("A", vendor="V", answers_pings=True, password_reading="raw", last_seen_at=9.0)
        registry.learn("nobody", vendor="V")
        registry.learn_many({"A": {"model": "M", "vendor": None}, "nobody": {"model": "M"}})
        record = stored(registry, "A")
        assert (record.vendor, record.model, record.answers_pings, record.last_seen_at) == ("V", "M", True, 9.0)
        assert registry.change_counter() == counter
        assert set(registry.load_all()) == {"A"}

    def test_revocation_is_a_change_of_nobody_in_particular(self, registry):
        registry.add(make_record("A"))
        counter = registry.change_counter()
        registry.revoke_certificate(sha256="ab" * 32, reason="lost", now=1.0)
        assert registry.changed_since(counter) == (counter + 1, frozenset())
