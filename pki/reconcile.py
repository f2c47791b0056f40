"""Compares the journal with the signer's own list: everything the keys ever signed has to be accounted for, and nothing else."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pki.inventory import Inventory
from pki.signer.protocol import SignedEntry

__all__ = ["Discrepancy", "reconcile"]


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One serial number on which the two do not agree. `repairable`: `resume` finishes what a crash left."""

    code: str
    serial: int
    text: str
    repairable: bool = False


def reconcile(
    inventory: Inventory,
    signed_parts: Callable[[int], tuple[bytes, bytes]],
    signed: Iterable[SignedEntry],
    told: Iterable[int],
) -> Iterator[Discrepancy]:
    """All of them.

    `signed_parts`: body and signature by serial number; `signed`: the signer's list; `told`: what it was told is revoked.
    """
    yield from _revocations(inventory, set(told))
    known = set()
    for entry in signed:
        serial = int(entry.serial, 16)
        known.add(serial)
        yield from _compared(serial, entry, *signed_parts(serial))
    for certificate in inventory.issued():
        if certificate.serial not in known:
            yield Discrepancy(
                "not-on-list", certificate.serial, "the journal has it as issued, and the signer never signed it"
            )


def _revocations(inventory: Inventory, told: set[int]) -> Iterator[Discrepancy]:
    revoked = {entry.serial for entry in inventory.certificates.values() if entry.revocation is not None}
    for serial in sorted(revoked - told):
        text = "it is revoked, and the signer was not told: it would sign a revocation list without it"
        yield Discrepancy("not-told", serial, text, repairable=True)
    for serial in sorted(told - revoked):
        yield Discrepancy(
            "not-revoked", serial, "the signer was told that it is revoked, and the journal does not have that"
        )


def _compared(serial: int, entry: SignedEntry, tbs: bytes, signature: bytes) -> Iterator[Discrepancy]:
    if not tbs:
        yield Discrepancy("not-journalled", serial, "the signer was asked to sign it, and the journal does not know it")
    elif tbs != entry.tbs:
        yield Discrepancy("other-body", serial, "journal and signer have different certificates under this number")
    elif entry.signature and not signature:
        yield Discrepancy("not-stored", serial, "it is signed, and the signature is not journalled", repairable=True)
    elif signature != entry.signature:
        yield Discrepancy("other-signature", serial, "journal and signer have different signatures")
