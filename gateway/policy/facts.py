"""Version-neutral facts of one message, each computed when a rule first asks for it.

Rules read attributes: `facts.urls`, `facts.limits_a`, ... An attribute that cannot be had raises FactMissing, and one that
would take too long TooManyItems; a restrictive rule takes both for a match (it fails closed). Lists are empty where there
is nothing.
"""

import datetime
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from gateway.ocpp.unreadable import UNREADABLE
from gateway.policy import carriers, metering
from gateway.policy.cel.times import parse_timestamp
from gateway.policy.firmware import FirmwareFact, read_firmware
from gateway.policy.items import MAX_ITEMS, MAX_READINGS, bounded
from gateway.policy.lazy import lazy
from gateway.policy.urls import Url, read_url

__all__ = ["CertificateFact", "ChangeFact", "FactMissing", "Facts", "RequestFact"]

Payload = dict[str, Any]
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/= \t\r\n]++-----END CERTIFICATE-----")
_PEM_SPACE: Final = " \t\r\n"
_PEM_NAMES: Final = frozenset({"certificate", "certificateChain", "signingCertificate"})
_CSR_NAMES: Final = frozenset({"csr"})
_MOMENT_NAMES: Final = frozenset({"timestamp"})
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?![0-9])")
_CONTROL: Final = bytes([*range(0x20), 0x7F])
_ODD_CHARS: Final = b"$`;|&<>'{}"
_ODD_SCHEME: Final = "javascript:"
_ODD_CHAR: Final = re.compile(f"[{_ODD_CHARS.decode()}]")
_ODD: Final = re.compile(f"{_ODD_CHAR.pattern}|[jJ][aA][vV][aA][sS][cC][rR][iI][pP][tT]:")
_MAX_URLS = 16
_MAX_CERTIFICATES = 10
_MAX_CERTIFICATE_CHARS = 12_000
"""In all; OCPP has 10 000 for a chain."""
_MAX_CSR_CHARS = 5_500
_MAX_RSA_BITS: Final = 8_192
_MAX_RSA_EXPONENT: Final = 2**32
_NO_PERIOD_S = 2**31
_SPELLINGS: Final = (
    "AdditionalRootCertificateCheck AllowOfflineTxForUnknownId AuthorizationKey AuthorizeRemoteTxRequests "
    "CentralSystemRootCertificate CertificateSignedMaxChainSize CertificateStoreMaxLength CpoName "
    "LocalAuthorizeOffline LocalPreAuthorize SecurityProfile StopTransactionOnInvalidId "
    "SecurityCtrlr.BasicAuthPassword SecurityCtrlr.Identity SecurityCtrlr.SecurityProfile "
    "SecurityCtrlr.AllowSecurityProfileDowngrade SecurityCtrlr.AllowCSMSTLSWildcards "
    "SecurityCtrlr.OrganizationName OCPPCommCtrlr.NetworkConfigurationPriority "
    "RandomisedDelay RandomizedDelay RandomDelay SmartChargingCtrlr.RandomisedDelay SmartChargingCtrlr.RandomizedDelay "
    "NetworkConfiguration.SecurityProfile NetworkConfiguration.BasicAuthPassword NetworkConfiguration.OcppCsmsUrl "
    "AuthCtrlr.OfflineTxForUnknownIdEnabled AuthCtrlr.AuthorizeRemoteStart AuthCtrlr.Enabled"
)
_CANONICAL: Final = {name.lower(): name for name in _SPELLINGS.split()}
"""1.6 keys and 2.x names compare without case (CiString50, identifierString): known ones are shown in one spelling."""


class FactMissing(Exception):  # noqa: N818  names the state
    """The message does not have what a rule asks for."""


class CertificateFact(msgspec.Struct, frozen=True):
    """A certificate in a message."""

    ok: bool = False
    fingerprint: str = ""
    """SHA-256 of the DER, lower-case hex."""
    cn: str = ""
    o: str = ""
    ca: bool = False
    self_signed: bool = False


class RequestFact(msgspec.Struct, frozen=True):
    """A certificate signing request in a message."""

    ok: bool = False
    """True if it parses and its signature proves possession of the key (RSA up to 8192 bits, EC, Ed25519 or Ed448)."""
    cn: str = ""
    o: str = ""
    ca: bool = False
    """True if it asks to become a CA."""
    key: str = ""
    """``RSA``, ``EC`` or another name."""
    bits: int = 0


def _attribute(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = name.get_attributes_for_oid(oid)
    return str(values[0].value) if len(values) == 1 else ""


def _is_ca(extensions: x509.Extensions) -> bool:
    try:
        return bool(extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _read_certificate(pem: str) -> CertificateFact:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        return CertificateFact(
            ok=True,
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            cn=_attribute(certificate.subject, x509.NameOID.COMMON_NAME),
            o=_attribute(certificate.subject, x509.NameOID.ORGANIZATION_NAME),
            ca=_is_ca(certificate.extensions),
            self_signed=certificate.subject == certificate.issuer,
        )
    except UNREADABLE:
        return CertificateFact()


def _certificates_in(texts: Iterable[str]) -> Iterator[CertificateFact]:
    """Certificates in PEM texts. Whatever a text has beside them is one more, which is not ok.

    A parser in a charge point may take `X509 CERTIFICATE` or `TRUSTED CERTIFICATE` for a certificate, and it may be the one
    that it installs. Comments between the blocks are not read here, so nobody can tell that they are harmless.
    """
    left, chars = _MAX_CERTIFICATES, _MAX_CERTIFICATE_CHARS
    for text in texts:
        chars -= len(text)
        if chars < 0:
            yield CertificateFact()
            return
        end = 0
        for block in _PEM.finditer(text):
            if left == 0:
                yield CertificateFact()
                return
            if text[end : block.start()].strip(_PEM_SPACE):
                yield CertificateFact()
            yield _read_certificate(block[0])
            left, end = left - 1, block.end()
        if end == 0 or text[end:].strip(_PEM_SPACE):
            yield CertificateFact()


def _is_quick(key: object) -> bool:
    """Whether checking a signature of that key takes well below a millisecond. Keys for charge points do."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size <= _MAX_RSA_BITS and key.public_numbers().e < _MAX_RSA_EXPONENT
    return isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def _read_request(pem: str) -> RequestFact:
    if len(pem) > _MAX_CSR_CHARS or pem.count("-----BEGIN") != 1:
        return RequestFact()
    try:
        request = x509.load_pem_x509_csr(pem.encode("ascii"))
        key = request.public_key()
        kind = (
            "RSA" if isinstance(key, rsa.RSAPublicKey) else "EC" if isinstance(key, ec.EllipticCurvePublicKey) else ""
        )
        return RequestFact(
            ok=_is_quick(key) and request.is_signature_valid,
            cn=_attribute(request.subject, x509.NameOID.COMMON_NAME),
            o=_attribute(request.subject, x509.NameOID.ORGANIZATION_NAME),
            ca=_is_ca(request.extensions),
            key=kind or type(key).__name__,
            bits=int(getattr(key, "key_size", 0)),
        )
    except UNREADABLE:
        return RequestFact()


class ChangeFact(msgspec.Struct, frozen=True):
    """One thing that a message sets."""

    key: str
    """Known names in the standard's spelling whatever case was sent."""
    name: str
    """The same in lower case: what to look up in a parameter of type ``list<name>``."""
    value: str
    """Never put it into a message template: it may be a password."""


class Facts:
    """Facts of one payload. `action` is the inner one where a message was signed or tunnelled.

    `asked` is the payload of the call, where this is a result. `readings_in`: who has perhaps read the meter values already.
    """

    def __init__(
        self,
        action: str,
        payload: Payload,
        asked: Payload | None = None,
        readings_in: Callable[[Payload], list[metering.Reading]] = metering.readings,
    ) -> None:
        self._action = action
        self._payload = payload
        self._asked = asked
        self._readings_in = readings_in

    @lazy
    def urls(self) -> list[Url]:
        """Every URL that the message gives the charge point."""
        texts = carriers.url_texts(self._action, self._payload, self._contents)
        return [read_url(text) for text in bounded(texts, _MAX_URLS, "URLs")]

    @lazy
    def _limits(self) -> list[tuple[str, float]]:
        return bounded(carriers.charging_limits(self._action, self._payload), MAX_ITEMS, "charging limits")

    @lazy
    def limits_a(self) -> list[float]:
        """Magnitudes of all charging limits in ampere."""
        return [value for unit, value in self._limits if unit == "A"]

    @lazy
    def limits_w(self) -> list[float]:
        """Magnitudes of all charging limits and set-points in watt."""
        return [value for unit, value in self._limits if unit == "W"]

    @lazy
    def _periods(self) -> list[list[float]]:
        return carriers.periods(self._payload)

    @lazy
    def periods(self) -> int:
        """Number of schedule periods in all."""
        return carriers.period_count(self._payload)

    @lazy
    def min_period_s(self) -> int:
        """Shortest distance between two periods of a schedule; 2^31 where there are no two."""
        gaps = [later - earlier for starts in self._periods for earlier, later in itertools.pairwise(starts)]
        return int(min(gaps, default=_NO_PERIOD_S))

    @lazy
    def tokens(self) -> list[str]:
        """Every token in the message."""
        return bounded(carriers.tokens(self._payload), MAX_ITEMS, "tokens")

    @lazy
    def asked_tokens(self) -> list[str]:
        """In a result: every token in the call that is answered."""
        return [] if self._asked is None else bounded(carriers.tokens(self._asked), MAX_ITEMS, "tokens")

    @lazy
    def token_names(self) -> list[str]:
        """Every token as cards compare, without case: what to look up in a parameter of type ``list<name>``."""
        return [token.strip().lower() for token in self.tokens]

    @lazy
    def asked_token_names(self) -> list[str]:
        """In a result: the same of the call that is answered."""
        return [token.strip().lower() for token in self.asked_tokens]

    @property
    def starts_transaction(self) -> bool:
        """True for StartTransaction, and for the first event of a 2.x transaction."""
        if self._action == "TransactionEvent":
            return bool(self._payload.get("eventType") == "Started")
        return self._action == "StartTransaction"

    @lazy
    def setpoint_w(self) -> float:
        """What the message makes the charge point draw or feed first, in watt; -1 where it says nothing about that."""
        return carriers.set_point_w(self._action, self._payload)

    @lazy
    def schedule_start(self) -> str:
        """When the charging schedule starts, as sent; empty where it does not say."""
        return carriers.schedule_start(self._payload)

    @lazy
    def firmware_signed(self) -> bool:
        """True if a firmware update carries a certificate and a signature."""
        return carriers.is_signed_firmware(self._payload)

    @lazy
    def firmware(self) -> FirmwareFact:
        """With what the firmware of an update is signed; `ok` False where that is nothing a charge point could check."""
        return read_firmware(self._payload)

    @lazy
    def longest_list(self) -> int:
        """Length of the longest list in the message."""
        return self._contents.longest_list

    @lazy
    def connectors(self) -> list[int]:
        """Every connector and EVSE number in the message."""
        return bounded(carriers.connectors(self._payload), MAX_ITEMS, "connectors")

    @lazy
    def token_status(self) -> str:
        """Status that a result gives a token; empty where there is none."""
        for name in ("idTagInfo", "idTokenInfo"):
            info = self._payload.get(name)
            if isinstance(info, dict) and isinstance(info.get("status"), str):
                return str(info["status"])
        return ""

    @lazy
    def config_changes(self) -> list[ChangeFact]:
        """What the message sets, keys and values."""
        changed = bounded(carriers.configuration_changes(self._action, self._payload), MAX_ITEMS, "settings")
        return [ChangeFact(_CANONICAL.get(name := carriers.plain(key), key), name, value) for key, value in changed]

    @lazy
    def config_keys(self) -> list[str]:
        """What the message sets; known names in the standard's spelling whatever case was sent."""
        return [change.key for change in self.config_changes]

    @lazy
    def config_names(self) -> list[str]:
        """What the message sets in lower case: what to look up in a parameter of type ``list<name>``."""
        return [change.name for change in self.config_changes]

    @lazy
    def security_profile(self) -> int:
        """The lowest security profile a message sets; 0 where it sets none, -1 where one is not a profile."""
        values = [change.value for change in self.config_changes if change.key.endswith("SecurityProfile")]
        return min((int(value) if value in {"1", "2", "3"} else -1 for value in values), default=0)

    @lazy
    def certificates(self) -> list[CertificateFact]:
        """Every certificate in the message; anything else in its place, or more than 10, is one that has `ok` False."""
        return list(_certificates_in(self._contents.under(_PEM_NAMES)))

    @lazy
    def csrs(self) -> list[RequestFact]:
        """Every certificate signing request in the message; the first is checked, others have `ok` False."""
        texts = list(itertools.islice(self._contents.under(_CSR_NAMES), 2))
        return [_read_request(text) for text in texts[:1]] + [RequestFact() for _ in texts[1:]]

    @lazy
    def meter_wh(self) -> list[float]:
        """Readings of the energy register in Wh."""
        return [reading.wh for reading in metering.all_of(self._readings_in(self._payload))]

    @lazy
    def soc(self) -> list[float]:
        """States of charge in percent."""
        return bounded(metering.states_of_charge(self._payload), MAX_READINGS, "states of charge")

    @lazy
    def _contents(self) -> carriers.Contents:
        """The payload is walked once, whatever is asked of it."""
        return carriers.Contents(self._payload)

    @property
    def strings(self) -> list[str]:
        """Every text in the message, decoded."""
        return self._contents.texts

    @lazy
    def _encoded(self) -> bytes:
        """All texts, to search them at once."""
        return " ".join(self.strings).encode("utf-8", "surrogatepass")

    @lazy
    def odd_strings(self) -> list[str]:
        """Texts with something that shells, lookups, markup or SQL need; plain words, numbers and moments are not among them."""
        data = self._encoded
        names_scheme = _ODD_SCHEME.encode() in data.lower()
        if not names_scheme and len(data.translate(None, _ODD_CHARS)) == len(data):
            return []
        odd = (_ODD if names_scheme else _ODD_CHAR).search
        return bounded(filter(odd, self.strings), MAX_ITEMS, "odd texts")

    @lazy
    def control_characters(self) -> bool:
        """True if a text holds control characters; tabs and line ends are some."""
        return len(self._encoded.translate(None, _CONTROL)) != len(self._encoded)

    @lazy
    def _moments(self) -> list[str]:
        return bounded(self._contents.under(_MOMENT_NAMES), MAX_READINGS, "moments")

    @property
    def expiry(self) -> datetime.datetime:
        """Expiry of a reservation. Raises FactMissing where there is none, ValueError where it is no date-time."""
        for name in ("expiryDate", "expiryDateTime"):
            value = self._payload.get(name)
            if isinstance(value, str):
                return parse_timestamp(value)
        raise FactMissing("expiry")

    @lazy
    def timestamps(self) -> list[datetime.datetime]:
        """Every moment of measuring or happening that the message states; what is no date-time is left out."""
        found = []
        for text in self._moments:
            try:
                found.append(parse_timestamp(text))
            except ValueError:
                continue
        return found

    @lazy
    def absurd_times(self) -> int:
        """How many places for a moment hold something that does not even begin like a date.

        A missing time zone or a blank for the T is common among charge points and not counted.
        """
        match = _DATE.match
        return len([text for text in self._moments if match(text) is None and text])

    @property
    def connector(self) -> int:
        """Connector (1.6) or EVSE (2.x) the message is about; -1 where it names none."""
        return next(carriers.connectors(self._payload), -1)
