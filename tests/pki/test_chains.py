"""Chains: their order, shapes and size. What openssl makes of them: tests/interop/test_chain_judges.py."""

import itertools

import pytest
from cryptography import x509

from pki.chains import ChainTooLong, is_issued_by, is_self_signed, ordered_chain, pem_chain, shaped
from pki.rollover import Rollover, StationRoots, cross_certificate
from tests.support.hierarchy import Hierarchy, rollover
from tests.support.tls_material import DAY, Authority

DEEP = Hierarchy("Deep", subs=2)
CHAIN = DEEP.chain
OTHER = Hierarchy("Other")


@pytest.mark.parametrize("order", list(itertools.permutations(CHAIN[1:])))
def test_any_order_becomes_leaf_first_with_each_issuer_behind(order: tuple[x509.Certificate, ...]) -> None:
    assert ordered_chain(CHAIN[0], order) == CHAIN


def test_a_chain_without_its_root_ends_where_it_ends() -> None:
    assert ordered_chain(CHAIN[0], reversed(CHAIN[1:-1])) == CHAIN[:-1]
    assert ordered_chain(CHAIN[0], ()) == CHAIN[:1]


def test_what_is_there_twice_counts_once() -> None:
    assert ordered_chain(CHAIN[0], (*CHAIN, *CHAIN)) == CHAIN


@pytest.mark.parametrize("stranger", [OTHER.root.certificate, OTHER.chain[1], Hierarchy("Deep").chain[0]])
def test_a_certificate_of_another_chain_is_refused(stranger: x509.Certificate) -> None:
    with pytest.raises(ValueError, match="not in the chain"):
        ordered_chain(CHAIN[0], (*CHAIN[1:], stranger))


def test_a_gap_is_refused_and_not_bridged() -> None:
    with pytest.raises(ValueError, match="not in the chain"):
        ordered_chain(CHAIN[0], CHAIN[2:])


def test_shapes() -> None:
    assert shaped(CHAIN, "leaf+subs") == CHAIN[:-1]
    assert shaped(CHAIN, "+root") == CHAIN
    assert shaped(CHAIN, "leaf") == CHAIN[:1]
    assert shaped(CHAIN[:-1], "leaf+subs") == CHAIN[:-1]
    with pytest.raises(ValueError, match="root"):
        shaped(CHAIN[:-1], "+root")


def test_a_root_alone_stays() -> None:
    assert shaped(CHAIN[-1:], "leaf+subs") == CHAIN[-1:]


def test_size_counts_every_byte_of_pem() -> None:
    pem = pem_chain(CHAIN, 100_000)
    assert x509.load_pem_x509_certificates(pem) == list(CHAIN)
    assert pem_chain(CHAIN, len(pem)) == pem
    with pytest.raises(ChainTooLong) as too_long:
        pem_chain(CHAIN, len(pem) - 1)
    assert (too_long.value.size, too_long.value.max_bytes) == (len(pem), len(pem) - 1)


def test_issued_by_looks_at_name_and_signature() -> None:
    namesake = Authority("Deep Root").root
    assert is_issued_by(CHAIN[2], CHAIN[3])
    assert not is_issued_by(CHAIN[2], namesake)
    assert not is_issued_by(CHAIN[0], CHAIN[3])
    assert is_self_signed(CHAIN[3])
    assert not is_self_signed(CHAIN[2])


# -- rollover

OLD, NEW, MATERIAL = rollover()
ROOTS = {"demands_link": False, "takes_linked_root": True, "knows_old": True, "knows_new": False}


def station(**changes: bool) -> StationRoots:
    return StationRoots(**{**ROOTS, **changes})


@pytest.mark.parametrize(
    ("changes", "root"),
    [
        ({}, MATERIAL.new),
        ({"demands_link": True}, MATERIAL.new_with_old),
        ({"takes_linked_root": False}, MATERIAL.new),
        ({"knows_new": True, "demands_link": True}, None),
    ],
)
def test_root_to_install_is_the_one_that_this_charge_point_can_use(
    changes: dict[str, bool], root: x509.Certificate | None
) -> None:
    assert MATERIAL.root_to_install(station(**changes)) == root


def test_one_that_demands_what_it_cannot_keep_needs_a_person() -> None:
    with pytest.raises(ValueError, match="demands"):
        MATERIAL.root_to_install(station(demands_link=True, takes_linked_root=False))


@pytest.mark.parametrize(
    ("world", "knows", "link"),
    [
        (OLD, {"knows_old": True}, None),
        (NEW, {"knows_old": True}, MATERIAL.new_with_old),
        (NEW, {"knows_old": False, "knows_new": True}, None),
        (OLD, {"knows_old": False, "knows_new": True}, MATERIAL.old_with_new),
        (NEW, {"knows_old": True, "knows_new": True}, None),
    ],
)
def test_server_chain_has_a_link_exactly_where_the_charge_point_lacks_the_root(
    world: Hierarchy, knows: dict[str, bool], link: x509.Certificate | None
) -> None:
    chain = world.chain[:-1]
    expected = chain if link is None else (*chain, link)
    assert MATERIAL.server_chain(chain, station(**knows)) == expected


def test_a_chain_or_a_charge_point_of_neither_world_is_refused() -> None:
    with pytest.raises(ValueError, match="neither root"):
        MATERIAL.server_chain(OTHER.chain[:-1], station())
    with pytest.raises(ValueError, match="neither root"):
        MATERIAL.server_chain(OLD.chain[:-1], station(knows_old=False))


@pytest.mark.parametrize("place", Rollover._fields)
def test_material_with_a_certificate_in_the_wrong_place_is_refused(place: str) -> None:
    assert MATERIAL.verified() is MATERIAL
    for wrong in (*MATERIAL, OTHER.root.certificate):
        changed = MATERIAL._replace(**{place: wrong})
        if changed != MATERIAL:
            with pytest.raises(ValueError, match=r"old|new"):
                changed.verified()


def test_a_link_does_not_outlive_the_roots_and_links_only_roots() -> None:
    old, new = OLD.root, NEW.root
    end = old.certificate.not_valid_after_utc
    start = old.certificate.not_valid_before_utc

    def link(root: x509.Certificate, not_after: object) -> x509.Certificate:
        return cross_certificate(
            root,
            old.certificate,
            old.key,
            serial_number=9,
            not_before=start,
            not_after=not_after,  # type: ignore[arg-type]
        )

    assert link(new.certificate, end - DAY).serial_number == 9
    with pytest.raises(ValueError, match="outlive"):
        link(new.certificate, end + DAY)
    with pytest.raises(ValueError, match="roots"):
        link(NEW.chain[1], end - DAY)
    with pytest.raises(ValueError, match="key"):
        cross_certificate(
            new.certificate, old.certificate, new.key, serial_number=9, not_before=start, not_after=end - DAY
        )
