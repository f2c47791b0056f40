"""A power cut at every step of a whole life leaves a charge point that comes back, and forgets nothing it has promised."""

import pytest

from gateway.simulator.core.effects import Connect, Disconnect, MakeKey, Reboot, Send
from gateway.simulator.core.events import ChargingStarted, ChargingStopped, PowerCut
from gateway.simulator.core.memory import restore, save
from tests.simulator.scenario import KEY, Scenario, authority, pem, sign

STEPS = ("start", "password", "charge", "meter", "root", "trigger", "key", "certificate", "profile", "reset", "stop")


class World:
    """Does one thing after the other to a charge point of 1.6, and whatever it wants."""

    def __init__(self) -> None:
        self.s = Scenario("1.6", 1)
        self.password_accepted = self.certificate_accepted = False

    def run(self, upto: int) -> None:
        """`upto` events, then the power is cut."""
        s = self.s
        s.feed(s.started())
        self.serve()
        for number, step in enumerate(STEPS):
            if number == upto:
                break
            if s.cp.is_registered:
                self.do(step)
                self.serve()

    def do(self, step: str) -> None:
        s = self.s
        ask = {
            "password": ("ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}),
            "root": (
                "InstallCertificate",
                {"certificateType": "CentralSystemRootCertificate", "certificate": pem(authority().root)},
            ),
            "trigger": ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}),
            "profile": ("ChangeConfiguration", {"key": "SecurityProfile", "value": "3"}),
            "reset": ("Reset", {"type": "Hard"}),
        }
        if step in ask:
            action, payload = ask[step]
            s.feed(s.csms(action, **payload))
        elif step == "charge":
            s.feed(ChargingStarted(now=s.now))
        elif step == "meter" and "meter" in s.timers:
            s.feed(s.due("meter"))
        elif step == "stop":
            s.feed(ChargingStopped(now=s.now))
        elif step == "certificate" and s.memory.request is not None:
            s.feed(s.csms("CertificateSigned", certificateChain=sign(s.memory.request.csr_pem)))
            self.certificate_accepted = True

    def serve(self) -> None:
        """Do what it wants until it wants nothing more."""
        s = self.s
        for _ in range(200):
            if s.wire:
                effect = s.wire.pop(0)
                if isinstance(effect, Connect):
                    s.feed(s.connected())
                elif isinstance(effect, Disconnect):
                    s.feed(s.disconnected())
                elif isinstance(effect, Reboot):
                    s.feed(s.started())
                elif isinstance(effect, MakeKey):
                    s.feed(s.key_made())
                else:
                    assert isinstance(effect, Send)
            elif s.open:
                s.feed(s.answer())
            elif "connect" in s.timers:
                s.feed(s.due("connect"))
            else:
                return
        raise AssertionError("it never comes to rest")


@pytest.mark.parametrize("upto", range(len(STEPS) + 1))
def test_power_cut_after_each_step(upto: int) -> None:
    world = World()
    world.run(upto)
    s = world.s
    before = restore(s.stored)
    s.feed(PowerCut(now=s.now))
    world.serve()
    assert s.cp.is_registered
    assert s.memory.password == before.password
    assert s.memory.certificates == before.certificates
    assert s.memory.security_profile >= before.security_profile
    assert s.memory.queue == []
    assert s.memory.transaction is None


@pytest.mark.parametrize("upto", range(len(STEPS) + 1))
def test_process_killed_after_each_step_and_started_with_what_was_stored(upto: int) -> None:
    world = World()
    world.run(upto)
    again = World()
    again.s = Scenario("1.6", memory=restore(world.s.stored))
    again.s.feed(again.s.started())
    again.serve()
    assert again.s.cp.is_registered
    assert again.s.memory.roots == world.s.memory.roots
    assert save(again.s.memory) == again.s.stored


def test_the_whole_life_ends_on_profile_3() -> None:
    world = World()
    world.run(len(STEPS))
    assert (world.s.memory.security_profile, world.s.memory.password) == (3, KEY)
    assert world.certificate_accepted
    assert world.s.cp.is_registered
