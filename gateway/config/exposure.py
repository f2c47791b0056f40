"""Who else can read secrets in the configuration, or change what it says. Files with nothing but a secret must be 0600."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from gateway.config.findings import Findings
from gateway.config.model import Config
from gateway.config.positions import Path

__all__ = ["check_exposure"]

_SECRET_HEADER = re.compile(
    r"authorization|cookie|token|secret|password|passwd|api-?key|access-?key|(?:^|-)key$", re.IGNORECASE
)
_PLACEHOLDER = re.compile(r"\{\w+\}")


def check_exposure(config: Config, findings: Findings) -> None:
    """Warn of secrets that everybody on this machine can read, and of rules and settings that everybody can change.

    A group may do either: the file of a gateway with a user of its own often is that group's.
    """
    mode = _mode(config.path)
    if mode & stat.S_IROTH:
        for path, what in _secrets(config):
            findings.warning(path, f"holds {what}, and everybody can read this file: chmod o-rwx {config.path}")
    for path, file in ((("gateway",), config.path), *_policy_files(config)):
        if _mode(file) & stat.S_IWOTH:
            findings.warning(path, f"everybody can change {file}, and with it who is let in: chmod o-w {file}")


def _mode(file: str) -> int:
    try:
        return os.stat(file).st_mode if file else 0  # noqa: PTH116  may be no path at all
    except (OSError, ValueError):
        return 0  # others say that it is not there


def _secrets(config: Config) -> Iterator[tuple[Path, str]]:
    """Where the configuration itself holds a secret, and what kind of."""
    if _has_password(config.database_url):
        yield ("gateway", "database_url"), "the password of the database"
    for index, csms in enumerate(config.csms):
        for name, value in csms.headers.items():
            if _SECRET_HEADER.search(name) and _PLACEHOLDER.sub("", value).strip():
                yield ("csms", index, "headers"), f"the header {name}"
        if any(map(_has_password, csms.urls)):
            yield ("csms", index, "urls"), "a password"
    for index, sink in enumerate(config.sinks):
        if _has_password(sink.target):
            yield ("sink", index, "target"), "a password"


def _has_password(url: str) -> bool:
    try:
        return bool(urlsplit(url).password)
    except ValueError:
        return False


def _policy_files(config: Config) -> Iterator[tuple[Path, str]]:
    if config.policy.site:
        yield ("policy", "site"), config.policy.site
    for pack in config.policy.packs:
        if FilePath(pack).suffix:
            yield ("policy", "packs"), pack
