"""Has the embedded CA's lists and OCSP responses made in time and after each revocation, and served by the publication listener."""

import asyncio
import datetime
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from gateway.config.model import Config
from gateway.control.background import step_back
from gateway.control.operator_requests import OperatorRequest, RequestRefused
from gateway.control.part import NodePart
from gateway.control.publication import Publications
from gateway.control.publication_work import PublicationWork, Signed
from pki.errors import PKIError
from pki.own_crls import OwnList

__all__ = ["OwnPublication"]

_AGAIN_S: Final = 10.0
"""After a failure."""
_log = structlog.get_logger("control.publication")

Report = Callable[[str, str, str, str], None]
"""event, severity, decision, detail"""
Serve = Callable[[Publications], None]


class OCSPQuestion(msgspec.Struct, frozen=True):
    """Of an operator: how do the OCSP responses stand, and those about these certificates (serial numbers in hex)?"""

    serials: list[str] = []


class OwnPublication(NodePart):
    """One per node; does nothing without a CA and an address to publish at."""

    name = "publication"
    tick_every_s = 0.5

    def __init__(self, report: Report) -> None:
        self._report = report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="publication", initializer=step_back)
        self._work: PublicationWork | None = None
        self._made_from: tuple[object, ...] = ()
        self._shown: dict[str, Any] = {}
        self._left: dict[str, float] = {}
        self._failure = ""
        self._not_before = 0.0
        self.serve: Serve = lambda _content: None
        """Called on the event loop when there is something new to serve."""

    def use(self, config: Config) -> None:
        """Publish what this configuration says, from the next tick on."""
        pki = config.pki
        # Another CA publishes for itself.
        is_ours = pki.ca and pki.backend == "embedded"
        made_from = is_ours, pki.ca, pki.crl_lifetime_s, pki.ocsp_lifetime_s, bool(config.publication.address)
        if made_from == self._made_from:
            return
        self._made_from = made_from
        if self._work is not None:
            self._thread.submit(self._work.close)
        # What was shown is another CA's: whatever the new one has is news, also if none of it was made just now.
        self._work, self._shown, self._left, self._failure = None, {}, {}, ""
        if is_ours and config.publication.address:
            crl, ocsp = (datetime.timedelta(seconds=each) for each in (pki.crl_lifetime_s, pki.ocsp_lifetime_s))
            self._work = PublicationWork(Path(pki.ca), crl, ocsp, _now)
        else:
            self.serve(Publications())
        self._not_before = 0.0

    async def tick(self) -> None:
        """Look what is due, and serve what has come of it."""
        work = self._work
        if work is None or time.monotonic() < self._not_before:
            return
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._thread, work.step)
        except (PKIError, OSError, ValueError) as error:
            if work is not self._work:
                return
            self._not_before = time.monotonic() + _AGAIN_S
            self._failed(str(error))
            return
        if work is not self._work:
            return  # a reload has come in between
        if done.refused or done.planned:
            self._failed(done.refused)
        self._left = work.seconds_left()
        has_news = done.lists or done.found or done.responses or not self._shown
        if has_news or done.planned:
            self._shown = work.status()
        if not has_news:
            return
        self.serve(work.content())
        self._announce(done)

    async def close(self) -> None:
        """Nothing is signed any more."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._closed)
        self._thread.shutdown()

    def _closed(self) -> None:
        if self._work is not None:
            self._work.close()

    def _failed(self, why: str) -> None:
        """What is served meanwhile stays served, until it ends."""
        if why and why != self._failure:
            self._report("publication.failed", "high", "keep_last_good", why)
        self._failure = why

    def _announce(self, done: Signed) -> None:
        for each in done.lists:
            self._report("publication.crl_signed", "info", "allow", _in_words(each))
        for each in done.found:
            self._report("publication.crl_signed", "info", "allow", f"by a command: {_in_words(each)}")
        if done.responses:
            _log.debug("ocsp_signed", count=done.responses)

    def status(self) -> dict[str, Any] | None:
        """Lists and responders, and why the last try has failed."""
        return None if self._work is None else {**self._shown, "failure": self._failure}

    def requests(self) -> Sequence[OperatorRequest]:
        """`ocpp-gateway pki ocsp`."""
        return (OperatorRequest("/ocsp", OCSPQuestion, self._answer_ocsp, changes=False),)

    async def _answer_ocsp(self, asked: OCSPQuestion) -> dict[str, Any]:
        if self._work is None:
            raise RequestRefused("this gateway publishes no OCSP responses: see [publication] and [pki]")
        responses = []
        for serial in asked.serials:
            found = self._work.responses_about(int(serial, 16))
            responses += [{"serial": serial, **each} for each in found or ({"issuer": "", "state": "missing"},)]
        return {
            "refused": "",
            "issuers": self._shown.get("ocsp", []),
            "responses": responses,
            "failure": self._failure,
        }

    def metrics(self) -> dict[str, float]:
        """By issuing CA."""
        found = {
            f'ocpp_gateway_own_revocation_list_seconds_left{{issuer="{name}"}}': left
            for name, left in self._left.items()
        }
        for each in self._shown.get("ocsp", ()):
            found[f'ocpp_gateway_own_ocsp_responses{{issuer="{each["issuer"]}"}}'] = float(each["responses"])
            found[f'ocpp_gateway_own_ocsp_responses_stale{{issuer="{each["issuer"]}"}}'] = float(each["stale"])
        return found


def _in_words(made: OwnList) -> str:
    stamp = made.stamp
    return (
        f"{made.issuer}, shard {made.shard}: number {stamp.number}, {len(made.serials)} revoked, "
        f"until {stamp.next_update:%Y-%m-%d %H:%M} UTC"
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
