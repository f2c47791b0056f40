"""Who plans, approves and orders: a name that people give, and beside it the account and login session that a command ran in."""

import re
from typing import Final

__all__ = ["name_of", "noted", "two_people"]

_NOTED: Final = re.compile(r"(?P<name>.*) \[(?P<user>[^\[\],]*)(?:, login (?P<login>[^\[\],]*))?\]", re.DOTALL)


def noted(name: str, user: str, login: str) -> str:
    """``Anna [gateway, login anna]``; `login` is empty where the system does not keep whose session it is."""
    return f"{name} [{user}, login {login}]" if login else f"{name} [{user}]"


def name_of(person: str) -> str:
    """What they call themselves."""
    found = _NOTED.fullmatch(person)
    return found["name"] if found else person


def two_people(planned_by: str, approved_by: str) -> tuple[str, bool]:
    """In words, what shows that the one who approved is not the one who planned; false if all shows that he is."""
    logins = [found["login"] if (found := _NOTED.fullmatch(each)) else None for each in (planned_by, approved_by)]
    if not all(logins):
        return "that these are two people is only what they say", True
    if logins[0] == logins[1]:
        return "both in the login of one and the same user", False
    return "in logins of two users", True
