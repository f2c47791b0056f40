"""A name that people give, and the account beside it, which no name can pretend."""

import pytest

from gateway.provisioning.people import name_of, noted, two_people


@pytest.mark.parametrize("name", ["Anna", "Anna [root, login bert]", "[", "A, login x", "Anna [gw] "])
@pytest.mark.parametrize("login", ["", "anna"])
def test_the_name_is_what_was_given_whatever_it_pretends(name: str, login: str) -> None:
    assert name_of(noted(name, "gateway", login)) == name


def test_a_name_without_an_account_is_that_of_an_older_release() -> None:
    assert name_of("Anna") == "Anna"


def test_a_pretended_login_is_none() -> None:
    pretended = noted("Bert [gw, login bert]", "gw", "anna")
    assert two_people(noted("Anna", "gw", "anna"), pretended) == ("both in the login of one and the same user", False)
    assert two_people(noted("Anna", "gw", "anna"), noted("Bert [gw, login bert]", "gw", ""))[0].endswith("they say")
