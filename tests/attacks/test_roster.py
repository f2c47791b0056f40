"""Cases may name others than those that are shipped, and space their messages as they like."""

import pytest

from tests.attacks.case import Case, Expected
from tests.attacks.plan import plan
from tests.attacks.roster import Roster, identity_of
from tests.attacks.session import head_of


def case(preconditions: str, **more: object) -> Case:
    expected = Expected(decision="callerror", forwarded=False, callerror={"1.6": "SecurityError"})
    fields = {
        "direction": "csms_to_station",
        "version": ["1.6"],
        "layer": "ocpp",
        "frames": ['[2,"1","Reset",{"type":"Soft"}]'],
        **more,
    }
    return Case(id="X-1", title="any", expected=expected, preconditions=preconditions, **fields)  # type: ignore[arg-type]


def test_whoever_a_case_names_is_there_and_the_case_is_understood() -> None:
    named = case(
        "station EVSE/7 provisioned with password another-good-one on profile 2 listener; "
        "XY-9 also provisioned with another password; allow-list files.maker.example over https; sink.example.net listed"
    )
    roster = Roster.of([named])
    assert (roster.passwords["EVSE/7"], "XY-9" in roster.passwords, "CP-A01" in roster.passwords) == (
        "another-good-one", True, True,
    )  # fmt: skip
    assert "files.maker.example" in roster.firmware_hosts
    assert "sink.example.net" in roster.log_hosts
    assert plan(named)
    assert identity_of(named) == "EVSE/7"
    assert identity_of(case("session up")) == "CP-A01"


def test_serial_numbers_and_tenants_of_certificates_are_there_too() -> None:
    certificate = {"client_cert": {"CN": "SN-77", "O": "Other CPO", "issuer": "self"}}
    tenant = {"http": "GET / HTTP/1.1\r\nHost: b.example.org\r\n\r\n", "tls": {"sni": "a.example.org"}}
    roster = Roster.of([case("profile 3", tls=certificate), case("two tenants on one listener", **tenant)])
    assert roster.owners["SN-77"][1] == "Other CPO"
    assert {"a.example.org", "b.example.org"} <= set(roster.tenants)


def test_there_are_as_many_charge_points_as_plays() -> None:
    many = [case("session up", direction="both", version=["1.6", "2.0.1"])] * 500
    assert Roster.of(many).sessions[""] == 2_000


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ('[2,"a","Heartbeat",{}]', (2, "a")),
        (' [ 4 ,\n"\\u0061\\"b" , "X"', (4, 'a"b')),
        ("[2,5,{}]", None),
        ('{"2":"a"}', None),
        ('[2,"a\nb","X",{}]', None),
    ],
)
def test_head_of_a_message(text: str, head: tuple[int, str] | None) -> None:
    assert head_of(text) == head
