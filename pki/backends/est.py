"""EST client (RFC 7030, clarified by RFC 8951): simpleenroll and cacerts, with Basic, mTLS or an OAuth2 bearer token.

What servers do differently is taken as it comes: answers with and without base64, in one line or many; certificates in
any order (Hubject's is not leaf first), the root among them or not.
"""

import base64
import datetime
import email.utils
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates

from pki.backends.http import Answer, TLSFiles, ask
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Enrolled,
    EnrollmentRequest,
    Pending,
    RevocationAnswer,
    RevocationSource,
    printable_reason,
)
from pki.backends.returned import verified_answer
from pki.unreadable import UNREADABLE

__all__ = ["ESTBackend", "ESTSettings", "OAuth2Client"]

_DEFAULT_RETRY_S: Final = 60.0
_MAX_RETRY_S: Final = 86_400.0
_OK, _ACCEPTED, _UNAUTHORIZED = 200, 202, 401
_ABOUT_US: Final = frozenset({401, 403, 404, 405, 407, 408, 429})
"""Our credentials, our address, our haste: nothing that the request could be denied for."""
_REFUSALS: Final = frozenset(range(400, 500)) - _ABOUT_US
_MIN_RETRY_S: Final = 5.0
_SEQUENCE: Final = b"\x30"


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth2Client:
    """Where bearer tokens come from: the client credentials grant (RFC 6749, 4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ESTSettings:
    """One EST server. At most one of Basic and OAuth2; a client certificate in `tls` goes with either or alone."""

    url: str
    """Up to and without ``/simpleenroll``, e.g. ``https://est.example.com/.well-known/est/label``."""
    tls: TLSFiles
    anchors: tuple[x509.Certificate, ...]
    """The roots that certificates of this CA must chain to. Never taken from the server."""
    username: str = ""
    password: str = field(default="", repr=False)
    oauth2: OAuth2Client | None = None
    enroll_path: str = "/simpleenroll"
    """Some servers have one for each kind of certificate."""
    revocation: RevocationSource = field(default_factory=RevocationSource)


class ESTBackend:
    """A CA behind EST. `now` gives the time."""

    def __init__(self, settings: ESTSettings, now: Callable[[], datetime.datetime]) -> None:
        self._settings = settings
        self._now = now
        self._token = ""

    async def enroll(self, request: EnrollmentRequest) -> Enrolled:
        """Enroll (simpleenroll). Pending means: ask again with the same request, as RFC 7030, 4.2.3 has it."""
        body = base64.b64encode(request.csr.public_bytes(Encoding.DER))
        headers = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
        answer = await self._ask("POST", self._settings.enroll_path, headers, body)
        if answer.status == _OK:
            return verified_answer(_certificates(answer.body), request, self._settings.anchors, self._now())
        if answer.status == _ACCEPTED:
            return Pending(self._retry_after_s(answer))
        said = printable_reason(answer.body.decode("utf-8", "replace"))
        if answer.status not in _REFUSALS:
            raise BackendUnavailable(f"HTTP status {answer.status}" + (f": {said}" if said else ""))
        return Denied(said or f"HTTP status {answer.status}")

    async def chain(self) -> tuple[x509.Certificate, ...]:
        """The CA certificates (cacerts). To show to people; trust in them comes from elsewhere."""
        answer = await self._ask("GET", "/cacerts", {}, None)
        if answer.status != _OK:
            raise BackendUnavailable(f"HTTP status {answer.status}")
        try:
            return tuple(_certificates(answer.body))
        except BackendMisbehaved as error:
            raise BackendUnavailable(str(error)) from None

    async def verify_access(self) -> bool:
        """A token is fetched; Basic and certificates are looked at by simpleenroll alone."""
        oauth2 = self._settings.oauth2
        if oauth2 is None:
            return False
        self._token = await _bearer_token(oauth2, self._settings.tls)
        return True

    async def revoke(self, certificate: x509.Certificate, reason: x509.ReasonFlags) -> RevocationAnswer:
        """EST has no revocation."""
        del certificate, reason
        return ByHand("EST has no revocation")

    def revocation_source(self) -> RevocationSource:
        """As configured: EST does not say."""
        return self._settings.revocation

    async def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> Answer:
        url = self._settings.url.rstrip("/") + path
        headers = {**headers, **await self._authorization()}
        answer = await ask(method, url, tls=self._settings.tls, headers=headers, body=body)
        if answer.status == _UNAUTHORIZED and self._settings.oauth2 is not None and self._token:
            self._token = ""  # it may have run out
            headers = {**headers, **await self._authorization()}
            answer = await ask(method, url, tls=self._settings.tls, headers=headers, body=body)
        return answer

    async def _authorization(self) -> dict[str, str]:
        settings = self._settings
        if settings.oauth2 is not None:
            self._token = self._token or await _bearer_token(settings.oauth2, settings.tls)
            return {"Authorization": f"Bearer {self._token}"}
        if settings.username:
            return {"Authorization": _basic(settings.username, settings.password)}
        return {}

    def _retry_after_s(self, answer: Answer) -> float:
        """Seconds, or a date (RFC 9110, 10.2.3)."""
        text = answer.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return min(max(float(text), _MIN_RETRY_S), _MAX_RETRY_S)
        try:
            moment = email.utils.parsedate_to_datetime(text)
            left = (moment - self._now()).total_seconds()
        except (ValueError, TypeError):
            return _DEFAULT_RETRY_S
        return min(max(left, _MIN_RETRY_S), _MAX_RETRY_S)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


async def _bearer_token(client: OAuth2Client, tls: TLSFiles) -> str:
    answer = await ask(
        "POST",
        client.token_url,
        tls=tls,
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": _basic(quote(client.client_id, safe=""), quote(client.client_secret, safe="")),
        },
        body=b"grant_type=client_credentials",
    )
    if answer.status != _OK:
        raise BackendUnavailable(f"no token: HTTP status {answer.status}")
    try:
        token = msgspec.json.decode(answer.body, type=dict[str, object]).get("access_token")
    except msgspec.MsgspecError:
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token or " " in token:
        raise BackendUnavailable("no token: the answer holds none")
    return token


def _certificates(body: bytes) -> list[x509.Certificate]:
    """Of a certs-only CMS message, in base64 (RFC 8951, 3.1) or as it is. Raises BackendMisbehaved."""
    try:
        der = body if body[:1] == _SEQUENCE else base64.b64decode(b"".join(body.split()), validate=True)
        return load_der_pkcs7_certificates(der)
    except UNREADABLE:
        raise BackendMisbehaved("an answer that holds no certificates") from None
