"""Certificate signing requests (PKCS#10, RFC 2986) of peers that are not trusted.

The procedure of `parse_csr`; each step has reasons of its own:

(1) at most 5500 characters                       OCPP: csr is string[0..5500]
(2) exactly one PEM block, strict base64          RFC 7468; line ends and line lengths are free
(3) DER, within limits, and nothing after it      what real stacks do otherwise: `pki.csr_dialects`
(4) the key policy                                before anything is computed with the key
(5) the request's own signature                   proof that its maker has the private key
(6) one CN, at most one O, no character that deceives

What comes out is evidence: a `CertificateRequest` exists only if all that held. Its names serve for one purpose, to be
compared (`verify_subject`); requested extensions are reported and otherwise ignored. The identity is not in the request.
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from asn1crypto import csr as asn1_csr
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from pki.csr_dialects import Readable, pem_text, readable_request
from pki.der_limits import TooComplex, verify_der_limits
from pki.errors import Reason, Refused
from pki.key_policy import KeyPolicy, verify_rsa_numbers
from pki.keys import SubjectKey
from pki.names import Subject, verify_text

__all__ = ["MAX_CSR_CHARACTERS", "CertificateRequest", "csr_der", "parse_csr", "verify_subject"]

MAX_CSR_CHARACTERS: Final = 5500
_MAX_DEPTH: Final = 16
_MAX_ELEMENTS: Final = 500
_BLOCK: Final = re.compile(
    r"\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----(.*?)-----END (NEW )?CERTIFICATE REQUEST-----\s*",
    re.DOTALL,
)
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """A request whose maker holds the private key. Made by `parse_csr` only."""

    csr_sha256: bytes
    """Over the DER: two spellings of one PEM block are the same request."""
    public_key: SubjectKey
    spki: bytes
    """SubjectPublicKeyInfo, DER."""
    common_name: str
    organization: str
    """Empty if the request names none."""
    ignored: tuple[str, ...]
    """Requested extensions and attributes that have no effect, for the record."""
    departures: tuple[str, ...] = ()
    """In what its form is not as the standards have it, for the record."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be kept of it besides its names and its key."""
        return (*(f"ignored: {each}" for each in self.ignored), *(f"tolerated: {each}" for each in self.departures))


def parse_csr(text: str, policy: KeyPolicy, *, ed448: bool = False) -> CertificateRequest:
    """A checked request from PEM text. `ed448`: what is asked for may have such a key. Raises Refused."""
    der, departures = _der(text)
    try:
        request, readable = _loaded(der)
        read = der if readable is None else readable.der
        key = _public_key(request, read, readable, policy, ed448=ed448)
        common_name, organization = _names(request.subject)
        ignored = _ignored(request)
    except (ValueError, UnsupportedAlgorithm, TypeError, x509.InvalidVersion) as error:
        raise Refused(Reason.CSR_BAD_DER, _first_line(error)) from None
    return CertificateRequest(
        csr_sha256=hashlib.sha256(der).digest(),
        public_key=key,
        spki=key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        common_name=common_name,
        organization=organization,
        ignored=ignored,
        departures=departures if readable is None else (*departures, *readable.departures),
    )


def csr_der(text: str) -> bytes:
    """Steps 1 to 3 alone, for whoever hands a request on that was checked. Raises Refused."""
    der, _ = _der(text)
    return der


def verify_subject(request: CertificateRequest, subject: Subject, *, compare_organization: bool = True) -> None:
    """The names in the request are those of the registry, exactly. A request without O is taken. Raises Refused.

    A02.FR.13 (O is the operator's name), A00.FR.511 (CN is the serial number).
    """
    if request.common_name != subject.common_name:
        raise Refused(Reason.CSR_OTHER_COMMON_NAME, request.common_name)
    # One text may be composed in two ways (UAX 15): what looks the same, and is the same, is the same here.
    organization = unicodedata.normalize("NFC", request.organization)
    if compare_organization and organization not in {"", unicodedata.normalize("NFC", subject.organization)}:
        raise Refused(Reason.CSR_OTHER_ORGANIZATION, request.organization)


def _der(text: str) -> tuple[bytes, tuple[str, ...]]:
    # Step 1.
    if len(text) > MAX_CSR_CHARACTERS:
        raise Refused(Reason.CSR_TOO_LONG, f"{len(text)} characters")
    # Step 2.
    text, departures = pem_text(text)
    block = _BLOCK.fullmatch(text)
    if block is None or text.count("-----BEGIN") != 1 or block[1] != block[3]:
        raise Refused(Reason.CSR_NOT_ONE_PEM_BLOCK)
    try:
        der = base64.b64decode("".join(block[2].split()), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reason.CSR_BAD_BASE64) from None
    # Step 3.
    try:
        end = verify_der_limits(der, max_depth=_MAX_DEPTH, max_elements=_MAX_ELEMENTS)
    except TooComplex as error:
        raise Refused(Reason.CSR_TOO_COMPLEX, str(error)) from None
    except ValueError as error:
        raise Refused(Reason.CSR_BAD_DER, str(error)) from None
    if end != len(der):
        raise Refused(Reason.CSR_TRAILING_DATA, f"{len(der) - end} bytes")
    return der, departures


def _loaded(der: bytes) -> tuple[x509.CertificateSigningRequest, Readable | None]:
    """The request; with what departs in it, if a strict parser takes it only without that. Raises ValueError."""
    try:
        request = x509.load_der_x509_csr(der)
        list(request.subject)  # read as a whole: the parser puts that off
    except ValueError:
        readable = readable_request(der)
        return x509.load_der_x509_csr(readable.der), readable
    return request, None


def _public_key(
    request: x509.CertificateSigningRequest, read: bytes, readable: Readable | None, policy: KeyPolicy, *, ed448: bool
) -> SubjectKey:
    # Step 4. RSA numbers before the library, which has limits of its own and no reasons.
    algorithm, numbers = _key_numbers(read)
    if numbers is not None:
        verify_rsa_numbers(*numbers)
    try:
        loaded = request.public_key()
    except UnsupportedAlgorithm as error:
        raise Refused(Reason.KEY_CURVE if algorithm == "ec" else Reason.KEY_TYPE, _first_line(error)) from None
    except ValueError as error:
        raise Refused(Reason.KEY_INVALID, _first_line(error)) from None
    key = policy.verify_subject(loaded, ed448=ed448)
    # Step 5.
    if isinstance(key, Ed448PublicKey):
        # RFC 8410: no hash is named beside it.
        if not _is_signed(request, readable, key, None):
            raise Refused(Reason.CSR_BAD_SIGNATURE)
        return key
    try:
        hash_algorithm = request.signature_hash_algorithm
    except UnsupportedAlgorithm:
        hash_algorithm = None
    if not isinstance(hash_algorithm, _HASHES):  # A00.FR.504
        name = request.signature_algorithm_oid.dotted_string if hash_algorithm is None else hash_algorithm.name
        raise Refused(Reason.CSR_SIGNATURE_ALGORITHM, name)
    if not _is_signed(request, readable, key, hash_algorithm):
        raise Refused(Reason.CSR_BAD_SIGNATURE)
    return key


def _is_signed(
    request: x509.CertificateSigningRequest,
    readable: Readable | None,
    key: SubjectKey,
    algorithm: hashes.HashAlgorithm | None,
) -> bool:
    """Over the bytes as they came."""
    try:
        if readable is None:
            return request.is_signature_valid
        if isinstance(key, Ed448PublicKey):
            key.verify(readable.signature, readable.signed)
        elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm is not None:
            key.verify(readable.signature, readable.signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey) and algorithm is not None:
            key.verify(readable.signature, readable.signed, padding.PKCS1v15(), algorithm)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _key_numbers(der: bytes) -> tuple[str, tuple[int, int] | None]:
    """The key's algorithm, and for RSA modulus and exponent. The parser is lenient; what it cannot tell is refused."""
    try:
        info = asn1_csr.CertificationRequest.load(der)["certification_request_info"]["subject_pk_info"]
        algorithm = str(info["algorithm"]["algorithm"].native)
        if algorithm != "rsa":
            return algorithm, None
        numbers = info["public_key"].parsed
        return algorithm, (int(numbers["modulus"].native), int(numbers["public_exponent"].native))
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise Refused(Reason.KEY_INVALID, _first_line(error)) from None


def _names(subject: x509.Name) -> tuple[str, str]:
    # Step 6.
    for attribute in subject:
        if isinstance(attribute.value, str):
            verify_text(attribute.value)
    common_names = [part.value for part in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = [part.value for part in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    if not common_names:
        raise Refused(Reason.CSR_NO_COMMON_NAME)
    if len(common_names) > 1:
        raise Refused(Reason.CSR_TWO_COMMON_NAMES, str(len(common_names)))
    if len(organizations) > 1:
        raise Refused(Reason.CSR_TWO_ORGANIZATIONS, str(len(organizations)))
    organization = organizations[0] if organizations else ""
    return _as_text(common_names[0]), _as_text(organization)


def _as_text(value: str | bytes) -> str:
    if isinstance(value, bytes):
        raise Refused(Reason.NAME_CHARACTER, "a bit string as a name")
    return value


def _ignored(request: x509.CertificateSigningRequest) -> tuple[str, ...]:
    """What the request asks for besides a name and a key. An extension nobody can read is as little heeded as the rest."""
    try:
        return tuple(_described(extension) for extension in request.extensions)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return (f"unreadable extensions ({_first_line(error)})",)


def _described(extension: "x509.Extension[x509.ExtensionType]") -> str:
    oid = extension.oid
    name = oid._name if oid._name != "Unknown OID" else oid.dotted_string  # noqa: SLF001  the only place that has names
    is_ca = isinstance(extension.value, x509.BasicConstraints) and extension.value.ca
    return f"{name} CA:TRUE" if is_ca else name


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
