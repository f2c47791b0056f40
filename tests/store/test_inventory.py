"""What the registry knows of certificates as such."""

from gateway.store.inventory import JournalPosition, KnownCertificate, OwnRevocation, Sighting
from gateway.store.registry import Registry


def revocation(serial: str, issuer: str = "CN=CA") -> OwnRevocation:
    return OwnRevocation(issuer=issuer, serial=serial, reason="stolen", revoked_at=5.0)


class TestRevoke:
    def test_they_count_as_one_change_and_are_in_force(self, registry):
        before = registry.change_counter()
        entries = [revocation("1a"), revocation("2b"), revocation("1a", "CN=Other")]
        assert registry.inventory.revoke(entries) == entries
        assert registry.change_counter() == before + 1
        assert registry.revocations().issuer_serials == {("CN=CA", "1a"), ("CN=CA", "2b"), ("CN=Other", "1a")}

    def test_what_is_known_is_no_change_however_it_came(self, registry):
        registry.revoke_certificate(sha256="0a" * 32, issuer="CN=CA", serial="1a", reason="x", now=1.0)
        before = registry.change_counter()
        assert registry.inventory.revoke([revocation("1a")]) == []
        assert registry.change_counter() == before
        fresh = revocation("2b")
        assert registry.inventory.revoke([revocation("1a"), fresh, fresh]) == [fresh]

    def test_many_at_once(self, registry):
        entries = [revocation(f"{number:x}") for number in range(1, 1_202)]
        assert registry.inventory.revoke(entries[:600]) == entries[:600]
        assert registry.inventory.revoke(entries) == entries[600:]
        assert len(registry.revocations().issuer_serials) == 1_201


NOW, DAY = 1_000_000.0, 86_400.0


def known(name: str = "a", **fields: object) -> KnownCertificate:
    values = {
        "issuer": "CN=CA",
        "serial": name,
        "common_name": "SN-1",
        "organization": "CPO",
        "not_after": NOW + 90 * DAY,
    }
    return KnownCertificate(**{"sha256": name * 64, **values, **fields})  # type: ignore[arg-type]


def seen(certificate: KnownCertificate, at: float = NOW, charge_point_id: str = "CP-1") -> Sighting:
    return Sighting(facts=certificate, charge_point_id=charge_point_id, at=at)


def states(registry: Registry, **options: object) -> dict[str, str]:
    found = registry.inventory.find(NOW, 30 * DAY, **options)  # type: ignore[arg-type]
    return {certificate.sha256[0]: state for certificate, state in found}


class TestStates:
    def test_by_time(self, registry):
        ends = {"a": 90 * DAY, "b": 29 * DAY, "c": -1.0, "d": 0.0}
        registry.inventory.record([known(name, common_name=name, not_after=NOW + left) for name, left in ends.items()])
        assert states(registry) == {"c": "expired", "d": "expiring", "b": "expiring", "a": "valid"}
        assert states(registry, state="expiring") == {"d": "expiring", "b": "expiring"}
        assert states(registry, ends_before=NOW + 7 * DAY) == {"d": "expiring"}

    def test_revoked_by_either_name_and_before_anything_else(self, registry):
        registry.inventory.record([known(name, common_name=name, not_after=NOW - 1) for name in "abc"])
        registry.inventory.revoke([revocation("a"), revocation("c", "CN=Other")])
        registry.revoke_certificate(sha256="b" * 64, reason="x", now=1.0)
        assert states(registry) == {"a": "revoked", "b": "revoked", "c": "expired"}

    def test_superseded_is_what_has_a_newer_one_that_was_used(self, registry):
        old, new = known("a"), known("b", not_after=NOW + 120 * DAY)
        other = known("c", common_name="SN-2")
        registry.inventory.record([old, new, other])
        assert states(registry) == {"a": "valid", "b": "valid", "c": "valid"}
        registry.inventory.saw([seen(new)])
        assert states(registry) == {"a": "superseded", "b": "valid", "c": "valid"}
        registry.inventory.saw([seen(old)])  # the charge point has fallen back (A02.FR.28)
        assert states(registry) == {"a": "valid", "b": "valid", "c": "valid"}

    def test_of_those_seen_at_once_the_last_of_a_name_is_in_use(self, registry):
        old, new = known("a"), known("b", not_after=NOW + 120 * DAY)
        registry.inventory.saw([seen(old)])
        registry.inventory.saw([seen(old), seen(new)])
        assert states(registry) == {"a": "superseded", "b": "valid"}
        newer = known("c", not_after=NOW + 150 * DAY)
        registry.inventory.saw([seen(newer), seen(old), seen(new)])  # it has gone back to both of them since
        assert states(registry) == {"a": "valid", "b": "valid", "c": "valid"}

    def test_one_that_never_lives_long_is_not_about_to_end_all_the_time(self, registry):
        short, long = {"not_after": NOW + DAY / 2, "not_before": NOW - DAY / 2}, {"not_before": NOW - 80 * DAY}
        registry.inventory.record([known("a", common_name="server", **short)])
        assert states(registry) == {"a": "valid"}
        assert registry.inventory.counts(NOW, 30 * DAY).nearest_end == 0.0
        registry.inventory.record([known("b", not_after=NOW + 3 * DAY, **long)])
        registry.inventory.record([known("c", not_after=NOW + 4 * DAY)])  # only seen: nobody knows since when
        assert states(registry) == {"a": "valid", "b": "expiring", "c": "expiring"}
        assert states(registry, ends_before=NOW + 7 * DAY) == {"b": "expiring", "c": "expiring"}
        assert registry.inventory.counts(NOW, 30 * DAY).nearest_end == NOW + 3 * DAY

    def test_counts(self, registry):
        ends = {"a": 90 * DAY, "b": 29 * DAY, "c": -1.0}
        registry.inventory.record([known(name, common_name=name, not_after=NOW + left) for name, left in ends.items()])
        registry.inventory.record([known("d", profile="OCSPResponder", not_after=NOW + 1)])
        counts = registry.inventory.counts(NOW, 30 * DAY)
        assert counts.by_state == {"valid": 1, "expiring": 1, "superseded": 0, "expired": 1, "revoked": 0}
        assert counts.nearest_end == NOW + 29 * DAY
        registry.inventory.revoke([revocation("a"), revocation("b")])
        assert registry.inventory.counts(NOW, 30 * DAY).nearest_end == 0.0


class TestWhatIsKnown:
    def test_seen_first_and_last_and_by_whom(self, registry):
        registry.inventory.saw([seen(known("a"), 5.0)])
        registry.inventory.saw([seen(known("a"), 9.0, "CP-2")])
        [(found, _)] = registry.inventory.find(NOW, DAY)
        assert (found.first_seen_at, found.last_seen_at, found.charge_point_id, found.source) == (
            5.0,
            9.0,
            "CP-2",
            "seen",
        )

    def test_issued_and_then_seen_is_one_row_and_stays_issued(self, registry):
        issued = known("a", source="issued", profile="ChargePointCertificate", not_before=7.0, recorded_at=8.0)
        assert registry.inventory.record([issued]) == 1
        registry.inventory.saw([seen(known("a"), 9.0)])
        assert registry.inventory.record([known("a", source="imported")]) == 0
        [(found, _)] = registry.inventory.find(NOW, DAY)
        assert (found.source, found.profile, found.not_before, found.first_seen_at) == (
            "issued",
            "ChargePointCertificate",
            7.0,
            9.0,
        )

    def test_seen_and_then_taken_over_from_the_journal(self, registry):
        registry.inventory.saw([seen(known("a"), 9.0)])
        issued = known("a", source="issued", profile="ChargePointCertificate", not_before=7.0)
        assert registry.inventory.record([issued]) == 0
        [(found, _)] = registry.inventory.find(NOW, DAY)
        assert (found.source, found.profile, found.first_seen_at) == ("issued", "ChargePointCertificate", 9.0)

    def test_search(self, registry):
        registry.inventory.record([known("a", common_name="Alpha"), known("b", organization="Be%a"), known("c")])
        registry.inventory.saw([seen(known("c"), charge_point_id="CP-gamma")])
        assert [states(registry, text=text).keys() for text in ("ALPHA", "e%a", "gamma", "nobody")] == [
            {"a"}, {"b"}, {"c"}, set(),
        ]  # fmt: skip

    def test_many_at_once(self, registry):
        entries = [known("a", sha256=f"{number:064x}", serial=f"{number:x}") for number in range(1_100)]
        assert registry.inventory.record(entries) == 1_100
        registry.inventory.saw([seen(each) for each in entries[:600]])
        assert len(registry.inventory.find(NOW, DAY, limit=2_000)) == 1_100

    def test_a_journal_is_taken_over_from_where_it_was_left(self, registry):
        assert registry.inventory.journal_position("/ca") is None
        for sequence in (4, 9):
            registry.inventory.record([], JournalPosition("/ca", sequence, "ab"))
        registry.inventory.record([], JournalPosition("/other", 1, "cd"))
        assert registry.inventory.journal_position("/ca") == JournalPosition("/ca", 9, "ab")
