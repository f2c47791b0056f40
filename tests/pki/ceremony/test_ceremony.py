"""Ceremonies from their files to what the judges and the signer say of the outcome."""

import datetime
import errno
import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pki.ceremony.perform import perform
from pki.ceremony.plan import parse_ceremony
from pki.errors import Misconfigured
from pki.signer.settings import load_issuers
from tests.pki.hierarchy import DAY, NOW, openssl_verify, write_pem
from tests.pki.signer.softhsm import make_token

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ="
COMMON = 'purpose = "first hierarchy"\nwitnesses = ["Alice", "Bob"]\n'
ROOT = f"""mode = "root"
{COMMON}name = "root"
subject = {{ common_name = "Example Root 1", organization = "Example CPO" }}
[key]
generate = "ec-p384"
at = {{ file = "root.key", secret_file = "root.secret" }}
"""
ROOT_AT = '[root]\ncertificate = "root.pem"\nkey = { file = "root.key", secret_file = "root.secret" }\n'
ISSUING = f"""mode = "issuing-ca"
{COMMON}name = "charge-points"
use = "charge-points"
directory = "signer"
subject = {{ common_name = "Example Charge Points 1", organization = "Example CPO" }}
limits = {{ organizations = ["Example CPO"] }}
{ROOT_AT}[key]
generate = "ec-p256"
at = {{ file = "signer/charge-points.key", secret_file = "issuing.secret" }}
"""
SERVERS = (
    ISSUING.replace('name = "charge-points"', 'name = "servers"')
    .replace('use = "charge-points"', 'use = "csms"')
    .replace("Charge Points 1", "Servers 1")
    .replace('["Example CPO"] }', '["Example CPO"], domains = ["example.com"] }')
    .replace("signer/charge-points.key", "signer/servers.key")
)
CRL = f"""mode = "crl"
{COMMON}name = "root-1"
number = 1
next_update = {(NOW + 180 * DAY).isoformat()}
{ROOT_AT}"""


class Room:
    """The offline room: a directory with secrets and ceremony files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("root.secret", "issuing.secret", "new.secret"):
            path = directory / name
            path.touch(0o600)
            path.write_text(SECRET + "\n")

    def perform(self, text: str, now: datetime.datetime = NOW) -> dict[str, Any]:
        path, record = perform(parse_ceremony(text), text, self.directory, now)
        assert json.loads(path.read_text()) == record
        return record

    def problem(self, text: str) -> str:
        before = self.tree()
        with pytest.raises(Misconfigured) as problem:
            self.perform(text)
        assert SECRET not in str(problem.value)
        assert self.tree() == before, "a ceremony that fails writes nothing"
        return str(problem.value)

    def tree(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.directory.rglob("*") if path.is_file()}

    def certificate(self, name: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.directory / name).read_bytes())


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


@pytest.fixture
def with_root(room: Room) -> Room:
    room.perform(ROOT)
    return room


class TestRoot:
    def test_it_is_self_signed_and_openssl_takes_it_for_an_anchor(self, with_root: Room, tmp_path: Path) -> None:
        root = with_root.certificate("root.pem")
        assert root.subject.rfc4514_string() == "CN=Example Root 1,O=Example CPO"
        assert openssl_verify(tmp_path, root, [], root, "any") == "OK"

    def test_its_key_is_encrypted_and_its_owners_alone(self, with_root: Room) -> None:
        path = with_root.directory / "root.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert b"BEGIN ENCRYPTED" in path.read_bytes()
        key = load_pem_private_key(path.read_bytes(), SECRET.encode())
        assert key.public_key() == with_root.certificate("root.pem").public_key()

    def test_the_record_says_what_was_done_and_holds_no_secret(self, room: Room) -> None:
        record = room.perform(ROOT)
        assert record["witnesses"] == ["Alice", "Bob"]
        assert record["plan"] == ROOT
        assert record["certificates"][0]["subject"] == "CN=Example Root 1,O=Example CPO"
        text = json.dumps(record)
        assert SECRET not in text
        assert "PRIVATE" not in text

    def test_times_can_be_given(self, room: Room) -> None:
        room.perform("not_before = 2030-01-01T00:00:00Z\nnot_after = 2035-01-01T00:00:00Z\n" + ROOT)
        assert str(room.certificate("root.pem").not_valid_before_utc) == "2030-01-01 00:00:00+00:00"

    def test_nothing_that_is_there_is_replaced(self, with_root: Room) -> None:
        assert "is there already" in with_root.problem(ROOT)
        assert "is there already" in with_root.problem(ROOT.replace('name = "root"', 'name = "other"'))

    def test_a_key_that_is_there_can_be_used(self, room: Room) -> None:
        key = f'mode = "key"\n{COMMON}name = "root"\n[key]\ngenerate = "rsa-4096"\nat = {{ file = "root.key", secret_file = "root.secret" }}\n'
        assert room.perform(key)["key"]["kind"] == "rsa-4096"
        room.perform(ROOT.replace('generate = "ec-p384"\n', ""))
        public = subprocess.run(
            ["openssl", "x509", "-in", room.directory / "root.pem", "-noout", "-pubkey"],
            capture_output=True,
            check=True,
        )
        assert public.stdout == (room.directory / "root.pub.pem").read_bytes()

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ('mode = "root"', 'mode = "roots"', "roots"),
            ('mode = "root"\n', "", "mode"),
            ("purpose", "porpoise", "porpoise"),
            ('purpose = "first hierarchy"', 'purpose = " "', "purpose is empty"),
            ('["Alice", "Bob"]', "[]", "witnesses is empty"),
            ('name = "root"', 'name = "../root"', "not a file's name"),
            ('generate = "ec-p384"', 'generate = "rsa-1024"', "rsa-1024"),
            (', secret_file = "root.secret"', "", "secret_file: the key is written encrypted"),
            ('secret_file = "root.secret"', 'secret_file = "none"', "none: No such file"),
            ('at = { file = "root.key", secret_file = "root.secret" }', "", "needs a file"),
            ('generate = "ec-p384"', 'public_key = "x"', "public_key"),
            ('mode = "root"', 'mode = "root"\nnot_after = 2020-01-01T00:00:00Z', "not later than"),
            ('mode = "root"', 'mode = "root"\nnot_after = 2020-01-01T00:00:00', "time zone"),
            ('mode = "root"', 'mode = "root"\nnot_after = 2099-01-01T00:00:00Z', "validity"),
            ('organization = "Example CPO"', 'organization = ""', "organi"),
            ('common_name = "Example Root 1"', 'common_name = "\\u202eRoot"', "subject.common_name"),
            ('common_name = "Example Root 1"', f'common_name = "{"x" * 65}"', "subject.common_name: a name is longer"),
            ('mode = "root"', 'mode = "root"\nnot_before = 1900-01-01T00:00:00Z', "not_before is before 1950"),
        ],
    )
    def test_a_file_that_makes_no_sense_is_refused(self, room: Room, old: str, new: str, problem: str) -> None:
        assert old in ROOT
        found = room.problem(ROOT.replace(old, new, 1))
        assert problem in found


class TestIssuingCA:
    def test_the_signer_starts_with_what_comes_out(self, with_root: Room) -> None:
        with_root.perform(ISSUING)
        with_root.perform(SERVERS)
        issuers = {name: issuer for name, (issuer, _) in load_issuers(with_root.directory / "signer").items()}
        assert {name: [each.name for each in issuer.profiles] for name, issuer in issuers.items()} == {
            "charge-points": ["ChargePointCertificate"],
            "servers": ["CSMSCertificate"],
        }

    def test_a_responder_is_certified_where_charge_points_are_told_to_ask_one(self, with_root: Room) -> None:
        with_root.perform(
            ISSUING.replace(
                'use = "charge-points"', 'use = "charge-points"\npublication = { ocsp_url = "http://o.example/" }'
            )
        )
        issuer, _ = load_issuers(with_root.directory / "signer")["charge-points"]
        assert [each.name for each in issuer.profiles] == ["ChargePointCertificate", "OCSPResponder"]

    def test_its_certificate_limits_the_damage(self, with_root: Room, tmp_path: Path) -> None:
        with_root.perform(ISSUING)
        certificate, root = with_root.certificate("signer/charge-points.pem"), with_root.certificate("root.pem")
        assert openssl_verify(tmp_path, certificate, [], root, "any") == "OK"
        shown = subprocess.run(
            ["openssl", "x509", "-in", with_root.directory / "signer/charge-points.pem", "-noout", "-text"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for expected in (
            "CA:TRUE, pathlen:0",
            "X509v3 Extended Key Usage: \n                TLS Web Client Authentication\n",
            "Name Constraints: critical",
            "DirName:O = Example CPO",
            "DNS:",
        ):
            assert expected in shown, expected

    def test_pkilint_finds_nothing(self, with_root: Room, lint_pkix_cert: str) -> None:
        with_root.perform(ISSUING)
        with_root.perform(SERVERS)
        for name in ("root.pem", "signer/charge-points.pem", "signer/servers.pem"):
            path = write_pem(with_root.directory / "c.pem", with_root.certificate(name))
            done = subprocess.run(
                [lint_pkix_cert, "lint", "-s", "WARNING", path], capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout.strip()) == (0, ""), name

    def test_its_key_can_be_made_elsewhere(self, with_root: Room) -> None:
        key = f'mode = "key"\n{COMMON}name = "remote"\n[key]\ngenerate = "ec-p256"\nat = {{ file = "remote.key", secret_file = "issuing.secret" }}\n'
        with_root.perform(key)
        start = ISSUING.index("[key]")
        with_root.perform(ISSUING[:start] + '[key]\npublic_key = "remote.pub.pem"\n')
        assert "[key]" in (with_root.directory / "signer" / "charge-points.toml").read_text()
        key_of = load_pem_private_key((with_root.directory / "remote.key").read_bytes(), SECRET.encode())
        assert with_root.certificate("signer/charge-points.pem").public_key() == key_of.public_key()

    def test_serial_numbers_that_read_as_host_names_need_a_ca_that_says_so(self, with_root: Room) -> None:
        with_root.perform(ISSUING.replace('["Example CPO"] }', '["Example CPO"], unsafe_permit_host_names = true }'))
        constraints = (
            with_root.certificate("signer/charge-points.pem")
            .extensions.get_extension_for_class(x509.NameConstraints)
            .value
        )
        assert constraints.excluded_subtrees is None

    def test_stacks_that_do_not_know_name_constraints_can_be_served(
        self, with_root: Room, tmp_path: Path, strongswan_pki: str
    ) -> None:
        """strongSwan refuses critical constraints of addresses; OpenSSL applies them whether critical or not."""
        with_root.perform(ISSUING)
        more = ISSUING.replace('["Example CPO"] }', '["Example CPO"], unsafe_not_critical = true }')
        with_root.perform(
            more.replace('name = "charge-points"', 'name = "tolerant"').replace("charge-points.key", "tolerant.key")
        )
        root = with_root.certificate("root.pem")

        def strongswan(name: str) -> int:
            command = [strongswan_pki, "--verify", "--in", tmp_path / f"{name}.pem", "--cacert", tmp_path / "root.pem"]
            plugins = {"PKI_PLUGINS": "x509 constraints pubkey pkcs1 pkcs8 pem openssl random nonce sha2"}
            return subprocess.run(
                list(map(str, command)), capture_output=True, check=False, env=os.environ | plugins
            ).returncode

        assert strongswan("signer/tolerant") == 0
        assert strongswan("signer/charge-points") != 0
        tolerant = with_root.certificate("signer/tolerant.pem")
        assert openssl_verify(tmp_path, tolerant, [], root, "any") == "OK"
        assert not tolerant.extensions.get_extension_for_class(x509.NameConstraints).critical

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ('organizations = ["Example CPO"]', "organizations = []", "limits.organizations"),
            ('use = "charge-points"', 'use = "csms"', "limits.domains"),
            ("Example Charge Points 1", "Example Root 1", "a name of its own"),
            ('use = "charge-points"', 'use = "everything"', "everything"),
            ('certificate = "root.pem"', 'certificate = "none.pem"', "none.pem"),
            ('key = { file = "root.key"', 'key = { file = "none.key"', "none.key"),
            (
                'generate = "ec-p256"\nat = { file = "signer/charge-points.key", secret_file = "issuing.secret" }',
                'at = { file = "root.key", secret_file = "root.secret" }',
                "the root's key",
            ),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\nnot_after = 2060-01-01T00:00:00Z', "validity"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\nlifetime_days = -1', "lifetime"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\nlifetime_days = nan', "lifetime_days is not between"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\nlifetime_days = inf', "lifetime_days is not between"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\nlifetime_days = 3661', "lifetime_days is not between"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\nlifetime_days = 3000', "the CA itself ends on"),
            ('organizations = ["Example CPO"]', 'organizations = [""]', "limits.organizations: a name is empty"),
            (
                'organizations = ["Example CPO"]',
                f'organizations = ["{"x" * 65}"]',
                "limits.organizations: a name is longer",
            ),
            ('["Example CPO"] }', '["Example CPO"], domains = ["example.com"] }', "only a CA for servers has domains"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\npublication = { crl_shards = 0 }', "crl_shards"),
            ('mode = "issuing-ca"', 'mode = "issuing-ca"\npublication = { crl_url = "http://ü/" }', "crl_url"),
        ],
    )
    def test_a_file_that_makes_no_sense_is_refused(self, with_root: Room, old: str, new: str, problem: str) -> None:
        assert old in ISSUING
        text = ISSUING.replace(old, new, 1)
        if problem == "none.pem":
            with pytest.raises(FileNotFoundError):
                with_root.perform(text)
            return
        assert problem in with_root.problem(text)

    @pytest.mark.parametrize("domain", ["", "*.example.com", "exämple.com", ".example.com", "10.0.0.1", "example.com."])
    def test_a_limit_that_is_no_domain_makes_no_ca(self, with_root: Room, domain: str) -> None:
        assert "limits.domains" in with_root.problem(SERVERS.replace('["example.com"]', f'["{domain}"]'))

    def test_the_longest_lifetime_that_its_ca_has_is_taken(self, with_root: Room) -> None:
        with_root.perform("lifetime_days = 1800\n" + ISSUING)
        assert list(load_issuers(with_root.directory / "signer")) == ["charge-points"]

    def test_a_disk_that_is_full_leaves_nothing(self, with_root: Room, monkeypatch: pytest.MonkeyPatch) -> None:
        """The last file cannot be written: the ones before, with the key, are taken away again."""
        synced, before = os.fsync, with_root.tree()
        left = [3]

        def full(descriptor: int) -> None:
            left[0] -= 1
            if not left[0]:
                raise OSError(errno.ENOSPC, "No space left on device")
            synced(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            with_root.perform(ISSUING)
        monkeypatch.undo()
        assert with_root.tree() == before
        with_root.perform(ISSUING)

    def test_a_short_lifetime_is_warned_about_in_the_record(self, with_root: Room) -> None:
        record = with_root.perform("lifetime_days = 30\n" + ISSUING)
        assert "less than 45" in record["warnings"][0]


class TestCrossCertificates:
    TEXT = (
        f'mode = "cross-certificates"\n{COMMON}'
        '[old]\ncertificate = "root.pem"\nkey = { file = "root.key", secret_file = "root.secret" }\n'
        '[new]\ncertificate = "new.pem"\nkey = { file = "new.key", secret_file = "new.secret" }\n'
    )

    def test_whoever_trusts_one_root_accepts_what_is_below_the_other(self, with_root: Room, tmp_path: Path) -> None:
        with_root.perform(ISSUING)
        new = (
            ROOT.replace('name = "root"', 'name = "new"')
            .replace("Root 1", "Root 2")
            .replace("root.key", "new.key")
            .replace("root.secret", "new.secret")
        )
        with_root.perform(new)
        with_root.perform(self.TEXT)
        old, new_root = with_root.certificate("root.pem"), with_root.certificate("new.pem")
        link, back = with_root.certificate("new-with-old.pem"), with_root.certificate("old-with-new.pem")
        issuing = with_root.certificate("signer/charge-points.pem")
        assert openssl_verify(tmp_path, issuing, [back], new_root, "any") == "OK"
        assert openssl_verify(tmp_path, link, [], old, "any") == "OK"
        assert openssl_verify(tmp_path, issuing, [], new_root, "any") != "OK"
        assert (link.subject, link.issuer, link.public_key()) == (new_root.subject, old.subject, new_root.public_key())

    def test_one_root_is_not_two(self, with_root: Room) -> None:
        same = (
            self.TEXT.replace("new.pem", "root.pem").replace("new.key", "root.key").replace("new.secret", "root.secret")
        )
        assert "the same key" in with_root.problem(same)

    def test_a_key_that_does_not_belong_is_refused(self, with_root: Room) -> None:
        with_root.perform(
            f'mode = "key"\n{COMMON}name = "k"\n[key]\ngenerate = "ec-p256"\nat = {{ file = "new.key", secret_file = "new.secret" }}\n'
        )
        assert "does not belong" in with_root.problem(self.TEXT.replace("new.pem", "root.pem"))


class TestCRL:
    def test_openssl_believes_it(self, with_root: Room, tmp_path: Path) -> None:
        with_root.perform(ISSUING)
        with_root.perform(CRL)
        issuing = with_root.certificate("signer/charge-points.pem")
        revoked = (
            f'\n[[revoked]]\nserial = "{issuing.serial_number:x}"\nat = {NOW.isoformat()}\nreason = "keyCompromise"\n'
        )
        second = CRL.replace("number = 1", 'number = 2\nprevious = "root-1.crl"').replace('"root-1"\n', '"root-2"\n', 1)
        with_root.perform(second + revoked)
        for name, expected in (("root-1", "OK"), ("root-2", "certificate revoked")):
            pem = tmp_path / "crl.pem"
            subprocess.run(
                ["openssl", "crl", "-inform", "DER", "-in", tmp_path / f"{name}.crl", "-out", pem],
                check=True,
                capture_output=True,
            )
            command = [
                "openssl",
                "verify",
                "-crl_check",
                "-CAfile",
                tmp_path / "root.pem",
                "-CRLfile",
                pem,
                tmp_path / "signer/charge-points.pem",
            ]
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            assert expected in done.stdout + done.stderr

    def test_nothing_is_forgotten_and_numbers_only_rise(self, with_root: Room) -> None:
        revoked = f'\n[[revoked]]\nserial = "4711"\nat = {NOW.isoformat()}\n'
        with_root.perform(CRL + revoked)
        later = CRL.replace('"root-1"\n', '"root-2"\n', 1)
        assert "the one before is needed" in with_root.problem(later.replace("number = 1", "number = 2"))
        with_previous = later.replace("number = 1", 'number = 2\nprevious = "root-1.crl"')
        assert "4711 was revoked" in with_root.problem(with_previous)
        assert "not above 1" in with_root.problem(with_previous.replace("number = 2", "number = 1") + revoked)
        with_root.perform(with_previous + revoked)

    @pytest.mark.parametrize(
        ("entry", "problem"),
        [
            ('serial = "-5"', "not a number in hex"),
            ('serial = "0x1f"', "not a number in hex"),
            ('serial = "1_0"', "not a number in hex"),
            ('serial = "0"', "positive"),
            (f'serial = "{"f" * 60}"', "at most 20 octets"),
        ],
    )
    def test_a_serial_number_that_no_certificate_has_is_told(self, with_root: Room, entry: str, problem: str) -> None:
        assert problem in with_root.problem(CRL + f"\n[[revoked]]\n{entry}\nat = {NOW.isoformat()}\n")

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("number = 1", "number = 0", "number"),
            ("number = 1", "number = -1", "number"),
            ("number = 1", "number = 1\nthis_update = 1900-01-01T00:00:00Z", "this_update is before 1950"),
        ],
    )
    def test_what_no_list_can_have_is_told(self, with_root: Room, old: str, new: str, problem: str) -> None:
        assert problem in with_root.problem(CRL.replace(old, new, 1))

    @pytest.mark.parametrize("at", ["1900-01-01T00:00:00Z", "2026-01-01T00:00:00"])
    def test_a_revocation_at_no_time_is_told(self, with_root: Room, at: str) -> None:
        assert "revoked.at" in with_root.problem(CRL + f'\n[[revoked]]\nserial = "1"\nat = {at}\n')

    def test_one_that_is_out_of_date_already_is_refused(self, with_root: Room) -> None:
        assert "not in the future" in with_root.problem(
            CRL.replace((NOW + 180 * DAY).isoformat(), (NOW - DAY).isoformat())
        )


def test_a_whole_hierarchy_in_a_token(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with make_token(tmp_path_factory.mktemp("hsm")) as token:
        room = Room(tmp_path)
        pin = tmp_path / "pin"
        pin.touch(0o600)
        pin.write_text(token.pin)

        def at(label: str) -> str:
            return f'{{ pkcs11 = {{ module = "{token.module}", token = "{token.label}", label = "{label}", pin_file = "{tmp_path}/pin" }} }}'

        room.perform(ROOT.replace('{ file = "root.key", secret_file = "root.secret" }', at("root")))
        room.perform(
            ISSUING.replace('{ file = "root.key", secret_file = "root.secret" }', at("root")).replace(
                '{ file = "signer/charge-points.key", secret_file = "issuing.secret" }', at("charge-points")
            )
        )
        in_token = SERVERS.replace('{ file = "root.key", secret_file = "root.secret" }', at("root")).replace(
            '{ file = "signer/servers.key", secret_file = "issuing.secret" }', at("servers")
        )
        # A plan that cannot be carried out costs no key: the corrected one can still make it.
        assert "limits.domains" in room.problem(in_token.replace(', domains = ["example.com"]', ""))
        assert "validity" in room.problem("not_after = 2060-01-01T00:00:00Z\n" + in_token)
        third = in_token.replace(at("servers"), at("third")).replace('name = "servers"', 'name = "third"')

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "third.pem")

        # Only what happens after the key is made costs one, and then it is said where it is.
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(os, "fsync", full)
            assert "The key 'third' is in its token already" in room.problem(third)
        room.perform(third.replace('generate = "ec-p256"\n', ""))
        assert room.perform(in_token)["made_in_token"] == {"token": token.label, "label": "servers"}
        issuer, key = load_issuers(tmp_path / "signer")["charge-points"]
        assert key.public_key() == issuer.public_key
        assert openssl_verify(tmp_path, issuer.certificate, [], room.certificate("root.pem"), "any") == "OK"
        assert not list(tmp_path.rglob("*.key"))
