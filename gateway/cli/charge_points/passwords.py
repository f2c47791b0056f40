"""Passwords on the command line: made or read, never taken from an argument, stored as a hash, shown once."""

import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.files import is_interactive, read_text, shown_name
from gateway.cli.output import fail

if TYPE_CHECKING:
    from gateway.identity.record import ChargePointRecord, StoredPassword

__all__ = ["NewPassword", "make_password", "password_warnings", "print_password", "read_password"]

_MAX_CHARS = 256
"""What fits into a Basic header that the gateway accepts, with a margin."""
_OCPP_CHARS = range(16, 41)


class NewPassword(NamedTuple):
    """A password on its way into the registry."""

    text: str
    stored: "StoredPassword"
    generated: bool

    def __repr__(self) -> str:
        return "NewPassword(<hidden>)"

    def as_json(self) -> dict[str, str]:
        """What to print of it: nothing of one that the operator has already."""
        return {"password": self.text, "authorization_key": _hex(self.text)} if self.generated else {}


def make_password() -> NewPassword:
    """A random one, in which every reading of a 1.6 AuthorizationKey agrees."""
    from gateway.identity.basic_auth import generate_password

    return _hashed(generate_password(secrets.token_bytes(64)), generated=True)


def read_password(name: str, *, as_json: bool = False) -> NewPassword:
    """One line from a file, or from standard input for ``-`` (asked for, unseen, on a terminal). Raises Failure."""
    if name == "-" and is_interactive():
        text = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = read_text(name, as_json=as_json).removesuffix("\n").removesuffix("\r")
    if not text or not text.isprintable() or len(text) > _MAX_CHARS:
        why = f"a password is one line of 1 to {_MAX_CHARS} printable characters"
        fail(f"{shown_name(name)}: {why}.", NOT_OK, as_json=as_json)
    return _hashed(text, generated=False)


def _hashed(text: str, *, generated: bool) -> NewPassword:
    from gateway.control.credentials import hash_password
    from gateway.identity.basic_auth import canonical_secret
    from gateway.identity.record import StoredPassword

    phc = hash_password(canonical_secret(text))
    return NewPassword(text, StoredPassword(phc=phc, created_at=time.time()), generated)


def password_warnings(password: NewPassword) -> list[str]:
    """What OCPP says against it."""
    if len(password.text) in _OCPP_CHARS or password.generated:
        return []
    length = len(password.text)
    return [f"the password has {length} characters; OCPP allows {_OCPP_CHARS.start} to {_OCPP_CHARS.stop - 1}"]


def print_password(record: "ChargePointRecord", password: NewPassword) -> None:
    """The one time that a generated password is shown, in the forms that the charge point's versions want."""
    if not password.generated:
        return
    versions: dict[str, Any] = {}
    if any(version.is_2x for version in record.ocpp_versions):
        versions["OCPP 2.x  BasicAuthPassword"] = password.text
    if any(not version.is_2x for version in record.ocpp_versions):
        versions["OCPP 1.6  AuthorizationKey "] = _hex(password.text)
    click.echo("Password, shown only now (the gateway keeps nothing but its hash):")
    for label, value in versions.items():
        click.echo(f"  {label}  {value}")


def _hex(text: str) -> str:
    return text.encode().hex().upper()
