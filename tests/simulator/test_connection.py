"""Connecting, failing, waiting, coming back."""

import pytest

from gateway.simulator.core.effects import Connect, Drop
from gateway.simulator.core.events import Connected
from gateway.simulator.core.memory import restore, save
from tests.simulator.scenario import VERSIONS, Scenario, calls, connects


def test_waits_double_up_to_a_limit_and_start_again_after_success() -> None:
    s = Scenario()
    s >> s.started() << Connect
    waits = []
    for _ in range(8):
        s >> s.failed()
        waits.append(s.timers["connect"])
        s >> s.due("connect") << Connect
    assert waits == [5, 10, 20, 40, 80, 160, 160, 160]
    s >> s.connected() << calls("BootNotification")
    s >> s.disconnected()
    assert s.timers["connect"] == 5


def test_settings_of_0_make_no_storm() -> None:
    s = Scenario()
    s.memory.settings |= {"RetryBackOffWaitMinimum": "0", "RetryBackOffRandomRange": "0"}
    s >> s.started() << Connect
    waits = []
    for _ in range(3):
        s >> s.failed()
        waits.append(s.timers["connect"])
        s >> s.due("connect") << Connect
    assert waits == [0.05, 0.1, 0.2]


def test_identity_is_one_segment_of_the_url() -> None:
    from gateway.ocpp.vocabulary import OCPPVersion
    from gateway.simulator.core.model import new_memory

    memory = new_memory("RDAM|1/2 ö", OCPPVersion.V1_6, "ws://gw.test/ocpp/", 1, password="x")
    s = Scenario(memory=memory)
    (
        s
        >> s.started()
        << connects(url="ws://gw.test/ocpp/RDAM%7C1%2F2%20%C3%B6", user="RDAM|1/2 ö", subprotocols="ocpp1.6")
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("quirks", "trusts"), [((), True), (("clock-1970",), False), (("clock-off=-120",), False)])
def test_its_own_clock_decides_about_the_server(version: str, quirks: tuple[str, ...], trusts: bool) -> None:
    s = Scenario(version, 2, *quirks)
    s >> s.started() << Connect
    s >> Connected(now=s.now, server_valid_from=s.now - 3_600, server_valid_until=s.now + 3_600)
    if trusts:
        s << calls("BootNotification")
        return
    s << Drop
    assert s.said("connection failed")[0]["failure"] == "tls"
    s >> s.disconnected()
    s >> s.due("connect") << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << calls("SecurityEventNotification", type="StartupOfTheDevice")
    s >> s.answer()
    s << calls(
        "SecurityEventNotification",
        type="InvalidCentralSystemCertificate" if version == "1.6" else "InvalidCsmsCertificate",
    )


def test_wrong_clock_does_not_fill_the_memory() -> None:
    s = Scenario("2.0.1", 2, "clock-1970")
    s >> s.started() << Connect
    for _ in range(30):
        s >> Connected(now=s.now, server_valid_from=s.now, server_valid_until=s.now + 1) << Drop
        s >> s.due("connect") << Connect
    assert len(s.memory.queue) < 15


def test_clock_1970_is_put_right_by_the_csms_until_the_next_boot() -> None:
    s = Scenario("1.6", 1, "clock-1970")
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer() << calls("SecurityEventNotification", timestamp="1970-01-01T00:00:00.000Z")
    s >> s.answer() << calls("SecurityEventNotification", type="SettingSystemTime")
    assert not s.last["timestamp"].startswith("1970")


def test_memory_survives_being_written_down() -> None:
    s = Scenario("2.1", 3).up()
    again = Scenario("2.1", memory=restore(save(s.memory)))
    again >> again.started() << connects(certificate_pem=s.memory.certificates[0].chain_pem)


def test_late_and_unasked_answers_change_nothing() -> None:
    from gateway.simulator.core.events import Received

    s = Scenario().up()
    s >> Received(now=s.now, text=b'[3,"nobody",{}]')
    s >> Received(now=s.now, text=b'[4,"nobody","GenericError","",{}]')
    assert s.said("unexpected answer") == [{}]


def test_answer_that_does_not_fit_its_schema_is_none() -> None:
    s = Scenario()
    s >> s.started() << Connect
    s >> s.connected() << calls("BootNotification")
    s >> s.answer(status="Fine")
    assert s.said("invalid answer") == [{"action": "BootNotification"}]
    assert not s.cp.is_registered
    s >> s.due("boot") << calls("BootNotification")
