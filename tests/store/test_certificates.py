"""Key bindings and revocations."""

import pytest

from gateway.store.certificates import Revocations, normal_serial, normal_sha256
from gateway.store.errors import KeyBoundElsewhere, NotFound, StoreError
from tests.support.records import make_record

KEY = "0a" * 32
OTHER_KEY = "0b" * 32


@pytest.mark.requirement("A00.FR.427")
class TestBoundKeys:
    def test_a_key_belongs_to_the_first_who_shows_it(self, registry):
        registry.add(make_record("A"))
        registry.add(make_record("B"))
        registry.bind_key(KEY, "A", 1.0)
        with pytest.raises(KeyBoundElsewhere) as caught:
            registry.bind_key(KEY, "B", 2.0)
        assert caught.value.owner == "A"
        assert registry.bound_keys() == {KEY: "A"}

    def test_the_owner_may_show_it_again_and_have_several(self, registry):
        registry.add(make_record("A"))
        registry.bind_key(KEY, "A", 1.0)
        registry.bind_key(KEY, "A", 2.0)
        registry.bind_key(KEY, "A", 90_000.0)
        registry.bind_key(OTHER_KEY, "A", 3.0)
        assert registry.bound_keys() == {KEY: "A", OTHER_KEY: "A"}

    def test_unknown_charge_point_gets_no_key(self, registry):
        registry.add(make_record("A"))
        with pytest.raises(NotFound):
            registry.bind_key(KEY, "a", 1.0)
        assert registry.bound_keys() == {}

    def test_unbound_key_is_free_again_and_that_is_a_change(self, registry):
        registry.add(make_record("A"))
        registry.add(make_record("B"))
        registry.bind_key(KEY, "A", 1.0)
        counter = registry.change_counter()
        assert registry.unbind_keys("B") == 0
        assert registry.change_counter() == counter
        assert registry.unbind_keys("A") == 1
        assert registry.changed_since(counter) == (counter + 1, {"A"})
        registry.bind_key(KEY, "B", 2.0)
        assert registry.bound_keys() == {KEY: "B"}


class TestRevocations:
    def test_by_fingerprint_and_by_issuer_and_serial(self, registry):
        registry.revoke_certificate(sha256=":".join(["AB"] * 32), reason="stolen", now=1.0)
        registry.revoke_certificate(issuer="CN=Root", serial="00:0A", reason="stolen", now=1.0)
        revocations = registry.revocations()
        assert revocations.covers(sha256="ab" * 32, issuer="CN=x", serial="1")
        assert revocations.covers(sha256="cd" * 32, issuer="CN=Root", serial="a")
        assert not revocations.covers(sha256="cd" * 32, issuer="CN=Root", serial="b")
        assert not revocations.covers(sha256="cd" * 32, issuer="CN=Other", serial="a")

    def test_nothing_is_revoked_by_default_not_even_the_empty_name(self, registry):
        registry.revoke_certificate(sha256="ab" * 32, reason="", now=1.0)
        assert not registry.revocations().covers(sha256="", issuer="", serial="")
        assert not Revocations().covers(sha256="", issuer="", serial="")

    def test_the_same_again_is_no_change(self, registry):
        registry.revoke_certificate(sha256="ab" * 32, reason="x", now=1.0)
        counter = registry.change_counter()
        registry.revoke_certificate(sha256="AB" * 32, reason="y", now=2.0)
        assert registry.change_counter() == counter

    @pytest.mark.parametrize(
        "name",
        [
            {},
            {"issuer": "CN=Root"},
            {"serial": "0a"},
            {"sha256": "ab"},
            {"sha256": "zz" * 32},
            {"issuer": "CN=x", "serial": "xyz"},
        ],
    )
    def test_incomplete_name_is_refused(self, registry, name):
        with pytest.raises(StoreError):
            registry.revoke_certificate(**name, reason="x", now=1.0)
        assert registry.revocations() == Revocations()


@pytest.mark.parametrize(("text", "normal"), [("0x0A", "a"), ("00", "0"), ("AB:cd", "abcd")])
def test_serial_numbers_are_normalised(text, normal):
    assert normal_serial(text) == normal


def test_fingerprints_are_normalised():
    assert normal_sha256(" " + "AB" * 32) == "ab" * 32


def test_revocations_are_read_again_only_where_some_were_added(registry) -> None:
    registry.revoke_certificate(sha256="ab" * 32, reason="lost", now=1.0)
    known = registry.revocations()
    assert registry.revocations(known) is known
    registry.revoke_certificate(sha256="cd" * 32, reason="lost", now=1.0)
    newer = registry.revocations(known)
    assert newer.covers(sha256="cd" * 32, issuer="", serial="")
    assert newer == registry.revocations()
