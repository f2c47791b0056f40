"""Required against used security profile over real sockets: only the diagonal gets in, except for a running upgrade."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from gateway.ocpp.vocabulary import SecurityProfile
from gateway.store.errors import StoreError
from tests.support.peer import Peer, basic
from tests.support.rig import Rig
from tests.support.site import BOOT, PASSWORD, Site, local_port, of, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
MISMATCH, MISSING = (403, "profile.mismatch"), (401, "auth.missing")
MISSING_OF_NO_USE = (403, "auth.missing")
"""Where only certificates count nobody is asked for a password: that would tell who is on another profile."""
IN = (101, "")


class Way(NamedTuple):
    """How a charge point connects."""

    listener: str
    shows_certificate: bool
    sends_password: bool


WAYS = {
    "plain": Way("plain", False, True),
    "tls": Way("tls", False, True),
    "certificate": Way("tls", True, False),
    "mtls": Way("mtls", True, False),
    "both": Way("tls", True, True),
    "mtls-both": Way("mtls", True, True),
}
# Requirements, appendix B, vector 5. A certificate that somebody on profile 2 happens to show does no harm and no good.
OUTCOMES = {
    1: dict(zip(WAYS, (IN, MISMATCH, MISMATCH, MISMATCH, MISMATCH, MISMATCH), strict=True)),
    2: dict(zip(WAYS, (MISMATCH, IN, MISSING, MISSING_OF_NO_USE, IN, MISMATCH), strict=True)),
    3: dict(zip(WAYS, (MISMATCH, MISMATCH, IN, IN, IN, IN), strict=True)),
}
CASES = [(required, way, outcome) for required, row in OUTCOMES.items() for way, outcome in row.items()]
UPGRADES = ((1, 2, "plain", "tls", "mtls"), (2, 3, "tls", "mtls", "plain"), (1, 3, "plain", "mtls", "tls"))


def prepare(rig: Rig) -> None:
    def add(identity: str, **fields: Any) -> None:
        rig.add(identity, password=PASSWORD, serial_number=f"SN-{identity}", **fields)

    for required, way, _ in CASES:
        add(f"{required}-{way}", security_profile=required)
    for low, high, *_ in UPGRADES:
        add(f"UP-{low}{high}", security_profile=low, pending_security_profile=SecurityProfile(high))
    add("FLOOR", security_profile=3, floor=SecurityProfile.TLS_CLIENT_CERTIFICATE)
    add("LEARNS", security_profile=2)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("matrix"), prepare) as made:
        yield made


async def connect(site: Site, identity: str, way: str) -> tuple[Peer, int]:
    """A connection and the status of its upgrade."""
    listener, shows_certificate, sends_password = WAYS[way]
    certificate = site.rig.authority.charge_point(f"SN-{identity}") if shows_certificate else None
    peer = await site.peer(listener, certificate)
    authorization = basic(identity, PASSWORD) if sends_password else None
    return peer, (await peer.ask(f"/ocpp/{identity}", authorization=authorization)).status


async def status(site: Site, identity: str, way: str) -> int:
    peer, code = await connect(site, identity, way)
    async with peer:
        if code == 101:  # the session is over before the next attempt begins
            since = len(site.csms.closes[identity])
            peer.abort()
            await site.closed(identity, since)
    return code


async def register(site: Site, identity: str, way: str) -> None:
    """Connect and have a BootNotification accepted."""
    since = len(site.csms.closes[identity])
    peer, code = await connect(site, identity, way)
    async with peer:
        assert code == 101
        peer.send_text(BOOT)
        assert '"Accepted"' in await peer.text()
    await site.closed(identity, since)


@pytest.mark.parametrize(("required", "way", "outcome"), CASES, ids=[f"required-{r}-used-{w}" for r, w, _ in CASES])
@pytest.mark.requirement(
    "A00.FR.001", "A00.FR.002", "A00.FR.006", "A00.FR.202", "A00.FR.301", "A00.FR.401"
)  # fmt: skip
async def test_only_the_required_profile_gets_in(site: Site, required: int, way: str, outcome: tuple[int, str]) -> None:
    identity, since = f"{required}-{way}", site.gateway.mark()
    peer, code = await connect(site, identity, way)
    async with peer:
        assert code == outcome[0]
        if code != 101:
            event = await site.gateway.event(outcome[1], since, of(local_port(peer)))
            assert (event["charge_point_id"], event.get("verified", False)) == (identity, outcome == MISMATCH)
            return
        peer.send_text(BOOT)
        assert '"Accepted"' in await peer.text()
    session = next(x for x in site.csms.requests if x.path.endswith("/" + identity))
    assert "Authorization" not in session.headers


@pytest.mark.requirement("A00.FR.001", "A00.FR.002")
async def test_changed_record_counts_from_the_next_connection_on(site: Site) -> None:
    identity = "1-tls"
    assert await status(site, identity, "tls") == 403
    with site.rig.registry() as registry:
        registry.update(identity, security_profile=SecurityProfile.TLS_BASIC)
    codes = {403}
    while 101 not in codes:  # control looks every half second
        codes.add(await status(site, identity, "tls"))
    assert codes == {101, 403}


@pytest.mark.parametrize(
    ("low", "high", "old", "new", "neither"), UPGRADES, ids=[f"{u[0]}-to-{u[1]}" for u in UPGRADES]
)
@pytest.mark.requirement("A00.FR.002", "A00.FR.005", "A05.FR.07", "A05.FR.09", "TC_083_CSMS", "TC_A_19_CSMS")
async def test_running_upgrade_takes_both_profiles_until_the_new_one_has_registered(
    site: Site, low: int, high: int, old: str, new: str, neither: str
) -> None:
    identity = f"UP-{low}{high}"
    assert await status(site, identity, neither) in {401, 403}
    assert await status(site, identity, old) == 101
    assert await status(site, identity, new) == 101  # connected, but never registered ...
    assert await status(site, identity, old) == 101  # ... which proves nothing
    since = site.gateway.mark()
    await register(site, identity, new)
    await site.gateway.event("profile.upgraded", since, lambda event: identity in event["detail"])
    peer, code = await connect(site, identity, old)
    async with peer:
        event = await site.gateway.event("profile.downgrade", since, of(local_port(peer)))
    assert (code, event["reason"], event["severity"]) == (403, "security-profile-below-floor", "critical")
    assert await status(site, identity, new) == 101


@pytest.mark.requirement("A00.FR.005", "A05.FR.07", "A05.FR.09")
async def test_nothing_below_the_floor_gets_in_until_an_operator_lowers_it(site: Site) -> None:
    since = site.gateway.mark()
    peer, code = await connect(site, "FLOOR", "tls")
    async with peer:
        event = await site.gateway.event("profile.downgrade", since, of(local_port(peer)))
    assert (code, event["reason"]) == (403, "security-profile-below-floor")
    with site.rig.registry() as registry:
        with pytest.raises(StoreError):
            registry.update("FLOOR", security_profile=SecurityProfile.TLS_BASIC)
        registry.lower_floor("FLOOR", SecurityProfile.TLS_BASIC, reason="replacement hardware")
        registry.update("FLOOR", security_profile=SecurityProfile.TLS_BASIC)
    while (code := await status(site, "FLOOR", "tls")) != 101:
        assert code == 403
    assert await status(site, "FLOOR", "mtls") == 403


@pytest.mark.requirement("A00.FR.005")
async def test_profile_that_was_used_becomes_the_floor(site: Site) -> None:
    assert await status(site, "LEARNS", "tls") == 101
    with site.rig.registry() as registry:
        found = registry.get("LEARNS")
        assert found is not None
        assert found.floor is SecurityProfile.TLS_BASIC
        with pytest.raises(StoreError):
            registry.update("LEARNS", security_profile=SecurityProfile.BASIC)
