"""Going through names without credentials is limited; asking first and proving oneself then is not."""

from gateway.identity.guessing import GuessingLimiter

ADDRESS = "192.0.2.7"


def limiter() -> GuessingLimiter:
    return GuessingLimiter(per_address_per_minute=3, per_identity_per_minute=2)


def test_a_sweep_of_names_without_credentials_has_to_wait() -> None:
    made = limiter()
    for number in range(3):
        assert made.may_ask(ADDRESS, f"CP-{number}", 10.0) == 0
        made.asked(ADDRESS, f"CP-{number}", 10.0)
    assert made.may_ask(ADDRESS, "CP-3", 10.0) == 20
    assert made.may_ask("192.0.2.8", "CP-3", 10.0) == 0
    assert made.may_ask(ADDRESS, "CP-3", 30.0) == 0


def test_asking_for_the_same_name_again_costs_nothing() -> None:
    made = limiter()
    for _ in range(20):
        made.asked(ADDRESS, "CP-0", 10.0)
    made.asked(ADDRESS, "CP-1", 10.0)
    assert made.may_ask(ADDRESS, "CP-2", 10.0) == 0
    made.asked(ADDRESS, "CP-2", 10.0)
    assert made.may_ask(ADDRESS, "CP-3", 10.0) > 0
    assert made.may_ask(ADDRESS, "CP-0", 10.0) == 0


def test_a_site_whose_charge_points_wait_for_a_401_is_never_limited() -> None:
    made = limiter()
    for number in range(50):
        name = f"CP-{number}"
        assert made.may_ask(ADDRESS, name, 10.0) == 0
        made.asked(ADDRESS, name, 10.0)
        made.proven(ADDRESS, name)
    assert made.may_ask(ADDRESS, "CP-0", 10.0) == 0


def test_who_has_proven_itself_from_there_is_heard_in_the_middle_of_a_sweep() -> None:
    made = limiter()
    made.proven(ADDRESS, "CP-9")
    for number in range(10):
        made.asked(ADDRESS, f"CP-{number}", 10.0)
    assert made.may_ask(ADDRESS, "CP-9", 10.0) == 0
    assert made.may_try(ADDRESS, "CP-0", 10.0) == 0
