"""Turns a configuration into what edges need: file contents read, secrets included, generations counted."""

import hashlib
import time
from pathlib import Path

import msgspec

from gateway.audit.relayed import Levels
from gateway.config.model import CSMS, Audit, Config, Listener, Trust
from gateway.config.policy_signature import signature_problem
from gateway.config.policy_site import load_policy
from gateway.config.problems import ConfigError
from gateway.control.own_certificate_files import own_pems
from gateway.control.recordings import recording_settings
from gateway.control.shown_chains import ChainSwitch, read_switches, shown_files
from gateway.link.messages import (
    AuditSettings,
    CertificatePEM,
    CSMSSettings,
    EdgeSettings,
    ListenerSettings,
    PolicySettings,
    RecordingSettings,
    TrustSettings,
)
from gateway.policy.classes import spelt_out
from gateway.store.certificates import Revocations

__all__ = ["PolicyInvalid", "SettingsBuilder", "levels_of"]


def _read(path: str) -> bytes:
    return Path(path).read_bytes() if path else b""


def _trust(bundle: Trust) -> TrustSettings:
    return TrustSettings(bundle, b"\n".join(_read(path) for path in bundle.roots))


def _listener(
    listener: Listener, bundles: dict[str, bytes], own: tuple[CertificatePEM, ...], switches: tuple[ChainSwitch, ...]
) -> ListenerSettings:
    tls = listener.tls
    if tls is None:
        return ListenerSettings(listener, (), b"")
    certificates = own if tls.automatic_certificates else shown_files(tls, switches)
    trusted = [*(_read(path) for path in tls.client_trust), *(bundles[name] for name in tls.trust)]
    return ListenerSettings(listener, certificates, b"\n".join(trusted))


class PolicyInvalid(ConfigError):  # noqa: N818  names the state
    """Rule packs or the site's use of them are wrong."""


def _csms(csms: CSMS) -> CSMSSettings:
    password = _read(csms.password_file).rstrip(b"\r\n") if csms.authentication == "basic" else b""
    certificate = CertificatePEM(_read(csms.certificate), _read(csms.key)) if csms.certificate else None
    return CSMSSettings(csms, password, _read(csms.ca), certificate)


def _policy(config: Config) -> PolicySettings:
    """The rule packs, checked. Raises ConfigError with everything that is wrong in them."""
    now = time.time()
    bundle = load_policy(config.policy, now=now)
    if bundle.errors:
        raise PolicyInvalid(list(bundle.errors))
    if (unsigned := signature_problem(config.policy, bundle.revision)) is not None:
        raise PolicyInvalid([unsigned])
    return PolicySettings(bundle.revision, bundle.packs, bundle.site, now)


def _audit(audit: Audit) -> AuditSettings:
    first = tuple(sorted(spelt_out(audit.recorded_first)))
    return AuditSettings(first, audit.record_timeout_s, audit.failure_mode == "open", levels_of(audit))


def levels_of(audit: Audit) -> Levels:
    """How much of which messages is kept, classes of actions spelt out."""
    return Levels(default=audit.level, full=spelt_out(audit.full), counted=spelt_out(audit.counted))


def _fingerprint(listeners: tuple[ListenerSettings, ...], revocations: Revocations) -> str:
    """Of everything on which a resumable TLS session rests."""
    trust = [(x.listener.name, x.listener.tls, x.certificates, x.client_trust_pem) for x in listeners]
    revoked = sorted(revocations.sha256), sorted(revocations.issuer_serials)
    return hashlib.sha256(msgspec.msgpack.encode((trust, revoked))).hexdigest()


class SettingsBuilder:
    """Remembers what was built last, to know whether trust has changed."""

    def __init__(self, first_generation: int) -> None:
        self._generation = first_generation
        self._trust_generation = first_generation
        self._seen = ""
        self.recording_error = ""
        """Why the last settings are without the recording that the configuration asks for."""

    def _recording(self, config: Config) -> RecordingSettings | None:
        """Charge points are not turned away for want of a recording."""
        self.recording_error = ""
        try:
            return recording_settings(config)
        except OSError as error:
            self.recording_error = str(error)
            return None

    def build(self, config: Config, revocations: Revocations) -> EdgeSettings:
        """Settings from the configuration and the files it names.

        Raises OSError if one cannot be read, ConfigError if rule packs are wrong.
        """
        trust = tuple(_trust(bundle) for bundle in config.trust)
        pems = {bundle.trust.name: bundle.roots_pem for bundle in trust}
        own = own_pems(config) if any(x.tls and x.tls.automatic_certificates for x in config.listeners) else ()
        switches = read_switches(config)
        listeners = tuple(_listener(listener, pems, own, switches) for listener in config.listeners)
        csms = tuple(_csms(entry) for entry in config.csms)
        policy = _policy(config)
        recording = self._recording(config)
        generation, trust_generation = self._count(listeners, revocations)
        return EdgeSettings(
            generation, trust_generation, listeners, csms, config.limits, config.websocket, policy, recording, trust,
            _audit(config.audit),
        )  # fmt: skip

    def renewed(self, settings: EdgeSettings, revocations: Revocations) -> EdgeSettings:
        """The same settings after a change of revocations. No file is read: what is in force was accepted once."""
        generation, trust_generation = self._count(settings.listeners, revocations)
        return msgspec.structs.replace(settings, generation=generation, trust_generation=trust_generation)

    def recertified(self, settings: EdgeSettings, config: Config, revocations: Revocations) -> EdgeSettings:
        """The same settings with the newest of the gateway's own certificates, and the chains that are to be shown now.

        No other file is read.
        """
        switches = read_switches(config)

        def certified(each: ListenerSettings) -> ListenerSettings:
            tls = each.listener.tls
            if tls is not None and tls.automatic_certificates:
                return msgspec.structs.replace(each, certificates=own_pems(config))
            if tls is not None and tls.next_certificates:
                return msgspec.structs.replace(each, certificates=shown_files(tls, switches))
            return each

        listeners = tuple(map(certified, settings.listeners))
        renewed = msgspec.structs.replace(settings, listeners=listeners)
        return self.renewed(renewed, revocations)

    def _count(self, listeners: tuple[ListenerSettings, ...], revocations: Revocations) -> tuple[int, int]:
        """The next generation, and the trust generation.

        A change of certificates, trust anchors, TLS settings or revocations makes a new trust generation: edges then
        build fresh TLS contexts, which ends every resumable session (pki.md, finding 2).
        """
        self._generation += 1
        seen = _fingerprint(listeners, revocations)
        if seen != self._seen:
            self._seen, self._trust_generation = seen, self._generation
        return self._generation, self._trust_generation
