"""Values in sealed memory files."""

import os

import msgspec
import pytest

from gateway.app.handover import pack, unpack


class _Value(msgspec.Struct, frozen=True):
    name: str
    numbers: tuple[int, ...]


def test_a_value_comes_out_as_it_went_in_for_every_reader_of_the_same_file() -> None:
    value = _Value("x" * 100_000, (1, 2, 3))
    descriptor = pack(value)
    assert unpack(os.dup(descriptor), _Value) == value
    assert unpack(os.dup(descriptor), _Value) == value
    os.close(descriptor)


def test_a_packed_value_can_neither_be_changed_nor_cut_nor_grown() -> None:
    descriptor = pack(_Value("a", ()))
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(descriptor, 0)
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(descriptor, 1_000)
    assert unpack(descriptor, _Value) == _Value("a", ())


def test_reading_closes_the_descriptor_also_when_it_holds_something_else() -> None:
    descriptor = pack([1, 2])
    with pytest.raises(msgspec.ValidationError):
        unpack(descriptor, _Value)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_child_does_not_inherit_it_unasked() -> None:
    descriptor = pack(1)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
