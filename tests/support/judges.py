"""Tools nobody here wrote, and how a test says that one of them is missing on this machine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = [
    "STRONGSWAN_PKI",
    "judge",
    "needs_certtool",
    "needs_cfssl",
    "needs_openssl",
    "needs_pebble",
    "needs_pkilint",
    "needs_sigma",
    "needs_strongswan",
    "pkilint",
    "sigma",
]

_ENVIRONMENT = Path(os.environ.get("OCPP_JUDGES", Path(__file__).parents[2] / ".venv-judges" / "bin" / "sslyze")).parent


def _is_strongswan(path: str | None) -> bool:
    """`pki` is a name that others use as well."""
    if path is None:
        return False
    done = subprocess.run([path, "--help"], capture_output=True, check=False)
    return b"strongSwan" in done.stdout + done.stderr


STRONGSWAN_PKI = shutil.which("pki")
needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="JUDGE MISSING: no openssl command line (apt-get install openssl)"
)
needs_certtool = pytest.mark.skipif(
    shutil.which("certtool") is None, reason="JUDGE MISSING: no GnuTLS certtool (apt-get install gnutls-bin)"
)
needs_strongswan = pytest.mark.skipif(
    not _is_strongswan(STRONGSWAN_PKI), reason="JUDGE MISSING: no strongSwan pki (apt-get install strongswan-pki)"
)
needs_cfssl = pytest.mark.skipif(
    shutil.which("cfssl") is None, reason="JUDGE MISSING: no CA cfssl (apt-get install golang-cfssl)"
)
needs_pebble = pytest.mark.skipif(
    shutil.which("pebble") is None, reason="JUDGE MISSING: no ACME server pebble (apt-get install pebble)"
)
needs_pkilint = pytest.mark.skipif(
    not (_ENVIRONMENT / "lint_crl").exists(), reason=f"JUDGE MISSING: no pkilint in {_ENVIRONMENT} (make judges)"
)

needs_sigma = pytest.mark.skipif(
    not (_ENVIRONMENT / "sigma").exists(), reason=f"JUDGE MISSING: no sigma-cli in {_ENVIRONMENT} (make judges)"
)


def judge(*command: str | Path, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a tool; what it says is `stdout` and `stderr`. It answers, or is ended after half a minute."""
    return subprocess.run([str(part) for part in command], input=data, capture_output=True, timeout=120, check=False)


def pkilint(tool: str, *arguments: str | Path) -> list[str]:
    """What pkilint finds, notices included; empty if it has nothing to say."""
    done = judge(_ENVIRONMENT / tool, "lint", "-s", "NOTICE", "-f", "CSV", *arguments)
    lines = done.stdout.decode().splitlines()
    assert lines, done.stderr.decode()
    return [line for line in lines[1:] if line]


def sigma(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run sigma-cli with these words."""
    return subprocess.run([_ENVIRONMENT / "sigma", *words], capture_output=True, timeout=120, check=False)
