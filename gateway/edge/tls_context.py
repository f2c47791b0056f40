"""Chooses the TLS engine. The only place where a context for charge point listeners is made."""

from gateway.edge.tls import TLSContext
from gateway.link.messages import ListenerSettings

__all__ = ["build_tls_context"]


def build_tls_context(settings: ListenerSettings, generation: int) -> TLSContext | None:
    """A fresh context for one listener and trust generation, None for a plain listener.

    Raises ValueError, ssl.SSLError or OpenSSL.SSL.Error when certificates, key or trust cannot be used.
    """
    tls = settings.listener.tls
    if tls is None:
        return None
    if tls.engine == "stdlib":
        from gateway.edge.tls_stdlib import StdlibContext

        return StdlibContext(settings, generation)
    from gateway.edge.tls_pyopenssl import PyOpenSSLContext

    return PyOpenSSLContext(settings, generation)
