"""A CA's directory, opened for issuing: journal, table of blocked keys, and the signer that runs or one for a while.

Where another CA signs, the directory has no signer but a file that names that CA (`pki.registration_authority`).
"""

import contextlib
import datetime
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, TypeVar

from pki.blocked_keys import parse_blocked_keys
from pki.errors import JournalInUse, Misconfigured
from pki.file_modes import verify_only_owner_writes
from pki.issuance import Issuance, IssuancePolicy
from pki.key_policy import KeyPolicy
from pki.registration_authority import MARK, RegistrationAuthority
from pki.signer.client import SignerClient
from pki.signer.launch import signer_for

__all__ = ["JOURNAL", "SIGNER", "issuance_in", "issuance_in_turn", "signer_in_turn"]

JOURNAL: Final = "journal"
SIGNER: Final = "signer"
_BLOCKED_KEYS: Final = "blocked-keys.txt"
_POLL_S: Final = 0.1
_T = TypeVar("_T")


@contextlib.contextmanager
def issuance_in(directory: Path, now: datetime.datetime, make_id: Callable[[], str]) -> Iterator[Issuance]:
    """The procedure; nobody else can issue from this directory until the block is left.

    Raises Misconfigured, JournalDamaged, JournalInUse, RolledBack, SignerUnavailable, OSError.
    """
    policy = _policy(directory)
    if (directory / MARK).exists():
        _verify_no_signer(directory)
        name = (directory / MARK).read_text("utf-8", "replace").strip()
        registration = RegistrationAuthority(directory / JOURNAL, name, policy, now, make_id)
        with contextlib.closing(registration):
            yield registration
        return
    with signer_for(directory / SIGNER) as signer:
        ca = Issuance(directory / JOURNAL, signer, policy, now, make_id)
        try:
            yield ca
        finally:
            ca.close()


@contextlib.contextmanager
def issuance_in_turn(
    directory: Path, now: Callable[[], datetime.datetime], make_id: Callable[[], str], patience_s: float
) -> Iterator[Issuance]:
    """`issuance_in`, as soon as nobody else issues. Raises what it raises; JournalInUse, Misconfigured if that lasts."""
    with contextlib.ExitStack() as entered:
        yield _enter_in_turn(entered, lambda: issuance_in(directory, now(), make_id), patience_s)


@contextlib.contextmanager
def signer_in_turn(directory: Path, patience_s: float, *, whole: bool = False) -> Iterator[SignerClient]:
    """The signer of a CA's directory, for whoever needs no journal. Raises Misconfigured, SignerUnavailable.

    `whole`: as `signer_for` has it.
    """
    with contextlib.ExitStack() as entered:
        yield _enter_in_turn(entered, lambda: signer_for(directory / SIGNER, whole=whole), patience_s)


def _enter_in_turn(
    entered: contextlib.ExitStack, opened: Callable[[], AbstractContextManager[_T]], patience_s: float
) -> _T:
    """Wait for a gateway that issues at this moment, or for a command."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return entered.enter_context(opened())
        except (JournalInUse, Misconfigured) as error:
            in_use = isinstance(error, JournalInUse) or str(error).endswith("is in use by another process")
            if not in_use or time.monotonic() > deadline:
                raise
        time.sleep(_POLL_S)


def _verify_no_signer(directory: Path) -> None:
    if (directory / SIGNER).exists():
        raise Misconfigured(
            f"{directory} is the directory of an embedded CA, and {directory / MARK} says that another CA issues: its requests need"
            " a directory of their own. If the embedded one is to issue again, remove that file"
        )


def _policy(directory: Path) -> IssuancePolicy:
    path = directory / _BLOCKED_KEYS
    try:
        with path.open("rb") as file:
            verify_only_owner_writes(path, os.fstat(file.fileno()))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        if path.is_symlink():
            # Somebody means there to be a table: without it, keys would pass that are in it.
            raise Misconfigured(f"{path} is a link to a file that is not there") from None
        return IssuancePolicy()
    return IssuancePolicy(keys=KeyPolicy(blocked=parse_blocked_keys(text, str(path))))
