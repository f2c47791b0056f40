"""A CA's directory, opened for issuing: journal, table of blocked keys, and the signer that runs or one for a while."""

import contextlib
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pki.blocked_keys import parse_blocked_keys
from pki.issuance import Issuance, IssuancePolicy
from pki.key_policy import KeyPolicy
from pki.signer.launch import signer_for

__all__ = ["JOURNAL", "SIGNER", "issuance_in"]

JOURNAL: Final = "journal"
SIGNER: Final = "signer"
_BLOCKED_KEYS: Final = "blocked-keys.txt"


@contextlib.contextmanager
def issuance_in(directory: Path, now: datetime.datetime, make_id: Callable[[], str]) -> Iterator[Issuance]:
    """The procedure; nobody else can issue from this directory until the block is left.

    Raises Misconfigured, JournalDamaged, JournalInUse, RolledBack, SignerUnavailable, OSError.
    """
    policy = _policy(directory)
    with signer_for(directory / SIGNER) as signer:
        ca = Issuance(directory / JOURNAL, signer, policy, now, make_id)
        try:
            yield ca
        finally:
            ca.close()


def _policy(directory: Path) -> IssuancePolicy:
    path = directory / _BLOCKED_KEYS
    if not path.exists():
        return IssuancePolicy()
    table = parse_blocked_keys(path.read_text("utf-8", "replace"), str(path))
    return IssuancePolicy(keys=KeyPolicy(blocked=table))
