"""The bounded log of refusals."""

from gateway.store.refusals import MAX_ENTRIES_PER_KEY, RefusalEntry
from gateway.store.registry import Registry


def entry(number: int, charge_point_id: str = "", address: str = "") -> RefusalEntry:
    return RefusalEntry(time=float(number), charge_point_id=charge_point_id, address=address, reason="password-wrong")


def test_an_entry_comes_back_whole(registry: Registry):
    whole = RefusalEntry(
        time=1.5,
        charge_point_id="CP-1",
        address="10.0.0.1",
        listener="tls",
        reason="password-wrong",
        detail="slot current",
        connection="c1",
        count=7,
    )
    registry.record_refusals([whole])
    assert registry.refusals() == [whole]


def test_newest_first_and_limited(registry: Registry):
    registry.record_refusals([entry(1), entry(2)])
    registry.record_refusals([entry(3)])
    assert [each.time for each in registry.refusals(limit=2)] == [3.0, 2.0]


def test_filters_are_exact_and_go_together(registry: Registry):
    registry.record_refusals(
        [entry(1, "CP-1", "a"), entry(2, "CP-1", "b"), entry(3, "CP-11", "a"), entry(4, "cp-1", "a")]
    )
    assert [each.time for each in registry.refusals(charge_point_id="CP-1")] == [2.0, 1.0]
    assert [each.time for each in registry.refusals(address="a")] == [4.0, 3.0, 1.0]
    assert [each.time for each in registry.refusals(charge_point_id="CP-1", address="a")] == [1.0]


def test_one_noisy_identity_keeps_its_newest_and_pushes_nobody_out(registry: Registry):
    registry.record_refusals([entry(0, "quiet", "q")])
    registry.record_refusals([entry(number, "noisy", f"a{number}") for number in range(1, 131)])
    registry.record_refusals([entry(131, "noisy", "z")])
    noisy = registry.refusals(charge_point_id="noisy", limit=1_000)
    assert [each.time for each in noisy] == [float(number) for number in range(131, 131 - MAX_ENTRIES_PER_KEY, -1)]
    assert len(registry.refusals(charge_point_id="quiet")) == 1


def test_one_noisy_address_without_identity_is_bounded(registry: Registry):
    registry.record_refusals([entry(number, "", "scanner") for number in range(120)])
    registry.record_refusals([entry(0, "", "other")])
    assert len(registry.refusals(address="scanner", limit=1_000)) == MAX_ENTRIES_PER_KEY
    assert len(registry.refusals(address="other")) == 1


def test_all_together_are_bounded(registry: Registry, monkeypatch):
    monkeypatch.setattr("gateway.store.refusals.MAX_ENTRIES", 30)
    for start in range(0, 100, 10):
        registry.record_refusals([entry(number, f"cp{number}", f"a{number}") for number in range(start, start + 10)])
    assert [each.time for each in registry.refusals(limit=1_000)] == [float(number) for number in range(99, 69, -1)]


def test_more_keys_at_once_than_one_statement_takes(registry: Registry):
    registry.record_refusals([entry(number, f"cp{number}", f"a{number}") for number in range(1_203)])
    assert len(registry.refusals(limit=5_000)) == 1_203


def test_nothing_to_record_is_nothing(registry: Registry):
    registry.record_refusals([])
    assert registry.refusals() == []
