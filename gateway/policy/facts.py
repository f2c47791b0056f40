"""Version-neutral facts of one message, each computed when a rule first asks for it.

Rules read attributes: `facts.urls`, `facts.limits_a`, ... An attribute that cannot be had raises FactMissing, which a
restrictive rule takes for a match (it fails closed). Lists are empty where there is nothing.
"""

import contextlib
import datetime
import itertools
import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.policy import carriers, metering
from gateway.policy.cel.times import parse_timestamp
from gateway.policy.lazy import lazy
from gateway.policy.urls import Url, read_url

__all__ = ["CertificateFact", "ChangeFact", "FactMissing", "Facts", "RequestFact"]

Payload = dict[str, Any]
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?![0-9])")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ODD: Final = re.compile(r"[$`;|&<>'{}]|[jJ][aA][vV][aA][sS][cC][rR][iI][pP][tT]:")
_MAX_CERTIFICATES = 10
_MAX_CSR_CHARS = 5_500
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
    """True if it parses and its signature proves possession of the key."""
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
    except (ValueError, UnicodeEncodeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return CertificateFact()


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
            ok=request.is_signature_valid,
            cn=_attribute(request.subject, x509.NameOID.COMMON_NAME),
            o=_attribute(request.subject, x509.NameOID.ORGANIZATION_NAME),
            ca=_is_ca(request.extensions),
            key=kind or type(key).__name__,
            bits=int(getattr(key, "key_size", 0)),
        )
    except (ValueError, UnicodeEncodeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
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
        return [read_url(text) for text in carriers.url_texts(self._action, self._payload)]

    @lazy
    def _limits(self) -> list[tuple[str, float]]:
        return list(carriers.charging_limits(self._action, self._payload))

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

    @property
    def periods(self) -> int:
        """Number of schedule periods in all."""
        return sum(map(len, self._periods))

    @lazy
    def min_period_s(self) -> int:
        """Shortest distance between two periods of a schedule; 2^31 where there are no two."""
        gaps = [later - earlier for starts in self._periods for earlier, later in itertools.pairwise(starts)]
        return int(min(gaps, default=_NO_PERIOD_S))

    @lazy
    def tokens(self) -> list[str]:
        """Every token in the message."""
        return list(carriers.tokens(self._payload))

    @lazy
    def asked_tokens(self) -> list[str]:
        """In a result: every token in the call that is answered."""
        return [] if self._asked is None else list(carriers.tokens(self._asked))

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
    def longest_list(self) -> int:
        """Length of the longest list in the message."""
        return carriers.longest_list(self._payload)

    @lazy
    def connectors(self) -> list[int]:
        """Every connector and EVSE number in the message."""
        return list(carriers.connectors(self._payload))

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
        changed = carriers.configuration_changes(self._action, self._payload)
        return [
            ChangeFact(_CANONICAL.get(key.strip().lower(), key), key.strip().lower(), value) for key, value in changed
        ]

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
        """Every certificate in the message; a text in its place that is none has `ok` False."""
        found: list[CertificateFact] = []
        for text in carriers.pem_texts(self._payload, requests=False):
            blocks = _PEM.findall(text)[:_MAX_CERTIFICATES]
            found += [_read_certificate(block) for block in blocks] or [CertificateFact()]
        return found

    @lazy
    def csrs(self) -> list[RequestFact]:
        """Every certificate signing request in the message."""
        return [_read_request(text) for text in carriers.pem_texts(self._payload, requests=True)]

    @lazy
    def meter_wh(self) -> list[float]:
        """Readings of the energy register in Wh."""
        return [reading.wh for reading in self._readings_in(self._payload)]

    @lazy
    def soc(self) -> list[float]:
        """States of charge in percent."""
        return metering.states_of_charge(self._payload)

    @lazy
    def strings(self) -> list[str]:
        """Every text in the message, decoded."""
        return [text for _, text in self._texts]

    @lazy
    def odd_strings(self) -> list[str]:
        """Texts with something that shells, lookups, markup or SQL need; plain words, numbers and moments are not among them."""
        texts = self.strings
        return [text for text in texts if _ODD.search(text)] if _ODD.search("\n".join(texts)) else []

    @lazy
    def _texts(self) -> list[tuple[str, str]]:
        """Name and text of every text in the message: walked once, whatever is asked of them."""
        return list(carriers.named_strings(self._payload))

    @lazy
    def _moments(self) -> list[str]:
        return carriers.texts_named("timestamp", self._payload)

    @lazy
    def control_characters(self) -> bool:
        """True if a text holds control characters; tabs and line ends are some."""
        return any(_CONTROL.search(text) for text in self.strings)

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
            with contextlib.suppress(ValueError):
                found.append(parse_timestamp(text))
        return found

    @lazy
    def absurd_times(self) -> int:
        """How many places for a moment hold something that does not even begin like a date.

        A missing time zone or a blank for the T is common among charge points and not counted.
        """
        return sum(bool(text) and _DATE.match(text) is None for text in self._moments)

    @property
    def connector(self) -> int:
        """Connector (1.6) or EVSE (2.x) the message is about; -1 where it names none."""
        return next(carriers.connectors(self._payload), -1)
