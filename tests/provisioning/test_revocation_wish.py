"""A wish to another CA: when it is told again, and what of it is put on record."""

from gateway.provisioning.revocation_wish import (
    RevocationWish,
    as_noted,
    at_once,
    failed,
    is_due,
    is_noted,
    put_by_hand,
)

NOW = 1_000_000.0
WISH = RevocationWish(serial="abc", reason="superseded", certificate=b"", not_after=NOW + 1e6, wished_at=NOW)


def test_waiting_doubles_up_to_an_hour_and_never_ends() -> None:
    wish, waits, now = WISH, [], NOW
    for _ in range(14):
        assert is_due(wish, now)
        wish = failed(wish, now, "down")
        waits.append(wish.due_at - now)
        assert not is_due(wish, now)
        now = wish.due_at
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert waits[-3:] == [3_600.0] * 3


def test_what_somebody_has_to_see_to_is_asked_for_again_after_a_day_or_when_something_changed() -> None:
    wish = put_by_hand(failed(WISH, NOW, "down"), NOW, "no revocation")
    assert not is_due(wish, NOW + 86_399)
    assert is_due(wish, NOW + 86_400)
    assert is_due(at_once(wish), NOW)
    assert failed(wish, NOW, "down").due_at == NOW + 5.0  # a way that fails after that is tried soon


def test_each_reason_is_put_on_record_once_and_a_reason_that_changes_all_the_time_once_an_hour() -> None:
    first = failed(WISH, NOW, "down at 10:00")
    assert not is_noted(first, NOW)
    noted = as_noted(first, NOW)
    assert is_noted(failed(noted, NOW + 5, "down at 10:00"), NOW + 5)
    other = failed(noted, NOW + 5, "down at 10:01")
    assert is_noted(other, NOW + 5)
    assert not is_noted(other, NOW + 3_600)


def test_that_somebody_has_to_see_to_it_is_put_on_record_at_once() -> None:
    noted = as_noted(failed(WISH, NOW, "down"), NOW)
    wish = put_by_hand(noted, NOW + 1, "no revocation")
    assert not is_noted(wish, NOW + 1)
    assert is_noted(put_by_hand(as_noted(wish, NOW + 1), NOW + 2, "no revocation"), NOW + 2)
