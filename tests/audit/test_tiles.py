"""Tiles and bundles: names, widths, and that a tree out of tiles is the tree of RFC 6962."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.tiles import (
    ENTRIES,
    BundleInvalid,
    GrowingTree,
    Tile,
    TileNodes,
    decode_bundle,
    encode_bundle,
    parse_tile_path,
    split_tile,
    tiles_of,
)
from gateway.audit.tree import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    subtree_root,
    verify_consistency,
    verify_inclusion,
)
from tests.audit.test_tree import mth, numbered


def grown(count: int) -> tuple[GrowingTree, dict[Tile, bytes]]:
    tree = GrowingTree()
    tiles: dict[Tile, bytes] = {}
    for entry in numbered(count):
        tiles.update(tree.append(entry))
    tiles.update(tree.partial())
    return tree, tiles


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(63, 999), "tile/63/999"),
        (Tile(1, 1000, 17), "tile/1/x001/000.p/17"),
        (Tile(ENTRIES, 5, 255), "tile/entries/005.p/255"),
    ],
)
def test_a_tile_has_one_path_and_a_path_one_tile(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000",
        "tile/64/000",
        "tile/0/0",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/0/000\n",
        "tile/0/../000",
        "tile/entries/x01/001",
        "tile/-1/000",
        "checkpoint",
    ],
)
def test_other_paths_name_nothing(path: str) -> None:
    assert parse_tile_path(path) is None


@given(level=st.integers(-1, 63), number=st.integers(0, 10**10), width=st.integers(1, 256))
def test_any_tile_is_read_back_from_its_path(level: int, number: int, width: int) -> None:
    assert parse_tile_path(Tile(level, number, width).path) == Tile(level, number, width)


def test_the_tiles_of_seventy_thousand_entries() -> None:
    # The example of c2sp.org/tlog-tiles.
    tiles = list(tiles_of(70_000))
    assert [tile for tile in tiles if tile.level > 0] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert sum(tile.level == 0 for tile in tiles) == 274
    assert Tile(0, 273, 112) in tiles
    assert Tile(ENTRIES, 273, 112) in tiles


def test_a_tree_of_256_has_a_partial_tile_above_the_full_one() -> None:
    assert list(tiles_of(256)) == [Tile(ENTRIES, 0), Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(0)) == []


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 511, 512, 700, 65_536, 65_537, 66_000])
def test_what_grows_is_the_tree_of_the_rfc_and_has_exactly_its_tiles(size: int) -> None:
    tree, tiles = grown(size)
    assert tree.root() == mth(numbered(size))
    assert set(tiles) == {tile for tile in tiles_of(size) if tile.level != ENTRIES}
    assert GrowingTree.read(tiles.__getitem__, size).root() == tree.root()


@settings(max_examples=40)
@given(size=st.integers(1, 1200), data=st.data())
def test_proofs_out_of_tiles_hold(size: int, data: st.DataObject) -> None:
    tree, tiles = grown(size)
    nodes = TileNodes(tiles.__getitem__, size)
    entries = numbered(size)
    index = data.draw(st.integers(0, size - 1))
    verify_inclusion(leaf_hash(entries[index]), index, size, inclusion_proof(nodes, index, size), tree.root())
    old = data.draw(st.integers(0, size))
    old_root = subtree_root(nodes, 0, old)
    assert old_root == mth(entries[:old])
    verify_consistency(old, old_root, size, tree.root(), consistency_proof(nodes, old, size))


@settings(max_examples=30)
@given(first=st.integers(0, 600), more=st.integers(0, 600))
def test_a_tree_read_from_its_tiles_goes_on_as_if_it_had_never_stopped(first: int, more: int) -> None:
    _, tiles = grown(first)
    tree = GrowingTree.read(tiles.__getitem__, first)
    for entry in numbered(first + more)[first:]:
        tree.append(entry)
    assert tree.size == first + more
    assert tree.root() == (mth(numbered(first + more)) if first + more else EMPTY_ROOT)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_come_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_lengths_are_two_bytes_and_the_largest_entry_fits() -> None:
    assert encode_bundle([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    largest = b"x" * 65_535
    assert decode_bundle(encode_bundle([largest]), 1) == [largest]
    with pytest.raises(ValueError, match="65536 bytes"):
        encode_bundle([largest + b"x"])


@pytest.mark.parametrize(
    ("data", "width", "why"),
    [
        (b"\x00\x02ab", 2, "has 1 entries"),
        (b"\x00\x02ab\x00\x00", 1, "has 2 entries"),
        (b"\x00\x02a", 1, "ends inside an entry"),
        (b"\x00\x02ab\x00", 1, "ends inside a length"),
        (b"", 1, "has 0 entries"),
    ],
)
def test_what_is_no_bundle_of_that_width(data: bytes, width: int, why: str) -> None:
    with pytest.raises(BundleInvalid, match=why):
        decode_bundle(data, width)


def test_what_is_no_tile_of_that_width() -> None:
    assert split_tile(b"a" * 32 + b"b" * 32, 2) == [b"a" * 32, b"b" * 32]
    for length in (0, 63, 65, 96):
        with pytest.raises(BundleInvalid, match=f"has {length} bytes"):
            split_tile(b"a" * length, 2)
