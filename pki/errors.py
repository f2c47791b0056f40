"""What can go wrong in the PKI, as one tree.

PKIError
    Refused              what somebody asked for is not given; carries a `Reason`, and the near-miss would have passed
    Misconfigured        profiles, ceremony files, key files or issuers contradict each other: nothing starts
    JournalDamaged       the journal, or the signer's own list, is not what was written
    JournalInUse         another process writes it
    RolledBack           an older journal or list than the one the other side remembers
    SignerUnavailable    the signer cannot be reached; nothing is known about what it did
        SignerFailed     it can, and cannot sign this now; nothing is lost
    KeyFailed            a private key, or the hardware that has it, does not do what it should
"""

from enum import Enum

__all__ = [
    "JournalDamaged",
    "JournalInUse",
    "KeyFailed",
    "Misconfigured",
    "PKIError",
    "Reason",
    "Refused",
    "RolledBack",
    "SignerFailed",
    "SignerUnavailable",
]


class Reason(Enum):
    """Why something was refused: a code for machines, and words for people."""

    CSR_TOO_LONG = "csr-too-long", "the request is longer than 5500 characters"
    CSR_NOT_ONE_PEM_BLOCK = "csr-not-one-pem-block", "the request is not exactly one PEM block"
    CSR_BAD_BASE64 = "csr-bad-base64", "what stands in the PEM block is not base64"
    CSR_BAD_DER = "csr-bad-der", "the request is not well-formed DER"
    CSR_TRAILING_DATA = "csr-trailing-data", "something follows the request"
    CSR_TOO_COMPLEX = "csr-too-complex", "the request is nested too deeply, or has too many parts"
    CSR_BAD_SIGNATURE = "csr-bad-signature", "the request is not signed by the key that it names"
    CSR_SIGNATURE_ALGORITHM = "csr-signature-algorithm", "the request is signed with a hash that is not permitted"
    CSR_NO_COMMON_NAME = "csr-no-common-name", "the request's subject has no common name"
    CSR_TWO_COMMON_NAMES = "csr-two-common-names", "the request's subject has more than one common name"
    CSR_TWO_ORGANIZATIONS = "csr-two-organizations", "the request's subject has more than one organisation"
    CSR_OTHER_COMMON_NAME = "csr-other-common-name", "the request asks for another name than is registered"
    CSR_OTHER_ORGANIZATION = "csr-other-organization", "the request asks for another organisation than is registered"
    NAME_EMPTY = "name-empty", "a name is empty"
    NAME_TOO_LONG = "name-too-long", "a name is longer than X.520 permits"
    NAME_CONTROL_CHARACTER = "name-control-character", "a name has a NUL or another control character"
    NAME_BIDI_CHARACTER = "name-bidi-character", "a name has a character that changes the direction of writing"
    NAME_CHARACTER = "name-character", "a name has a character that is not permitted"
    NAME_IS_ADDRESS = "name-is-address", "a charge point's name has the form of a URL or an IP address"
    NAME_IS_HOST_NAME = "name-is-host-name", "a name reads as a DNS name, which the issuing CA's constraints exclude"
    NAME_NOT_A_HOST_NAME = "name-not-a-host-name", "a server's name is not a fully qualified host name"
    NAME_OTHER_DOMAIN = "name-other-domain", "a server's name is in a domain that this issuing CA does not serve"
    NAME_NOT_FOR_PROFILE = "name-not-for-profile", "certificates of this profile have no alternative names"
    ORGANIZATION_NOT_SERVED = "organization-not-served", "this issuing CA does not serve the organisation"
    KEY_TYPE = "key-type", "the key is neither RSA nor on an elliptic curve that is permitted"
    KEY_INVALID = "key-invalid", "the public key is not one: it has impossible values"
    KEY_CURVE = "key-curve", "the elliptic curve is not permitted"
    KEY_TOO_SMALL = "key-too-small", "the RSA key is shorter than 2048 bits"
    KEY_SIZE = "key-size", "the RSA key has a size that is not permitted"
    KEY_EXPONENT = "key-exponent", "the RSA exponent is not 65537"
    KEY_EVEN_MODULUS = "key-even-modulus", "the RSA modulus is even"
    KEY_SMALL_FACTOR = "key-small-factor", "the RSA modulus has a small factor"
    KEY_ROCA = "key-roca", "the RSA key was made by a chip with the ROCA defect (CVE-2017-15361)"
    KEY_CLOSE_PRIMES = "key-close-primes", "the RSA primes are so close together that the modulus can be factored"
    KEY_BLOCKED = "key-blocked", "the key is in a table of keys known to be compromised"
    KEY_REVOKED = "key-revoked", "a certificate with this key was revoked"
    KEY_OF_ANOTHER_IDENTITY = (
        "key-of-another-identity",
        "another identity has a certificate with this key, or has asked for one",
    )
    KEY_OF_ANOTHER_USE = "key-of-another-use", "the key is already certified for another use"
    KEY_OF_AUTHORITY = "key-of-authority", "the key is that of a CA or of a server of ours"
    KEY_USED_BEFORE = "key-used-before", "a renewal must come with a new key"
    KEY_NOT_FOR_PROFILE = "key-not-for-profile", "the certificate profile does not take this kind of key"
    PROFILE_NOT_SERVED = "profile-not-served", "no issuing CA here issues certificates of this profile"
    ISSUER_UNKNOWN = "issuer-unknown", "there is no such issuing CA"
    ISSUER_EXPIRES = "issuer-expires", "the issuing CA's own certificate ends before the new one would"
    CLOCK = "clock", "by the signer's clock it would be good for longer than it may, or is not of now"
    LINT = "lint", "the certificate would not be what its profile says"
    CRL_BODY = "crl-body", "not the body of a revocation list of this issuing CA that is in its time"
    CRL_NUMBER = "crl-number", "the number of a revocation list is not above that of the one before"
    CRL_TIME = "crl-time", "the revocation list is not from a later second than the one before"
    CRL_SCOPE = "crl-scope", "no certificate is told to look for a revocation list there"
    CRL_FORGETS = "crl-forgets", "the revocation list leaves out a certificate that was revoked"
    RESPONDER_KEY = "responder-key", "the keys of OCSP responders are made by the signer, and it has no such one"
    OCSP_STATUS = "ocsp-status", "that is not for the responder of this issuing CA to say"
    SERIAL_USED = "serial-used", "the serial number has been used for something else"
    JOURNAL_STEP_BACK = "journal-step-back", "the journal is shorter than the signer remembers"
    TOO_MANY_REQUESTS = "too-many-requests", "this identity has asked with too many different requests"
    REQUEST_UNKNOWN = "request-unknown", "there is no such request"
    REQUEST_CLOSED = "request-closed", "the request has been decided already"
    REQUEST_NOT_APPROVED = "request-not-approved", "the request waits for approval, or was denied"
    CERTIFICATE_UNKNOWN = "certificate-unknown", "there is no such certificate"
    ALREADY_REVOKED = "already-revoked", "the certificate has been revoked already"

    def __init__(self, code: str, meaning: str) -> None:
        self.code = code
        self.meaning = meaning

    @classmethod
    def of(cls, code: str) -> "Reason":
        """The reason with this code. Raises ValueError."""
        for reason in cls:
            if reason.code == code:
                return reason
        raise ValueError(f"no such reason: {code}")


class PKIError(Exception):
    """Anything below. Its text is a sentence for people and holds no secret."""


class Refused(PKIError):
    """What was asked for is not given. `detail` may hold text that a peer sent: show it literally."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.meaning}: {detail}" if detail else reason.meaning)
        self.reason = reason
        self.detail = detail


class Misconfigured(PKIError):
    """The PKI cannot be used as it is set up."""


class JournalDamaged(PKIError):
    """A file that is only ever appended to is not what was written."""


class JournalInUse(PKIError):
    """Another process has the journal open."""


class RolledBack(PKIError):
    """The journal is older than what the signer remembers, or the other way round."""


class SignerUnavailable(PKIError):
    """The signer cannot be reached or went away."""


class SignerFailed(SignerUnavailable):
    """The signer was reached and cannot sign this now: its hardware, its clock, an issuing CA that is not there."""


class KeyFailed(PKIError):
    """A private key, or the hardware that has it, does not do what it should. Nothing was signed."""
