"""Looks at the images of signed firmware updates for the edges: fetched once for all that ask, held against each signature."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final

from typing_extensions import override

from gateway.audit.event import printable
from gateway.config.firmware import Firmware
from gateway.config.model import Config
from gateway.control.image_fetch import (
    FETCHED_SCHEMES,
    FetchedImage,
    FetchLimits,
    ImageUnavailable,
    fetch_image,
    shown_url,
)
from gateway.control.image_memory import ImageMemory, Known
from gateway.control.link_server import EdgeLink
from gateway.control.part import NodePart
from gateway.link.images import ImageAsked, ImageChecked
from gateway.link.tasks import TaskOwner
from gateway.policy.firmware import FirmwareUnfit, firmware_certificate, verify_signature_form
from gateway.policy.firmware_image import ImageOutcome, ImageVerdict, verify_image
from gateway.policy.urls import read_url

__all__ = ["FirmwareImages"]

_MAX_DETAIL_CHARS: Final = 400
_AT_ONCE: Final = 4
_MAX_WANTED: Final = 32
"""Addresses that are fetched from, or wait for that."""
_SHARE_OF_CALL_TIMEOUT: Final = 0.8


class FirmwareImages(NodePart):
    """One per node, on its event loop."""

    name: ClassVar[str] = "firmware_images"

    def __init__(self, tasks: TaskOwner, clock: Callable[[], float] = time.monotonic) -> None:
        self._tasks = tasks
        self._clock = clock
        self._settings = Firmware()
        self._hold_s = self._settings.hold_s
        self._memory = ImageMemory()
        self._wanted: dict[str, asyncio.Task[Known]] = {}
        """By address."""
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._verdicts: dict[str, int] = {}
        self._fetches = 0

    @override
    def use(self, config: Config) -> None:
        if config.firmware != self._settings:
            self._memory, self._wanted = ImageMemory(), {}  # what was fetched, and is being fetched, by other rules
        self._settings = config.firmware
        self._hold_s = min(config.firmware.hold_s, config.websocket.call_timeout_s * _SHARE_OF_CALL_TIMEOUT)

    def asked(self, message: ImageAsked, edge: EdgeLink) -> None:
        """An edge wants to know about an image; it hears what is found out, or in time that nothing was."""
        self._tasks.start(self._answer(message, edge), "firmware-image")

    async def _answer(self, message: ImageAsked, edge: EdgeLink) -> None:
        where = shown_url(message.location)
        try:
            async with asyncio.timeout(self._hold_s if message.holds else None):
                outcome, detail = await self._judged(message)
        except FirmwareUnfit as unfit:
            outcome, detail = "forged", str(unfit)
        except ImageUnavailable as unavailable:
            outcome, detail = "unknown", str(unavailable)
        except TimeoutError:
            outcome, detail = "unknown", f"not here within {self._hold_s:g} s; the fetch goes on, for the next try"
        self._verdicts[outcome] = self._verdicts.get(outcome, 0) + 1
        verdict = ImageVerdict(outcome, printable(f"{where}: {detail}", _MAX_DETAIL_CHARS))
        edge.send(ImageChecked(message.request_id, verdict))

    async def _judged(self, message: ImageAsked) -> tuple[ImageOutcome, str]:
        """Raises FirmwareUnfit for a signature that is none of this image, ImageUnavailable."""
        try:
            certificate = firmware_certificate(message.certificate)
        except FirmwareUnfit as unfit:
            return "bad-certificate", str(unfit)
        signature = verify_signature_form(certificate, message.signature)
        url = read_url(message.location)
        if url.scheme in self._settings.unsafe_unchecked_schemes:
            return "let-through", f"nobody has looked at the image, as the configuration says of {url.scheme}"
        if not url.ok:
            raise ImageUnavailable("not an address that every program reads alike")
        if url.scheme not in FETCHED_SCHEMES:
            raise ImageUnavailable(f"the gateway does not fetch over {url.scheme}")
        verify = partial(verify_image, certificate, signature)
        older = self._memory.older(message.location, self._clock(), self._settings.remember_s)
        if older is not None:
            try:
                return "verified", _words(older, verify(older.sha256))
            except FirmwareUnfit:
                pass  # there may be another image by now
        began = self._clock()
        known = await self._known(message.location)
        if known.image is None:
            raise ImageUnavailable(known.failure)
        words = _words(known.image, verify(known.image.sha256))
        return "verified", f"{words}, waited for {self._clock() - began:.1f} s"

    async def _known(self, location: str) -> Known:
        """What is there. A fetch that is under way is everybody's, and outlives whoever has asked for it."""
        fresh = self._memory.fresh(location, self._clock())
        if fresh is not None:
            return fresh
        task = self._wanted.get(location)
        if task is None:
            if len(self._wanted) >= _MAX_WANTED:
                raise ImageUnavailable("too many images are being fetched")
            task = self._wanted[location] = self._tasks.start(
                self._fetch(location, self._memory, self._wanted), "firmware-fetch"
            )
        return await asyncio.shield(task)

    async def _fetch(self, location: str, memory: ImageMemory, wanted: dict[str, asyncio.Task[Known]]) -> Known:
        settings = self._settings
        limits = FetchLimits(
            max_image_bytes=settings.max_image_bytes,
            timeout_s=settings.fetch_timeout_s,
            private_hosts=settings.private_hosts,
            ca=settings.ca,
        )
        try:
            async with self._room:
                self._fetches += 1
                image = await fetch_image(location, limits)
        except ImageUnavailable as unavailable:
            return memory.put(location, self._clock(), None, str(unavailable))
        else:
            return memory.put(location, self._clock(), image)
        finally:
            del wanted[location]

    @override
    def status(self) -> Any:
        return {"fetching": len(self._wanted), "remembered": len(self._memory), "verdicts": dict(self._verdicts)}

    @override
    def metrics(self) -> dict[str, float]:
        found = {
            f'ocpp_gateway_firmware_images_total{{outcome="{outcome}"}}': float(number)
            for outcome, number in self._verdicts.items()
        }
        return {**found, "ocpp_gateway_firmware_fetches_total": float(self._fetches)}


def _words(image: FetchedImage, method: str) -> str:
    return f"sha256 {image.sha256.hex()}, {image.size} bytes, signed with {method}"
