"""The named cipher policies as OpenSSL settings. Data only."""

from typing import NamedTuple

from gateway.config.model import CipherPolicy

__all__ = ["CIPHER_POLICIES", "CipherSettings"]

_ECDSA = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
_ECDHE_RSA = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"
_STATIC_RSA = "AES128-GCM-SHA256:AES256-GCM-SHA384"
_TLS13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


class CipherSettings(NamedTuple):
    """What goes into an OpenSSL context."""

    tls12: str
    tls13: str
    legacy_versions: bool
    """True admits TLS 1.0 and 1.1 as well."""


CIPHER_POLICIES: dict[CipherPolicy, CipherSettings] = {
    # A00.FR.318/421: all four OCPP suites, static RSA included, which certification tests demand.
    "ocpp-cert": CipherSettings(f"{_ECDSA}:{_ECDHE_RSA}:{_STATIC_RSA}", _TLS13, legacy_versions=False),
    # Forward secrecy only, as some jurisdictions want (note of OCPP 2.1).
    "modern": CipherSettings(f"{_ECDSA}:{_ECDHE_RSA}", _TLS13, legacy_versions=False),
    # 1.6 only, A00.FR.312/318: TLS 1.0 and 1.1 with the one legacy suite. OpenSSL needs SECLEVEL 0 for them.
    "legacy-quarantine": CipherSettings(
        f"{_ECDSA}:{_ECDHE_RSA}:{_STATIC_RSA}:AES128-SHA:@SECLEVEL=0", _TLS13, legacy_versions=True
    ),
}
