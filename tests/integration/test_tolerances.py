"""Leniency is opted in per charge point, counted and visible; without it the same request is refused."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.ocpp.vocabulary import OCPPVersion
from tests.support.csms import FakeCSMS
from tests.support.peer import basic, upgrade
from tests.support.rig import Rig
from tests.support.site import BOOT, PASSWORD, Site, local_port, of, running, tolerance_count

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
# tolerance: (what the odd charge point sends, with its identity and credentials filled in; status and event without it)
ODD = {
    "missing-connection-upgrade": (426, "http.not_websocket"),
    "missing-subprotocol": (400, "http.subprotocol"),
    "empty-subprotocol-element": (400, "http.not_tolerated"),
    "absolute-form-target": (400, "identity.confusion"),
    "trailing-slash": (400, "identity.confusion"),
    "username-differs": (401, "identity.mismatch"),
}

USES: Counter[str] = Counter()
"""How often the module's gateway has let a flaw pass."""


def request(tolerance: str, identity: str) -> bytes:
    """The request of a charge point with this flaw and no other."""
    target = f"/ocpp/{identity}"
    target = {"absolute-form-target": f"ws://localhost{target}", "trailing-slash": target + "/"}.get(tolerance, target)
    offers: dict[str, str | None] = {"missing-subprotocol": None, "empty-subprotocol-element": ",ocpp1.6"}
    user = "fixed-user" if tolerance == "username-differs" else identity
    data = upgrade(target, subprotocols=offers.get(tolerance, "ocpp1.6"), authorization=basic(user, PASSWORD))
    return data.replace(b"Connection: Upgrade\r\n", b"") if tolerance == "missing-connection-upgrade" else data


def prepare(rig: Rig) -> None:
    rig.add("STRICT", security_profile=1, password=PASSWORD, default_version=OCPPVersion.V1_6)
    for tolerance in ODD:
        others = tuple(name for name in ODD if name != tolerance)
        fields: dict[str, Any] = {"security_profile": 1, "password": PASSWORD, "default_version": OCPPVersion.V1_6}
        rig.add(f"WITH-{tolerance}", tolerances=(tolerance,), **fields)
        rig.add(f"WITHOUT-{tolerance}", tolerances=others, **fields)
    rig.add("NO-DEFAULT", security_profile=1, password=PASSWORD, tolerances=("missing-subprotocol",))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with FakeCSMS(subprotocols=()) as mute:

        def prepare_all(rig: Rig) -> None:
            prepare(rig)
            rig.config["csms"].append({"name": "mute", "urls": [mute.url]})
            more = {"default_version": OCPPVersion.V1_6, "tolerances": ("missing-subprotocol",), "csms": "mute"}
            rig.add("MUTE", security_profile=1, password=PASSWORD, **more)

        async with running(tmp_path_factory.mktemp("tolerances"), prepare_all) as made:
            yield made


async def attempt(site: Site, tolerance: str, identity: str) -> tuple[int, int]:
    """(status, port) of the request with this flaw; an admitted charge point registers."""
    async with await site.peer() as peer:
        peer.send(request(tolerance, identity))
        answer = await peer.answer()
        if answer.status == 101:
            peer.send_text(BOOT)
            assert "Accepted" in await peer.text()
            if tolerance:
                USES[tolerance] += 1
        return answer.status, local_port(peer)


@pytest.mark.parametrize("tolerance", ODD)
async def test_flaw_is_let_pass_and_shown_only_with_its_tolerance(site: Site, tolerance: str) -> None:
    since = site.gateway.mark()
    for identity in ("STRICT", f"WITHOUT-{tolerance}"):
        status, port = await attempt(site, tolerance, identity)
        assert status == ODD[tolerance][0], identity
        event = await site.gateway.event(ODD[tolerance][1], since, of(port))
        assert event["charge_point_id"] == identity
    status, port = await attempt(site, tolerance, f"WITH-{tolerance}")
    assert status == 101
    event = await site.gateway.event("identity.tolerance", since, of(port))
    assert (event["detail"], event["decision"], event["verified"]) == (tolerance, "allow_alert", True)


async def test_each_use_of_a_tolerance_is_counted_and_a_refusal_is_not(site: Site) -> None:
    for tolerance in ODD:
        assert (await attempt(site, tolerance, f"WITH-{tolerance}"))[0] == 101
        assert (await attempt(site, tolerance, "STRICT"))[0] != 101
    counted: Counter[str] = Counter()
    async with asyncio.timeout(120):  # edges tell their counters every second or two
        while counted != USES:
            counted = Counter({tolerance: int(tolerance_count(site.gateway, tolerance)) for tolerance in ODD})
            await asyncio.sleep(0.1)


async def test_charge_point_with_every_tolerance_but_no_flaw_is_not_counted(site: Site) -> None:
    since = site.gateway.mark()
    identity = "WITHOUT-trailing-slash"
    status, port = await attempt(site, "", identity)
    assert status == 101
    await site.refused(await site.peer(), "/elsewhere/STRICT")  # an event that goes the same way, from the edge
    assert not [event for event in site.gateway.events(since) if of(port)(event)]


async def test_assumed_version_is_offered_to_the_csms_and_not_named_in_the_answer(site: Site) -> None:
    async with await site.peer() as peer:
        peer.send(request("missing-subprotocol", "WITH-missing-subprotocol"))
        answer = await peer.answer()
        assert answer.status == 101
        assert "sec-websocket-protocol" not in answer.headers
    assert site.csms.header("sec-websocket-protocol") == ["ocpp1.6"]
    async with await site.peer() as peer:
        peer.send(request("missing-subprotocol", "NO-DEFAULT"))
        assert (await peer.answer()).status == 400


async def test_csms_that_names_no_version_either_is_talked_to_in_the_assumed_one(site: Site) -> None:
    for subprotocols, status in ((None, 101), ("ocpp1.6", 400)):
        async with await site.peer() as peer:
            peer.send(upgrade("/ocpp/MUTE", subprotocols=subprotocols, authorization=basic("MUTE", PASSWORD)))
            assert (await peer.answer()).status == status


async def test_other_flaws_are_never_tolerated(site: Site) -> None:
    good = request("", "STRICT")
    for old, new, status in (
        (b"Upgrade: websocket\r\n", b"", 426),
        (b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Version: 8", 426),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Key: short", 400),
        (b"HTTP/1.1", b"HTTP/1.0", 400),
        (b"/ocpp/STRICT ", b"/ocpp//STRICT ", 400),
        (b"GET ", b"POST ", 405),
    ):
        async with await site.peer() as peer:
            peer.send(good.replace(old, new, 1))
            assert (await peer.answer()).status == status, new
    async with await site.peer() as peer:
        peer.send(good)
        assert (await peer.answer()).status == 101
