"""Errors of the store, each a sentence for an operator.

StoreError                      the database cannot be used, or the request contradicts it
├── StoreBusy                   another process held the write lock for too long; trying again helps
├── DamagedRow                  somebody has put nonsense into the row of one charge point
├── NotFound                    no charge point of exactly this identity
├── AlreadyExists               the identity, or a case variant of it, is taken
├── BelowFloor                  the change would take a charge point below its floor (A05.FR.09)
├── Overtaken                   another node has written this meanwhile; what was decided here rests on what is not any more
└── KeyBoundElsewhere           the public key belongs to another charge point (A00.FR.427)

No text contains a password, a hash, or the password of a database URL.
"""

from gateway.audit.event import printable
from gateway.ocpp.vocabulary import ChargePointId, SecurityProfile

__all__ = [
    "AlreadyExists",
    "BelowFloor",
    "DamagedRow",
    "KeyBoundElsewhere",
    "NotFound",
    "Overtaken",
    "StoreBusy",
    "StoreError",
]


class StoreError(Exception):
    """The database cannot do what was asked; `str()` is the sentence to show."""


class StoreBusy(StoreError):  # noqa: N818  names the state
    """Another process held the write lock for longer than the busy timeout. Nothing was changed."""


class DamagedRow(StoreError):  # noqa: N818  names the state
    """The row of one charge point cannot be read; the others can. `what`: of which table it is."""

    def __init__(self, charge_point_id: str, why: str, what: str = "row") -> None:
        self.charge_point_id = charge_point_id
        name = printable(charge_point_id)
        super().__init__(f"The {what} of charge point '{name}' is damaged ({why}); correct or remove it.")


class NotFound(StoreError):  # noqa: N818  names the state
    """No charge point of exactly this identity is registered; `case_variant` differs only in case."""

    def __init__(self, charge_point_id: str, case_variant: str = "") -> None:
        hint = f" There is '{printable(case_variant)}': write it exactly so." if case_variant else ""
        super().__init__(f"No charge point '{printable(charge_point_id)}' is registered.{hint}")
        self.charge_point_id = charge_point_id
        self.case_variant = case_variant


class AlreadyExists(StoreError):  # noqa: N818  names the state
    """The identity is taken. `existing` is its spelling in the registry, which may differ in case only."""

    def __init__(self, charge_point_id: str, existing: str) -> None:
        name = printable(charge_point_id)
        if charge_point_id == existing:
            text = f"A charge point '{name}' is already registered."
        else:
            text = (
                f"'{name}' differs only in upper and lower case from the registered charge point "
                f"'{printable(existing)}'; identities must differ in more than case."
            )
        super().__init__(text)
        self.existing = ChargePointId(existing)


class BelowFloor(StoreError):  # noqa: N818  names the state
    """The change asks for a security profile below one the charge point has already proven."""

    def __init__(self, charge_point_id: str, wanted: SecurityProfile, floor: SecurityProfile) -> None:
        super().__init__(
            f"Charge point '{printable(charge_point_id)}' has already proven security profile {int(floor)} "
            f"and may not go back to {int(wanted)} (A05.FR.09). For replaced hardware, lower its floor first."
        )
        self.floor = floor


class KeyBoundElsewhere(StoreError):  # noqa: N818  names the state
    """A certificate key belongs to another charge point already (A00.FR.427)."""

    def __init__(self, owner: ChargePointId) -> None:
        super().__init__(f"The certificate's key already belongs to charge point '{printable(owner)}' (A00.FR.427).")
        self.owner = owner


class Overtaken(StoreError):  # noqa: N818  names the state
    """Another node has written the row, or holds the lease, since this one has read it. Nothing was changed."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Another gateway has changed '{printable(what)}' meanwhile; try again.")
