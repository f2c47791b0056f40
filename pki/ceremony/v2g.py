"""The CAs that ISO 15118 has for charge points: a root, one or two below it, and what the last one issues.

Their certificates are made as the standard's tables say (15118-2, annex F; 15118-20, annex B): one curve from the root down,
DC=V2G, small. There is no room in them for limits, neither uses nor names: what such a CA may issue is in its signer's settings.
"""

import dataclasses
import datetime
from dataclasses import dataclass
from typing import Final, Literal

from pki.keys import KeyKind
from pki.profiles import V2G20_SECC, V2G_SECC, CertificateProfile, SubjectKind

__all__ = ["HIERARCHIES", "V2G_COMPONENT", "V2GHierarchy", "V2GUse"]

V2GUse = Literal["v2g-2", "v2g-20"]
V2G_COMPONENT: Final = "V2G"
"""DC of every CA of such a hierarchy, and of no other one."""
_DAY: Final = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class V2GHierarchy:
    """The profiles of one edition of the standard."""

    root: CertificateProfile
    upper: CertificateProfile
    """Sub-CA 1: it makes sub-CA 2, and stays offline."""
    issuing: CertificateProfile
    """Sub-CA 2."""
    leaf: CertificateProfile


def _hierarchy(leaf: CertificateProfile, kind: KeyKind, edition: str) -> V2GHierarchy:
    root = CertificateProfile(
        name=f"V2GRootCA of {edition}",
        lifetime=3650 * _DAY,
        subject=SubjectKind.AUTHORITY,
        is_ca=True,
        domain_component=V2G_COMPONENT,
        key_kinds=frozenset({kind}),
        max_der_bytes=leaf.max_der_bytes,
    )
    return V2GHierarchy(
        root=root,
        upper=dataclasses.replace(root, name=f"V2GSubCA1 of {edition}", lifetime=1461 * _DAY, path_length=1),
        issuing=dataclasses.replace(root, name=f"V2GSubCA2 of {edition}", lifetime=365 * _DAY, path_length=0),
        leaf=leaf,
    )


HIERARCHIES: Final[dict[str, V2GHierarchy]] = {
    "v2g-2": _hierarchy(V2G_SECC, "ec-p256", "ISO 15118-2"),
    "v2g-20": _hierarchy(V2G20_SECC, "ec-p521", "ISO 15118-20"),
}
"""By `use`."""
