"""A directory with certificates and keys, and a configuration that uses them."""

from pathlib import Path

import pytest

from tests.support.rig import shared_authority, shared_server

GOOD = """\
# A comment before everything.
[gateway]
operator_names = ["Example CPO"]

[[csms]]
name = "main"
urls = ["wss://csms.example.com/ocpp"]

[[listener]]
name = "tls"
address = "0.0.0.0:8443"
security_profiles = [2, 3]
csms = "main"
path_prefix = "/ocpp"

[listener.tls]
client_certificate = "optional"
client_trust = ["root.pem"]

[[listener.tls.certificates]]
certificate = "ec.pem"
key = "ec.key"

[[listener.tls.certificates]]
certificate = "rsa.pem"
key = "rsa.key"
"""


class Site:
    """Write `text` or a change of GOOD; the files it names are there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "gateway.toml"
        self.file.write_text(GOOD)
        (directory / "root.pem").write_bytes(shared_authority().pem)
        for kind in ("ec", "rsa"):
            server = shared_server(kind)
            (directory / f"{kind}.pem").write_bytes(server.pem)
            self.private(f"{kind}.key", server.key_pem)

    def private(self, name: str, content: bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content)
        path.chmod(0o600)
        return path

    def write(self, text: str) -> Path:
        self.file.write_text(text)
        return self.file

    def change(self, old: str, new: str) -> Path:
        """GOOD with one place changed."""
        assert GOOD.count(old) == 1, old
        return self.write(GOOD.replace(old, new))

    def append(self, text: str) -> Path:
        return self.write(GOOD + text)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
