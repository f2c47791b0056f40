"""The Merkle tree of RFC 6962, section 2.1: hashes, roots, inclusion and consistency proofs, and their verification.

Proofs are made from hashes of *perfect subtrees*: `Nodes` answers ``(level, index)`` with the hash over the leaves
``index * 2**level`` to ``(index + 1) * 2**level - 1``. Where these hashes lie is not this module's business.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Nodes",
    "ProofInvalid",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "perfect_root",
    "root_from_peaks",
    "subtree_root",
    "verify_consistency",
    "verify_inclusion",
]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
Nodes = Callable[[int, int], bytes]
_sha256 = hashlib.sha256


class ProofInvalid(Exception):  # noqa: N818  a verdict
    """A proof does not prove what it is said to prove."""


def leaf_hash(entry: bytes) -> bytes:
    """Hash of one entry. The prefix keeps an entry from posing as a node (RFC 6962, section 2.1)."""
    return _sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of two subtrees."""
    return _sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Root over a power of two of equally high subtrees."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def root_from_peaks(peaks: Sequence[bytes]) -> bytes:
    """Root of a tree from its perfect subtrees, the leftmost and largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << (count - 1).bit_length() - 1


def subtree_root(nodes: Nodes, start: int, end: int) -> bytes:
    """MTH(D[start:end]) of RFC 6962; `start` is where such a subtree begins."""
    if start == end:
        return EMPTY_ROOT
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes(level, start >> level)
    middle = start + _split(count)
    return node_hash(subtree_root(nodes, start, middle), subtree_root(nodes, middle, end))


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]): the sibling hashes from the leaf up. Raises ValueError if the tree has no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} entries has no entry {index}")
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(subtree_root(nodes, middle, end))
            end = middle
        else:
            path.append(subtree_root(nodes, start, middle))
            start = middle
    return path[::-1]


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]). Empty for ``old`` 0 and ``old == new``. Raises ValueError if ``old > new``."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} entries was never one of {old}")
    if old in {0, new}:
        return []
    start, end, whole = 0, new, True
    proof: list[bytes] = []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            proof.append(subtree_root(nodes, middle, end))
            end = middle
        else:
            proof.append(subtree_root(nodes, start, middle))
            start, whole = middle, False
    if not whole:
        proof.append(subtree_root(nodes, start, end))
    return proof[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Prove that `leaf` (its hash) is entry `index` of the tree (RFC 9162, section 2.1.3.2). Raises ProofInvalid."""
    if not 0 <= index < size:
        raise ProofInvalid(f"a tree of {size} entries has no entry {index}")
    position, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("the inclusion proof is too long")
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the inclusion proof is too short")
    if found != root:
        raise ProofInvalid(f"entry {index} is not in this tree")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Prove that the new tree begins with the old one (RFC 9162, section 2.1.4.2). Raises ProofInvalid."""
    if not 0 <= old <= new:
        raise ProofInvalid(f"a tree of {new} entries is smaller than one of {old}")
    if old in {0, new}:
        if proof or (old == new and old_root != new_root) or (old == 0 and old_root != EMPTY_ROOT):
            raise ProofInvalid(
                "two different trees of the same size" if old == new else "not the root of an empty tree"
            )
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise ProofInvalid("the consistency proof is empty")
    first, last = old - 1, new - 1
    while first & 1:
        first, last = first >> 1, last >> 1
    seen_old = seen_new = path[0]
    for each in path[1:]:
        if last == 0:
            raise ProofInvalid("the consistency proof is too long")
        if first & 1 or first == last:
            seen_old, seen_new = node_hash(each, seen_old), node_hash(each, seen_new)
            while first and not first & 1:
                first, last = first >> 1, last >> 1
        else:
            seen_new = node_hash(seen_new, each)
        first, last = first >> 1, last >> 1
    if last != 0:
        raise ProofInvalid("the consistency proof is too short")
    if seen_old != old_root or seen_new != new_root:
        raise ProofInvalid(f"the tree of {new} entries does not begin with that of {old}")
