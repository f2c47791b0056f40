"""TLS engine on pyOpenSSL, which carries a recent OpenSSL of its own in cryptography's wheel.

The hot calls go straight to the library handle behind pyOpenSSL (`_lib`), into one buffer shared by the whole process:
pyOpenSSL's public recv/bio_read allocate per call and raise an exception for "no more data", which costs twice as
much CPU per message (docs/decisions/0003). `_lib` is private, so pyproject.toml pins the major version and
tests/edge/test_tls_engines.py runs both engines against OpenSSL's own client.

OpenSSL's error queue belongs to the thread, so to all connections at once: whatever can leave an error there clears it,
and a left-over of somebody else never ends a connection (`_ended`).
"""

import hashlib
from collections import deque
from collections.abc import Callable
from sys import intern
from typing import Any, Final
from weakref import ref

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from typing_extensions import override

from gateway.config.model import ListenerTLS
from gateway.edge.cipher_policy import CIPHER_POLICIES
from gateway.edge.memory_file import memory_file
from gateway.edge.sent_chain import completed
from gateway.edge.tls import NO_CHECK_TIME, TLSConnection, TLSContext, TLSFailure, reason_for_openssl
from gateway.edge.verified_chains import VerifiedChains
from gateway.identity.evidence import TLSFacts
from gateway.link.messages import ListenerSettings

__all__ = ["PyOpenSSLContext"]

_lib: Final[Any] = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001
_ffi: Final[Any] = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001
_read, _write, _bio_read, _bio_write = _lib.SSL_read, _lib.SSL_write, _lib.BIO_read, _lib.BIO_write
_get_error, _clear_errors = _lib.SSL_get_error, _lib.ERR_clear_error
_BUFFER_BYTES = 65_536
_buffer = _ffi.new("char[]", _BUFFER_BYTES)
_unpack: Final[Callable[[Any, int], bytes]] = _ffi.unpack
_scratch = _lib.BIO_new(_lib.BIO_s_mem())
_pending, _nowhere = _lib.BIO_get_mem_data, _ffi.new("char **")
_memory: Final = _lib.BIO_s_mem()
_new_bio, _set_bio, _none = _lib.BIO_new, _lib.SSL_set_bio, _ffi.NULL
_MAX_AWAKE: Final = 512
"""Connections that keep their two memory BIOs: over a kilobyte each, for as much as the longest message has taken, and most
have no use for them most of the time. One without gets them again with its next message, for a microsecond."""
_awake: "Final[deque[ref[_Connection]]]" = deque()
"""Those, since longest first. Not only the living: nobody tells of a connection that is dropped."""
_WANT_READ, _ZERO_RETURN = 2, 6
_HOST_NAME = 0
"""TLSEXT_NAMETYPE_host_name."""
_TLS1_2 = 0x0303
_NO_AUTO_CHAIN = 0x8
"""SSL_MODE_NO_AUTO_CHAIN: send what is given, instead of verifying our own certificate in each handshake (`sent_chain`)."""
_RELEASE_BUFFERS = 0x10
_TICKET_LIFETIME_S = 86_400
_VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


def _error_text() -> str:
    """The reason texts of OpenSSL's error queue, which is emptied."""
    texts = []
    while code := _lib.ERR_get_error():
        reason = _lib.ERR_reason_error_string(code)
        texts.append(_ffi.string(reason).decode() if reason != _ffi.NULL else hex(code))
    return "; ".join(texts)


class _Connection(TLSConnection):
    """One server-side connection over two memory BIOs, which it has while it needs them."""

    __slots__ = ("__weakref__", "_chains", "_into", "_out", "_ssl", "closed", "knows_renegotiation")

    def __init__(self, context: Any, chains: VerifiedChains) -> None:
        self._chains = chains
        # What SSL.Connection(context, None) does, without its object of 1 KiB and its entry in a weak dictionary.
        self._ssl = _ffi.gc(_lib.SSL_new(context), _lib.SSL_free)
        self._into, self._out = _lib.BIO_new(_memory), _lib.BIO_new(_memory)
        _lib.SSL_set_bio(self._ssl, self._into, self._out)  # SSL_free frees both
        _lib.SSL_set_accept_state(self._ssl)
        self.closed = False
        self.knows_renegotiation = False

    @override
    def handshake(self, data: bytes) -> bool:
        _clear_errors()
        _refused.clear()
        _bio_write(self._into, data, len(data))
        result = _lib.SSL_do_handshake(self._ssl)
        if result != 1 and _get_error(self._ssl, result) != _WANT_READ:
            raise self._failure()
        _clear_errors()  # also a handshake that goes well may have tried something in vain
        if result != 1:
            return False
        self.knows_renegotiation = _lib.SSL_version(self._ssl) <= _TLS1_2
        return True

    def _failure(self) -> TLSFailure:
        verify_code = _lib.SSL_get_verify_result(self._ssl)
        text = _error_text() or "connection closed"
        if verify_code:
            explained = _ffi.string(_lib.X509_verify_cert_error_string(verify_code)).decode()
            text = f"{text}: {explained}"
        failure = reason_for_openssl(text, verify_code)
        failure.certificate_sha256 = _refused[0] if verify_code and _refused else ""
        return failure

    def _wake(self) -> None:
        """BIOs for what comes now; somebody else may have to do without."""
        self._into, self._out = _new_bio(_memory), _new_bio(_memory)
        _set_bio(self._ssl, self._into, self._out)
        self._take_place()

    def _take_place(self) -> None:
        _awake.append(ref(self))
        for _ in range(len(_awake) - _MAX_AWAKE):
            longest = _awake.popleft()()
            if longest is not None and not longest._rest():  # noqa: SLF001  a sibling
                _awake.append(ref(longest))

    def _rest(self) -> bool:
        """No BIOs until there is something to put into them. False while there is: nothing of it may be lost."""
        if _pending(self._into, _nowhere) or _pending(self._out, _nowhere):
            return False
        _set_bio(self._ssl, _none, _none)  # frees both
        self._into = self._out = None
        return True

    @override
    def output(self) -> bytes:
        if self._out is None:
            return b""
        size = _bio_read(self._out, _buffer, _BUFFER_BYTES)
        if size <= 0:
            return b""
        if size < _BUFFER_BYTES:
            return _unpack(_buffer, size)
        parts = [_unpack(_buffer, size)]
        while (size := _bio_read(self._out, _buffer, _BUFFER_BYTES)) > 0:
            parts.append(_unpack(_buffer, size))
        return b"".join(parts)

    @override
    def facts(self) -> TLSFacts:
        ssl = self._ssl
        name = _lib.SSL_get_servername(ssl, _HOST_NAME)
        leaf_der, resumed = _leaf_der(ssl), _lib.SSL_session_reused(ssl) == 1
        is_fresh = leaf_der and not resumed
        issuers_der = self._chains.note(leaf_der, _issuers_der(ssl)) if is_fresh else self._chains.of(leaf_der)
        found = TLSFacts(
            version=_text(_lib.SSL_get_version(ssl)),
            cipher=_text(_lib.SSL_CIPHER_get_name(_lib.SSL_get_current_cipher(ssl))),
            server_name=_ffi.string(name).decode("ascii", "backslashreplace").lower() if name != _ffi.NULL else "",
            leaf_der=leaf_der,
            resumed=resumed,
            issuers_der=issuers_der,
        )
        if not self._rest():  # the flights have been taken, but what came right behind them is still to be read
            self._take_place()
        _clear_errors()
        return found

    @override
    def decrypt(self, data: bytes) -> bytes:
        if self._into is None:
            self._wake()
        if data:
            _bio_write(self._into, data, len(data))
        ssl = self._ssl
        size = _read(ssl, _buffer, _BUFFER_BYTES)
        if size > 0 and not _pending(self._into, _nowhere):
            return _unpack(_buffer, size)  # one whole record, as nearly always: OpenSSL reads no further than it must
        plain = b""
        while size > 0:
            plain = plain + _unpack(_buffer, size) if plain else _unpack(_buffer, size)
            size = _read(ssl, _buffer, _BUFFER_BYTES)
        error = _get_error(ssl, size)
        if error != _WANT_READ:
            self._ended(error)
        return plain

    def _ended(self, error: int) -> None:
        if error != _ZERO_RETURN:
            text = _error_text()
            if _lib.SSL_want_read(self._ssl):
                return  # all is well here: the error in the queue was not ours
            error = _get_error(self._ssl, _read(self._ssl, _buffer, _BUFFER_BYTES))
            _clear_errors()
            if error != _ZERO_RETURN:
                raise reason_for_openssl(text or "end of stream inside a record", 0)
        self.closed = True

    @override
    def encrypt(self, data: bytes) -> bytes:
        if self._into is None:
            self._wake()
        done = _write(self._ssl, data, len(data))
        while done < len(data):  # one record (16 KiB) a call
            written = _write(self._ssl, data[done:], len(data) - done) if done > 0 else 0
            if written <= 0:
                raise reason_for_openssl(_error_text() or "write failed", 0)
            done += written
        return self.output()

    @override
    def shutdown(self) -> bytes:
        if self._into is None:
            self._wake()
        _lib.SSL_shutdown(self._ssl)
        _clear_errors()
        return self.output()


def _text(name: Any) -> str:
    """A constant of OpenSSL, one object for all connections."""
    return intern(_ffi.string(name).decode("ascii"))


def _leaf_der(ssl: Any) -> bytes:
    """The peer's certificate as it is, not parsed: control parses it once and remembers it."""
    certificate = _lib.SSL_get_peer_certificate(ssl)
    if certificate == _ffi.NULL:
        return b""
    try:
        return _der(certificate)
    finally:
        _lib.X509_free(certificate)


def _issuers_der(ssl: Any) -> tuple[bytes, ...]:
    """The chain that was verified in this handshake, without the leaf."""
    chain = _lib.SSL_get0_verified_chain(ssl)
    if chain == _ffi.NULL:
        return ()
    return tuple(_der(_lib.sk_X509_value(chain, index)) for index in range(1, _lib.sk_X509_num(chain)))


def _der(certificate: Any) -> bytes:
    _lib.i2d_X509_bio(_scratch, certificate)
    der = b""
    while (size := _bio_read(_scratch, _buffer, _BUFFER_BYTES)) > 0:
        der += _unpack(_buffer, size)
    return der


_refused: Final[list[str]] = []
"""Fingerprint of the certificate refused in the handshake that runs right now: a thread runs one at a time."""


@_ffi.callback("int (*)(int, X509_STORE_CTX *)")  # type: ignore[untyped-decorator]
def _note_refused(verified: int, store: Any) -> int:
    """Chain verification stays OpenSSL's; this only learns which certificate it refused."""
    if verified != 1:
        certificate = _lib.X509_STORE_CTX_get_current_cert(store)
        if certificate != _ffi.NULL:
            _refused.append(hashlib.sha256(_der(certificate)).hexdigest())
    return verified


class PyOpenSSLContext(TLSContext):
    """An SSL_CTX made from a listener's settings, never changed afterwards.

    Session tickets are keyed per context and nothing is cached on our side, so a new trust generation, which makes a
    new context, ends every resumable session (pki.md, finding 2).
    """

    def __init__(self, settings: ListenerSettings, generation: int) -> None:
        tls = settings.listener.tls
        if tls is None:
            raise ValueError("not a TLS listener")
        policy = CIPHER_POLICIES[tls.cipher_policy]
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_VERSION if policy.legacy_versions else SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(_RELEASE_BUFFERS | _NO_AUTO_CHAIN)
        context.set_cipher_list(policy.tls12.encode())
        context.set_tls13_ciphersuites(policy.tls13.encode())
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(f"{settings.listener.name[:20]}/{generation}".encode()[:32])
        context.set_timeout(_TICKET_LIFETIME_S)
        for pem in settings.certificates:
            with memory_file(completed(pem.chain, settings.client_trust_pem)) as path:
                context.use_certificate_chain_file(path)
            key: Any = load_pem_private_key(pem.key, None)
            context.use_privatekey(key)
            context.check_privatekey()
        _trust(context, tls, settings.client_trust_pem)
        _clear_errors()
        self._context = context
        self._chains = VerifiedChains()

    @override
    def accept(self) -> _Connection:
        return _Connection(self._context._context, self._chains)  # noqa: SLF001  the SSL_CTX


def _trust(context: SSL.Context, tls: ListenerTLS, client_trust_pem: bytes) -> None:
    """Chain verification as server: OpenSSL sets the purpose, path length and signatures are its business."""
    mode = _VERIFY[tls.client_certificate]
    context.set_verify(mode)
    _lib.SSL_CTX_set_verify(context._context, mode, _note_refused)  # noqa: SLF001
    if tls.client_certificate == "none":
        return
    with memory_file(client_trust_pem) as path:
        context.load_verify_locations(path)
        context.load_client_ca(path.encode())
    store = context.get_cert_store()
    if tls.strict_x509 and store is not None:
        store.set_flags(crypto.X509StoreFlags.X509_STRICT | crypto.X509StoreFlags.POLICY_CHECK)
    if tls.expired_certificates == "by-registry" and store is not None:
        store.set_flags(NO_CHECK_TIME)
