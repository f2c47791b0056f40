"""Our server certificates against what a charge point has: each reason to refuse, and the near-miss."""

import datetime

import pytest
from cryptography import x509

from gateway.control.server_chain import chain_problem, root_match
from gateway.provisioning.station_facts import InstalledRoot
from pki.hash_data import certificate_hash_data
from tests.support.hierarchy import certificate
from tests.support.tls_material import Issued

NOW = datetime.datetime.now(datetime.UTC)
DAYS = datetime.timedelta(days=1)


@pytest.fixture(scope="module")
def root() -> Issued:
    return certificate("Root", ca=True)


def leaf(root: Issued, name: str = "gw.example.com", end: datetime.timedelta = 30 * DAYS) -> x509.Certificate:
    return certificate(name, issuer=root, start=-60 * DAYS, end=end).certificate


def installed(root: Issued, algorithm: str = "SHA256") -> InstalledRoot:
    data = certificate_hash_data(root.certificate, root.certificate, algorithm)  # type: ignore[arg-type]
    return InstalledRoot(
        hash_algorithm=data.hash_algorithm,
        issuer_name_hash=data.issuer_name_hash,
        issuer_key_hash=data.issuer_key_hash,
        serial_number=data.serial_number,
    )


class TestChain:
    @pytest.mark.parametrize(
        ("name", "end", "host", "problem"),
        [
            ("gw.example.com", 30, "GW.example.com", ""),
            ("gw.example.com", 30, "", ""),
            ("gw.example.com", 30, "other.example.com", "no certificate for other.example.com"),
            ("gw.example.com", 30, "w.example.com", "no certificate for w.example.com"),
            ("gw.example.com", 6, "gw.example.com", "a certificate of the chain ends"),
            ("gw.example.com", 8, "gw.example.com", ""),
        ],
    )
    def test_host_and_time(self, root: Issued, name: str, end: int, host: str, problem: str) -> None:
        found = chain_problem([(leaf(root, name, end * DAYS),)], host, NOW)
        assert found.startswith(problem)
        assert bool(found) == bool(problem)

    @pytest.mark.parametrize(("hours", "problem"), [(-1, True), (5, True), (7, False), (23, False)])
    def test_one_that_lives_a_day_is_good_until_nobody_has_renewed_it(
        self, root: Issued, hours: int, problem: bool
    ) -> None:
        ends = datetime.timedelta(hours=hours)
        day = certificate("gw.example.com", issuer=root, start=ends - DAYS, end=ends).certificate
        assert bool(chain_problem([(day, root.certificate)], "gw.example.com", NOW)) is problem

    def test_each_certificate_counts_as_the_charge_point_chooses(self, root: Issued) -> None:
        assert chain_problem([(leaf(root),), (leaf(root, "x"),)], "gw.example.com", NOW)

    def test_no_certificate_at_all(self) -> None:
        assert chain_problem([], "gw.example.com", NOW)


class TestRoot:
    @pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
    def test_the_very_one(self, root: Issued, algorithm: str) -> None:
        assert root_match([(leaf(root),)], [root.certificate], (installed(root, algorithm),)) == "same"

    def test_another_of_the_same_name_is_none_where_ours_is_known_and_said_where_it_is_not(self, root: Issued) -> None:
        namesake = certificate("Root", ca=True)
        assert root_match([(leaf(root),)], [root.certificate], (installed(namesake),)) == "none"
        assert root_match([(leaf(root),)], [], (installed(namesake),)) == "name"

    def test_above_an_intermediate(self, root: Issued) -> None:
        between = certificate("Between", issuer=root, ca=True)
        chain = (leaf(between), between.certificate)
        assert root_match([chain], [root.certificate], (installed(root),)) == "same"
        assert root_match([chain], [root.certificate], (installed(certificate("Other", ca=True)),)) == "none"

    def test_all_chains_need_one(self, root: Issued) -> None:
        other = certificate("Other", ca=True)
        chains = [(leaf(root),), (leaf(other),)]
        roots = [root.certificate, other.certificate]
        assert root_match(chains, roots, (installed(root),)) == "none"
        assert root_match(chains, roots, (installed(root), installed(other))) == "same"

    def test_what_it_does_not_say_is_not_known(self, root: Issued) -> None:
        assert root_match([(leaf(root),)], [root.certificate], None) == "unknown"
        assert root_match([(leaf(root),)], [root.certificate], ()) == "none"

    def test_a_hash_that_ocpp_does_not_have_is_no_match(self, root: Issued) -> None:
        odd = InstalledRoot(hash_algorithm="MD5", issuer_name_hash="", issuer_key_hash="", serial_number="")
        assert root_match([(leaf(root),)], [], (odd,)) == "none"
