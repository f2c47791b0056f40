"""Chains judged by openssl: each shape verifies, and a rollover works in both worlds."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.rollover import StationRoots
from tests.support.hierarchy import Hierarchy, rollover
from tests.support.judges import judge, needs_openssl, needs_pkilint, pkilint

OLD, NEW, MATERIAL = rollover()
pytestmark = needs_openssl


def verified(work: Path, root: x509.Certificate, chain: tuple[x509.Certificate, ...], *options: str) -> bool:
    """What a charge point that trusts `root` alone makes of a server's chain."""
    parts = (("root", (root,)), ("leaf", chain[:1]), ("subs", chain[1:]))
    for name, certificates in parts:
        (work / f"{name}.pem").write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in certificates))
    done = judge(
        *("openssl", "verify", "-x509_strict", "-purpose", "sslserver", *options, "-no-CApath", "-no-CAstore"),
        *("-CAfile", work / "root.pem", "-untrusted", work / "subs.pem", work / "leaf.pem"),
    )
    return done.returncode == 0


def station(*, old: bool, new: bool) -> StationRoots:
    return StationRoots(demands_link=False, takes_linked_root=True, knows_old=old, knows_new=new)


@pytest.mark.parametrize("knows_old", [True, False])
@pytest.mark.parametrize("world", [OLD, NEW], ids=["old-chain", "new-chain"])
def test_a_charge_point_with_either_root_verifies_either_chain(
    tmp_path: Path, knows_old: bool, world: Hierarchy
) -> None:
    root = (OLD if knows_old else NEW).root.certificate
    own = world.chain[:-1]
    chain = MATERIAL.server_chain(own, station(old=knows_old, new=not knows_old))
    assert verified(tmp_path, root, chain)
    # And the link is needed: without it the chain is good only in its own world.
    assert verified(tmp_path, root, own) is ((world is OLD) is knows_old)


def test_one_that_stores_only_the_linked_root_needs_a_partial_chain(tmp_path: Path) -> None:
    chain = NEW.chain[:-1]
    assert not verified(tmp_path, MATERIAL.new_with_old, chain)
    assert verified(tmp_path, MATERIAL.new_with_old, chain, "-partial_chain")


@needs_pkilint
@pytest.mark.parametrize("name", ["new_with_old", "old_with_new"])
def test_pkilint_finds_nothing_in_a_link(tmp_path: Path, name: str) -> None:
    path = tmp_path / "link.pem"
    path.write_bytes(getattr(MATERIAL, name).public_bytes(Encoding.PEM))
    assert pkilint("lint_pkix_cert", path) == []
