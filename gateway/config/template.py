"""The commented configuration that `init` writes: every key, its default and its explanation, taken from the model.

Explanations are the docstrings under the fields of `gateway.config.model`, read from its source, because Python keeps
none of them at run time. What a new file needs filled in is active; every other key is shown as ``#key = default``.
"""

import ast
import enum
import inspect
import json
import textwrap
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from gateway.config import audit_tables, authorities, model, own_certificates, policy, upgrades
from gateway.config import firmware as firmware_table
from gateway.config.authorities import CMP, EST, Command, Vault
from gateway.config.load import _Gateway
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
from gateway.ocpp.vocabulary import SecurityProfile
from gateway.provisioning import known_firmware
from gateway.provisioning.known_firmware import FirmwareRule

__all__ = ["explanations", "render_template"]

_WIDTH = 116
_EXAMPLE_MARK: Final = "#     "
_DIRECTORY: Final = "{certificates}"
_INTRODUCTION: Final = """\
Configuration of the OCPP security gateway.

A key with a '#' directly before it shows its default: remove the '#' to change it. Relative paths are relative to
this file. Nothing secret belongs in here: passwords and keys are in files of their own, mode 0600.

Check it with: ocpp-gateway check-config
Reload a running gateway with SIGHUP; if anything is wrong, the previous configuration stays in force."""
_PLAIN_LISTENER: Final = """\
Security profile 1 is a listener without [listener.tls]: passwords and everything else in clear text. It is off. If
you must serve it, only in a closed network (A00.FR.201):

    [[listener]]
    name = "plain"
    address = "10.0.0.1:8080"
    security_profiles = [1]
    csms = "main"
    allowed_networks = ["10.0.0.0/8"]"""


class _Table(NamedTuple):
    """One table of the file. `active`: what is written without '#'. `apart`: keys that are tables of their own."""

    header: str
    kind: type[msgspec.Struct]
    active: Mapping[str, Any] = {}
    apart: tuple[str, ...] = ()
    before: str = ""
    """Text above the table in place of the model's docstring."""
    example: bool = False
    """A table that most files have no use for: it stands there as a comment."""


_TABLES: Final = (
    _Table("[gateway]", _Gateway),
    _Table("[[csms]]", CSMS, {"name": "main", "urls": ("wss://csms.example.com/ocpp",)}),
    _Table(
        "[[listener]]",
        Listener,
        {
            "name": "tls",
            "address": "0.0.0.0:8443",
            "security_profiles": (SecurityProfile.TLS_BASIC, SecurityProfile.TLS_CLIENT_CERTIFICATE),
            "csms": "main",
        },
        apart=("tls",),
    ),
    _Table(
        "[listener.tls]",
        ListenerTLS,
        {"client_certificate": "optional", "client_trust": ("{certificates}/charge-point-roots.pem",)},
        apart=("certificates", "next_certificates"),
    ),
    _Table(
        "[[listener.tls.certificates]]",
        CertificateFiles,
        {"certificate": "{certificates}/server-ecdsa.pem", "key": "{certificates}/server-ecdsa.key"},
    ),
    _Table(
        "[[listener.tls.certificates]]",
        CertificateFiles,
        {"certificate": "{certificates}/server-rsa.pem", "key": "{certificates}/server-rsa.key"},
        before="The same for charge points that know only RSA.",
    ),
    _Table(
        "[[listener.tls.next_certificates]]",
        CertificateFiles,
        {"certificate": "{certificates}/next-server-ecdsa.pem", "key": "{certificates}/next-server-ecdsa.key"},
        example=True,
    ),
    _Table(
        "[[trust]]",
        Trust,
        {
            "name": "roaming-partner",
            "use": "other-operator",
            "roots": ("{certificates}/partner-roots.pem",),
            "operator_names": ("Partner",),
            "crl": ("http://pki.partner.example/issuing.crl",),
        },
        example=True,
    ),
    _Table("[limits]", Limits),
    _Table("[websocket]", WebSocketSettings),
    _Table("[operations]", Operations),
    _Table("[publication]", Publication),
    _Table("[security_events]", SecurityEvents),
    _Table("[audit]", Audit, apart=("detections",)),
    _Table("[audit.detections]", Detections),
    _Table(
        "[[sink]]",
        Sink,
        {"name": "siem", "kind": "syslog", "target": "siem.example.com:6514", "format": "cef"},
        example=True,
    ),
    _Table("[pki]", PKI, apart=("est", "vault", "command", "cmp")),
    _Table(
        "[pki.est]",
        EST,
        {
            "url": "https://est.example.com/.well-known/est",
            "server_roots": "{certificates}/est-server-roots.pem",
            "username": "gateway",
            "password_file": "est-password",
        },
        example=True,
    ),
    _Table(
        "[pki.vault]",
        Vault,
        {
            "address": "https://vault.example.com:8200",
            "role": "charge-points",
            "token_file": "vault-token",
            "server_roots": "{certificates}/vault-server-roots.pem",
        },
        example=True,
    ),
    _Table("[pki.command]", Command, {"command": ("/usr/local/bin/ask-ca",)}, example=True),
    _Table(
        "[pki.cmp]",
        CMP,
        {"server": "http://cmp.example.com:8080", "reference": "gateway", "secret_file": "cmp-secret"},
        example=True,
    ),
    _Table("[server_certificates]", ServerCertificates, apart=("acme",)),
    _Table(
        "[server_certificates.acme]",
        ACME,
        {"directory": "https://acme-v02.api.letsencrypt.org/directory", "agree_to_terms": True},
        example=True,
    ),
    _Table("[upgrades]", Upgrades),
    _Table(
        "[[known_firmware]]",
        FirmwareRule,
        {"vendor": "Example", "model": "Wallbox", "minimum": "1.4.0"},
        example=True,
    ),
    _Table("[policy]", Policy),
    _Table("[firmware]", Firmware),
    _Table("[recording]", Recording),
)


def explanations() -> dict[str, dict[str, str]]:
    """The docstrings of the model: by struct and field; the struct's own under an empty name."""
    found: dict[str, dict[str, str]] = {}
    modules = (model, audit_tables, authorities, firmware_table, own_certificates, policy, upgrades, known_firmware)
    sources = (inspect.getsource(module) for module in modules)
    for node in (node for source in sources for node in ast.parse(source).body):
        if not isinstance(node, ast.ClassDef):
            continue
        texts = {"": ast.get_docstring(node) or ""}
        for field, following in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                texts[field.target.id] = _string(following)
        found[node.name] = texts
    return found


def render_template(changes: Mapping[str, Mapping[str, Any]] | None = None, certificates: str = "certificates") -> str:
    """The text of a new configuration.

    `changes`: what to write in place of the template's own values, by table and key, e.g.
    ``{"listener.tls": {"client_trust": (...)}}``. `certificates`: directory of the files that the template names.
    """
    known = explanations()
    # Config has [gateway]'s keys among its own, and is where they are explained.
    known["_Gateway"] = {**known[Config.__name__], "": "The gateway as a whole."}
    wanted = dict(changes or {})
    parts = [_comment(_INTRODUCTION)]
    for table in _TABLES:
        name = table.header.strip("[]")
        parts.append(_render(table, known[table.kind.__name__], wanted.get(name, {})))
        if table.kind is CertificateFiles and table.before:
            parts.append(_comment(_PLAIN_LISTENER))
    return "\n\n".join(parts).replace(_DIRECTORY, certificates) + "\n"


def _render(table: _Table, known: Mapping[str, str], changes: Mapping[str, Any]) -> str:
    lines = [_comment(table.before or known[""]), table.header]
    active = {**table.active, **changes}
    for field in msgspec.structs.fields(table.kind):
        if field.name in table.apart:
            lines.append(_comment(f"{field.name}: see the table below. {known[field.name]}"))
            continue
        lines.extend(_comment(text) for text in (known.get(field.name, ""), _choices(field.type)) if text)
        if field.name in active:
            lines.append(f"{field.name} = {_toml(active[field.name])}")
        else:
            lines.append(f"#{field.name} = {_toml(_default(field))}")
    text = "\n".join(lines)
    return textwrap.indent(text, _EXAMPLE_MARK, lambda _: True) if table.example else text


def _default(field: msgspec.structs.FieldInfo) -> Any:
    """What the key is when it is absent. Raises RuntimeError for a new required key that no table above fills in."""
    if field.required:
        raise RuntimeError(f"the template must give {field.name} a value")
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def _string(node: ast.stmt) -> str:
    """The text of a docstring, or an empty string for any other statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _comment(text: str) -> str:
    """As TOML comment lines; indented lines stay as they are."""
    lines: list[str] = []
    for line in text.replace("``", '"').replace("`", "").splitlines():
        lines.extend([line] if len(line) <= _WIDTH else textwrap.wrap(line, _WIDTH))
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _choices(kind: Any) -> str:
    """What a key of a closed set may be."""
    inner = [arm for arm in get_args(kind) if arm is not Ellipsis]
    if get_origin(kind) is Literal:
        return "One of: " + ", ".join(map(_toml, inner))
    if get_origin(kind) is tuple and isinstance(inner[0], type) and issubclass(inner[0], enum.Enum):
        return "Some of: " + ", ".join(_toml(member) for member in inner[0])
    return ""


def _toml(value: Any) -> str:
    plain = msgspec.to_builtins(value)
    if isinstance(plain, bool):
        return "true" if plain else "false"
    if isinstance(plain, int):
        return f"{plain:_}"
    if isinstance(plain, list | tuple):
        return "[" + ", ".join(map(_toml, plain)) + "]"
    if isinstance(plain, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(each)}" for name, each in plain.items()) + "}"
    return json.dumps(plain, ensure_ascii=False)
