"""The roots in a charge point's store: what is asked and said about them in each version, and what may be done. Pure.

What a root is called (`RootName`) comes from the charge point, or from control, which has the certificates.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import msgspec

from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.messages import Message

__all__ = [
    "CSMS_ROOT",
    "InstalledRoot",
    "RootKind",
    "RootName",
    "RootStore",
    "ask_facts",
    "delete_message",
    "has",
    "install_message",
    "installed_roots",
    "list_messages",
    "max_pem_chars",
    "refusal_to_delete",
    "refusal_to_install",
    "with_facts",
]

RootKind = Literal["csms", "manufacturer", "v2g", "mo", "oem", "v2g-chain"]
CSMS_ROOT: Final[RootKind] = "csms"
_KINDS: Final[dict[str, RootKind]] = {
    "CentralSystemRootCertificate": "csms",
    "CSMSRootCertificate": "csms",
    "ManufacturerRootCertificate": "manufacturer",
    "V2GRootCertificate": "v2g",
    "MORootCertificate": "mo",
    "OEMRootCertificate": "oem",
    "V2GCertificateChain": "v2g-chain",
}
_TYPES_1_6: Final[dict[RootKind, str]] = {
    "csms": "CentralSystemRootCertificate",
    "manufacturer": "ManufacturerRootCertificate",
}
_TYPES_2: Final[dict[RootKind, str]] = {
    "csms": "CSMSRootCertificate",
    "manufacturer": "ManufacturerRootCertificate",
    "v2g": "V2GRootCertificate",
    "mo": "MORootCertificate",
}
_LINK: Final = "AdditionalRootCertificateCheck"
_ROOM: Final = "CertificateStoreMaxLength"
_ROOM_2: Final = "CertificateEntries"
_COMPONENT: Final = "SecurityCtrlr"
_MAX_DIGITS: Final = 6


class RootName(msgspec.Struct, frozen=True):
    """CertificateHashData, with the digits as whoever says it writes them: to delete, they are sent back like that."""

    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    serial_number: str

    def is_same(self, other: "RootName") -> bool:
        """Case and leading zeroes do not count; different algorithms cannot be compared."""
        return _digits(self) == _digits(other)


def _digits(name: RootName) -> tuple[str, str, str, str]:
    serial = name.serial_number.strip().lower().removeprefix("0x").lstrip("0")
    return name.hash_algorithm, name.issuer_name_hash.strip().lower(), name.issuer_key_hash.strip().lower(), serial


class InstalledRoot(msgspec.Struct, frozen=True):
    """One that the charge point has reported."""

    kind: RootKind
    name: RootName


class RootStore(msgspec.Struct, frozen=True, kw_only=True):
    """What a charge point has said about its store."""

    roots: tuple[InstalledRoot, ...] = ()
    demands_link: bool = False
    """AdditionalRootCertificateCheck: a new root of the CSMS must be signed by the one before (M05.FR.09, 10)."""
    capacity: int = 0
    """CertificateStoreMaxLength, or the maximum of CertificateEntries; 0 where it does not say."""
    version: OCPPVersion = OCPPVersion.V1_6
    asked_at: float = 0.0

    def of(self, kind: RootKind) -> tuple[InstalledRoot, ...]:
        """Those of one kind."""
        return tuple(root for root in self.roots if root.kind == kind)


def has(store: RootStore, kind: RootKind, names: Iterable[RootName]) -> bool:
    """True if one of its roots has one of these names, which all are names of one certificate."""
    known = tuple(names)
    return any(root.name.is_same(name) for root in store.of(kind) for name in known)


# -- what is said


def max_pem_chars(version: OCPPVersion) -> int:
    """Of InstallCertificate."""
    return 10_000 if version is OCPPVersion.V2_1 else 5_500


def list_messages(version: OCPPVersion) -> tuple[Message, ...]:
    """What roots there are: in 1.6 one call for each of its two types."""
    if version is OCPPVersion.V1_6:
        return tuple(Message("GetInstalledCertificateIds", {"certificateType": each}) for each in _TYPES_1_6.values())
    return (Message("GetInstalledCertificateIds", {}),)


def install_message(version: OCPPVersion, kind: RootKind, pem: str) -> Message | None:
    """None where this version cannot install this kind."""
    types = _TYPES_1_6 if version is OCPPVersion.V1_6 else _TYPES_2
    if version is OCPPVersion.V2_1 and kind == "oem":
        return Message("InstallCertificate", {"certificateType": "OEMRootCertificate", "certificate": pem})
    if kind not in types:
        return None
    return Message("InstallCertificate", {"certificateType": types[kind], "certificate": pem})


def delete_message(name: RootName) -> Message:
    """The very digits that the charge point has reported (M04.FR.07)."""
    return Message(
        "DeleteCertificate",
        {
            "certificateHashData": {
                "hashAlgorithm": name.hash_algorithm,
                "issuerNameHash": name.issuer_name_hash,
                "issuerKeyHash": name.issuer_key_hash,
                "serialNumber": name.serial_number,
            }
        },
    )


def ask_facts(version: OCPPVersion) -> Message:
    """Whether it demands links between roots, and how many it can keep."""
    if version is OCPPVersion.V1_6:
        return Message("GetConfiguration", {"key": [_LINK, _ROOM]})
    link = {"component": {"name": _COMPONENT}, "variable": {"name": _LINK}}
    room = {"component": {"name": _COMPONENT}, "variable": {"name": _ROOM_2}, "attributeType": "MaxSet"}
    return Message("GetVariables", {"getVariableData": [link, room]})


# -- what the answers mean


def installed_roots(version: OCPPVersion, asked: Message, answer: Any) -> tuple[InstalledRoot, ...] | None:
    """The roots in a result of `list_messages`; None where it is no such result. NotFound and an empty list are none."""
    if not isinstance(answer, dict) or answer.get("status") not in {"Accepted", "NotFound"}:
        return None
    if version is OCPPVersion.V1_6:
        kind = _KINDS[asked.payload["certificateType"]]
        found: list[tuple[RootKind, Any]] = [(kind, each) for each in _objects(answer.get("certificateHashData"))]
    else:
        chains = _objects(answer.get("certificateHashDataChain"))
        found = [
            (_KINDS[each["certificateType"]], each.get("certificateHashData"))
            for each in chains
            if each.get("certificateType") in _KINDS
        ]
    named = [(kind, _name(data)) for kind, data in found]
    return tuple(InstalledRoot(kind, name) for kind, name in named if name is not None)


def with_facts(store: RootStore, answer: Any) -> RootStore:
    """The store with what a result of `ask_facts` says; what is missing is false, or not known."""
    values = _values(store.version, answer)
    link, room = values.get(_LINK, ""), values.get(_ROOM, values.get(_ROOM_2, ""))
    is_number = room.isascii() and room.isdigit() and len(room) <= _MAX_DIGITS
    return msgspec.structs.replace(
        store, demands_link=link.strip().lower() == "true", capacity=int(room) if is_number else 0
    )


def _values(version: OCPPVersion, answer: Any) -> dict[str, str]:
    if not isinstance(answer, dict):
        return {}
    if version is OCPPVersion.V1_6:
        keys = _objects(answer.get("configurationKey"))
        return {str(each.get("key")): each["value"] for each in keys if isinstance(each.get("value"), str)}
    results = [each for each in _objects(answer.get("getVariableResult")) if each.get("attributeStatus") == "Accepted"]
    named = [(each.get("variable"), each.get("attributeValue")) for each in results]
    return {
        str(variable.get("name")): value
        for variable, value in named
        if isinstance(variable, dict) and isinstance(value, str)
    }


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _name(data: Any) -> RootName | None:
    names = ("hashAlgorithm", "issuerNameHash", "issuerKeyHash", "serialNumber")
    fields = [data.get(name) for name in names] if isinstance(data, dict) else []
    words = [field for field in fields if isinstance(field, str)]
    return RootName(*words) if len(words) == len(names) else None


# -- what may be done


def refusal_to_install(store: RootStore, kind: RootKind, pem_chars: int, *, is_root: bool, is_linked: bool) -> str:
    """Why a certificate must not be sent, or an empty string.

    `is_root`: self-signed. `is_linked`: signed by a root that the charge point has.
    """
    if pem_chars > max_pem_chars(store.version):
        return f"it has {pem_chars} characters, OCPP {store.version.value} takes {max_pem_chars(store.version)}"
    if kind == CSMS_ROOT and store.demands_link and store.of(CSMS_ROOT):
        if not is_linked:
            return "it demands a root that is signed by the one before (AdditionalRootCertificateCheck)"
    elif not is_root:
        return "it is no root: a charge point may not be able to show or delete it"
    if store.capacity and len(store.roots) >= store.capacity:
        return f"its store is full: {store.capacity} roots"
    return ""


def refusal_to_delete(store: RootStore, root: InstalledRoot, needed_names: Sequence[str]) -> str:
    """Why a root must stay, or an empty string.

    `needed_names`: hashes, in each algorithm, of the names of the roots under which this gateway's own server certificates
    are. One of these has to be there and to stay, as it says itself: some report a root by a hash that is not that of its
    name. None: whoever asks has seen the one that is needed.
    """
    if root.kind not in {CSMS_ROOT, "manufacturer"}:
        return ""
    if not any(_is_certainly_another(each.name, root.name) for each in store.of(root.kind)):
        what = "the gateway" if root.kind == CSMS_ROOT else "firmware of its manufacturer"
        return f"it is the last root of its kind: the charge point would not accept {what} any more"
    if root.kind != CSMS_ROOT:
        return ""
    needed = {each.strip().lower() for each in needed_names}
    if root.name.issuer_name_hash.strip().lower() in needed:
        return "the gateway's own server certificate is under this root"
    if needed and not any(each.name.issuer_name_hash.strip().lower() in needed for each in store.of(CSMS_ROOT)):
        return "none of the roots that it lists is known to be the one above the gateway's server certificate"
    return ""


def _is_certainly_another(one: RootName, other: RootName) -> bool:
    """Some charge points list a certificate twice, or once for each algorithm."""
    return one.hash_algorithm == other.hash_algorithm and not one.is_same(other)
