"""`pki import`, and `--registry` of `pki status`, `list` and `export`: certificates of whichever CA."""

import csv
import io
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.store.inventory import KnownCertificate, OwnRevocation, Sighting
from gateway.store.registry import Registry
from tests.cli.conftest import Cli, Place
from tests.pki.hierarchy import Hierarchy
from tests.pki.request_material import csr_pem
from tests.pki.signer_directory import make_signer_directory
from tests.support.tls_material import Authority

OTHER = Authority("Other Root")
LEAF = OTHER.charge_point("SN-7", "Other CPO")
SECOND = OTHER.charge_point("SN-8", "Other CPO")
DAY_S = 86_400.0


@pytest.fixture
def files(place: Place) -> Path:
    """A place with a configuration, and the other CA trusted in it."""
    (place.directory / "other.pem").write_bytes(OTHER.pem)
    place.config.write_text(
        place.config.read_text()
        + '\n[[trust]]\nname = "other"\nuse = "other-operator"\nroots = ["other.pem"]\noperator_names = ["Other CPO"]\n'
    )
    return place.directory


def fingerprints(registry: Registry) -> set[str]:
    return {each.common_name for each, _ in registry.inventory.find(time.time(), DAY_S)}


class TestImport:
    def test_pem_der_and_pkcs7(self, cli: Cli, files: Path, registry: Registry) -> None:
        third, fourth = OTHER.charge_point("SN-9", "Other CPO"), OTHER.charge_point("SN-10", "Other CPO")
        (files / "two.pem").write_bytes(b"Bag Attributes\n" + LEAF.pem + SECOND.pem)
        (files / "one.der").write_bytes(third.der)
        (files / "bundle.p7b").write_bytes(pkcs7.serialize_certificates([fourth.certificate], Encoding.DER))
        result = cli("pki", "import", files / "two.pem", files / "one.der", files / "bundle.p7b", "--json")
        assert result.json() == {"imported": 4, "new": 4, "refused": [], "warnings": []}
        assert fingerprints(registry) == {"SN-7", "SN-8", "SN-9", "SN-10"}
        again = cli("pki", "import", files / "two.pem", "--json").json()
        assert (again["imported"], again["new"]) == (2, 0)

    def test_a_dry_run_does_nothing(self, cli: Cli, files: Path, registry: Registry) -> None:
        (files / "one.pem").write_bytes(LEAF.pem)
        result = cli("pki", "import", files / "one.pem", "--dry-run")
        assert (result.code, result.out) == (OK, "1 would be imported.\n")
        assert fingerprints(registry) == set()

    def test_what_is_refused_is_named_and_the_others_are_imported(
        self, cli: Cli, files: Path, registry: Registry
    ) -> None:
        csr = csr_pem().encode()
        broken = LEAF.pem.replace(b"MII", b"AAA", 1)
        (files / "mixed.pem").write_bytes(OTHER.pem + LEAF.pem + LEAF.key_pem + csr + broken)
        (files / "text").write_text("hello")
        result = cli("pki", "import", files / "mixed.pem", files / "text", "--json")
        found = result.json()
        assert (result.code, found["imported"]) == (NOT_OK, 1)
        reasons = [(each["where"].rpartition("/")[2], each["reason"]) for each in found["refused"]]
        assert [where for where, _ in reasons] == [f"mixed.pem, block {n}" for n in (1, 3, 4, 5)] + ["text"]
        for (_, reason), said in zip(
            reasons,
            ("a CA certificate", "a private key", "certificate request", "cannot be read", "neither"),
            strict=True,
        ):
            assert said in reason
        assert "PRIVATE KEY" not in result.out
        assert fingerprints(registry) == {"SN-7"}

    def test_of_a_ca_that_nobody_trusts_it_is_imported_with_a_warning(
        self, cli: Cli, files: Path, registry: Registry
    ) -> None:
        (files / "one.pem").write_bytes(Authority("Nobody's Root").charge_point("SN-11", "Nobody").pem)
        result = cli("pki", "import", files / "one.pem")
        assert result.code == OK
        assert "no CA certificate in the configuration has issued it" in result.err
        assert len(fingerprints(registry)) == 1

    def test_a_strangers_certificate_in_the_name_of_our_ca(self, cli: Cli, files: Path, registry: Registry) -> None:
        """Another key under the same name: in the inventory it would pass for one of ours."""
        hierarchy = Hierarchy()
        make_signer_directory(files / "ca" / "signer", hierarchy)
        config = files / "gateway.toml"
        config.write_text(config.read_text().replace("[pki]\n", '[pki]\nca = "ca"\n'))
        forger = Authority("Issuing")
        forger.name = hierarchy.issuing.subject
        (files / "one.pem").write_bytes(forger.charge_point("SN-1", "CPO").pem)
        result = cli("pki", "import", files / "one.pem", "--json")
        assert result.code == NOT_OK, result
        [refused] = result.json()["refused"]
        assert "names an issuing CA of ours, whose journal does not know it" in refused["reason"]
        assert fingerprints(registry) == set()
        # The near miss: the same certificate under the name of its own CA.
        (files / "other-one.pem").write_bytes(LEAF.pem)
        assert cli("pki", "import", files / "other-one.pem").code == OK


def known(name: str, days: float, **fields: object) -> KnownCertificate:
    values = {"issuer": "CN=CA", "serial": name, "common_name": f"SN-{name}", "organization": "CPO"}
    not_after = time.time() + days * DAY_S
    return KnownCertificate(**{"sha256": name * 64, "not_after": not_after, **values, **fields})  # type: ignore[arg-type]


@pytest.fixture
def stocked(registry: Registry) -> Registry:
    registry.inventory.record([known("a", 90.5), known("b", 20), known("c", -1), known("d", 5), known("e", 60)])
    registry.inventory.revoke([OwnRevocation(issuer="CN=CA", serial="e", reason="x", revoked_at=1.0)])
    registry.inventory.saw([Sighting(facts=known("a", 90.5), charge_point_id="CP-1", at=1_800_000_000.0)])
    return registry


@pytest.mark.usefixtures("stocked")
class TestRegistry:
    def test_the_list_is_by_end_and_has_states(self, cli: Cli) -> None:
        found = cli("pki", "list", "--registry", "--json").json()
        assert [(each["common_name"], each["state"]) for each in found] == [
            ("SN-c", "expired"),
            ("SN-d", "expiring"),
            ("SN-b", "expiring"),
            ("SN-e", "revoked"),
            ("SN-a", "valid"),
        ]
        assert found[-1]["charge_point_id"] == "CP-1"
        assert found[-1]["last_seen_at"] == "2027-01-15T08:00:00+00:00"
        assert found[0]["last_seen_at"] is None

    @pytest.mark.parametrize(("days", "names"), [("7d", ["SN-d"]), ("30", ["SN-d", "SN-b"]), ("30d", ["SN-d", "SN-b"])])
    def test_what_ends_soon(self, cli: Cli, days: str, names: list[str]) -> None:
        found = cli("pki", "list", "--registry", "--expiring", days, "--json").json()
        assert [each["common_name"] for each in found] == names

    def test_search_and_state(self, cli: Cli) -> None:
        assert "SN-a" in cli("pki", "list", "cp-1", "--registry").out
        found = cli("pki", "list", "--registry", "--state", "revoked", "--json").json()
        assert [each["common_name"] for each in found] == ["SN-e"]

    def test_the_status_asks_for_attention_where_one_ends_within_a_week(self, cli: Cli, stocked: Registry) -> None:
        result = cli("pki", "status", "--registry", "--json")
        found = result.json()
        assert result.code == NOT_OK
        assert found["certificates"] == {"valid": 1, "expiring": 2, "superseded": 0, "expired": 1, "revoked": 1}
        assert found["ending"] == {"7": 1, "30": 2, "90": 2}
        stocked.inventory.revoke([OwnRevocation(issuer="CN=CA", serial="d", reason="x", revoked_at=1.0)])
        assert cli("pki", "status", "--registry").code == OK

    def test_export_as_lines_as_one_document_and_as_csv(self, cli: Cli, stocked: Registry) -> None:
        stocked.inventory.record([known("f", 70, common_name="=1+1")])
        lines = cli("pki", "export", "--registry").out.splitlines()
        assert len(lines) == len(cli("pki", "export", "--registry", "--json").json()) == 6
        rows = list(csv.DictReader(io.StringIO(cli("pki", "export", "--registry", "--csv").out)))
        assert [row["state"] for row in rows].count("expiring") == 2
        assert "'=1+1" in {row["common_name"] for row in rows}

    @pytest.mark.parametrize(
        "words",
        [
            ("list", "--registry", "--requests"),
            ("list", "--registry", "--state", "intended"),
            ("list", "--state", "expiring"),
            ("list", "--registry", "--expiring", "soon"),
            ("list", "--registry", "--expiring", "9" * 5_000),
            ("export", "--csv"),
            ("export", "--registry", "--csv", "--json"),
        ],
    )
    def test_what_does_not_go_together(self, cli: Cli, words: tuple[str, ...]) -> None:
        assert cli("pki", *words).code == USAGE
