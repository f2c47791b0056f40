"""Which server chains listeners show: those of today, or the next ones once somebody has switched. A file of its own says.

It is beside the registry, because what a node shows is the node's, like the files that it shows.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from gateway.config.model import CertificateFiles, Config, ListenerTLS
from gateway.control.server_chain import is_under
from gateway.link.messages import CertificatePEM

__all__ = ["ChainSwitch", "read_switches", "shown_files", "switches_path", "write_switches"]

_FILE: Final = "server-chains.json"


class ChainSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """From now on listeners show their next chains, where those are under this root."""

    root: str
    """PEM."""
    campaign: str
    by: str
    ordered_at: float
    in_force_at: float = 0.0
    """Since when every edge shows them; 0: not yet."""
    exceptions: tuple[str, ...] = ()
    lacking: int = 0
    """So many had not listed the root."""


def switches_path(config: Config) -> Path:
    """Where the switches of this node are."""
    return Path(config.state_dir) / _FILE


def read_switches(config: Config) -> tuple[ChainSwitch, ...]:
    """Raises OSError, also if the file is damaged: charge points may have no other root any more."""
    path = switches_path(config)
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[ChainSwitch, ...])
    except FileNotFoundError:
        return ()
    except msgspec.MsgspecError as error:
        raise OSError(f"{path} is damaged: {error}") from None


def write_switches(config: Config, switches: Sequence[ChainSwitch]) -> None:
    """In place of those before, in one durable step. Raises OSError."""
    path = switches_path(config)
    made = path.with_suffix(".new")
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(list(switches)))
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def shown_files(tls: ListenerTLS, switches: Sequence[ChainSwitch]) -> tuple[CertificatePEM, ...]:
    """What a listener with files shows. Raises OSError; ValueError for a file without certificates."""
    following = _pems(tls.next_certificates)
    chains = [x509.load_pem_x509_certificates(each.chain) for each in following]
    for switch in switches if chains else ():
        root = x509.load_pem_x509_certificate(switch.root.encode("ascii"))
        if all(is_under(chain, root) for chain in chains):
            return following
    return _pems(tls.certificates)


def _pems(files: Sequence[CertificateFiles]) -> tuple[CertificatePEM, ...]:
    return tuple(CertificatePEM(Path(each.certificate).read_bytes(), Path(each.key).read_bytes()) for each in files)
