"""Images of updates as control looks at them: signed by OpenSSL, served on the loopback, fetched once for all that ask."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.config.firmware import Firmware
from gateway.config.model import Config, WebSocketSettings
from gateway.control.firmware_images import FirmwareImages
from gateway.control.link_server import EdgeLink
from gateway.link.images import ImageAsked, ImageChecked
from gateway.link.tasks import TaskOwner
from gateway.ocpp.vocabulary import ChargePointId
from gateway.policy.firmware_image import ImageVerdict
from tests.cli.test_firmware import made, sign
from tests.control.test_image_fetch import served
from tests.support.fleet import until

LOOPBACK = ("127.0.0.0/8",)
PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:max")


def config(calls_wait_s: float = 30.0, **firmware: Any) -> Config:
    return Config(
        path="gateway.toml",
        state_dir="state",
        database_url="",
        edge_workers=1,
        log_level="info",
        listeners=(),
        csms=(),
        websocket=WebSocketSettings(call_timeout_s=calls_wait_s),
        firmware=Firmware(**{"private_hosts": LOOPBACK, **firmware}),
    )


class Edge:
    def __init__(self) -> None:
        self.verdicts: dict[int, ImageVerdict] = {}

    def send(self, message: ImageChecked) -> None:
        self.verdicts[message.request_id] = message.verdict


class Site:
    """A manufacturer, a file server, and the part."""

    def __init__(self, place: Path, kind: str = "ec", options: tuple[str, ...] = ()) -> None:
        made(place, kind)
        sign(place, *options)
        self.certificate = (place / "firmware.pem").read_text()
        self.signature = (place / "image.sig").read_text()
        self.image = (place / "image.bin").read_bytes()
        self.gets: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.now = 1_000.0
        self.tasks, self.edge = TaskOwner(), Edge()
        self.part = FirmwareImages(self.tasks, lambda: self.now)
        self.part.use(config())
        self.server = ""
        self._numbers = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.gets.append(request.path)
        await self.may_answer.wait()
        return web.Response(status=404) if request.path == "/missing" else web.Response(body=self.image)

    def ask(self, location: str = "", *, holds: bool = True, **changes: str) -> int:
        self._numbers += 1
        said = {"certificate": self.certificate, "signature": self.signature, **changes}
        where = location or f"{self.server}/i.bin"
        asked = ImageAsked(self._numbers, ChargePointId("CP-1"), where, said["certificate"], said["signature"], holds)
        self.part.asked(asked, cast("EdgeLink", self.edge))
        return self._numbers

    async def verdict(self, number: int) -> ImageVerdict:
        await until(lambda: number in self.edge.verdicts, "control answers")
        return self.edge.verdicts[number]

    async def check(self, location: str = "", **changes: Any) -> ImageVerdict:
        return await self.verdict(self.ask(location, **changes))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    async with served(made.answer) as server:
        made.server = server
        yield made
        await made.tasks.close()


@pytest.mark.requirement("L01.FR.04")
@pytest.mark.parametrize(
    ("kind", "options", "method"),
    [("rsa", PSS, "RSA-PSS"), ("rsa", (), "RSA PKCS#1 v1.5"), ("ec", (), "ECDSA")],
    ids=["pss", "pkcs1", "ecdsa"],
)
async def test_an_image_that_its_manufacturer_has_signed_and_one_that_he_has_not(
    tmp_path: Path, kind: str, options: tuple[str, ...], method: str
) -> None:
    site = Site(tmp_path, kind, options)
    async with served(site.answer) as site.server:
        found = await site.check()
        assert found.outcome == "verified"
        assert found.detail.startswith(f"{site.server}/i.bin: sha256 ")
        assert found.detail.endswith(f" {len(site.image)} bytes, signed with {method}, waited for 0.0 s")
        site.image += b"!"
        found = await site.check(f"{site.server}/other.bin")
        assert found.outcome == "forged"
        assert "not one of this image" in found.detail
    await site.tasks.close()


async def test_a_whole_fleet_is_one_fetch_at_once_and_later(site: Site) -> None:
    site.may_answer.clear()
    numbers = [site.ask() for _ in range(20)]
    await until(lambda: site.gets, "somebody fetches")
    site.may_answer.set()
    assert {(await site.verdict(number)).outcome for number in numbers} == {"verified"}
    site.now += 599
    assert (await site.check()).outcome == "verified"
    assert site.gets == ["/i.bin"]
    site.now += 2
    assert (await site.check()).outcome == "verified"
    assert len(site.gets) == 2


async def test_a_newer_image_under_the_same_address_is_seen_and_a_forged_one_burdens_nobody(site: Site) -> None:
    assert (await site.check()).outcome == "verified"
    good, site.image = site.image, site.image + b"!"
    site.now += 60
    assert (await site.check()).outcome == "verified"  # as long as it is remembered
    other = base64.b64encode(base64.b64decode(site.signature)[::-1]).decode()
    assert (await site.check(signature=other)).outcome == "forged"
    assert len(site.gets) == 1, "a signature that can be none is no reason to fetch"
    site.now += 600
    for _ in range(5):
        assert (await site.check()).outcome == "forged"
    assert len(site.gets) == 2
    site.image = good
    site.now += 11
    assert (await site.check()).outcome == "verified"


async def test_an_update_does_not_wait_for_ever_and_the_next_try_finds_the_image(site: Site) -> None:
    site.part.use(config(hold_s=0.05))
    site.may_answer.clear()
    late = await site.check()
    assert (late.outcome, "not here within 0.05 s" in late.detail) == ("unknown", True)
    assert site.part.status()["fetching"] == 1
    site.may_answer.set()
    await until(lambda: site.part.status()["fetching"] == 0, "the image is here")
    assert (await site.check()).outcome == "verified"
    assert site.gets == ["/i.bin"]


async def test_where_nothing_waits_the_truth_is_waited_for(site: Site) -> None:
    site.part.use(config(hold_s=0.05))
    site.may_answer.clear()
    watching, holding = site.ask(holds=False), site.ask()
    assert (await site.verdict(holding)).outcome == "unknown"
    assert watching not in site.edge.verdicts
    site.now += 31
    site.may_answer.set()
    found = await site.verdict(watching)
    assert (found.outcome, found.detail.endswith("waited for 31.0 s")) == ("verified", True)


async def test_it_waits_less_where_calls_wait_less(site: Site) -> None:
    site.part.use(config(calls_wait_s=0.05))
    site.may_answer.clear()
    assert "not here within 0.04 s" in (await site.check()).detail
    site.may_answer.set()


async def test_what_cannot_be_looked_at(site: Site) -> None:
    missing = await site.check(f"{site.server}/missing")
    assert missing == ImageVerdict("unknown", f"{site.server}/missing: HTTP status 404")
    for location, why in (
        ("ftp://fw.example/i.bin", "does not fetch over ftp"),
        ("http://127.1/i.bin", "not an address that every program reads alike"),
        ("x", "not an address that every program reads alike"),
        ("", "not an address that every program reads alike"),
    ):
        found = await site.verdict(site.ask(location or " "))
        assert found.outcome == "unknown"
        assert why in found.detail
    site.part.use(config(private_hosts=()))
    assert "no public address" in (await site.check()).detail
    assert site.gets == ["/missing"]


async def test_what_goes_on_unchecked_is_named_one_by_one(site: Site) -> None:
    site.part.use(config(unsafe_unchecked_schemes=("sftp",)))
    assert (await site.check("sftp://user:secret@fw.example/i.bin")).outcome == "let-through"
    assert (await site.check("ftp://fw.example/i.bin")).outcome == "unknown"
    assert "secret" not in repr(site.edge.verdicts)
    bad = await site.check("sftp://fw.example/i.bin", signature="?")
    assert bad.outcome == "forged", "what can be seen without the image still counts"


async def test_a_certificate_that_may_sign_nothing(site: Site) -> None:
    found = await site.check(certificate="-----BEGIN nothing")
    assert found.outcome == "bad-certificate"
    assert site.gets == []


async def test_other_rules_of_fetching_forget_what_was_fetched_by_the_old_ones(site: Site) -> None:
    assert (await site.check()).outcome == "verified"
    site.part.use(config())
    assert (await site.check()).outcome == "verified"
    assert len(site.gets) == 1
    site.may_answer.clear()
    late = site.ask(f"{site.server}/late")
    await until(lambda: len(site.gets) == 2, "it is being fetched")
    site.part.use(config(private_hosts=()))
    site.may_answer.set()
    assert (await site.verdict(late)).outcome == "verified"
    for location in ("", f"{site.server}/late"):
        assert (await site.check(location)).outcome == "unknown"


async def test_so_many_addresses_at_once_are_too_many(site: Site) -> None:
    site.may_answer.clear()
    numbers = [site.ask(f"{site.server}/{number}") for number in range(33)]
    assert "too many images" in (await site.verdict(numbers[-1])).detail
    await until(lambda: len(site.gets) == 4, "four are fetched at once")
    assert site.part.status()["fetching"] == 32
    assert site.part.metrics()["ocpp_gateway_firmware_fetches_total"] == 4
    site.may_answer.set()
    assert (await site.verdict(numbers[0])).outcome == "verified"
