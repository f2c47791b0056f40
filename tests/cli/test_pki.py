"""`pki`: from two ceremony files to certificates, held requests, revocation and books that agree, with a real signer."""

import datetime
import hashlib
import itertools
import json
import secrets
import shutil
import subprocess
from pathlib import Path

import click
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli.actor import actor
from gateway.cli.exit_codes import NOT_OK, OK, UNREACHABLE, USAGE
from gateway.cli.pki import pki
from pki.approval import Unproven
from pki.crl import build_crl, next_stamp
from pki.der_limits import assemble_signed, children
from pki.inventory import Inventory
from pki.issuance import Application, Issuance, IssuancePolicy
from pki.names import Subject
from pki.signer.launch import signer_for
from pki.snapshot import Snapshot
from tests.cli.conftest import Cli
from tests.pki.ceremony.test_ceremony import ISSUING, ROOT, SERVERS, Room
from tests.pki.hierarchy import DAY, NOW
from tests.pki.request_material import csr_pem
from tests.pki.signer.test_core import body
from tests.pki.signer_directory import signer_process
from tests.support.judges import judge

SECOND = datetime.timedelta(seconds=1)
ALGORITHM = children(body())[2]
SN1 = ("--common-name", "SN-1", "--organization", "Example CPO")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the offline room leaves: a CA directory with two issuing CAs."""
    directory = tmp_path_factory.mktemp("room")
    room = Room(directory)
    for text in (ROOT, ISSUING, SERVERS):
        room.perform(text.replace('directory = "signer"', 'directory = "ca/signer"').replace('"signer/', '"ca/signer/'))
    return directory


class Place:
    """A CA of its own for a test, and its commands."""

    def __init__(self, directory: Path, made: Path, cli: Cli) -> None:
        shutil.copytree(made, directory, dirs_exist_ok=True)
        self.directory, self.ca, self._cli = directory, directory / "ca", cli
        self._numbers = itertools.count()

    def __call__(self, *words: object):
        return self._cli("pki", *words, "--ca", self.ca)

    def csr(self, **options) -> Path:
        path = self.directory / f"{next(self._numbers)}.csr"
        path.write_text(csr_pem(**({"organization": "Example CPO"} | options)))
        return path

    def issue(self, *words: object, csr: Path | None = None) -> dict[str, str]:
        found: dict[str, str] = self("issue", csr or self.csr(), *(words or SN1), "--json").json()
        return found

    def hold(self, common_name: str = "SN-1") -> str:
        """A request of somebody who has proven nothing, as the gateway would make it."""
        with signer_for(self.ca / "signer") as signer:
            ca = Issuance(self.ca / "journal", signer, IssuancePolicy(), NOW, lambda: secrets.token_hex(4))
            wanted = Application(
                profile="ChargePointCertificate",
                subject=Subject(common_name, "Example CPO"),
                applicant=Unproven("profile 2"),
            )
            request = ca.request(csr_pem(organization="Example CPO", common_name=common_name), wanted, NOW)
            ca.close()
        return request.id


@pytest.fixture
def place(tmp_path: Path, made: Path, cli: Cli) -> Place:
    return Place(tmp_path, made, cli)


class TestCeremony:
    def test_it_makes_what_its_file_says_and_shows_fingerprints(self, cli: Cli, tmp_path: Path) -> None:
        Room(tmp_path)
        (tmp_path / "root.toml").write_text(ROOT)
        assert "of mode root: first hierarchy" in cli("pki", "ceremony", tmp_path / "root.toml", "--check").out
        assert not (tmp_path / "root.pem").exists()
        (tmp_path / "wrong.toml").write_text(f"lifetime_days = 5000\n{ISSUING}")
        refused = cli("pki", "ceremony", tmp_path / "wrong.toml", "--check")
        assert refused.code == USAGE
        assert "lifetime_days" in refused.err
        result = cli("pki", "ceremony", tmp_path / "root.toml")
        assert result.code == OK
        certificate = x509.load_pem_x509_certificate((tmp_path / "root.pem").read_bytes())
        shown = subprocess.run(
            ["openssl", "x509", "-in", tmp_path / "root.pem", "-noout", "-fingerprint", "-sha256"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stdout.strip().partition("=")[2].replace(":", "").lower() in result.out
        assert certificate.subject.rfc4514_string() in result.out
        assert "let the witnesses sign it" in result.out

    def test_a_second_time_is_refused(self, cli: Cli, tmp_path: Path) -> None:
        Room(tmp_path)
        (tmp_path / "root.toml").write_text(ROOT)
        record = cli("pki", "ceremony", tmp_path / "root.toml", "--json").json()
        assert json.loads(Path(record["record"]).read_text())["witnesses"] == ["Alice", "Bob"]
        again = cli("pki", "ceremony", tmp_path / "root.toml", "--json")
        assert (again.code, "replaces nothing" in again.json()["error"]) == (USAGE, True)

    @pytest.mark.parametrize("text", ["", "nonsense", "mode = 1", 'mode = "root"', "a = " + "[" * 5000])
    def test_what_is_no_ceremony_is_told(self, cli: Cli, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.toml").write_text(text)
        result = cli("pki", "ceremony", tmp_path / "x.toml")
        assert (result.code, result.out) == (USAGE, "")
        assert len(result.err.splitlines()) == 1


class TestIssue:
    def test_the_chain_comes_out_leaf_first_and_openssl_accepts_it(self, place: Place) -> None:
        out = place.directory / "leaf.pem"
        result = place("issue", place.csr(), *SN1, "--out", out)
        assert result.code == OK
        leaf, issuing = x509.load_pem_x509_certificates(out.read_bytes())
        assert (leaf.issuer, leaf.subject.rfc4514_string()) == (issuing.subject, "CN=SN-1,O=Example CPO")
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            "sslclient",
            "-CAfile",
            place.directory / "root.pem",
            "-untrusted",
            out,
            out,
        ]
        assert subprocess.run(list(map(str, command)), capture_output=True, check=False).returncode == 0
        assert f"{leaf.serial_number:x}" in result.out

    def test_without_out_the_chain_is_all_that_is_printed(self, place: Place) -> None:
        assert len(x509.load_pem_x509_certificates(place("issue", place.csr(), *SN1).out.encode())) == 2

    def test_a_server_has_its_names(self, place: Place) -> None:
        words = ("--common-name", "gw.example.com", "--organization", "Example CPO", "--profile", "CSMSCertificate")
        found = place.issue(
            *words, "--name", "gw.example.com", "--name", "b.example.com", csr=place.csr(common_name="gw.example.com")
        )
        leaf = x509.load_pem_x509_certificate(found["chain"].encode())
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["gw.example.com", "b.example.com"]

    def test_the_same_request_again_is_the_same_certificate(self, place: Place) -> None:
        csr = place.csr()
        assert place.issue(csr=csr) == place.issue(csr=csr)

    def test_a_file_that_exists_is_not_replaced_and_no_option_is_promised(self, place: Place) -> None:
        csr, path = place.csr(), place.directory / "there.pem"
        path.write_text("precious")
        result = place("issue", csr, *SN1, "--out", path)
        assert (result.code, path.read_text(), "--force" in result.err) == (NOT_OK, "precious", False)
        assert place("issue", csr, *SN1, "--out", place.directory / "other.pem").code == OK

    def test_a_charge_point_has_no_alternative_names(self, place: Place) -> None:
        result = place("issue", place.csr(), *SN1, "--name", "gw.example.com", "--json")
        assert result.json()["details"] == {"reason": "name-not-for-profile"}

    def test_a_refusal_has_its_reason(self, place: Place) -> None:
        result = place("issue", place.csr(common_name="SN-2"), *SN1, "--json")
        assert result.code == NOT_OK
        assert result.json()["details"] == {"reason": "csr-other-common-name"}
        assert place("issue", place.csr(), *SN1, "--profile", "Nothing", "--json").json()["details"] == {
            "reason": "profile-not-served"
        }

    def test_blocked_keys_are_refused(self, place: Place) -> None:
        csr = place.csr()
        found = place.issue(csr=csr)
        key = x509.load_pem_x509_certificate(found["chain"].encode()).public_key()
        from pki.blocked_keys import spki_sha256

        (place.ca / "blocked-keys.txt").write_text(f"{spki_sha256(key).hex()}\n")  # type: ignore[arg-type]
        assert place("issue", csr, *SN1, "--json").json()["details"] == {"reason": "key-blocked"}
        (place.ca / "blocked-keys.txt").write_text("zz\n")
        assert place("issue", csr, *SN1).code == USAGE

    def test_a_table_of_blocked_keys_that_is_lost_or_open_to_others_is_not_done_without(self, place: Place) -> None:
        table = place.ca / "blocked-keys.txt"
        table.symlink_to(place.directory / "nowhere")
        result = place("issue", place.csr(), *SN1)
        assert (result.code, "is a link to a file that is not there" in result.err) == (USAGE, True)
        (place.directory / "nowhere").write_text("# none\n")
        (place.directory / "nowhere").chmod(0o666)
        assert "chmod go-w" in place("issue", place.csr(), *SN1).err
        (place.directory / "nowhere").chmod(0o644)
        assert place("issue", place.csr(), *SN1).code == OK

    def test_a_signer_that_runs_is_used(self, place: Place) -> None:
        with signer_process(place.ca / "signer"):
            assert place.issue()["serial"]
        assert place("reconcile").code == OK


class TestApproval:
    def test_what_is_held_is_listed_approved_or_denied(self, place: Place) -> None:
        first, second = place.hold(), place.hold("SN-2")
        listed = place("list", "--requests", "--json").json()
        assert [(each["request"], each["rule"], each["applicant"]) for each in listed] == [
            (first, "first-enrolment", "profile 2"),
            (second, "first-enrolment", "profile 2"),
        ]
        assert first in place("list", "--requests").out
        assert "Issued" in place("approve", first, "--note", "seen").out
        assert place("deny", second, "--note", "stolen").code == OK
        assert place("deny", second, "--note", "again", "--json").json()["details"] == {"reason": "request-closed"}
        assert place("approve", "nothing", "--json").json()["details"] == {"reason": "request-unknown"}
        assert place("list", "--requests", "--json").json() == []
        assert place("show", second, "--json").json()[0]["reason"] == "stolen"

    def test_a_denial_needs_a_reason(self, place: Place) -> None:
        assert place("deny", place.hold(), "--note", " ").code == USAGE


class TestLooking:
    def test_list_finds_by_name_serial_and_state(self, place: Place) -> None:
        serial = place.issue()["serial"]
        place.issue("--common-name", "SN-2", "--organization", "Example CPO", csr=place.csr(common_name="SN-2"))
        place("revoke", serial, "--reason", "keyCompromise", "--note", "stolen")

        def names(*words: str) -> list[str]:
            return sorted(each["common_name"] for each in place("list", *words, "--json").json())

        assert names() == ["SN-1", "SN-2"]
        assert names("sn-2") == names("--state", "valid") == names("--expiring", "91") == ["SN-2"]
        assert names(serial[4:12]) == names("--state", "revoked") == ["SN-1"]
        assert names("--expiring", "89") == names("--state", "expired") == []
        assert "revoked" in place("list").out

    def test_show_has_everything_about_one(self, place: Place) -> None:
        found = place.issue()
        for which in (
            found["serial"],
            "SN-1",
            found["request"],
            ":".join([found["serial"][:2], found["serial"][2:]]).upper(),
        ):
            (shown,) = place("show", which, "--json").json()
            assert shown["pem"] in found["chain"]
            assert (shown["state"], shown["rule"]) == ("valid", "by-operator")
        assert "BEGIN CERTIFICATE" in place("show", "SN-1").out
        assert place("show", "SN-9").code == NOT_OK

    def test_status_counts_and_warns(self, place: Place) -> None:
        assert "Certificates: 0 valid" in place("status").out
        place.issue()
        assert place("status").code == OK
        facts = place("status", "--json").json()
        assert facts["certificates"] == {"valid": 1, "expired": 0, "revoked": 0}
        assert facts["ending"] == {"7": 0, "30": 0, "90": 1}
        assert {issuer["name"] for issuer in facts["issuers"]} == {"charge-points", "servers"}
        place.hold("SN-2")
        result = place("status")
        assert result.code == NOT_OK
        assert "1 requests wait for a decision" in result.err

    def test_export_has_every_certificate_and_reading_needs_no_lock(self, place: Place) -> None:
        found = place.issue()
        with signer_process(place.ca / "signer"), signer_for(place.ca / "signer") as signer:
            ca = Issuance(place.ca / "journal", signer, IssuancePolicy(), NOW, lambda: "x")
            lines = place("export").out.splitlines()
            assert [json.loads(line)["serial"] for line in lines] == [found["serial"]]
            assert place("export", "--json").json()[0]["pem"] in found["chain"]
            assert place("list").code == place("show", "SN-1").code == OK
            busy = place("issue", place.csr(), *SN1)
            assert (busy.code, "in use by another process" in busy.err) == (NOT_OK, True)
            ca.close()


class TestRevoke:
    def test_it_is_for_good(self, place: Place) -> None:
        csr = place.csr()
        serial = place.issue(csr=csr)["serial"]
        assert place("revoke", serial, "--reason", "keycompromise").code == OK
        assert "nobody else to be told" in place("told", serial).err
        (shown,) = place("show", serial, "--json").json()
        assert (shown["state"], shown["revoked"]["reason"]) == ("revoked", "keyCompromise")
        assert place("revoke", serial, "--reason", "superseded", "--json").json()["details"] == {
            "reason": "already-revoked"
        }
        assert place("issue", csr, *SN1, "--json").json()["details"] == {"reason": "key-revoked"}

    def test_what_else_is_valid_of_this_identity_is_named(self, place: Place) -> None:
        first, second = place.issue()["serial"], place.issue()["serial"]
        place.issue("--common-name", "SN-2", "--organization", "Example CPO", csr=place.csr(common_name="SN-2"))
        result = place("revoke", first, "--reason", "keyCompromise")
        assert result.err.startswith(f"warning: {second} of SN-1 is still valid, until ")
        assert len(result.err.splitlines()) == 1
        assert place("revoke", second, "--reason", "keyCompromise", "--json").json()["others_valid"] == []

    def test_whoever_did_it_is_known_by_the_kernel(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        serial = place.issue()["serial"]
        monkeypatch.setenv("LOGNAME", "mallory")
        place("revoke", serial, "--reason", "superseded")
        (shown,) = place("show", serial, "--json").json()
        assert shown["revoked"]["by"] == actor()

    def test_nonsense_is_told(self, place: Place) -> None:
        assert place("revoke", "xyz", "--reason", "superseded").code == USAGE
        assert place("revoke", "12", "--reason", "because").code == USAGE
        assert place("revoke", "12", "--reason", "superseded", "--json").json()["details"] == {
            "reason": "certificate-unknown"
        }

    def test_an_old_journal_is_not_taken_back(self, place: Place) -> None:
        serial = place.issue()["serial"]
        shutil.copy(place.ca / "journal", place.directory / "backup")
        place("revoke", serial, "--reason", "keyCompromise")
        shutil.copy(place.directory / "backup", place.ca / "journal")
        for words in (("status",), ("reconcile",), ("issue", place.csr(), *SN1)):
            result = place(*words)
            assert result.code == NOT_OK
            assert "an old copy" in result.err


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


class TestV2G:
    """An issuing CA below a V2G root that somebody else runs with openssl, as docs/pki.md has it."""

    @pytest.fixture
    def sub(self, place: Place) -> Place:
        at, signer = place.directory, place.ca / "signer"
        plan = 'mode = "key"\npurpose = "V2G"\nwitnesses = ["Alice"]\nname = "v2g"\ndirectory = "ca/signer"\n'
        key = '[key]\ngenerate = "ec-p521"\nat = { file = "ca/signer/v2g.key", secret_file = "issuing.secret" }\n'
        (at / "v2g-key.toml").write_text(plan + key)
        assert place._cli("pki", "ceremony", at / "v2g-key.toml").code == OK
        secret = f"file:{at / 'issuing.secret'}"
        name = "/CN=Sub2/O=Example CPO/C=DE/DC=V2G"
        openssl("req", "-new", "-key", signer / "v2g.key", "-passin", secret, "-subj", name, "-out", at / "v2g.csr")
        (at / "ca.conf").write_text(
            "[req]\ndistinguished_name=n\nx509_extensions=e\n[n]\n[e]\nbasicConstraints=critical,CA:TRUE,pathlen:0\n"
            "keyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        make = ("-config", at / "ca.conf", "-days", 700)
        openssl("ecparam", "-genkey", "-name", "secp521r1", "-out", at / "root.v2g.key")
        openssl(
            "req",
            "-x509",
            "-new",
            "-key",
            at / "root.v2g.key",
            "-subj",
            "/CN=V2G Root",
            *make,
            "-out",
            at / "v2g-root.pem",
        )
        above = (
            "-CA",
            at / "v2g-root.pem",
            "-CAkey",
            at / "root.v2g.key",
            "-extfile",
            at / "ca.conf",
            "-extensions",
            "e",
        )
        openssl("x509", "-req", "-in", at / "v2g.csr", *above, "-days", 700, "-out", at / "sub.pem")
        (signer / "v2g.pem").write_text((at / "sub.pem").read_text() + (at / "v2g-root.pem").read_text())
        (signer / "v2g.toml").write_text(
            'certificate = "v2g.pem"\nprofiles = ["V2G20SECCCertificate"]\norganizations = ["Example CPO"]\n'
            'key = { file = "v2g.key", secret_file = "../../issuing.secret" }\n'
        )
        return place

    def test_an_ed448_key_gets_the_certificate_of_iso_15118_20_and_one_for_2_is_refused(self, sub: Place) -> None:
        at = sub.directory
        openssl("genpkey", "-algorithm", "ed448", "-out", at / "ed.key")
        openssl("req", "-new", "-key", at / "ed.key", "-subj", "/O=Example CPO/CN=DECPO1E1", "-out", at / "ed.csr")
        names = ("--common-name", "DECPO1E1", "--organization", "Example CPO", "--profile", "V2G20SECCCertificate")
        out = sub("issue", at / "ed.csr", *names, "--country", "DE", "--out", at / "ed.pem")
        assert out.code == OK
        leaf = x509.load_pem_x509_certificates((at / "ed.pem").read_bytes())[0]
        assert leaf.subject.rfc4514_string() == "DC=CSO,CN=DECPO1E1,O=Example CPO,C=DE"
        assert sub("issue", at / "ed.csr", *names, "--country", "Germany").code == NOT_OK
        assert sub("issue", sub.csr(), *names, "--country", "DE").code == NOT_OK
        assert sub("issue", sub.csr(), *SN1, "--country", "DE").code == NOT_OK
        assert sub("reconcile").code == OK


class TestReconcile:
    def test_books_that_agree(self, place: Place) -> None:
        place.issue()
        assert "All 1 certificates" in place("reconcile").out
        assert place("reconcile", "--json").json()["ok"] is True

    def test_a_list_that_has_only_lost_its_last_crl(self, place: Place) -> None:
        place.issue()
        signed = place.ca / "signer" / "signed"
        shutil.copy(signed, place.directory / "backup")
        with signer_for(place.ca / "signer") as signer:
            (issuer,) = [each for each in signer.issuers() if each.name == "charge-points"]
            moment = datetime.datetime.now(datetime.UTC)
            stamp = next_stamp(None, moment, datetime.timedelta(days=1))
            build_crl(issuer.certificate, signer.revocation_key(issuer), [], stamp)
        place.issue()  # notes it
        with signer_for(place.ca / "signer") as signer:
            build_crl(issuer.certificate, signer.revocation_key(issuer), [], next_stamp(stamp, moment + SECOND, DAY))
        shutil.copy(signed, place.directory / "newest")
        place("list")
        assert place("reconcile").code == place("status").code == OK
        shutil.copy(place.directory / "backup", signed)
        assert place("reconcile").code == place("status").code == NOT_OK
        assert "list is an old copy" in place("status").err
        shutil.copy(place.directory / "newest", signed)
        assert place("reconcile").code == OK

    def test_it_works_while_somebody_issues(self, place: Place) -> None:
        place.issue()
        with signer_process(place.ca / "signer"), signer_for(place.ca / "signer") as signer:
            ca = Issuance(place.ca / "journal", signer, IssuancePolicy(), NOW, lambda: "x")
            assert place("reconcile").code == place("status").code == OK
            ca.close()

    def test_a_list_that_is_an_old_copy(self, place: Place) -> None:
        signed = place.ca / "signer" / "signed"
        place.issue()
        shutil.copy(signed, place.directory / "backup")
        serial = place.issue(
            "--common-name", "SN-2", "--organization", "Example CPO", csr=place.csr(common_name="SN-2")
        )["serial"]
        shutil.copy(place.directory / "backup", signed)
        found = place("reconcile", "--json")
        assert found.code == NOT_OK
        assert [(each["code"], each["serial"]) for each in found.json()["discrepancies"]] == [("not-on-list", serial)]
        assert serial in place("reconcile").out

    def test_a_snapshot_that_hides_a_revocation_shows_itself(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pki.chained_file._SNAPSHOT_EVERY", 0)
        serial = place.issue()["serial"]
        place("revoke", serial, "--reason", "superseded")
        assert place("list", "--json").json()[0]["state"] == "revoked"
        snapshot = place.ca / "journal.snapshot"
        found = msgspec.msgpack.decode(snapshot.read_bytes()[32:], type=Snapshot)
        inventory = Inventory()
        inventory.restore(found.state)
        inventory.certificates[int(serial, 16)].revocation = None
        body = msgspec.msgpack.encode(msgspec.structs.replace(found, state=inventory.dump()))
        snapshot.write_bytes(hashlib.sha256(body).digest() + body)
        result = place("reconcile")
        assert result.code == NOT_OK
        assert "journal.snapshot did not say what the journal says" in result.err
        assert place("list", "--json").json()[0]["state"] == "revoked"
        assert place("reconcile", "--json").json()["ok"] is True

    def test_a_journal_that_is_lost_is_not_one_that_has_never_been(self, place: Place) -> None:
        assert "nothing has been issued" in place("list").err
        place.issue()
        journal = place.ca / "journal"
        journal.rename(place.directory / "aside")
        for command in (("list",), ("show", "SN-1"), ("export",), ("reconcile",), ("crl", "--sign")):
            result = place(*command)
            assert result.code == NOT_OK
            assert "put the newest copy back" in result.err
        journal.mkdir(mode=0o700)
        result = place("list")
        assert (result.code, f"{journal} is not a file" in result.err) == (USAGE, True)

    def test_no_list_is_signed_from_an_old_copy_of_either_book(self, place: Place) -> None:
        books = [place.ca / "journal", place.ca / "signer" / "signed"]
        place.issue()
        old = [each.read_bytes() for each in books]
        place.issue("--common-name", "SN-2", "--organization", "Example CPO", csr=place.csr(common_name="SN-2"))
        new = [each.read_bytes() for each in books]
        for book, before, after in zip(books, old, new, strict=True):
            book.write_bytes(before)
            result = place("crl", "--sign")
            assert (result.code, "old copy" in result.err) == (NOT_OK, True)
            book.write_bytes(after)
        assert place("crl", "--sign").code == OK

    def test_a_mark_of_another_ca_in_this_directory(self, place: Place) -> None:
        place.issue()
        (place.ca / "backend").write_text("est\n")
        result = place("revoke", "1", "--reason", "superseded")
        assert (result.code, "is the directory of an embedded CA" in result.err) == (USAGE, True)
        (place.ca / "backend").unlink()
        assert place("reconcile").code == OK

    def test_another_journal(self, place: Place) -> None:
        place.issue()
        (place.ca / "journal").rename(place.directory / "aside")
        lost = place("status")
        assert lost.code == NOT_OK
        assert "the signer remembers" in lost.err
        assert "put the newest copy back" in place("reconcile").err


class TestLint:
    def test_a_certificate_of_ours_is_fine_and_another_is_not(self, place: Place) -> None:
        path = place.directory / "leaf.pem"
        place("issue", place.csr(), *SN1, "--out", path)
        issuing = place.ca / "signer" / "charge-points.pem"
        assert place._cli("pki", "lint", path, "--issuer", issuing).code == OK
        result = place._cli("pki", "lint", path, "--profile", "CSMSCertificate", "--json")
        assert result.code == NOT_OK
        codes = {finding["code"] for finding in result.json()["findings"]}
        assert codes == {"common-name", "extension", "charge-points"}
        der = place.directory / "leaf.der"
        der.write_bytes(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))
        assert place._cli("pki", "lint", der).code == OK

    def test_nonsense_is_told(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "x").write_text("hello")
        assert cli("pki", "lint", tmp_path / "x").err.strip() == f"{tmp_path}/x is not a certificate."
        assert cli("pki", "lint", tmp_path / "y").code == NOT_OK
        fifth = assemble_signed(body().replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x04", 1), ALGORITHM, b"")
        (tmp_path / "v5").write_bytes(fifth)
        assert cli("pki", "lint", tmp_path / "v5").err.strip() == f"{tmp_path}/v5 is not a certificate."
        assert "there are ChargePointCertificate" in cli("pki", "lint", tmp_path / "x", "--profile", "X").err


WITHOUT_A_CA = {"ceremony", "lint", "import"}


@pytest.mark.parametrize("name", sorted(set(pki.list_commands(click.Context(pki))) - WITHOUT_A_CA))
def test_a_directory_that_is_no_ca_is_told(name: str, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "csr").write_text(csr_pem())
    words = {
        "show": ("SN-1",),
        "issue": (str(tmp_path / "csr"), *SN1),
        "approve": ("x",),
        "deny": ("x", "--note", "n"),
        "revoke": ("12", "--reason", "superseded"),
        "ocsp": ("--out", tmp_path),
        "renew": ("12",),
        "told": ("12",),
    }
    result = cli("pki", name, *words.get(name, ()), "--ca", tmp_path)
    assert result.code == USAGE
    assert "is not the directory of a CA" in result.err


def test_a_signer_that_does_not_start_says_why(place: Place) -> None:
    place.issue()
    key = place.ca / "signer" / "charge-points.key"
    key.chmod(0o644)
    result = place("status", "--json")
    assert result.code == USAGE
    assert f"chmod 600 {key}" in result.json()["error"]


def test_a_signer_that_hangs_up_is_unreachable(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import threading

    listener = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(place.ca / "signer")
    listener.bind("socket")
    listener.listen()

    def hang_up() -> None:
        for _ in range(2):
            listener.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    assert place("status").code == UNREACHABLE
    thread.join()
    listener.close()


class TestCRL:
    def test_they_are_missing_until_they_are_signed(self, place: Place) -> None:
        first = place("crl", "--json")
        assert first.code == NOT_OK
        assert {(each["issuer"], each["state"]) for each in first.json()} == {
            ("charge-points", "missing"),
            ("servers", "missing"),
        }
        signed = place("crl", "--sign", "--json")
        assert signed.code == OK
        assert {each["state"] for each in signed.json()} == {"current"}
        assert place("crl").code == OK

    def test_one_that_leaves_somebody_out_is_said_to_be_incomplete(self, place: Place) -> None:
        serial = place.issue()["serial"]
        place("crl", "--sign")
        place("revoke", serial, "--reason", "superseded")
        result = place("crl", "--issuer", "charge-points", "--json")
        [found] = result.json()
        assert (result.code, found["state"], found["not_named"]) == (NOT_OK, "incomplete", 1)

    def test_openssl_verifies_against_the_files(self, place: Place) -> None:
        lost, kept = place.issue(), place.issue()
        place("revoke", lost["serial"], "--reason", "keyCompromise")
        result = place("crl", "--sign", "--issuer", "charge-points", "--out", place.directory)
        assert result.code == OK, result
        chain = place.ca / "signer" / "charge-points.pem"
        crl = place.directory / "list.pem"
        made = x509.load_der_x509_crl((place.directory / "charge-points-0.crl").read_bytes())
        crl.write_bytes(made.public_bytes(Encoding.PEM))
        codes = []
        for name, each in (("lost", lost), ("kept", kept)):
            leaf = place.directory / f"{name}.pem"
            leaf.write_text(each["chain"])
            codes.append(judge("openssl", "verify", "-crl_check", "-CAfile", chain, "-CRLfile", crl, leaf).returncode)
        assert codes == [2, 0]

    def test_what_cannot_be(self, place: Place) -> None:
        assert "no issuing CA nobody" in place("crl", "--issuer", "nobody").err
        assert "is not a directory" in place("crl", "--out", place.directory / "nowhere").err


class TestOCSP:
    @pytest.fixture(autouse=True)
    def with_address(self, place: Place) -> None:
        """As a ceremony with `publication` leaves it."""
        path = place.ca / "signer" / "charge-points.toml"
        text = path.read_text()
        for old, new in (
            ('ocsp_url = ""', 'ocsp_url = "http://pki.example.com/ocsp/charge-points"'),
            ('profiles = ["ChargePointCertificate"]', 'profiles = ["ChargePointCertificate", "OCSPResponder"]'),
        ):
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    def test_openssl_believes_what_is_written(self, place: Place) -> None:
        lost, kept = place.issue(), place.issue()
        place("revoke", lost["serial"], "--reason", "keyCompromise")
        written = place("ocsp", "--out", place.directory, "--json").json()["written"]
        assert len(written) == 4
        chain = place.ca / "signer" / "charge-points.pem"
        for each, status in ((lost, "revoked"), (kept, "good")):
            leaf, issuing = place.directory / "leaf.pem", place.directory / "issuing.pem"
            leaf.write_text(each["chain"])
            issuing.write_bytes(x509.load_pem_x509_certificates(chain.read_bytes())[0].public_bytes(Encoding.PEM))
            for kind in ("sha1", "sha256"):
                response = place.directory / "charge-points" / f"{each['serial']}.{kind}.der"
                about = f"-{kind}", "-issuer", issuing, "-cert", leaf, "-no_nonce"
                done = judge("openssl", "ocsp", *about, "-respin", response, "-CAfile", chain)
                assert b"Response verify OK" in done.stderr
                assert f"{leaf}: {status}".encode() in done.stdout

    def test_only_for_those_that_are_named(self, place: Place) -> None:
        one, _ = place.issue(), place.issue()
        written = place("ocsp", one["serial"], "--out", place.directory, "--json").json()["written"]
        assert {Path(each).name for each in written} == {f"{one['serial']}.{kind}.der" for kind in ("sha1", "sha256")}
        assert "knows no certificate 1234" in place("ocsp", "1234", "--out", place.directory).err

    def test_servers_have_no_responder(self, place: Place) -> None:
        result = place("ocsp", "--issuer", "servers", "--out", place.directory)
        assert (result.code, "needs an ocsp_url" in result.err) == (NOT_OK, True)


class TestRenewByHand:
    def test_names_are_those_of_the_certificate_and_the_old_one_stays(self, place: Place) -> None:
        old = place.issue()
        out = place.directory / "new.pem"
        made = place("renew", old["serial"], "--csr", place.csr(), "--out", out, "--json").json()
        leaf = x509.load_pem_x509_certificates(out.read_bytes())[0]
        assert leaf.subject.rfc4514_string() == "CN=SN-1,O=Example CPO"
        assert (made["instead_of"], made["serial"]) == (old["serial"], f"{leaf.serial_number:x}")
        assert {each["state"] for each in place("list", "--json").json()} == {"valid"}
        assert len(place("list", "--json").json()) == 2

    @pytest.mark.parametrize(
        ("options", "said"),
        [({"common_name": "SN-2"}, "SN-2"), ({"organization": "Other"}, "Other")],
        ids=["another name", "another organisation"],
    )
    def test_a_request_in_another_name_is_refused(self, place: Place, options: dict[str, str], said: str) -> None:
        result = place("renew", place.issue()["serial"], "--csr", place.csr(**options))
        assert (result.code, result.out, said in result.err) == (NOT_OK, "", True)

    def test_the_old_key_is_no_renewal(self, place: Place) -> None:
        csr = place.csr()
        old = place.issue(csr=csr)
        result = place("renew", old["serial"], "--csr", csr)
        assert (result.code, "needs a new key" in result.err) == (NOT_OK, True)

    def test_of_a_revoked_one_and_an_unknown_one_there_is_none(self, place: Place) -> None:
        old = place.issue()["serial"]
        place("revoke", old, "--reason", "keyCompromise")
        assert "is revoked" in place("renew", old, "--csr", place.csr()).err
        assert "knows no certificate 1234" in place("renew", "1234", "--csr", place.csr()).err
        assert place("renew", old, "--out", "x").code == USAGE
