"""A01: a new password is valid at once, and every reading of AuthorizationKey that the field knows."""

import pytest

from gateway.simulator.core.effects import Disconnect
from tests.simulator.scenario import KEY, PASSWORD, Scenario, answers, connects
from tests.simulator.test_configuration import statuses, variable

PRINTABLE_KEY = b"ABCDEFGHIJKLMNOPqrst".hex()
NEW = "new-password-of-cp-1"


def changed(*quirks: str, key: str = KEY) -> Scenario:
    s = Scenario("1.6", 1, *quirks).up()
    s >> s.csms("ChangeConfiguration", key="AuthorizationKey", value=key) << answers(status="Accepted") << Disconnect
    s >> s.disconnected()
    assert s.timers["connect"] == 0
    return s


@pytest.mark.parametrize(
    ("quirk", "key", "shown"),
    [
        ((), KEY, bytes.fromhex(KEY)),
        (("password-hex-text",), KEY, KEY.encode()),
        (("password-hex-lower",), KEY, KEY.lower().encode()),
        (("password-hex-upper",), KEY.lower(), KEY.encode()),
        (("password-printable",), KEY, KEY.encode()),
        (("password-printable",), PRINTABLE_KEY, b"ABCDEFGHIJKLMNOPqrst"),
    ],
)
def test_every_reading_of_the_key(quirk: tuple[str, ...], key: str, shown: bytes) -> None:
    s = changed(*quirk, key=key)
    s >> s.due("connect") << connects(password=shown)


@pytest.mark.parametrize("key", ["00" * 15, "00" * 21, "0" * 33, "not hex at all, but long enough!!", ""])
def test_no_key_is_rejected_and_the_old_one_stays(key: str) -> None:
    s = Scenario().up()
    s >> s.csms("ChangeConfiguration", key="AuthorizationKey", value=key) << answers(status="Rejected")
    s >> s.disconnected()
    s >> s.due("connect") << connects(password=PASSWORD.encode())


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_2_x_takes_the_text_as_it_is(version: str) -> None:
    s = Scenario(version).up()
    asked = variable("SecurityCtrlr", "BasicAuthPassword", KEY)
    assert statuses(s, **asked) == ["Accepted"]
    s << Disconnect
    s >> s.disconnected()
    s >> s.due("connect") << connects(password=KEY.encode())


@pytest.mark.parametrize("value", ["short", "x" * 41, "with space in it!"])
def test_2_x_rejects_what_is_no_password(value: str) -> None:
    s = Scenario("2.0.1").up()
    assert statuses(s, **variable("SecurityCtrlr", "BasicAuthPassword", value)) == ["Rejected"]
    assert s.memory.password == PASSWORD


def test_password_of_profile_3_needs_no_reconnect() -> None:
    s = Scenario("1.6", 3).up()
    s >> s.csms("ChangeConfiguration", key="AuthorizationKey", value=KEY) << answers(status="Accepted")
    assert s.memory.password == KEY


def test_quirk_old_password_for_a_while() -> None:
    s = changed("old-password-for=2")
    s >> s.due("connect") << connects(password=PASSWORD.encode())
    s >> s.failed("refused")
    s >> s.due("connect") << connects(password=PASSWORD.encode())
    s >> s.failed("refused")
    s >> s.due("connect") << connects(password=bytes.fromhex(KEY))


def test_quirk_stays_connected_when_the_password_has_changed() -> None:
    s = Scenario("1.6", 1, "no-reconnect-after-password").up()
    s >> s.csms("ChangeConfiguration", key="AuthorizationKey", value=KEY) << answers(status="Accepted")
    s >> s.disconnected()
    s >> s.due("connect") << connects(password=bytes.fromhex(KEY))


def test_secrets_are_in_no_repr() -> None:
    s = Scenario("1.6", 3).up()
    s >> s.csms("ChangeConfiguration", key="AuthorizationKey", value=KEY) << answers()
    shown = repr(s.memory) + repr(list(s.memory.slots.values())) + repr(s.memory.certificates)
    s >> s.disconnected()
    s >> s.due("connect")
    shown += repr(s.wire)
    assert KEY not in shown
    assert "PRIVATE" not in shown
    s.wire.clear()
