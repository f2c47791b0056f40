"""A ceremony's file: TOML that people have reviewed beforehand, as values. Every choice stands in it; nothing is asked for.

Paths are relative to the file. Unknown keys are errors. Times may be left out, then it is now.
"""

import datetime
from typing import Final, Literal

import msgspec

from pki.ceremony.v2g import V2GUse
from pki.errors import Misconfigured
from pki.keys import KeyKind
from pki.names import Subject
from pki.records import RevocationReason
from pki.signer.settings import KeySettings

__all__ = [
    "CRLCeremony",
    "Ceremony",
    "CrossCeremony",
    "IssuingCeremony",
    "KeyCeremony",
    "NewKey",
    "RevokedCA",
    "RootCeremony",
    "SigningCA",
    "SubCACeremony",
    "WithKey",
    "parse_ceremony",
]

_MAX_CHARACTERS: Final = 100_000


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Anything in the file."""


class NewKey(_Part, frozen=True, kw_only=True):
    """The key of what is made. `generate`: make it now; otherwise it is there. `public_key`: only its public half is here."""

    generate: KeyKind | None = None
    public_key: str = ""
    at: KeySettings = KeySettings()


class SigningCA(_Part, frozen=True, kw_only=True):
    """A CA that signs: its certificate and its key."""

    certificate: str
    key: KeySettings


class _SubjectPart(_Part, frozen=True, kw_only=True):
    common_name: str
    organization: str
    country: str = ""
    """Two letters; of CAs for V2G alone."""

    def subject(self, domain_component: str = "") -> Subject:
        """As the rest of the PKI has it."""
        return Subject(self.common_name, self.organization, country=self.country, domain_component=domain_component)


class _Ceremony(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="mode"):
    purpose: str
    """For the record: why this is done."""
    witnesses: tuple[str, ...]
    """Who is there; at least one."""
    directory: str = "."
    """Where what is made is written."""


class KeyCeremony(_Ceremony, frozen=True, kw_only=True, tag="key"):
    """Makes a key, and writes its public half to `name`.pub.pem."""

    name: str
    key: NewKey


class RootCeremony(_Ceremony, frozen=True, kw_only=True, tag="root"):
    """Makes a self-signed root."""

    name: str
    use: Literal[""] | V2GUse = ""
    subject: _SubjectPart
    key: NewKey
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None


class _Limits(_Part, frozen=True, kw_only=True):
    organizations: tuple[str, ...]
    domains: tuple[str, ...] = ()
    unsafe_permit_host_names: bool = False
    """For charge points whose serial numbers read as host names, `AB.123`: OpenSSL refuses those below a CA that excludes hosts."""
    unsafe_not_critical: bool = False
    """For charge points whose TLS stack refuses a CA with critical name constraints (it reads the chain that it is sent)."""


class _PublicationPart(_Part, frozen=True, kw_only=True):
    crl_url: str = ""
    crl_shards: int = 1
    ocsp_url: str = ""
    issuer_url: str = ""


class SubCACeremony(_Ceremony, frozen=True, kw_only=True, tag="sub-ca"):
    """Makes a CA between the root and the issuing CA, as ISO 15118 may have one; it is as offline as the root."""

    name: str
    use: V2GUse
    root: SigningCA
    subject: _SubjectPart
    key: NewKey
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None


class IssuingCeremony(_Ceremony, frozen=True, kw_only=True, tag="issuing-ca"):
    """Makes an issuing CA below a root, and the signer's settings for it."""

    name: str
    use: Literal["charge-points", "csms"] | V2GUse
    root: SigningCA
    subject: _SubjectPart
    key: NewKey
    limits: _Limits
    lifetime_days: float | None = None
    """Of the certificates that it will issue; None for their profile's."""
    publication: _PublicationPart = _PublicationPart()
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None


class CrossCeremony(_Ceremony, frozen=True, kw_only=True, tag="cross-certificates"):
    """Two roots certify each other: newWithOld and oldWithNew (RFC 4210, 4.4)."""

    old: SigningCA
    new: SigningCA
    not_before: datetime.datetime | None = None
    not_after: datetime.datetime | None = None


class RevokedCA(_Part, frozen=True, kw_only=True):
    """A CA that the root revokes."""

    serial: str
    at: datetime.datetime
    reason: RevocationReason = RevocationReason.UNSPECIFIED


class CRLCeremony(_Ceremony, frozen=True, kw_only=True, tag="crl"):
    """A revocation list of the root."""

    name: str
    root: SigningCA
    number: int
    next_update: datetime.datetime
    this_update: datetime.datetime | None = None
    previous: str = ""
    """The list before this one; needed from the second on: nothing on it may be forgotten."""
    revoked: tuple[RevokedCA, ...] = ()


WithKey = KeyCeremony | RootCeremony | SubCACeremony | IssuingCeremony
"""Those that are about a key of their own."""
Ceremony = WithKey | CrossCeremony | CRLCeremony


def _explained(message: str) -> str:
    if message == "Object missing required field `mode`":
        return "`mode` is missing: it says what is made, key, root, issuing-ca, cross-certificates or crl (docs/pki.md)"
    return message


def parse_ceremony(text: str) -> Ceremony:
    """The ceremony in a file, as far as its form goes. Raises Misconfigured with the key that is wrong."""
    if len(text) > _MAX_CHARACTERS:
        raise Misconfigured("the file is too long for a ceremony")
    try:
        plan: Ceremony = msgspec.toml.decode(text, type=Ceremony)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Misconfigured(_explained(str(error))) from None
    _verify(plan)
    return plan


def _verify(plan: Ceremony) -> None:
    if not plan.purpose.strip():
        raise Misconfigured("purpose is empty: the record has to say why")
    if not any(witness.strip() for witness in plan.witnesses):
        raise Misconfigured("witnesses is empty: nobody vouches for what is done")
    name = getattr(plan, "name", "x")
    if not name or name != name.strip() or set(name) & set("/\\\0") or name.startswith("."):
        raise Misconfigured(f"name {name!r} is not a file's name")
    if isinstance(plan, WithKey):
        _verify_key(plan.key)
    if isinstance(plan, KeyCeremony) and plan.key.generate is None:
        raise Misconfigured("key.generate says which kind of key is to be made")
    if isinstance(plan, RootCeremony) and plan.key.public_key:
        raise Misconfigured("key.public_key: a root signs itself, so its key has to be here")


def _verify_key(key: NewKey) -> None:
    has_place = bool(key.at.file) or key.at.pkcs11 is not None
    if key.public_key and (key.generate or key.at.file):
        raise Misconfigured("key.public_key: the key is elsewhere, so it is not made here and has no file here")
    if not key.public_key and not has_place:
        raise Misconfigured("key.at needs a file with its secret_file, or pkcs11")
