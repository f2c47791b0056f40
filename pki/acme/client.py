"""ACME (RFC 8555) as far as a server needs it for itself: account, order, http-01, finalize, download.

The procedure of `ACMEClient.certificate`:

(1) the directory                                              7.1.1
(2) the account of our key, made or found                      7.3, 7.3.4
(3) an order for the names, which says what it replaces        7.4; RFC 9773, 5
(4) each authorization that is not valid yet: its http-01 challenge is answered, then it is waited for     7.5, 8.3
(5) the order is finalized with the request, and waited for    7.4
(6) the certificate and those above it                         7.4.2

What comes back is untrusted input: the key, exactly the names, and times are checked, and the chain is put in order.
"""

import contextlib
import datetime
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from pki.acme.jws import base64url, bound_account, key_authorization, public_jwk, signed
from pki.acme.renewal_info import RenewalAdvice, certificate_id, parse_advice
from pki.backends.http import Answer, TLSFiles, ask
from pki.backends.interface import BackendUnavailable, printable_reason
from pki.chains import ordered_chain, shaped
from pki.unreadable import UNREADABLE

__all__ = ["ACMEClient", "ACMEFailed", "ACMESettings"]

_ATTEMPTS: Final = 8
"""Nonces run out while a request is on its way (6.5)."""
_POLLS: Final = 40
_POLL_S: Final = 1.0
_MAX_POLL_S: Final = 15.0
_SKEW: Final = datetime.timedelta(minutes=5)
_FIRST_REFUSAL: Final = 400
_BAD_NONCE: Final = "urn:ietf:params:acme:error:badNonce"
Show = Callable[[str, str], None]
"""`show(token, key_authorization)`: what /.well-known/acme-challenge/TOKEN answers from now on."""


class ACMEFailed(Exception):  # noqa: N818  names the state
    """No certificate. The text says at which step and why, in the CA's words, and holds no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ACMESettings:
    """One CA and our account there."""

    directory: str
    tls: TLSFiles
    contact: tuple[str, ...] = ()
    key_id: str = ""
    """For an external account binding."""
    binding_key: bytes = field(default=b"", repr=False)


class ACMEClient:
    """`account_key` is P-256. `wait(seconds)` waits."""

    def __init__(
        self, settings: ACMESettings, account_key: ec.EllipticCurvePrivateKey, wait: Callable[[float], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._key = account_key
        self._wait = wait
        self._directory: dict[str, Any] = {}
        self._account = ""
        self._nonce = ""

    async def certificate(
        self,
        csr: x509.CertificateSigningRequest,
        names: Sequence[str],
        show: Show,
        now: datetime.datetime,
        replaced: x509.Certificate | None = None,
    ) -> tuple[x509.Certificate, ...]:
        """Leaf first, without the root. Raises ACMEFailed. `replaced`: the certificate of this CA that it is the renewal of."""
        try:
            # Steps 1 and 2.
            await self._log_in()
            # Step 3.
            made = await self._ordered(names, replaced)
            order, place = _json(made), made.headers.get("location", "")
            # Step 4.
            for url in _texts(order, "authorizations"):
                await self._authorize(url, show)
            # Step 5.
            order = await self._until(place, "order", {"ready", "valid"}, order)
            if order.get("status") != "valid":
                request = {"csr": base64url(csr.public_bytes(Encoding.DER))}
                order = _json(await self._post("finalize", _text(order, "finalize"), request))
                order = await self._until(place, "order", {"valid"}, order)
            # Step 6.
            found = await self._post("certificate", _text(order, "certificate"), None)
            return _checked(found.body, csr, names, now)
        except BackendUnavailable as error:
            raise ACMEFailed(str(error)) from None

    async def renewal_advice(self, certificate: x509.Certificate) -> RenewalAdvice | None:
        """When the CA would like this certificate of its own to be renewed; None if it has no opinion. Raises ACMEFailed."""
        try:
            await self._look_up()
            url = self._directory.get("renewalInfo")
            if not isinstance(url, str) or not url:
                return None
            answer = await ask("GET", f"{url.rstrip('/')}/{certificate_id(certificate)}", tls=self._settings.tls)
            if answer.status >= _FIRST_REFUSAL:
                raise ACMEFailed(f"renewalInfo: HTTP status {answer.status}: {_words(_problem(answer))}")
            return parse_advice(answer.body, answer.headers.get("retry-after", ""))
        except (BackendUnavailable, ValueError) as error:
            raise ACMEFailed(f"renewalInfo: {error}") from None

    async def _ordered(self, names: Sequence[str], replaced: x509.Certificate | None) -> Answer:
        """Step 3. What is said to be replaced already (RFC 9773, 5) is ordered as something new."""
        order: dict[str, Any] = {"identifiers": [{"type": "dns", "value": name} for name in names]}
        url = self._url("newOrder")
        if replaced is not None and self._directory.get("renewalInfo"):
            with contextlib.suppress(ACMEFailed, ValueError):
                return await self._post("newOrder", url, {**order, "replaces": certificate_id(replaced)})
        return await self._post("newOrder", url, order)

    async def _look_up(self) -> None:
        """Step 1."""
        if not self._directory:
            answer = await ask("GET", self._settings.directory, tls=self._settings.tls)
            if answer.status >= _FIRST_REFUSAL:
                raise ACMEFailed(f"directory: HTTP status {answer.status}")
            self._directory = _json(answer)

    async def _log_in(self) -> None:
        await self._look_up()
        if self._account:
            return
        url, settings = self._url("newAccount"), self._settings
        wanted: dict[str, Any] = {"termsOfServiceAgreed": True, "contact": list(settings.contact)}
        if settings.key_id:
            wanted["externalAccountBinding"] = bound_account(self._key, settings.key_id, settings.binding_key, url)
        answer = await self._post("newAccount", url, wanted)
        self._account = answer.headers.get("location", "")
        if not self._account:
            raise ACMEFailed("newAccount: the answer names no account")

    async def _authorize(self, url: str, show: Show) -> None:
        found = _json(await self._post("authorization", url, None))
        if found.get("status") == "valid":
            return
        challenge = next((each for each in _challenges(found) if each.get("type") == "http-01"), None)
        if challenge is None:
            raise ACMEFailed("authorization: the CA offers no http-01 challenge")
        token = _text(challenge, "token")
        if not token.replace("-", "").replace("_", "").isalnum() or not token.isascii():
            raise ACMEFailed("authorization: a token that is none")
        show(token, key_authorization(token, self._key))
        await self._post("challenge", _text(challenge, "url"), {})
        await self._until(url, "authorization", {"valid"}, found)

    async def _until(self, url: str, what: str, states: set[str], found: dict[str, Any]) -> dict[str, Any]:
        """Poll until it is in one of these states (7.5.1)."""
        wait_s = 0.0
        for _ in range(_POLLS):
            if found.get("status") in states:
                return found
            if found.get("status") == "invalid":
                raise ACMEFailed(f"{what}: {_why(found)}")
            if wait_s:
                await self._wait(wait_s)
            answer = await self._post(what, url, None)
            found, asked = _json(answer), answer.headers.get("retry-after", "")
            wait_s = min(float(asked), _MAX_POLL_S) if asked.isdecimal() else _POLL_S
        raise ACMEFailed(f"{what}: still {printable_reason(str(found.get('status')))} after {_POLLS} questions")

    # -- signed requests

    def _url(self, name: str) -> str:
        return _text(self._directory, name)

    async def _post(self, what: str, url: str, payload: object | None) -> Answer:
        """A signed request with a fresh nonce (6.2, 6.5). Raises ACMEFailed for a refusal, BackendUnavailable."""
        for _ in range(_ATTEMPTS):
            nonce, self._nonce = self._nonce or await self._new_nonce(), ""
            who = {"kid": self._account} if self._account else {"jwk": public_jwk(self._key)}
            answer = await ask(
                "POST",
                url,
                tls=self._settings.tls,
                headers={"Content-Type": "application/jose+json"},
                body=signed(self._key, {"nonce": nonce, "url": url, **who}, payload),
            )
            self._nonce = answer.headers.get("replay-nonce", "")
            if answer.status < _FIRST_REFUSAL:
                return answer
            problem = _problem(answer)
            if problem.get("type") != _BAD_NONCE:
                raise ACMEFailed(f"{what}: HTTP status {answer.status}: {_words(problem)}")
        raise ACMEFailed(f"{what}: no nonce of ours is taken")

    async def _new_nonce(self) -> str:
        answer = await ask("HEAD", self._url("newNonce"), tls=self._settings.tls)
        nonce = answer.headers.get("replay-nonce", "")
        if not nonce:
            raise ACMEFailed("newNonce: the answer holds none")
        return nonce


def _json(answer: Answer) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ACMEFailed("an answer that is not JSON") from None


def _problem(answer: Answer) -> dict[str, Any]:
    try:
        return _json(answer)
    except ACMEFailed:
        return {}


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise ACMEFailed(f"an answer without {name}")
    return value


def _texts(found: dict[str, Any], name: str) -> list[str]:
    values = found.get(name)
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ACMEFailed(f"an answer without {name}")
    return values


def _challenges(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Of an authorization."""
    values = found.get("challenges")
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _words(problem: dict[str, Any]) -> str:
    kind = str(problem.get("type", "")).removeprefix("urn:ietf:params:acme:error:")
    return printable_reason(f"{kind}: {problem.get('detail', '')}".strip(": ")) or "no reason given"


def _why(found: dict[str, Any]) -> str:
    """The error of an order, or of the challenge of an authorization (7.1.6)."""
    errors = [
        found.get("error"),
        *(each.get("error") for each in _challenges(found)),
    ]
    return next((_words(each) for each in errors if isinstance(each, dict)), "invalid")


def _checked(
    body: bytes, csr: x509.CertificateSigningRequest, names: Sequence[str], now: datetime.datetime
) -> tuple[x509.Certificate, ...]:
    try:
        leaf, *others = x509.load_pem_x509_certificates(body)
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        chain = shaped(ordered_chain(leaf, others), "leaf+subs")
        same_key = leaf.public_key() == csr.public_key()
    except (x509.ExtensionNotFound, *UNREADABLE) as error:
        raise ACMEFailed(f"certificate: not one that can be used: {error}") from None
    if not same_key:
        raise ACMEFailed("certificate: it has another key than the request")
    if {each.lower() for each in found.get_values_for_type(x509.DNSName)} != {name.lower() for name in names}:
        raise ACMEFailed("certificate: it is for other names than were asked for")
    if not leaf.not_valid_before_utc <= now + _SKEW or leaf.not_valid_after_utc <= now:
        raise ACMEFailed("certificate: it is not valid now")
    return chain
