"""HashiCorp Vault and OpenBao: the `pki` secrets engine's sign endpoint.

The role must leave names to the request: ``use_csr_common_name=false``, ``use_csr_sans=false``, ``enforce_hostnames=false``,
``cn_validations=disabled``, ``client_flag=true``, ``server_flag=false`` and ``organization`` set to the operator, which a
request cannot name.
"""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography import x509

from pki.backends.http import Answer, TLSFiles, ask
from pki.backends.interface import (
    BackendMisbehaved,
    BackendUnavailable,
    ByHand,
    Denied,
    Enrolled,
    EnrollmentRequest,
    RevocationAccepted,
    RevocationAnswer,
    RevocationSource,
    printable_reason,
)
from pki.backends.returned import verified_answer
from pki.unreadable import UNREADABLE

__all__ = ["VaultBackend", "VaultSettings"]

_OK: Final = 200
_TEMPORARY: Final = frozenset({401, 403, 404, 405, 429, 472, 473})
"""A token that has run out or lacks a policy, a mount that is not there, too many requests, standby nodes."""
_REFUSALS: Final = range(400, 500)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """One mount and role."""

    address: str
    """``https://vault.example.com:8200``; http:// only to an agent on this machine, with `tls` None."""
    role: str
    token: str = field(repr=False)
    tls: TLSFiles | None
    anchors: tuple[x509.Certificate, ...]
    """The roots that certificates of this CA must chain to. Never taken from the server."""
    mount: str = "pki"
    namespace: str = ""
    ttl: str = "90d"


class VaultBackend:
    """A CA behind Vault. `now` gives the time."""

    def __init__(self, settings: VaultSettings, now: Callable[[], datetime.datetime]) -> None:
        self._settings = settings
        self._now = now

    async def enroll(self, request: EnrollmentRequest) -> Enrolled:
        """Sign the request. Vault decides at once: Pending does not happen."""
        wanted = {
            "csr": request.csr_pem,
            "common_name": request.common_name,
            "exclude_cn_from_sans": True,
            "format": "pem",
            "ttl": self._settings.ttl,
        }
        answer = await self._ask("POST", f"sign/{self._settings.role}", wanted)
        if answer.status in _TEMPORARY or answer.status not in {_OK, *_REFUSALS}:
            raise BackendUnavailable(_status(answer))
        found = _json(answer.body)
        if answer.status != _OK:
            return Denied(_errors(found) or f"HTTP status {answer.status}")
        return verified_answer(_certificates(found), request, self._settings.anchors, self._now())

    async def chain(self) -> tuple[x509.Certificate, ...]:
        """The mount's own chain."""
        answer = await self._ask("GET", "ca_chain", None)
        if answer.status != _OK:
            raise BackendUnavailable(f"HTTP status {answer.status}")
        try:
            return tuple(x509.load_pem_x509_certificates(answer.body))
        except ValueError:
            raise BackendUnavailable("an answer that holds no certificates") from None

    async def verify_access(self) -> bool:
        """The token is one; whether its policies are enough is not looked at."""
        url = f"{self._settings.address.rstrip('/')}/v1/auth/token/lookup-self"
        answer = await ask("GET", url, tls=self._settings.tls, headers=self._headers())
        if answer.status != _OK:
            raise BackendUnavailable(f"the token is not taken: {_status(answer)}")
        return True

    async def revoke(self, certificate: x509.Certificate, reason: x509.ReasonFlags) -> RevocationAnswer:
        """Vault keeps no reason. It takes a certificate that is revoked already as one that it has just revoked."""
        del reason
        serial_number = certificate.serial_number
        octets = serial_number.to_bytes((serial_number.bit_length() + 7) // 8, "big")
        answer = await self._ask("POST", "revoke", {"serial_number": octets.hex(":")})
        if answer.status == _OK:
            return RevocationAccepted()
        if answer.status in _REFUSALS and answer.status not in _TEMPORARY:
            return ByHand(_status(answer))
        raise BackendUnavailable(_status(answer))

    def revocation_source(self) -> RevocationSource:
        """The mount's own list."""
        return RevocationSource(crls=(self._url("crl"),))

    def _url(self, path: str) -> str:
        return f"{self._settings.address.rstrip('/')}/v1/{self._settings.mount}/{path}"

    def _headers(self) -> dict[str, str]:
        headers = {"X-Vault-Token": self._settings.token, "X-Vault-Request": "true"}
        if self._settings.namespace:
            headers["X-Vault-Namespace"] = self._settings.namespace
        return headers

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        headers = self._headers()
        if body is not None:
            headers["Content-Type"] = "application/json"
        encoded = msgspec.json.encode(body) if body is not None else None
        return await ask(method, self._url(path), tls=self._settings.tls, headers=headers, body=encoded)


def _status(answer: Answer) -> str:
    """With Vault's own words, where there are any."""
    try:
        said = _errors(_json(answer.body))
    except BackendUnavailable:
        said = ""
    return f"HTTP status {answer.status}" + (f": {said}" if said else "")


def _errors(found: dict[str, Any]) -> str:
    errors = found.get("errors")
    return printable_reason("; ".join(map(str, errors))) if isinstance(errors, list) else ""


def _json(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise BackendUnavailable("an answer that is not JSON") from None


def _certificates(found: dict[str, Any]) -> list[x509.Certificate]:
    """The certificate and, where there is one, its chain; the root may be in it."""
    data = found.get("data")
    fields = data if isinstance(data, dict) else {}
    chain = fields.get("ca_chain") or [fields.get("issuing_ca")]
    texts = [fields.get("certificate"), *(chain if isinstance(chain, list) else [])]
    pem = "\n".join(text for text in texts if isinstance(text, str))
    try:
        return x509.load_pem_x509_certificates(pem.encode("ascii", "replace"))
    except UNREADABLE:
        raise BackendMisbehaved("an answer that holds no certificates") from None
