"""Reads the configuration file. Unknown keys are errors, contradictions are errors, and all are told at once."""

import os
import re
import tomllib
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from gateway.config.authorities import CMP, EST, Vault
from gateway.config.checks import Findings, check
from gateway.config.model import (
    CSMS,
    PKI,
    Audit,
    CertificateFiles,
    Config,
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
from gateway.config.positions import Path, find_positions
from gateway.config.problems import ConfigError, Problem
from gateway.config.suggest import did_you_mean
from gateway.config.trust import is_url
from gateway.config.upgrades import Upgrades
from gateway.provisioning.known_firmware import FirmwareRule

__all__ = ["ConfigError", "Problem", "load_config", "load_config_with_warnings", "load_unchecked"]

_T = TypeVar("_T", bound=msgspec.Struct)
_TABLES: dict[str, type[msgspec.Struct]] = {
    "limits": Limits,
    "websocket": WebSocketSettings,
    "operations": Operations,
    "publication": Publication,
    "security_events": SecurityEvents,
    "audit": Audit,
    "pki": PKI,
    "server_certificates": ServerCertificates,
    "upgrades": Upgrades,
    "policy": Policy,
    "firmware": Firmware,
    "recording": Recording,
}
"""Sections that are in the configuration once, under their own names."""
_ARRAYS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "listener": ("listeners", Listener),
    "csms": ("csms", CSMS),
    "trust": ("trust", Trust),
    "sink": ("sinks", Sink),
    "known_firmware": ("known_firmware", FirmwareRule),
}
"""Sections that can be there several times, with the names of the fields that hold them."""
_SECTIONS = {"gateway", *_TABLES, *_ARRAYS}
_FILES = {
    ListenerTLS: ("client_trust", "server_roots"),
    CertificateFiles: ("certificate", "key"),
    CSMS: ("password_file", "ca", "certificate", "key"),
    Trust: ("roots", "crl"),
    PKI: ("ca", "roots"),
    ServerCertificates: ("ca",),
    ACME: ("roots", "eab_key_file"),
    EST: ("server_roots", "password_file", "certificate", "key", "client_secret_file"),
    Vault: ("server_roots", "token_file"),
    CMP: ("server_roots", "secret_file", "certificate", "key"),
    Policy: ("site", "signature"),
    Firmware: ("ca",),
    Sink: ("ca", "certificate", "key", "secret_file"),
    Recording: ("path",),
}
"""Fields that name files: relative ones are relative to the configuration."""

_WRONG_TYPE = re.compile(r"Expected `(\w+)`, got `(\w+)`")
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text in quotes",
    "bool": "true or false",
    "array": "a list in brackets",
    "object": "a table",
}
"""Types in words of the file."""


class _Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """The [gateway] table."""

    state_dir: str = "state"
    database_url: str = ""
    edge_workers: int = 0
    log_level: str = "info"
    operator_names: tuple[str, ...] = ()
    unsafe_dev_certificates: bool = False


class _Reader:
    """Turns tables into structs and collects what is wrong."""

    def __init__(self, directory: FilePath, findings: Findings) -> None:
        self._directory = directory
        self._findings = findings

    def table(self, kind: type[_T], value: Any, path: Path) -> _T | None:
        """A struct from one table; None (and findings) if something in it is wrong."""
        if not isinstance(value, dict):
            self._findings.error(path, "must be a table")
            return None
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        for key in value:
            if key not in fields:
                self._findings.error((*path, key), f"unknown key {key!r}", did_you_mean(key, fields))
        values: dict[str, Any] = {}
        complete = True
        for name, field in fields.items():
            if name in value:
                made = self._value(field.type, value[name], (*path, name))
                complete = complete and made is not None
                values[name] = made
            elif field.required:
                self._findings.error(path, f"{name} is missing")
                complete = False
        if not complete:
            return None
        for name in _FILES.get(kind, ()):
            if values.get(name):
                values[name] = self._resolve(values[name])
        return kind(**values)

    def _value(self, kind: Any, value: Any, path: Path) -> Any:
        """One value of the declared type, None if it is not one."""
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.table(kind, value, path)
        inner = get_args(kind)
        structs = [arm for arm in inner if isinstance(arm, type) and issubclass(arm, msgspec.Struct)]
        if structs and get_origin(kind) is tuple:
            return self.tables(structs[0], value, path)
        if structs:
            return self.table(structs[0], value, path)
        if _has_nul(value):
            self._findings.error(path, "contains a NUL character")
            return None
        try:
            return msgspec.convert(value, kind, strict=True)
        except msgspec.ValidationError as error:
            self._findings.error(path, _explain(str(error), kind, value))
            return None

    def tables(self, kind: type[_T], value: Any, path: Path) -> tuple[_T, ...] | None:
        """An array of tables."""
        if not isinstance(value, list):
            self._findings.error(path, "must be an array of tables: write [[" + str(path[-1]) + "]]")
            return None
        made = [self.table(kind, item, (*path, index)) for index, item in enumerate(value)]
        return None if any(item is None for item in made) else tuple(item for item in made if item is not None)

    def _resolve(self, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(value, tuple):
            return tuple(item if is_url(item) else str(self._directory / item) for item in value)
        return str(self._directory / value)


def _has_nul(value: Any) -> bool:
    """True if a text somewhere in `value` could not even be a file name."""
    if isinstance(value, dict):
        return any(map(_has_nul, value.values()))
    return "\0" in value if isinstance(value, str) else isinstance(value, list) and any(map(_has_nul, value))


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind)


def _explain(message: str, kind: Any, value: Any) -> str:
    """Msgspec's message in words of the file."""
    choices = [str(arm) for arm in get_args(kind) if isinstance(arm, str)]
    if choices and isinstance(value, str):
        return f"{value!r} is not one of {', '.join(choices)}"
    text, _, place = message.partition(" - at `$")
    text = _WRONG_TYPE.sub(lambda found: f"must be {_word(found[1])}, not {_word(found[2])}", text)
    return f"{text} (at {place.rstrip('`')})" if place else text


def load_config(path: str | FilePath, *, relative_to: FilePath | None = None) -> Config:
    """The configuration in a file. Raises ConfigError with every problem."""
    return load_config_with_warnings(path, relative_to=relative_to)[0]


def load_config_with_warnings(
    path: str | FilePath, *, relative_to: FilePath | None = None
) -> tuple[Config, list[Problem]]:
    """As `load_config`, and what is legal but unwise. `relative_to`: directory of relative paths, if not the file's."""
    config, findings = _parsed(path, relative_to)
    check(config, findings)
    if findings.errors:
        raise ConfigError(findings.errors)
    return config, findings.warnings


def load_unchecked(path: str | FilePath) -> Config:
    """The configuration if it is well-formed, without looking at contradictions or at the files it names.

    For tools that only need to know where the registry and the admin socket are. Raises ConfigError.
    """
    config, findings = _parsed(path, None)
    if findings.errors:
        raise ConfigError(findings.errors)
    return config


def _parsed(path: str | FilePath, relative_to: FilePath | None) -> tuple[Config, Findings]:
    """Text to values of the right types, and what was found on the way. Raises ConfigError if there are no values."""
    file = FilePath(path).absolute()
    shown = str(path)
    try:
        text = file.read_text("utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ConfigError([Problem(path=shown, message=f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Problem(path=shown, message="is not UTF-8 text")]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(shown, str(error))]) from error
    except (ValueError, RecursionError) as error:
        # tomllib lets these through: an integer of thousands of digits, brackets nested a thousand deep.
        raise ConfigError([Problem(path=shown, message="has a number too long or is nested too deep")]) from error
    findings = Findings(shown, find_positions(text))
    config = _read(tables, file, relative_to or file.parent, findings)
    if config is None:
        raise ConfigError(findings.errors)
    return config, findings


def _pack(name: str, directory: FilePath) -> str:
    """A shipped pack's name as it is, a file relative to the configuration."""
    return str(directory / name) if name.endswith((".yaml", ".yml")) else name


def _syntax_problem(shown: str, message: str) -> Problem:
    words, _, place = message.partition(" (at ")
    numbers = [int(word) for word in place.replace(",", " ").replace(")", " ").split() if word.isdigit()]
    line, column = numbers if len(numbers) == 2 else (0, 0)  # noqa: PLR2004  line and column
    return Problem(path=shown, message=f"not valid TOML: {words}", line=line, column=column)


def _read(tables: dict[str, Any], file: FilePath, directory: FilePath, findings: Findings) -> Config | None:
    reader = _Reader(directory, findings)
    for section in tables:
        if section not in _SECTIONS:
            findings.error((section,), f"unknown section {section!r}", did_you_mean(section, _SECTIONS))
    gateway = reader.table(_Gateway, tables.get("gateway", {}), ("gateway",))
    read: dict[str, Any] = {name: reader.table(kind, tables.get(name, {}), (name,)) for name, kind in _TABLES.items()}
    for name, (field, kind) in _ARRAYS.items():
        read[field] = reader.tables(kind, tables.get(name, []), (name,))
    if gateway is None or None in read.values():
        return None
    if gateway.log_level not in {"debug", "info", "warning", "error"}:
        findings.error(("gateway", "log_level"), f"{gateway.log_level!r} is not one of debug, info, warning, error")
        return None
    state_dir = directory / gateway.state_dir
    return Config(
        path=str(file),
        state_dir=str(state_dir),
        database_url=gateway.database_url or f"sqlite:///{state_dir / 'registry.sqlite'}",
        edge_workers=gateway.edge_workers or os.cpu_count() or 1,
        log_level=gateway.log_level,  # type: ignore[arg-type]
        operator_names=gateway.operator_names,
        unsafe_dev_certificates=gateway.unsafe_dev_certificates,
        **{**read, **_placed(read, directory, state_dir)},
    )


def _placed(read: dict[str, Any], directory: FilePath, state_dir: FilePath) -> dict[str, Any]:
    """What names files in ways of its own, relative to the configuration or to the state directory."""
    events, audit, policy = read["security_events"], read["audit"], read["policy"]
    if events.path and events.path != "-":
        events = SecurityEvents(path=str(directory / events.path))
    audit = msgspec.structs.replace(
        audit,
        directory=str(directory / audit.directory if audit.directory else state_dir / "audit"),
        keys_directory=str(directory / audit.keys_directory if audit.keys_directory else state_dir / "audit-keys"),
    )
    sinks = tuple(
        msgspec.structs.replace(sink, target=str(directory / sink.target)) if sink.kind == "file" else sink
        for sink in read["sinks"]
    )
    policy = msgspec.structs.replace(policy, packs=tuple(_pack(name, directory) for name in policy.packs))
    return {"security_events": events, "audit": audit, "sinks": sinks, "policy": policy}
