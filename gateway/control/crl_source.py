"""One foreign revocation list: where it comes from, what was believed last, and whether it is still good."""

import asyncio
import datetime
import hashlib
import os
import time
from functools import partial
from pathlib import Path
from typing import Final, Literal

import aiohttp
from cryptography import x509

from gateway.config.model import Trust
from gateway.config.trust import is_url
from gateway.control.background import in_background
from pki.foreign_crl import CRLRejected, ForeignCRL, read_crl

__all__ = ["CRLSource", "Freshness", "fetch"]

Freshness = Literal["missing", "current", "expiring", "expired"]

_MAX_LIST_BYTES: Final = 64 * 1024 * 1024
_FETCH_TIMEOUT_S: Final = 60.0
_RETRY_S: Final = 60.0
_WARNED_QUARTER: Final = 4
"""A list that lives shorter than four times warn_before_s is announced when a quarter of its life is left."""


async def fetch(url: str, *, max_bytes: int, timeout_s: float, post: bytes | None = None, kind: str = "") -> bytes:
    """The body of a GET, or of a POST with this content. Raises OSError for everything that can go wrong."""
    limits = aiohttp.ClientTimeout(total=timeout_s)
    headers = {"Content-Type": kind} if kind else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=limits, trust_env=False) as session,
            session.request(
                "GET" if post is None else "POST", url, data=post, headers=headers, allow_redirects=False
            ) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004
                raise OSError(f"HTTP status {answer.status}")
            body = await answer.content.read(max_bytes + 1)
            while len(body) <= max_bytes and (more := await answer.content.read(max_bytes + 1 - len(body))):
                body += more
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise OSError(str(error) or type(error).__name__) from None
    if len(body) > max_bytes:
        raise OSError(f"more than {max_bytes} bytes")
    return body


class CRLSource:
    """Follows one address or file. What was believed last is kept on disk: a restart must not forget it."""

    def __init__(self, bundle: Trust, where: str, issuers: list[x509.Certificate], cache: Path) -> None:
        self.bundle = bundle
        self.where = where
        self.crl: ForeignCRL | None = None
        self.failure = ""
        """Why the last attempt gave nothing; empty if it went well."""
        self.attempts = 0
        self.issuers = issuers
        name = hashlib.sha256(f"{bundle.name}\0{where}".encode()).hexdigest()[:32]
        self.cache = cache / f"{name}.crl"
        self._due = 0.0
        self._seen: tuple[int, int] | None = None
        self.digest = b""
        self.is_kept = False

    @property
    def identity(self) -> tuple[Trust, str, tuple[x509.Certificate, ...]]:
        """Equal for sources that would do the same."""
        return self.bundle, self.where, tuple(self.issuers)

    def freshness(self, now: float) -> Freshness:
        """`now`: seconds since the epoch."""
        if self.crl is None:
            return "missing"
        ends = self.crl.next_update.timestamp()
        quarter = (ends - self.crl.this_update.timestamp()) / _WARNED_QUARTER
        if now > ends:
            return "expired"
        return "expiring" if now > ends - min(self.bundle.warn_before_s, quarter) else "current"

    async def recall(self) -> str:
        """What was believed before a restart, whatever the clock says now. Empty, or why what there is cannot be used."""
        if self.crl is not None:
            return ""
        try:
            data = await asyncio.to_thread(self.cache.read_bytes)
            self.crl = await in_background(partial(read_crl, data, self.issuers, None))
        except FileNotFoundError:
            return ""
        except (OSError, CRLRejected) as error:
            return str(error)
        self.digest, self.is_kept = hashlib.sha256(data).digest(), True
        return ""

    def adopt(self, before: "CRLSource") -> None:
        """Go on with what the same source has believed under other settings, if all its issuers are still trusted."""
        if set(before.issuers) <= set(self.issuers):
            self.crl, self.digest, self.is_kept = before.crl, before.digest, before.is_kept

    def forget(self) -> bool:
        """Start anew if somebody has deleted what was kept on disk: the only way to go back to lower numbers."""
        if not self.is_kept or self.cache.exists():
            return False
        self.crl, self.digest, self.is_kept, self._seen, self._due = None, b"", False, None, 0.0
        return True

    async def look(self, now: float) -> bool:
        """Fetch or read it if that is due. True if there is a list now that says something else than before."""
        if not await self._is_due(time.monotonic()):
            return False
        self.attempts += 1
        self._due = time.monotonic() + min(_RETRY_S, self.bundle.refresh_s)
        try:
            data = await self._data()
            digest = hashlib.sha256(data).digest()
            if digest == self.digest and self.crl is not None:
                # Reading a long list costs seconds of everybody's time.
                self.failure, self._due = "", time.monotonic() + self.bundle.refresh_s
                return False
            crl = await in_background(partial(read_crl, data, self.issuers, _moment(now), self.crl))
        except OSError as error:
            self.failure = error.strerror or str(error)
        except CRLRejected as rejected:
            self.failure = str(rejected)
        else:
            self.failure = ""
            changed, self.crl, self.digest = crl != self.crl, crl, digest
            self._due = time.monotonic() + self.bundle.refresh_s
            if changed:
                await asyncio.to_thread(self._keep, data)
            return changed
        return False

    async def _is_due(self, now: float) -> bool:
        """An address by the clock, a file when it has changed, or could not be believed: perhaps it can be later."""
        if is_url(self.where):
            return now >= self._due
        try:
            stat = await asyncio.to_thread(os.stat, self.where)
            seen = stat.st_mtime_ns, stat.st_size
        except OSError:
            seen = (0, -1)
        changed, self._seen = seen != self._seen, seen
        return changed or (bool(self.failure) and now >= self._due)

    async def _data(self) -> bytes:
        if is_url(self.where):
            return await fetch(self.where, max_bytes=_MAX_LIST_BYTES, timeout_s=_FETCH_TIMEOUT_S)
        return await asyncio.to_thread(_read, Path(self.where))

    def _keep(self, data: bytes) -> None:
        """As a whole or not at all. A full disk costs the memory of a restart, nothing else."""
        try:
            self.cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = self.cache.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.replace(self.cache)
            self.is_kept = True
        except OSError:
            return


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_LIST_BYTES + 1)
    if len(data) > _MAX_LIST_BYTES:
        raise OSError(f"more than {_MAX_LIST_BYTES} bytes")
    return data


def _moment(now: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(now, datetime.UTC)
