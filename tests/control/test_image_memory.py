"""What was fetched a short while ago: for how long it stands for what is there, and how much is remembered."""

from gateway.control.image_fetch import FetchedImage
from gateway.control.image_memory import ImageMemory

IMAGE = FetchedImage(b"d", 1)


def test_what_is_very_young_counts_whatever_it_is() -> None:
    memory = ImageMemory()
    put = memory.put("a", 100.0, None, "HTTP status 404")
    assert memory.fresh("a", 109.9) is put
    assert memory.fresh("a", 110.0) is None
    assert memory.fresh("b", 100.0) is None
    assert memory.older("a", 100.0, 600.0) is None


def test_what_is_older_only_vouches_and_not_for_ever() -> None:
    memory = ImageMemory()
    memory.put("a", 100.0, IMAGE)
    assert memory.older("a", 699.9, 600.0) is IMAGE
    assert memory.older("a", 700.0, 600.0) is None
    assert memory.older("a", 100.0, 0.0) is None


def test_the_oldest_one_makes_room() -> None:
    memory = ImageMemory()
    for number in range(65):
        memory.put(str(number), 1.0, IMAGE)
    memory.put("1", 2.0, IMAGE)  # the same one again is not one more
    assert len(memory) == 64
    assert memory.older("0", 1.0, 9.0) is None
    assert memory.older("1", 2.0, 9.0) is IMAGE
