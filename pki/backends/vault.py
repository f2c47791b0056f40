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
    Denied,
    Enrolled,
    EnrollmentRequest,
    RevocationSource,
    printable_reason,
)
from pki.backends.returned import verified_answer

__all__ = ["VaultBackend", "VaultSettings"]

_OK, _TOO_MANY = 200, 429
_TEMPORARY: Final = frozenset({429, 472, 473})
"""Too many requests, and standby nodes."""
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
            raise BackendUnavailable(f"HTTP status {answer.status}")
        found = _json(answer.body)
        if answer.status != _OK:
            errors = found.get("errors")
            said = "; ".join(map(str, errors)) if isinstance(errors, list) else ""
            return Denied(printable_reason(said) or f"HTTP status {answer.status}")
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

    async def revoke(self, serial_number: int, reason: x509.ReasonFlags) -> None:
        """Vault keeps no reason."""
        del reason
        octets = serial_number.to_bytes((serial_number.bit_length() + 7) // 8, "big")
        answer = await self._ask("POST", "revoke", {"serial_number": octets.hex(":")})
        if answer.status != _OK:
            raise BackendUnavailable(
                f"HTTP status {answer.status}: {printable_reason(answer.body.decode('utf-8', 'replace'))}"
            )

    def revocation_source(self) -> RevocationSource:
        """The mount's own list."""
        return RevocationSource(crls=(self._url("crl"),))

    def _url(self, path: str) -> str:
        return f"{self._settings.address.rstrip('/')}/v1/{self._settings.mount}/{path}"

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Answer:
        headers = {"X-Vault-Token": self._settings.token, "X-Vault-Request": "true"}
        if self._settings.namespace:
            headers["X-Vault-Namespace"] = self._settings.namespace
        if body is not None:
            headers["Content-Type"] = "application/json"
        encoded = msgspec.json.encode(body) if body is not None else None
        return await ask(method, self._url(path), tls=self._settings.tls, headers=headers, body=encoded)


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
    except ValueError:
        raise BackendMisbehaved("an answer that holds no certificates") from None
