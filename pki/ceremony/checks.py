"""What a plan is refused for before any key is made: whoever leaves the offline room has a CA that can be used."""

import datetime
import math
import re
from collections.abc import Iterator
from typing import Final

from pki.ceremony.plan import Ceremony, CRLCeremony, IssuingCeremony, RootCeremony, SubCACeremony
from pki.ceremony.v2g import HIERARCHIES
from pki.errors import Misconfigured, Refused
from pki.names import verify_host_name, verify_organization
from pki.revocation import octets_of_serial
from pki.signer.settings import MAX_LIFETIME_DAYS

__all__ = ["serial_number", "verify_plan"]

_FIRST_YEAR: Final = 1950
"""Of UTCTime (RFC 5280, 4.1.2.5.1): what is earlier cannot be written."""
_COUNTRY: Final = re.compile("[A-Z]{2}")
_HEX: Final = re.compile("[0-9A-Fa-f]+")
_MOMENTS: Final = ("not_before", "not_after", "this_update", "next_update")


def verify_plan(plan: Ceremony) -> None:
    """Raises Misconfigured with the key that is wrong."""
    for name, moment in _moments(plan):
        if moment.tzinfo is None:
            raise Misconfigured(f"{name} needs a time zone: 2026-01-31T12:00:00Z")
        if moment.year < _FIRST_YEAR:
            raise Misconfigured(f"{name} is before {_FIRST_YEAR}")
    if isinstance(plan, RootCeremony | SubCACeremony | IssuingCeremony):
        _verify_subject(plan)
    if isinstance(plan, IssuingCeremony):
        _verify_issuing(plan)
    if isinstance(plan, CRLCeremony):
        try:
            octets_of_serial(plan.number)
        except ValueError:
            raise Misconfigured("number: that of a revocation list is positive and has at most 20 octets") from None
        for each in plan.revoked:
            serial_number(each.serial)


def serial_number(text: str) -> int:
    """The number in a plan. Raises Misconfigured for what no certificate can have."""
    if _HEX.fullmatch(text) is None:
        raise Misconfigured(f"revoked.serial {text!r} is not a number in hex")
    try:
        octets_of_serial(int(text, 16))
    except ValueError as error:
        raise Misconfigured(f"revoked.serial {text!r}: {error}") from None
    return int(text, 16)


def _moments(plan: Ceremony) -> Iterator[tuple[str, datetime.datetime]]:
    for name in _MOMENTS:
        value = getattr(plan, name, None)
        if isinstance(value, datetime.datetime):
            yield name, value
    if isinstance(plan, CRLCeremony):
        yield from (("revoked.at", each.at) for each in plan.revoked)


def _verify_name(where: str, value: str) -> None:
    try:
        verify_organization(value)
    except Refused as refused:
        raise Misconfigured(f"{where}: {refused}") from None


def _verify_subject(plan: RootCeremony | SubCACeremony | IssuingCeremony) -> None:
    _verify_name("subject.common_name", plan.subject.common_name)
    _verify_name("subject.organization", plan.subject.organization)
    country = plan.subject.country
    if country and plan.use not in HIERARCHIES:
        raise Misconfigured("subject.country: only CAs for V2G have one")
    if country and not _COUNTRY.fullmatch(country):
        raise Misconfigured(f"subject.country {country!r} is not two capital letters, as DE")


def _verify_issuing(plan: IssuingCeremony) -> None:
    if not plan.limits.organizations:
        raise Misconfigured("limits.organizations: a CA that is not limited can certify other operators' charge points")
    for organization in plan.limits.organizations:
        _verify_name("limits.organizations", organization)
    if plan.use == "csms" and not plan.limits.domains:
        raise Misconfigured("limits.domains: a CA for servers needs the domains that it is limited to")
    if plan.use != "csms" and plan.limits.domains:
        raise Misconfigured("limits.domains: only a CA for servers has domains")
    for domain in plan.limits.domains:
        try:
            verify_host_name(f"host.{domain}")
        except Refused:
            raise Misconfigured(
                f"limits.domains: {domain!r} is not a domain in ASCII, without a wildcard or a dot before it"
            ) from None
    if plan.use in HIERARCHIES and (plan.limits.unsafe_permit_host_names or plan.limits.unsafe_not_critical):
        raise Misconfigured("limits: a CA for V2G has no name constraints that could be relaxed")
    days = plan.lifetime_days
    if days is not None and not (math.isfinite(days) and 0 < days <= MAX_LIFETIME_DAYS):
        raise Misconfigured(f"lifetime_days is not between 0 and {MAX_LIFETIME_DAYS}")
