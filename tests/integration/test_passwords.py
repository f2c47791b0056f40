"""A01 with real processes: the gateway changes passwords, and learns those that the CSMS changes."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gateway.control.credentials import _matches
from gateway.identity.basic_auth import canonical_secret
from gateway.provisioning.password import PasswordChange
from gateway.store.password_changes import PasswordChangeTable
from tests.integration.test_enrolment import command
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.rig import GatewayProcess, Rig
from tests.support.simulated import Simulated, csms_answer, memory_of, simulated

pytestmark = pytest.mark.integration
OLD = "password-of-cp-1"
KEY = "4142434445464748494A4B4C4D4E4F5051525354"


class Site(NamedTuple):
    rig: Rig
    csms: FakeCSMS
    gateway: GatewayProcess
    identity: str = "CP-1"

    def of(self, identity: str) -> "Site":
        """The same, for another charge point."""
        return self._replace(identity=identity)

    def memory(self, version: str = "1.6", security_profile: int = 2, **more: Any) -> Any:
        plain = security_profile == 1
        host = f"ws://127.0.0.1:{self.gateway.plain[1]}" if plain else f"wss://localhost:{self.gateway.tls[1]}"
        made = {"password": OLD, "roots": () if plain else (self.rig.authority.pem.decode(),), **more}
        return memory_of(self.identity, f"{host}/ocpp", security_profile, version, **made)

    def changes(self) -> list[PasswordChange]:
        """The newest first."""
        with self.rig.registry() as registry:
            return PasswordChangeTable(registry.database).latest(self.identity, 20)

    def state(self) -> str:
        found = self.changes()
        return found[0].state.value if found else ""

    async def comes_to(self, *states: str) -> str:
        await until(lambda: self.state() in states, f"a change of {self.identity} in {states}, not {self.state()}")
        return self.state()

    async def rotate(self, *, code: int = 0) -> dict[str, Any]:
        got, found = await command("charge-point", "password", self.identity, "--rotate", config=self.rig.config_path)
        assert got == code, found
        return dict(found)

    def slots(self) -> tuple[str, str]:
        with self.rig.registry() as registry:
            record = registry.get(self.identity)
        assert record is not None
        return (
            record.password.phc if record.password else "",
            record.pending_password.phc if record.pending_password else "",
        )

    def is_current(self, password: str) -> bool:
        return _matches(self.slots()[0], canonical_secret(password))

    def verify_never_shown(self, *passwords: str) -> None:
        """In no log, no event, no record, in none of the spellings."""
        spellings = {x.encode() for p in passwords for x in (p, p.encode().hex(), p.encode().hex().upper(), p.lower())}
        for path in [self.gateway.log_path, self.gateway.out_path, *self.rig.state.rglob("*")]:
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                assert not [spelling for spelling in spellings if spelling in content], path


@contextlib.asynccontextmanager
async def running(tmp_path: Path, *identities: str, **csms_table: Any) -> AsyncIterator[Site]:
    async with FakeCSMS() as csms:
        csms.answer = csms_answer
        rig = Rig(tmp_path, csms_urls=[csms.url])
        rig.config["csms"][0].update(csms_table)
        rig.config["limits"] = {"reconnects_per_hour": 100_000, "connects_per_address_per_minute": 1_000_000}
        for identity in identities or ("CP-1",):
            rig.add(identity, security_profile=2, password=OLD)
        async with rig.gateway() as gateway:
            yield Site(rig, csms, gateway)


def stop_writing(site: Site, state: str) -> None:
    """From now on no change can come into this state."""
    with sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None) as connection:
        connection.execute(
            f"CREATE TRIGGER stop BEFORE UPDATE ON password_changes WHEN NEW.state = '{state}'"
            " BEGIN SELECT RAISE(ABORT, 'stopped by the test'); END"
        )
    connection.close()


def go_on_writing(site: Site) -> None:
    with sqlite3.connect(site.rig.state / "registry.sqlite", timeout=15, isolation_level=None) as connection:
        connection.execute("DROP TRIGGER stop")
    connection.close()


async def reconnected(cp: Simulated, times: int = 2) -> None:
    await cp.until(lambda: len(cp.said("connected")) >= times)
    await cp.registered()


def text_of(memory: Any) -> str:
    """The password that the charge point has now, in plain text."""
    word = memory.password
    return bytes.fromhex(word).decode() if len(word) == 40 else word


@pytest.mark.requirement("A01.FR.02", "A01.FR.03", "A01.FR.06", "A01.FR.07", "A01.FR.08", "A01.FR.09")
@pytest.mark.requirement("TC_073_CSMS", "TC_A_09_CSMS")
async def test_rotation_by_the_gateway(tmp_path: Path) -> None:
    """TC_073 and TC_A_09: the new password is accepted, whatever the charge point makes of it; the old one is not."""
    cast: dict[str, tuple[str, ...]] = {
        "CP-16": ("1.6",),
        "CP-HEX": ("1.6", "password-hex-text"),
        "CP-LOWER": ("1.6", "password-hex-lower"),
        "CP-PRINTABLE": ("1.6", "password-printable"),
        "CP-201": ("2.0.1",),
        "CP-21": ("2.1",),
    }
    async with running(tmp_path, *cast) as site:
        new = await asyncio.gather(*(rotated(site.of(identity), *words) for identity, words in cast.items()))
        site.verify_never_shown(*new)


async def rotated(site: Site, version: str, *quirks: str) -> str:
    """The new password, once it is the only one that lets the charge point in."""
    async with simulated(site.memory(version), *quirks) as cp:
        await cp.registered()
        await site.rotate()
        await site.comes_to("in-use")
        new = text_of(cp.memory)
    assert new != OLD
    assert len(new) == 20
    assert site.is_current(new), site.identity
    assert site.slots()[1] == ""
    assert not [text for text in site.csms.texts[site.identity] if "AuthorizationKey" in text or "BasicAuth" in text]
    async with simulated(site.memory(version)) as old:
        await old.until(lambda: {"failure": "refused", "detail": "HTTP 401"} in old.said("connection failed"))
    return new


@pytest.mark.requirement("A01.FR.04", "TC_A_10_CSMS")
@pytest.mark.parametrize(("version", "action"), [("1.6", "ChangeConfiguration"), ("2.0.1", "SetVariables")])
async def test_a_rejected_password_leaves_the_old_one(tmp_path: Path, version: str, action: str) -> None:
    """TC_A_10."""
    async with running(tmp_path) as site:
        async with simulated(site.memory(version), f"rejects={action}") as cp:
            await cp.registered()
            await site.rotate()
            await site.comes_to("refused")
        assert site.slots()[1] == ""
        assert site.is_current(OLD)
        async with simulated(site.memory(version)) as again:
            await again.registered()


async def test_an_unknown_outcome_ends_with_exactly_one_password(tmp_path: Path) -> None:
    """Both are accepted until one of them is used; where it was the old one, there is another try."""
    cast = {
        f"{quirk}-{version}": (version, f"{quirk}={action}")
        for quirk in ("drops-before-answer", "drops-after-answer", "reboots-on", "reboots-after")
        for version, action in (("1.6", "ChangeConfiguration"), ("2.0.1", "SetVariables"))
    }
    async with running(tmp_path, *cast) as site:
        await asyncio.gather(*(rotated_in_the_dark(site.of(identity), *words) for identity, words in cast.items()))


async def rotated_in_the_dark(site: Site, version: str, quirk: str) -> None:
    async with simulated(site.memory(version), quirk) as cp:
        await cp.registered()
        await site.rotate()
        await site.comes_to("in-use")
        await cp.registered()
        new = text_of(cp.memory)
    assert site.is_current(new), site.identity
    assert site.slots()[1] == ""
    assert new != OLD


class TestByTheCSMS:
    """Its own change is learnt from the wire, before it reaches the charge point."""

    @staticmethod
    def call(version: str, value: str) -> str:
        if version == "1.6":
            return json.dumps([2, "pw", "ChangeConfiguration", {"key": "AuthorizationKey", "value": value}])
        item = {
            "component": {"name": "SecurityCtrlr"},
            "variable": {"name": "BasicAuthPassword"},
            "attributeValue": value,
        }
        return json.dumps([2, "pw", "SetVariables", {"setVariableData": [item]}])

    @pytest.mark.requirement("A01.FR.03", "A01.FR.09")
    @pytest.mark.parametrize(
        ("version", "value"), [("1.6", KEY), ("2.0.1", "csms-made-this-password"), ("2.1", "csms-made-this-password")]
    )
    async def test_an_accepted_one_is_the_password_now(self, tmp_path: Path, version: str, value: str) -> None:
        async with running(tmp_path) as site:
            async with simulated(site.memory(version)) as cp:
                await cp.registered()
                await site.csms.connections["CP-1"].send(self.call(version, value))
                await site.csms.until(lambda: any('"pw"' in x and "Accepted" in x for x in site.csms.texts["CP-1"]))
                await site.comes_to("in-use")
            assert site.is_current(value)
            assert site.slots()[1] == ""
            assert site.changes()[0].origin == "csms"
            site.verify_never_shown(value, "ABCDEFGHIJKLMNOPQRST")
            async with simulated(site.memory(version)) as old:
                await old.until(lambda: {"failure": "refused", "detail": "HTTP 401"} in old.said("connection failed"))

    @pytest.mark.requirement("A01.FR.04")
    async def test_a_rejected_one_is_forgotten(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site:
            async with simulated(site.memory(), "rejects=ChangeConfiguration") as cp:
                await cp.registered()
                await site.csms.connections["CP-1"].send(self.call("1.6", KEY))
                await site.comes_to("refused")
            assert site.slots()[1] == ""
            assert site.is_current(OLD)

    async def test_without_an_answer_both_are_good_until_one_is_used(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site:
            async with simulated(site.memory(), "drops-before-answer=ChangeConfiguration") as cp:
                await cp.registered()
                await site.csms.connections["CP-1"].send(self.call("1.6", KEY))
                await site.comes_to("in-use", "failed")
                await reconnected(cp)
                has_new = cp.memory.password == KEY
            assert site.is_current(KEY if has_new else OLD)
            assert site.slots()[1] == ""

    @pytest.mark.requirement("A01.FR.03")
    async def test_the_old_one_dies_although_that_could_not_be_written_at_first(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site, simulated(site.memory(), "no-reconnect-after-password") as cp:
            await cp.registered()
            stop_writing(site, "accepted")
            await site.csms.connections["CP-1"].send(self.call("1.6", KEY))
            await until(lambda: "password_change_not_written" in site.gateway.log(), "it was tried")
            go_on_writing(site)
            await site.comes_to("accepted")
            assert site.is_current(KEY)
            assert site.slots()[1] == ""
            assert "CP-1" in site.gateway.sessions(), "the connection over which it was accepted goes on"

    async def test_a_change_of_something_else_waits_for_nobody(self, tmp_path: Path) -> None:
        async with running(tmp_path) as site, simulated(site.memory()) as cp:
            await cp.registered()
            asked = '[2,"hb","ChangeConfiguration",{"key":"HeartbeatInterval","value":"300"}]'
            await site.csms.connections["CP-1"].send(asked)
            await site.csms.received("CP-1", '[3,"hb",{"status":"Accepted"}]')
            assert site.changes() == []


async def test_what_cannot_be_changed_is_refused_with_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path, authentication="pass-through") as site:
        found = await site.rotate(code=1)
        assert "pass-through" in found["refused"]
        site.rig.add("CP-3", security_profile=3, serial_number="SN-3")
        await until(lambda: site.gateway.live_status()["registered_charge_points"] == 2, "two are registered")
        code, found = await command("charge-point", "password", "CP-3", "--rotate", config=site.rig.config_path)
        assert (code, "certificate" in found["refused"]) == (1, True)


@pytest.mark.requirement("A01.FR.04")
async def test_where_the_gateway_owns_passwords_the_csms_changes_none(tmp_path: Path) -> None:
    async with running(tmp_path, owners={"passwords": "gateway"}) as site, simulated(site.memory("2.0.1")) as cp:
        await cp.registered()
        await site.csms.connections["CP-1"].send(TestByTheCSMS.call("2.0.1", "csms-made-this-password"))
        await site.csms.until(lambda: any('"pw"' in x and "Rejected" in x for x in site.csms.texts["CP-1"]))
        assert (await site.gateway.event("setting.not_yours"))["charge_point_id"] == "CP-1"
        assert cp.memory.password == OLD
        assert site.changes() == []
        await site.rotate()
        await site.comes_to("in-use")
