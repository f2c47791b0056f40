"""Performs a ceremony: everything is checked and made in memory first, then written; nothing that is there is replaced."""

import dataclasses
import datetime
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import NameOID

from pki.blocked_keys import spki_sha256
from pki.ceremony.checks import serial_number, verify_plan
from pki.ceremony.plan import (
    Ceremony,
    CRLCeremony,
    CrossCeremony,
    IssuingCeremony,
    KeyCeremony,
    NewKey,
    RootCeremony,
    SigningCA,
    SubCACeremony,
    WithKey,
)
from pki.ceremony.v2g import HIERARCHIES, V2G_COMPONENT
from pki.ceremony.writing import verify_nothing_there, write_made
from pki.errors import Misconfigured, Refused
from pki.issuer import extension_value
from pki.key_policy import DEFAULT_KEY_POLICY, key_description
from pki.keys import PrivateKey, PublicKey, certificate_key, generate_key
from pki.lint import lint
from pki.names import Subject
from pki.profiles import (
    CHARGE_POINT,
    CHARGE_POINT_ISSUING_CA,
    CSMS,
    CSMS_ISSUING_CA,
    OCSP_RESPONDER,
    ROOT_CA,
    CertificateProfile,
)
from pki.secrets_at_rest import read_secret
from pki.signatures import signature_hash
from pki.signer.settings import KeySettings, open_key, parse_settings, pkcs11_keys, read_pin
from pki.signing import random_serial
from pki.template import Constraints, Contents, certificate_builder
from pki.unreadable import UNREADABLE

__all__ = ["perform"]

_DAY: Final = datetime.timedelta(days=1)
_NEW_WITH_OLD: Final = "new-with-old"
_OLD_WITH_NEW: Final = "old-with-new"
_NO_LIMITS: Final = Constraints()
_ENDINGS: Final = {
    KeyCeremony: (".pub.pem",),
    RootCeremony: (".pem",),
    SubCACeremony: (".pem",),
    IssuingCeremony: (".pem", ".toml"),
    CRLCeremony: (".crl",),
}
"""Of the files that a ceremony names after itself."""


@dataclass(slots=True)
class _Made:
    """What is to be written: public files by name, keys by path, and what the record says."""

    files: dict[str, bytes] = field(default_factory=dict)
    keys: list[tuple[Path, PrivateKey, bytes | None]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    token_label: str = ""
    """Of the key that was made in a token."""

    def certificate(self, name: str, certificate: x509.Certificate, *above: x509.Certificate) -> None:
        """Adds a PEM file and its line in the record."""
        self.files[name] = b"".join(each.public_bytes(Encoding.PEM) for each in (certificate, *above))
        self.facts.setdefault("certificates", []).append({"file": name, **_facts(certificate)})


def perform(plan: Ceremony, text: str, base: Path, now: datetime.datetime) -> tuple[Path, dict[str, Any]]:
    """Does what the plan says and writes it, with a record beside it. Returns the record's path and the record.

    `text`: the reviewed file, for the record. `base`: what its paths are relative to. Raises PKIError, OSError.
    """
    now = now.replace(microsecond=0)
    digest = hashlib.sha256(text.encode()).hexdigest()
    record_name = f"record-{plan.__struct_config__.tag}-{digest[:12]}.json"
    verify_plan(plan)
    verify_nothing_there(_written(plan, base, record_name))
    _rehearsed(plan, base, now)
    made = _make(plan, base, now)
    record = {
        "ceremony": plan.__struct_config__.tag,
        "purpose": plan.purpose,
        "witnesses": list(plan.witnesses),
        "performed_at": now.isoformat(),
        "plan_sha256": digest,
        "plan": text,
        **made.facts,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in made.files.items()},
    }
    try:
        return write_made(base / plan.directory, made.files, made.keys, record_name, record), record
    except OSError as error:
        if made.token_label:
            raise Misconfigured(
                f"{error.filename}: {error.strerror}. The key {made.token_label!r} is in its token already: take it from there by"
                " leaving key.generate out"
            ) from None
        raise


def _rehearsed(plan: Ceremony, base: Path, now: datetime.datetime) -> None:
    """A key in a token is made for good: everything is made once with a key in memory, and thrown away. Raises Misconfigured."""
    if isinstance(plan, WithKey) and plan.key.generate and plan.key.at.pkcs11:
        nowhere = KeySettings(file="nowhere", unsafe_unencrypted=True)
        _make(msgspec.structs.replace(plan, key=msgspec.structs.replace(plan.key, at=nowhere)), base, now)


def _written(plan: Ceremony, base: Path, record_name: str) -> list[Path]:
    """Everything that the ceremony will write."""
    if isinstance(plan, CrossCeremony):
        names = [f"{_NEW_WITH_OLD}.pem", f"{_OLD_WITH_NEW}.pem"]
    else:
        names = [f"{plan.name}{ending}" for ending in _ENDINGS[type(plan)]]
    found = [base / plan.directory / name for name in (*names, record_name)]
    if isinstance(plan, WithKey) and plan.key.generate and plan.key.at.file:
        found.append(base / plan.key.at.file)
    return found


def _make(plan: Ceremony, base: Path, now: datetime.datetime) -> _Made:
    match plan:
        case KeyCeremony():
            return _key(plan, base)
        case RootCeremony():
            return _root(plan, base, now)
        case SubCACeremony():
            return _sub_ca(plan, base, now)
        case IssuingCeremony():
            return _issuing(plan, base, now)
        case CrossCeremony():
            return _cross(plan, base, now)
        case CRLCeremony():
            return _crl(plan, base, now)


def _key(plan: KeyCeremony, base: Path) -> _Made:
    made = _Made()
    public = _new_key(plan.key, base, made)
    made.files[f"{plan.name}.pub.pem"] = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    made.facts["key"] = {"kind": key_description(public), "spki_sha256": spki_sha256(public).hex()}
    return made


def _root(plan: RootCeremony, base: Path, now: datetime.datetime) -> _Made:
    made = _Made()
    public = _new_key(plan.key, base, made)
    profile = HIERARCHIES[plan.use].root if plan.use else ROOT_CA
    subject = plan.subject.subject(profile.domain_component)
    contents = _contents(profile, subject, plan.not_before, plan.not_after, now)
    key = made.keys[0][1] if made.keys else open_key(plan.key.at, base, "key.at")
    certificate = _signed(contents, public, contents.subject.name(), key, None)
    made.certificate(f"{plan.name}.pem", certificate)
    return made


def _sub_ca(plan: SubCACeremony, base: Path, now: datetime.datetime) -> _Made:
    made = _Made()
    above, key = _signing_ca(plan.root, base, "root")
    certificate = _below(plan, HIERARCHIES[plan.use].upper, above[0], key, base, made, now)
    made.certificate(f"{plan.name}.pem", certificate, *above)
    return made


def _issuing(plan: IssuingCeremony, base: Path, now: datetime.datetime) -> _Made:
    made = _Made()
    above, root_key = _signing_ca(plan.root, base, "root")
    profile, leaf, limits = _kind(plan)
    certificate = _below(plan, profile, above[0], root_key, base, made, now, limits)
    lifetime = leaf.lifetime if plan.lifetime_days is None else plan.lifetime_days * _DAY
    if certificate.not_valid_after_utc < now + lifetime:
        raise Misconfigured(
            f"lifetime_days: the CA itself ends on {certificate.not_valid_after_utc:%Y-%m-%d}, before that"
        )
    # Whoever has its key can say that all is well: a responder is certified only where charge points are told to ask one.
    responder = (OCSP_RESPONDER.name,) if plan.publication.ocsp_url else ()
    text = _settings(plan, (leaf.name, *responder), lifetime, base)
    # As the signer will read it when it starts; whoever leaves the offline room should know now.
    issuer = parse_settings(text, f"{plan.name}.toml").issuer(plan.name, [certificate, *above], f"{plan.name}.toml")
    made.certificate(f"{plan.name}.pem", certificate, *above)
    made.files[f"{plan.name}.toml"] = text
    warnings = issuer.profiles[0].warnings()
    if warnings:
        made.facts["warnings"] = list(warnings)
    return made


def _kind(plan: IssuingCeremony) -> tuple[CertificateProfile, CertificateProfile, Constraints]:
    """Of the issuing CA: its own profile, that of what it issues, and what its certificate limits."""
    if plan.use in HIERARCHIES:
        return HIERARCHIES[plan.use].issuing, HIERARCHIES[plan.use].leaf, Constraints()
    is_csms = plan.use == "csms"
    limits = Constraints(
        organizations=plan.limits.organizations,
        domains=plan.limits.domains,
        exclude_hosts=not is_csms and not plan.limits.unsafe_permit_host_names,
    )
    profile = dataclasses.replace(
        CSMS_ISSUING_CA if is_csms else CHARGE_POINT_ISSUING_CA,
        name_constraints_critical=not plan.limits.unsafe_not_critical,
    )
    return profile, CSMS if is_csms else CHARGE_POINT, limits


def _below(
    plan: SubCACeremony | IssuingCeremony,
    profile: CertificateProfile,
    above: x509.Certificate,
    key: PrivateKey,
    base: Path,
    made: _Made,
    now: datetime.datetime,
    limits: Constraints = _NO_LIMITS,
) -> x509.Certificate:
    """The certificate of a CA that another one certifies."""
    _verify_above(profile, above)
    public = _new_key(plan.key, base, made)
    if public == key.public_key():
        raise Misconfigured("the new CA has the root's key: it needs one of its own")
    subject = plan.subject.subject(profile.domain_component)
    if subject.name() == above.subject:
        raise Misconfigured("subject is that of the root: the new CA needs a name of its own")
    contents = _contents(profile, subject, plan.not_before, plan.not_after, now, above=above)
    contents = dataclasses.replace(contents, constraints=limits.extension())
    return _signed(contents, public, above.subject, key, above)


def _verify_above(profile: CertificateProfile, above: x509.Certificate) -> None:
    """A chain that every verifier refuses is no chain."""
    basic = extension_value(above, x509.BasicConstraints)
    if not isinstance(basic, x509.BasicConstraints) or not basic.ca:
        raise Misconfigured("root.certificate is not that of a CA")
    if basic.path_length is not None and basic.path_length <= (profile.path_length or 0):
        raise Misconfigured(f"root.certificate has path length {basic.path_length}: there may be no such CA below it")
    components = {str(each.value) for each in above.subject.get_attributes_for_oid(NameOID.DOMAIN_COMPONENT)}
    # Other components say nothing of V2G: a root of a company's directory is DC=com, DC=example.
    if (V2G_COMPONENT in components) != (profile.domain_component == V2G_COMPONENT):
        # A root that edges trust must have nothing below it that is not limited, as CAs for V2G are not.
        raise Misconfigured("root.certificate: a CA for V2G is below one for V2G (DC=V2G), and no other CA is")
    kind = key_description(certificate_key(above))
    if profile.domain_component and kind not in profile.key_kinds:
        raise Misconfigured(
            f"root.certificate has a key of kind {kind}, and {profile.name} has {', '.join(profile.key_kinds)}"
        )


def _cross(plan: CrossCeremony, base: Path, now: datetime.datetime) -> _Made:
    made = _Made()
    (old, *_), old_key = _signing_ca(plan.old, base, "old")
    (new, *_), new_key = _signing_ca(plan.new, base, "new")
    if old.public_key() == new.public_key():
        raise Misconfigured("old and new have the same key")
    for name, subject, issuer, key in ((_NEW_WITH_OLD, new, old, old_key), (_OLD_WITH_NEW, old, new, new_key)):
        ends = min(subject.not_valid_after_utc, issuer.not_valid_after_utc)
        contents = _contents(ROOT_CA, Subject("", ""), plan.not_before, plan.not_after or ends, now, above=issuer)
        contents = dataclasses.replace(contents, existing_name=subject.subject)
        certificate = _signed(contents, certificate_key(subject), issuer.subject, key, issuer)
        if certificate.not_valid_after_utc > ends:
            raise Misconfigured(f"not_after: {name} would outlive one of the two roots, which ends at {ends}")
        made.certificate(f"{name}.pem", certificate)
    return made


def _crl(plan: CRLCeremony, base: Path, now: datetime.datetime) -> _Made:
    (root, *_), key = _signing_ca(plan.root, base, "root")
    this_update = plan.this_update or now
    if plan.next_update <= max(this_update, now):
        raise Misconfigured("next_update is not in the future")
    revoked = {serial_number(each.serial): each for each in plan.revoked}
    _verify_previous(plan, base, root, set(revoked))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(this_update)
        .next_update(plan.next_update)
        .add_extension(x509.CRLNumber(plan.number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(certificate_key(root)), critical=False)
    )
    for serial, entry in revoked.items():
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(entry.at)
        if entry.reason.value != "unspecified":  # RFC 5280, 5.3.1: it should be absent instead
            one = one.add_extension(x509.CRLReason(x509.ReasonFlags(entry.reason.value)), critical=False)
        builder = builder.add_revoked_certificate(one.build())
    crl = builder.sign(key, signature_hash(key))
    made = _Made()
    made.files[f"{plan.name}.crl"] = crl.public_bytes(Encoding.DER)
    made.facts["crl"] = {"number": plan.number, "next_update": plan.next_update.isoformat(), "entries": len(revoked)}
    return made


def _verify_previous(plan: CRLCeremony, base: Path, root: x509.Certificate, revoked: set[int]) -> None:
    if not plan.previous:
        if plan.number != 1:
            raise Misconfigured("previous: from the second list on, the one before is needed")
        return
    try:
        before = x509.load_der_x509_crl((base / plan.previous).read_bytes())
    except ValueError as error:
        raise Misconfigured(f"previous {plan.previous}: {error}") from None
    if not before.is_signature_valid(certificate_key(root)):
        raise Misconfigured(f"previous {plan.previous} is not of this root")
    try:
        number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, ValueError):
        raise Misconfigured(f"previous {plan.previous} has no number") from None
    if plan.number <= number:
        raise Misconfigured(f"number {plan.number} is not above {number}, that of the list before")
    forgotten = {entry.serial_number for entry in before} - revoked
    if forgotten:
        raise Misconfigured(f"serial number {min(forgotten):x} was revoked on the list before, and is not on this one")


def _contents(
    profile: CertificateProfile,
    subject: Subject,
    not_before: datetime.datetime | None,
    not_after: datetime.datetime | None,
    now: datetime.datetime,
    *,
    above: x509.Certificate | None = None,
) -> Contents:
    start = not_before or now - profile.backdate
    end = not_after or start + profile.lifetime
    if above is not None:
        start = max(start, above.not_valid_before_utc)
        end = end if not_after else min(end, above.not_valid_after_utc)
    return Contents(profile=profile, subject=subject, serial=random_serial(), not_before=start, not_after=end)


def _signed(
    contents: Contents,
    public: PublicKey,
    issuer: x509.Name,
    key: PrivateKey,
    above: x509.Certificate | None,
) -> x509.Certificate:
    """A CA certificate that the linter has nothing against. Raises Misconfigured."""
    if contents.not_before >= contents.not_after:
        raise Misconfigured("not_after is not later than not_before")
    builder = certificate_builder(contents, public, issuer, key.public_key())
    certificate = builder.sign(key, signature_hash(key))
    findings = lint(certificate, contents.profile, issuer=above or certificate)
    if findings:
        raise Misconfigured("; ".join(f"{finding.code}: {finding.text}" for finding in findings))
    return certificate


def _signing_ca(ca: SigningCA, base: Path, where: str) -> tuple[list[x509.Certificate], PrivateKey]:
    """Its certificate and those above it in the file, and its key."""
    try:
        certificates = x509.load_pem_x509_certificates((base / ca.certificate).read_bytes())
    except UNREADABLE:
        raise Misconfigured(f"{where}.certificate: {ca.certificate} holds no certificate in PEM") from None
    key = open_key(ca.key, base, f"{where}.key")
    if certificates[0].public_key() != key.public_key():
        raise Misconfigured(f"{where}: the key does not belong to the certificate")
    return certificates, key


def _new_key(key: NewKey, base: Path, made: _Made) -> PublicKey:
    """The public half of the key that the ceremony is about; it is made if the plan says so, and checked in any case."""
    if key.public_key:
        try:
            loaded: object = load_pem_public_key((base / key.public_key).read_bytes())
        except ValueError as error:
            raise Misconfigured(f"key.public_key: {error}") from None
    elif key.generate is None:
        loaded = open_key(key.at, base, "key.at").public_key()
    else:
        loaded = _generated(key, base, made).public_key()
    try:
        return DEFAULT_KEY_POLICY.verify(loaded)
    except Refused as refused:
        raise Misconfigured(f"key: {refused}") from None


def _generated(key: NewKey, base: Path, made: _Made) -> PrivateKey:
    assert key.generate is not None
    at = key.at
    if at.pkcs11 is not None:
        token = at.pkcs11
        pin = read_pin(token, base, "key.at")
        made_there: PrivateKey = pkcs11_keys().generate_in_token(
            Path(token.module), token.token, token.label, pin, key.generate
        )
        made.token_label = token.label
        made.facts["made_in_token"] = {"token": token.token, "label": token.label}
        return made_there
    secret = None if at.unsafe_unencrypted else read_secret(base / at.secret_file) if at.secret_file else None
    if secret is None and not at.unsafe_unencrypted:
        raise Misconfigured("key.at.secret_file: the key is written encrypted. Make one: openssl rand -base64 32")
    made.keys.append((base / at.file, generate_key(key.generate), secret))
    return made.keys[-1][1]


def _settings(plan: IssuingCeremony, profiles: tuple[str, ...], lifetime: datetime.timedelta, base: Path) -> bytes:
    """The signer's file for this CA."""
    directory = base / plan.directory
    key = plan.key.at
    lines = [
        f"# By ocpp-gateway pki ceremony: {' '.join(plan.purpose.split())}",
        f"certificate = {_toml(f'{plan.name}.pem')}",
        f"profiles = {_toml(list(profiles))}",
        f"organizations = {_toml(list(plan.limits.organizations))}",
        f"domains = {_toml(list(plan.limits.domains))}",
        "",
        "[lifetime_days]",
        f"{profiles[0]} = {lifetime / _DAY:g}",
        "",
        "[publication]",
        *(f"{name} = {_toml(value)}" for name, value in msgspec.structs.asdict(plan.publication).items()),
        "",
        "[key.pkcs11]" if key.pkcs11 is not None else "[key]",
    ]
    chosen: Any = key.pkcs11 if key.pkcs11 is not None else _relative(key, base, directory)
    lines += [f"{name} = {_toml(value)}" for name, value in msgspec.structs.asdict(chosen).items() if value]
    return "\n".join([*lines, ""]).encode()


def _relative(key: KeySettings, base: Path, directory: Path) -> KeySettings:
    def moved(name: str) -> str:
        return os.path.relpath((base / name).absolute(), directory.absolute()) if name else ""

    return msgspec.structs.replace(key, file=moved(key.file), secret_file=moved(key.secret_file))


def _toml(value: Any) -> str:
    """Strings, lists of strings, numbers and booleans: JSON is TOML for those."""
    return msgspec.json.encode(value).decode()


def _facts(certificate: x509.Certificate) -> dict[str, str]:
    return {
        "subject": certificate.subject.rfc4514_string(),
        "issuer": certificate.issuer.rfc4514_string(),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "key": key_description(certificate_key(certificate)),
        "spki_sha256": spki_sha256(certificate_key(certificate)).hex(),
        "sha256": hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
    }
