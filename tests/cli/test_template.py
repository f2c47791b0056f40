"""The template of a new configuration: complete, true to the model, and harmless as it is."""

import enum
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest

from gateway.config import authorities, model, own_certificates, upgrades
from gateway.config.load import load_config_with_warnings, load_unchecked
from gateway.config.model import Config
from gateway.config.template import explanations, render_template
from gateway.provisioning import known_firmware

TABLE_OF = {
    "Config": "gateway",
    "CSMS": "csms",
    "Trust": "trust",
    "Listener": "listener",
    "ListenerTLS": "listener.tls",
    "CertificateFiles": "listener.tls.certificates",
    "Limits": "limits",
    "WebSocketSettings": "websocket",
    "Operations": "operations",
    "SecurityEvents": "security_events",
    "Audit": "audit",
    "Detections": "audit.detections",
    "Sink": "sink",
    "PKI": "pki",
    "EST": "pki.est",
    "Vault": "pki.vault",
    "Command": "pki.command",
    "CMP": "pki.cmp",
    "ACME": "server_certificates.acme",
    "ServerCertificates": "server_certificates",
    "Upgrades": "upgrades",
    "FirmwareRule": "known_firmware",
    "Policy": "policy",
    "Firmware": "firmware",
    "Publication": "publication",
    "Recording": "recording",
}
NOT_A_KEY = {("Config", "path")}
"""Where the file is cannot stand in the file."""


TEXT = render_template()
WITH_EXAMPLES = re.sub(r"(?m)^#     ", "", TEXT)
"""With the tables that stand there as comments."""
EXPLAINED = explanations()


def structs() -> list[type[msgspec.Struct]]:
    modules = (model, authorities, own_certificates, upgrades, known_firmware)
    found = [getattr(module, name) for module in modules for name in module.__all__]
    return [each for each in found if isinstance(each, type) and issubclass(each, msgspec.Struct)]


def fields() -> Iterator[tuple[type[msgspec.Struct], msgspec.structs.FieldInfo]]:
    for struct in structs():
        for field in msgspec.structs.fields(struct):
            if (struct.__name__, field.name) not in NOT_A_KEY:
                yield struct, field


def is_table(kind: Any) -> bool:
    arms = [kind, *get_args(kind)]
    return any(isinstance(arm, type) and issubclass(arm, msgspec.Struct) for arm in arms)


def tables(text: str) -> dict[str, str]:
    """Text of each table by its header's name; several of one name together."""
    found: dict[str, str] = {}
    for part in re.split(r"(?m)^(?=\[)", text)[1:]:
        header = part.partition("\n")[0].strip("[]")
        found[header] = found.get(header, "") + part
    return found


def without_marks(text: str) -> str:
    """With every default made active."""
    return re.sub(r"(?m)^#(?=\w+ = )", "", text)


def parameter(struct: type, field: msgspec.structs.FieldInfo) -> Any:
    return pytest.param(struct, field, id=f"{struct.__name__}.{field.name}")


@pytest.mark.parametrize(("struct", "field"), [parameter(*each) for each in fields()])
def test_every_field_of_the_model_is_there(struct: type, field: msgspec.structs.FieldInfo) -> None:
    found = tables(WITH_EXAMPLES)
    if is_table(field.type):
        name = {"listeners": "listener", "sinks": "sink"}.get(field.name, field.name)
        own = TABLE_OF[struct.__name__]
        assert name in found or f"{own}.{name}" in found
    else:
        lines = re.findall(rf"(?m)^#?{field.name} = ", found[TABLE_OF[struct.__name__]])
        assert lines


@pytest.mark.parametrize(("struct", "field"), [parameter(*each) for each in fields()])
def test_every_field_is_explained(struct: type, field: msgspec.structs.FieldInfo) -> None:
    if is_table(field.type) and struct is Config:
        (inner,) = {arm.__name__ for arm in (field.type, *get_args(field.type)) if isinstance(arm, type)} & set(
            TABLE_OF
        )
        assert EXPLAINED[inner][""]
    else:
        assert EXPLAINED[struct.__name__][field.name], "give it a docstring in gateway/config/model.py"


def test_explanation_stands_above_its_key_in_one_piece() -> None:
    text = TEXT
    assert (
        "# How long sent bytes may stay unacknowledged by the peer's TCP before the connection counts as dead.\n#tcp_user"
        in text
    )
    assert "``" not in text


@pytest.mark.parametrize(("struct", "field"), [parameter(*each) for each in fields()])
def test_closed_choices_are_listed(struct: type, field: msgspec.structs.FieldInfo) -> None:
    arms = [arm for arm in get_args(field.type) if arm is not Ellipsis]
    closed = get_origin(field.type) is Literal or (
        get_origin(field.type) is tuple and isinstance(arms[0], type) and issubclass(arms[0], enum.Enum)
    )
    above = re.findall(
        rf"(?m)^# (?:One|Some) of: .*\n#?{field.name} = ", tables(WITH_EXAMPLES)[TABLE_OF[struct.__name__]]
    )
    # log_level is a plain string to the reader of the file, which names its choices itself.
    assert bool(above) == (closed and field.name != "log_level")


def test_defaults_that_are_shown_are_the_true_ones(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(TEXT)
    untouched = load_unchecked(path)
    path.write_text(without_marks(TEXT))
    assert len(tomllib.loads(path.read_text())["websocket"]) > 10
    assert load_unchecked(path) == untouched


def test_a_default_that_is_not_true_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(TEXT)
    untouched = load_unchecked(path)
    path.write_text(without_marks(TEXT).replace("max_fragments = 64", "max_fragments = 65"))
    assert load_unchecked(path) != untouched


def test_as_it_is_nothing_dangerous_is_on(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(TEXT)
    config = load_unchecked(path)
    assert all(listener.tls is not None for listener in config.listeners)
    assert not config.unsafe_dev_certificates
    assert not any(csms.danger_accept_any_certificate for csms in config.csms)
    assert all(url.startswith("wss://") for csms in config.csms for url in csms.urls)


def test_changes_are_written_and_the_rest_stays(tmp_path: Path, certificates: Path) -> None:
    path = tmp_path / "gateway.toml"
    changes: dict[str, dict[str, Any]] = {
        "gateway": {"unsafe_dev_certificates": True},
        "listener": {"address": "127.0.0.1:0"},
        "listener.tls": {"client_trust": (str(certificates / "root.pem"),)},
    }
    path.write_text(render_template(changes, str(certificates)))
    config, warnings = load_config_with_warnings(path)
    assert warnings == []
    assert (config.listeners[0].address, config.listeners[0].path_prefix) == ("127.0.0.1:0", "/")
