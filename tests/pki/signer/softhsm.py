"""A SoftHSM token of its own for a test module; skipped, by name, where there is no SoftHSM."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
)


class Token(NamedTuple):
    module: Path
    label: str
    pin: str


@contextlib.contextmanager
def make_token(directory: Path) -> Iterator[Token]:
    from tests.pki.conftest import tool

    pytest.importorskip("pkcs11", reason="JUDGE MISSING: python-pkcs11")
    program = tool("softhsm2-util", "softhsm2")
    module = next((path for path in MODULES if path.exists()), None)
    if module is None:
        pytest.skip("JUDGE MISSING: libsofthsm2.so (Debian: softhsm2)")
    (directory / "tokens").mkdir()
    configuration = directory / "softhsm2.conf"
    configuration.write_text(
        f"directories.tokendir = {directory}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    label, pin = f"gateway-{directory.name}", "123456"
    command = [program, "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "654321"]
    subprocess.run(command, check=True, capture_output=True)
    # The library reads its configuration when it is loaded, once in a process.
    import pkcs11

    pkcs11.lib(str(module)).reinitialize()
    try:
        yield Token(module, label, pin)
    finally:
        del os.environ["SOFTHSM2_CONF"]
