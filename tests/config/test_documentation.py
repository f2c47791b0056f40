"""docs/configuration.md against the model: every key, every default, and examples that work."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from gateway.config import model
from gateway.config.authorities import CMP, EST, Command, Vault
from gateway.config.load import _Gateway, load_config_with_warnings
from gateway.config.model import (
    CSMS,
    PKI,
    Audit,
    CertificateFiles,
    Config,
    Detections,
    Firmware,
    Limits,
    Listener,
    ListenerTLS,
    Operations,
    Publication,
    Recording,
    SecurityEvents,
    Sink,
    Trust,
    WebSocketSettings,
)
from gateway.config.own_certificates import ACME, ServerCertificates
from gateway.config.policy import Policy
from gateway.config.upgrades import Upgrades
from gateway.provisioning.known_firmware import FirmwareRule
from tests.support.rig import shared_authority, shared_server

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "[gateway]": _Gateway,
    "[[listener]]": Listener,
    "[listener.tls]": ListenerTLS,
    "[[listener.tls.certificates]]": CertificateFiles,
    "[[csms]]": CSMS,
    "[[trust]]": Trust,
    "[limits]": Limits,
    "[websocket]": WebSocketSettings,
    "[operations]": Operations,
    "[security_events]": SecurityEvents,
    "[audit]": Audit,
    "[audit.detections]": Detections,
    "[[sink]]": Sink,
    "[pki]": PKI,
    "[pki.est]": EST,
    "[pki.vault]": Vault,
    "[pki.command]": Command,
    "[pki.cmp]": CMP,
    "[server_certificates]": ServerCertificates,
    "[server_certificates.acme]": ACME,
    "[upgrades]": Upgrades,
    "[[known_firmware]]": FirmwareRule,
    "[policy]": Policy,
    "[firmware]": Firmware,
    "[publication]": Publication,
    "[recording]": Recording,
}
EXAMPLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


def rows(section: str) -> dict[str, tuple[str, str]]:
    """Key -> (default, meaning) of the table under a heading."""
    heading = re.search(rf"^#+ `{re.escape(section)}`$(.*?)(?=^#+ |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert heading is not None, section
    found = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", heading[1], re.MULTILINE)
    return {key: (default, meaning) for key, default, meaning in found}


def structs() -> list[type[msgspec.Struct]]:
    exported = (getattr(model, name) for name in model.__all__)
    return [each for each in exported if isinstance(each, type) and issubclass(each, msgspec.Struct)]


def test_every_struct_of_the_model_has_its_section() -> None:
    assert set(structs()) - {Config} == set(SECTIONS.values()) - {
        _Gateway,
        EST,
        Vault,
        Command,
        CMP,
        ServerCertificates,
        ACME,
        Upgrades,
        FirmwareRule,
    }


@pytest.mark.parametrize("kind", structs())
def test_every_field_of_every_struct_is_named(kind: type[msgspec.Struct]) -> None:
    headings = {"listeners": "`[[listener]]`", "csms": "`[[csms]]`", "sinks": "`[[sink]]`", "trust": "`[[trust]]`"}
    for name in kind.__struct_fields__:
        shown = (f"`{name}`", f"`[{name}]`", headings.get(name, "-"))
        assert any(each in TEXT for each in shown), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_is_in_the_table_of_its_section_with_its_default_and_a_meaning(section: str) -> None:
    table = rows(section)
    fields = {field.name: field for field in msgspec.structs.fields(SECTIONS[section])}
    assert list(table) == list(fields)
    for name, (default, meaning) in table.items():
        assert len(meaning) > 5, name
        if fields[name].required:
            assert default == "*required*", name
        elif default not in {"none", "*below*"}:
            shown = tomllib.loads(f"x = {default.strip('`')}")["x"]
            assert shown == plain(fields[name]), name


def plain(field: msgspec.structs.FieldInfo) -> Any:
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    value = msgspec.to_builtins(value)
    return list(value) if isinstance(value, tuple) else value


def test_none_is_the_default_of_tables_alone() -> None:
    absent = [key for section in SECTIONS for key, (default, _) in rows(section).items() if default == "none"]
    assert absent == ["tls", "est", "vault", "command", "cmp", "acme"]
    assert ListenerTLS in get_args({field.name: field for field in msgspec.structs.fields(Listener)}["tls"].type)


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (ListenerTLS, "client_certificate"),
        (ListenerTLS, "cipher_policy"),
        (ListenerTLS, "engine"),
        (ListenerTLS, "expired_certificates"),
        (Trust, "use"),
        (Trust, "revocation"),
        (CSMS, "authentication"),
        (PKI, "backend"),
        (Audit, "failure_mode"),
        (Sink, "kind"),
        (Sink, "format"),
    ],
)
def test_every_choice_is_explained(kind: type[msgspec.Struct], key: str) -> None:
    section = next(name for name, struct in SECTIONS.items() if struct is kind)
    field = next(field for field in msgspec.structs.fields(kind) if field.name == key)
    for choice in get_args(field.type):
        assert f"`{choice}`" in rows(section)[key][1], choice


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("number", range(3))
def test_an_example_is_a_configuration_without_errors(number: int, tmp_path: Path) -> None:
    for name in ("certificates", "secrets"):
        (tmp_path / name).mkdir()
    for kind, name in (("ec", "server-ecdsa"), ("rsa", "server-rsa"), ("ec", "gateway")):
        server = shared_server(kind)
        (tmp_path / "certificates" / f"{name}.pem").write_bytes(server.pem)
        (tmp_path / "secrets" / f"{name}.key").write_bytes(server.key_pem)
    for name in ("charge-point-roots", "internal-root"):
        (tmp_path / "certificates" / f"{name}.pem").write_bytes(shared_authority().pem)
    (tmp_path / "secrets" / "csms-password").write_text("a password\n")
    for secret in (tmp_path / "secrets").iterdir():
        secret.chmod(0o600)
    file = tmp_path / "gateway.toml"
    file.write_text(EXAMPLES[number])
    _, warnings = load_config_with_warnings(file)
    assert [str(warning).partition(": ")[2] for warning in warnings] == (
        ["listener: listener vpn takes passwords in clear text (A00.FR.206)"] if number == 1 else []
    )
