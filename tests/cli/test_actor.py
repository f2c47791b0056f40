"""Who types is on record with what is changed: the system's user, and what people call themselves."""

import os
import pwd

import pytest

from gateway.cli.actor import actor
from gateway.control.accounts import login_of
from gateway.store.changes import EVERYBODY
from tests.cli.conftest import Cli, Place

USER = pwd.getpwuid(os.getuid()).pw_name
LOGIN = login_of("self")
"""Of whoever runs the tests, where the system keeps that."""


def known_and(claims: str) -> str:
    """The user, his login session if it is another one's, and these claims."""
    login = f"login {LOGIN}" if LOGIN not in {"", USER} else ""
    more = ", ".join(filter(None, (login, claims)))
    return USER + (f" ({more})" if more else "")


@pytest.mark.parametrize(
    ("environment", "more"),
    [
        ({}, ""),
        ({"SUDO_USER": "alice"}, "sudo alice"),
        ({"OCPP_GATEWAY_OPERATOR": "Alice of the NOC"}, "named Alice of the NOC"),
        ({"SUDO_USER": "alice", "OCPP_GATEWAY_OPERATOR": "A" * 500}, f"sudo alice, named {'A' * 64}"),
        (
            {"SUDO_USER": "alice, login bob)", "OCPP_GATEWAY_OPERATOR": "\udcff\n"},
            r"sudo alice  login bob , named \x5cudcff\x0a",
        ),
    ],
)
def test_the_user_and_what_he_calls_himself(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], more: str
) -> None:
    for name in ("SUDO_USER", "OCPP_GATEWAY_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert actor() == known_and(more)
    assert len(actor()) <= 200


def test_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.delenv("OCPP_GATEWAY_OPERATOR", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    assert actor().startswith("user 4000000000")


def test_commands_leave_it_beside_what_they_change(cli: Cli, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setenv("OCPP_GATEWAY_OPERATOR", "Alice")
    registry = place.registry()
    assert cli("charge-point", "add", "CP-1", "--security-profile", "1").code == 0
    assert registry.actors_since(0) == {"CP-1": known_and("named Alice")}
    monkeypatch.setenv("OCPP_GATEWAY_OPERATOR", "Bob")
    assert cli("charge-point", "disable", "CP-1").code == 0
    assert registry.actors_since(0)["CP-1"] == known_and("named Bob")
    revoke = ("charge-point", "revoke-certificate", "--sha256", "ab" * 32, "--reason", "stolen")
    assert cli(*revoke).code == 0, cli(*revoke).err
    assert registry.actors_since(0)[EVERYBODY] == known_and("named Bob")
    registry.close()
