"""Turns a configuration into what edges need: file contents read, secrets included, generations counted."""

import hashlib
from pathlib import Path

import msgspec

from gateway.config.model import CSMS, Config, Listener
from gateway.link.messages import CertificatePEM, CSMSSettings, EdgeSettings, ListenerSettings

__all__ = ["SettingsBuilder"]


def _read(path: str) -> bytes:
    return Path(path).read_bytes() if path else b""


def _listener(listener: Listener) -> ListenerSettings:
    tls = listener.tls
    if tls is None:
        return ListenerSettings(listener, (), b"")
    certificates = tuple(CertificatePEM(_read(entry.certificate), _read(entry.key)) for entry in tls.certificates)
    return ListenerSettings(listener, certificates, b"\n".join(_read(path) for path in tls.client_trust))


def _csms(csms: CSMS) -> CSMSSettings:
    password = _read(csms.password_file).rstrip(b"\r\n") if csms.authentication == "basic" else b""
    certificate = CertificatePEM(_read(csms.certificate), _read(csms.key)) if csms.certificate else None
    return CSMSSettings(csms, password, _read(csms.ca), certificate)


class SettingsBuilder:
    """Remembers what was built last, to know whether trust has changed."""

    def __init__(self, first_generation: int) -> None:
        self._generation = first_generation
        self._trust_generation = first_generation
        self._fingerprint = ""

    def build(self, config: Config, revoked: frozenset[str]) -> EdgeSettings:
        """Settings with the next generation. Raises OSError if a file cannot be read.

        A change of certificates, trust anchors, TLS settings or revocations makes a new trust generation: edges then
        build fresh TLS contexts, which ends every resumable session (pki.md, finding 2).
        """
        listeners = tuple(_listener(listener) for listener in config.listeners)
        csms = tuple(_csms(entry) for entry in config.csms)
        trust = [(x.listener.name, x.listener.tls, x.certificates, x.client_trust_pem) for x in listeners]
        fingerprint = hashlib.sha256(msgspec.msgpack.encode((trust, sorted(revoked)))).hexdigest()
        self._generation += 1
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self._trust_generation = self._generation
        return EdgeSettings(self._generation, self._trust_generation, listeners, csms, config.limits, config.websocket)
