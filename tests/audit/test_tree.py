"""The tree against published vectors, a plain reading of RFC 6962, and every change of one bit."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit.tree import (
    EMPTY_ROOT,
    ProofInvalid,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_from_peaks,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)

# The leaves, roots and proofs that implementations of Certificate Transparency are tested with.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, read literally."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def nodes_of(leaves: list[bytes]):
    return lambda level, index: mth(leaves[index << level : (index + 1) << level])


def hexed(hashes: list[bytes]) -> list[str]:
    return [each.hex() for each in hashes]


@pytest.mark.parametrize("size", range(9))
def test_roots(size: int) -> None:
    nodes = nodes_of(LEAVES)
    assert subtree_root(nodes, 0, size).hex() == ROOTS[size]


@pytest.mark.parametrize("which", INCLUSION)
def test_inclusion_vectors(which: tuple[int, int]) -> None:
    index, size = which
    proof = inclusion_proof(nodes_of(LEAVES), index, size)
    assert hexed(proof) == INCLUSION[which]
    verify_inclusion(leaf_hash(LEAVES[index]), index, size, proof, bytes.fromhex(ROOTS[size]))


@pytest.mark.parametrize("which", CONSISTENCY)
def test_consistency_vectors(which: tuple[int, int]) -> None:
    old, new = which
    proof = consistency_proof(nodes_of(LEAVES), old, new)
    assert hexed(proof) == CONSISTENCY[which]
    verify_consistency(old, bytes.fromhex(ROOTS[old]), new, bytes.fromhex(ROOTS[new]), proof)


def test_the_tree_of_seven_in_rfc_9162() -> None:
    # Section 2.1.5: a..f and j are the leaves' hashes, g..l the nodes, by the names of the figure.
    seven = LEAVES[:7]
    a, b, c, d, e, f, j = map(leaf_hash, seven)
    g, h, i = node_hash(a, b), node_hash(c, d), node_hash(e, f)
    k, l = node_hash(g, h), node_hash(i, j)  # noqa: E741
    nodes = nodes_of(seven)
    assert subtree_root(nodes, 0, 7) == node_hash(k, l)
    assert inclusion_proof(nodes, 0, 7) == [b, h, l]
    assert inclusion_proof(nodes, 3, 7) == [c, g, l]
    assert inclusion_proof(nodes, 4, 7) == [f, j, k]
    assert inclusion_proof(nodes, 6, 7) == [i, k]
    assert consistency_proof(nodes, 3, 7) == [c, d, g, l]
    assert consistency_proof(nodes, 4, 7) == [l]
    assert consistency_proof(nodes, 6, 7) == [i, j, k]


def test_a_leaf_is_no_node() -> None:
    a, b = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(a + b) != node_hash(a, b)


def test_peaks_of_nothing_are_the_empty_tree() -> None:
    assert root_from_peaks([]) == EMPTY_ROOT


SIZES = st.integers(1, 70)


def numbered(count: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(count)]


@given(size=SIZES, data=st.data())
def test_every_entry_is_proven_and_no_other_bit_pattern_is(size: int, data: st.DataObject) -> None:
    leaves = numbered(size)
    index = data.draw(st.integers(0, size - 1))
    nodes, root = nodes_of(leaves), mth(leaves)
    proof = inclusion_proof(nodes, index, size)
    leaf = leaf_hash(leaves[index])
    verify_inclusion(leaf, index, size, proof, root)
    bit = data.draw(st.integers(0, 255))
    place = data.draw(st.integers(-2, len(proof) - 1))
    if place == -2:
        leaf = flipped(leaf, bit)
    elif place == -1:
        root = flipped(root, bit)
    else:
        proof[place] = flipped(proof[place], bit)
    with pytest.raises(ProofInvalid):
        verify_inclusion(leaf, index, size, proof, root)


@given(size=SIZES, data=st.data())
def test_an_inclusion_proof_is_for_one_index_only(size: int, data: st.DataObject) -> None:
    leaves = numbered(size)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(-1, size + 1).filter(lambda each: each != index))
    proof = inclusion_proof(nodes_of(leaves), index, size)
    with pytest.raises(ProofInvalid):
        verify_inclusion(leaf_hash(leaves[index]), other, size, proof, mth(leaves))


@given(new=SIZES, data=st.data())
def test_any_prefix_is_consistent_with_any_later_head(new: int, data: st.DataObject) -> None:
    leaves = numbered(new)
    old = data.draw(st.integers(0, new))
    proof = consistency_proof(nodes_of(leaves), old, new)
    verify_consistency(old, mth(leaves[:old]), new, mth(leaves), proof)


@given(new=st.integers(2, 70), data=st.data())
def test_a_changed_past_is_not_consistent(new: int, data: st.DataObject) -> None:
    leaves = numbered(new)
    old = data.draw(st.integers(1, new))
    changed = list(leaves)
    changed[data.draw(st.integers(0, old - 1))] += b"!"
    proof = consistency_proof(nodes_of(changed), old, new)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, mth(leaves[:old]), new, mth(changed), proof)


@given(new=st.integers(2, 70), data=st.data())
def test_a_bent_consistency_proof_is_refused(new: int, data: st.DataObject) -> None:
    leaves = numbered(new)
    old = data.draw(st.integers(1, new - 1))
    proof = consistency_proof(nodes_of(leaves), old, new)
    how = data.draw(st.sampled_from(["flip", "drop", "add"]))
    place = data.draw(st.integers(0, len(proof) - 1))
    if how == "flip":
        proof[place] = flipped(proof[place], data.draw(st.integers(0, 255)))
    elif how == "drop":
        del proof[place]
    else:
        proof.insert(place, leaf_hash(b"more"))
    with pytest.raises(ProofInvalid):
        verify_consistency(old, mth(leaves[:old]), new, mth(leaves), proof)


@pytest.mark.parametrize(
    ("old", "old_root", "new", "new_root", "proof"),
    [
        (3, mth(LEAVES[:3]), 2, mth(LEAVES[:2]), []),
        (3, mth(LEAVES[:3]), 3, mth(LEAVES[1:4]), []),
        (3, mth(LEAVES[:3]), 3, mth(LEAVES[:3]), [EMPTY_ROOT]),
        (0, EMPTY_ROOT, 3, mth(LEAVES[:3]), [EMPTY_ROOT]),
        (0, leaf_hash(b""), 3, mth(LEAVES[:3]), []),
        (3, mth(LEAVES[:3]), 5, mth(LEAVES[:5]), []),
    ],
)
def test_edges_of_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> None:
    with pytest.raises(ProofInvalid):
        verify_consistency(old, old_root, new, new_root, proof)


def test_what_is_not_there_cannot_be_proven() -> None:
    with pytest.raises(ValueError, match="no entry 3"):
        inclusion_proof(nodes_of(LEAVES[:3]), 3, 3)
    with pytest.raises(ValueError, match="never one of 4"):
        consistency_proof(nodes_of(LEAVES[:3]), 4, 3)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(changed)] ^= 1 << bit % 8
    return bytes(changed)
