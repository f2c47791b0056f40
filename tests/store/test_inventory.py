"""What the registry knows of certificates as such."""

from gateway.store.inventory import OwnRevocation


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
