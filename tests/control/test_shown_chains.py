"""What listeners show: the next chains once somebody has switched to the root above them, and never because of a damaged file."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.model import CertificateFiles, Config, ListenerTLS
from gateway.control.server_chain import is_under, links, root_match, roots_above
from gateway.control.shown_chains import ChainSwitch, read_switches, shown_files, switches_path, write_switches
from gateway.provisioning.station_facts import InstalledRoot
from pki.hash_data import certificate_hash_data
from pki.rollover import cross_certificate
from tests.support.tls_material import Authority, Issued

DAY = datetime.timedelta(days=1)
OLD, NEW = Authority("Old Root"), Authority("New Root")


def link() -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    made = {"serial_number": 5, "not_before": now - DAY, "not_after": now + DAY}
    return cross_certificate(NEW.root, OLD.root, OLD.key, **made)  # type: ignore[arg-type]


def pem(authority: Authority) -> str:
    return authority.pem.decode()


def config(tmp_path: Path) -> Config:
    return Config(
        path="", state_dir=str(tmp_path), database_url="", edge_workers=1, log_level="info", listeners=(), csms=()
    )


def switch(root: Authority) -> ChainSwitch:
    return ChainSwitch(root=pem(root), campaign="roll", by="A", ordered_at=1.0, exceptions=("CP-1",), lacking=1)


def files(tmp_path: Path, name: str, issued: Issued, *above: x509.Certificate) -> CertificateFiles:
    chain, key = tmp_path / f"{name}.pem", tmp_path / f"{name}.key"
    chain.write_bytes(issued.pem + b"".join(each.public_bytes(Encoding.PEM) for each in above))
    key.write_bytes(issued.key_pem)
    return CertificateFiles(certificate=str(chain), key=str(key))


def test_switches_are_kept_and_a_damaged_file_is_no_empty_one(tmp_path: Path) -> None:
    settings = config(tmp_path)
    assert read_switches(settings) == ()
    write_switches(settings, [switch(NEW)])
    assert read_switches(settings) == (switch(NEW),)
    assert switches_path(settings).stat().st_mode & 0o777 == 0o600
    switches_path(settings).write_bytes(b"[{}]")
    with pytest.raises(OSError, match="damaged"):
        read_switches(settings)


def test_next_chains_are_shown_after_a_switch_to_their_root_and_to_no_other(tmp_path: Path) -> None:
    today = files(tmp_path, "today", OLD.server())
    tls = ListenerTLS(certificates=(today,), next_certificates=(files(tmp_path, "next", NEW.server(), link()),))
    old, new = (shown_files(tls, switches)[0].chain for switches in ((), (switch(NEW),)))
    assert old == Path(today.certificate).read_bytes() != new
    assert shown_files(tls, (switch(Authority("Other")),))[0].chain == old
    assert shown_files(ListenerTLS(certificates=(today,)), (switch(NEW),))[0].chain == old
    mixed = (*tls.next_certificates, files(tmp_path, "mixed", OLD.server()))
    both = ListenerTLS(certificates=(today,), next_certificates=mixed)
    assert shown_files(both, (switch(NEW),))[0].chain == old


def test_a_chain_with_a_link_is_under_both_roots() -> None:
    leaf, other = NEW.server().certificate, OLD.server().certificate
    assert is_under([leaf, link()], NEW.root)
    assert is_under([leaf, link()], OLD.root)
    assert not is_under([leaf], OLD.root)
    assert not is_under([other, link()], NEW.root)
    assert not is_under([], NEW.root)
    assert links([leaf, link()], OLD.root, NEW.root)
    assert not links([leaf], OLD.root, NEW.root)
    assert not links([other], OLD.root, NEW.root)


def installed(root: Authority) -> InstalledRoot:
    data: Any = certificate_hash_data(root.root, root.root, "SHA256")._asdict()
    return InstalledRoot(**data)


def test_whoever_has_either_root_can_verify_it() -> None:
    chain, roots = (NEW.server().certificate, link()), [OLD.root, NEW.root]
    assert root_match([chain], roots, (installed(OLD),)) == "same"
    assert root_match([chain], roots, (installed(NEW),)) == "same"
    assert root_match([chain[:1]], roots, (installed(OLD),)) == "none"
    assert roots_above([chain], roots) == (NEW.root,)
    assert roots_above([chain], [OLD.root]) == (OLD.root,)
    assert roots_above([chain], []) is None
