"""`simulate`: charge points that behave as the specifications say, or as the field does, against any CSMS or gateway."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.exit_codes import INTERRUPTED, NOT_OK, OK, USAGE
from gateway.cli.files import read_text, shown_name
from gateway.cli.finite import FiniteRange
from gateway.cli.output import fail, print_json, print_table

if TYPE_CHECKING:
    from gateway.simulator.core.memory import Memory
    from gateway.simulator.core.quirks import Quirks

__all__ = ["simulate"]

_NUMBER: Final = re.compile(r"\{n(?::0?(\d))?\}")
_MAX_COUNT: Final = 100_000
_TLS: Final = 2
_CLIENT_CERTIFICATE: Final = 3
_MAX_ID_CHARS: Final = 48


@click.command()
@click.option("--url", help="Where to connect, without identity: ws://HOST/PATH or wss://HOST/PATH.")
@click.option("--id", "pattern", default="CP-1", help="Identity; {n} (or {n:05}) is the number with --count.")
@click.option(
    "--version",
    "--ocpp-version",
    "ocpp_version",
    type=click.Choice(["1.6", "2.0.1", "2.1"]),
    default="1.6",
    help="OCPP version.",
)
@click.option("--security-profile", type=click.IntRange(1, 3), default=1, help="Security profile.")
@click.option(
    "--password-file",
    metavar="FILE",
    help="One line: the password of all; else lines of ID and password (- for standard input).",
)
@click.option("--certificate", metavar="FILE", help="Client certificate, PEM, with its chain; {id} is the identity.")
@click.option("--key", metavar="FILE", help="Its key, PEM; {id} is the identity.")
@click.option("--root", "roots", metavar="FILE", multiple=True, help="PEM file of CSMS roots (repeatable).")
@click.option("--serial-number", default="", help="Serial number; {id} is the identity. Default: the identity.")
@click.option("--organization", default="", help="CpoName / OrganizationName set at the factory.")
@click.option(
    "--secure-url", default="", help="1.6: where security profiles 2 and 3 are served. Default: wss at the same place."
)
@click.option("--vendor", default="Simulated", help="Vendor.")
@click.option("--model", "model_name", default="Simulator", help="Model.")
@click.option("--key-kind", type=click.Choice(["ec", "rsa"]), default="ec", help="Kind of keys it makes.")
@click.option("--additional-root-check", is_flag=True, help="A new CSMS root must be signed by the old one.")
@click.option(
    "--charge-every", type=FiniteRange(0, 1e6), default=0.0, help="Charge by itself after so many seconds idle."
)
@click.option(
    "--quirk", "quirk_words", metavar="NAME[=VALUE]", multiple=True, help="A habit of the field (repeatable)."
)
@click.option("--list-quirks", is_flag=True, help="Show all quirks.")
@click.option("--count", type=click.IntRange(1, _MAX_COUNT), default=1, help="So many charge points.")
@click.option("--ramp-up", type=FiniteRange(0, 1e6), default=0.0, help="Spread their starts over so many seconds.")
@click.option("--duration", type=FiniteRange(0.1, 1e8), help="End after so many seconds. Default: on Ctrl-C.")
@click.option(
    "--state-directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep memories here: a restart goes on where it was.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document a line for each thing that happens.")
def simulate(**options: Any) -> int:
    """Simulate charge points, with quirks if wanted.

    Exit code 0 if the CSMS has accepted each of them at least once.
    """
    as_json: bool = options["as_json"]
    if options["list_quirks"]:
        return _list_quirks(as_json=as_json)
    if not options["url"]:
        fail("--url is missing: where to connect, without identity.", USAGE, as_json=as_json)
    from gateway.simulator.core.model import Model
    from gateway.simulator.core.quirks import QuirkUnknown, read_quirks

    try:
        quirks = read_quirks(options["quirk_words"])
    except QuirkUnknown as unknown:
        fail(f"{unknown} --list-quirks shows them.", USAGE, as_json=as_json)
    model = Model(
        vendor=options["vendor"],
        model=options["model_name"],
        key_kind=options["key_kind"],
        additional_root_check=options["additional_root_check"],
        charge_every_s=options["charge_every"],
        secure_url=options["secure_url"],
    )
    return _play(model, quirks, _memories(options), options)


def _list_quirks(*, as_json: bool) -> int:
    from gateway.simulator.core.quirks import QUIRKS

    if as_json:
        print_json([{"name": name, "default": each.default, "meaning": each.meaning} for name, each in QUIRKS.items()])
    else:
        print_table(
            "Quirks", ("name", "default", "meaning"), [(name, q.default, q.meaning) for name, q in QUIRKS.items()]
        )
    return OK


def _play(model: Any, quirks: "Quirks", memories: "list[Memory]", options: dict[str, Any]) -> int:
    from gateway.cli.simulated import play
    from gateway.simulator.shell.fleet import Fleet
    from gateway.simulator.shell.storage import MemoryUnreadable

    as_json: bool = options["as_json"]
    directory: Path | None = options["state_directory"]
    fleet = Fleet(model, quirks, lambda identity, note: None, directory)  # noqa: ARG005  `play` puts its own there
    try:
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for memory in memories:
            fleet.add(memory)
    except MemoryUnreadable as unreadable:
        fail(f"{unreadable}. Remove the file, or use another --state-directory.", NOT_OK, as_json=as_json)
    interrupted = play(fleet, duration_s=options["duration"], ramp_up_s=options["ramp_up"], as_json=as_json)
    if interrupted:
        return INTERRUPTED
    return OK if len(fleet.registered) == len(memories) else NOT_OK


def _memories(options: dict[str, Any]) -> "list[Memory]":
    """As built: identities, credentials, roots. Raises Failure for what does not go together."""
    from gateway.ocpp.vocabulary import OCPPVersion
    from gateway.simulator.core.model import new_memory

    identities = _identities(options)
    _check_options(options)
    roots = _roots(options)
    passwords = _passwords(options, identities)
    return [
        new_memory(
            identity,
            OCPPVersion(options["ocpp_version"]),
            options["url"],
            options["security_profile"],
            serial_number=options["serial_number"].replace("{id}", identity),
            password=passwords.get(identity, ""),
            certificate=_certificate(options, identity),
            roots=roots,
            organization=options["organization"],
        )
        for identity in identities
    ]


def _identities(options: dict[str, Any]) -> list[str]:
    pattern, count, as_json = options["pattern"], options["count"], options["as_json"]
    if count > 1 and not _NUMBER.search(pattern):
        fail(f"--count {count} needs --id with {{n}} in it, such as 'CP-{{n:05}}'.", USAGE, as_json=as_json)
    made = [_numbered(pattern, number) for number in range(1, count + 1)]
    if any(not 0 < len(identity) <= _MAX_ID_CHARS or not identity.isprintable() for identity in made):
        fail(f"An identity has 1 to {_MAX_ID_CHARS} printable characters.", USAGE, as_json=as_json)
    return made


def _numbered(pattern: str, number: int) -> str:
    return _NUMBER.sub(lambda found: str(number).zfill(int(found[1] or 1)), pattern)


def _check_options(options: dict[str, Any]) -> None:
    as_json, profile, url = options["as_json"], options["security_profile"], options["url"]
    if not re.match(r"wss?://[^/\s?#]+(/[^\s?#]*)?$", url):
        fail(f"--url: {url!r} is not ws://HOST/PATH or wss://HOST/PATH.", USAGE, as_json=as_json)
    if (profile >= _TLS) != url.startswith("wss://"):
        wanted = "wss" if profile >= _TLS else "ws"
        fail(f"Security profile {profile} needs a URL that begins with {wanted}://.", USAGE, as_json=as_json)
    if url.startswith("wss://") and not options["roots"]:
        fail("--root is missing: a charge point trusts no CSMS without one.", USAGE, as_json=as_json)
    if profile < _CLIENT_CERTIFICATE and not options["password_file"]:
        fail(f"--password-file is missing: security profile {profile} needs a password.", USAGE, as_json=as_json)
    if profile == _CLIENT_CERTIFICATE and not options["certificate"]:
        fail("--certificate and --key are missing: security profile 3 needs them.", USAGE, as_json=as_json)
    if bool(options["certificate"]) != bool(options["key"]):
        fail("--certificate and --key belong together.", USAGE, as_json=as_json)


def _roots(options: dict[str, Any]) -> tuple[str, ...]:
    from cryptography.hazmat.primitives.serialization import Encoding

    from gateway.simulator.core.certificates import CertificateUnfit, read_chain

    found: list[str] = []
    for name in options["roots"]:
        try:
            found += [each.public_bytes(Encoding.PEM).decode() for each in read_chain(_text(name, options))]
        except CertificateUnfit as unfit:
            fail(f"{shown_name(name)}: {unfit}.", NOT_OK, as_json=options["as_json"])
    return tuple(found)


def _text(name: str, options: dict[str, Any]) -> str:
    return read_text(name, as_json=options["as_json"])


def _passwords(options: dict[str, Any], identities: list[str]) -> dict[str, str]:
    name = options["password_file"]
    if not name:
        return {}
    lines = [line for line in _text(name, options).splitlines() if line]
    if len(lines) == 1 and len(lines[0].split()) == 1:
        return dict.fromkeys(identities, lines[0])
    pairs = [line.split() for line in lines]
    if not lines or any(len(pair) != 2 for pair in pairs):  # noqa: PLR2004  a pair
        what = "one password, or lines of an identity and its password"
        fail(f"{shown_name(name)}: holds {what}.", NOT_OK, as_json=options["as_json"])
    return {pair[0]: pair[1] for pair in pairs}


def _certificate(options: dict[str, Any], identity: str) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from gateway.simulator.core.certificates import CertificateUnfit, read_chain
    from gateway.simulator.core.memory import ClientCertificate

    if not options["certificate"]:
        return None
    names = [options[option].replace("{id}", identity) for option in ("certificate", "key")]
    chain_pem, key_pem = (_text(name, options) for name in names)
    try:
        leaf = read_chain(chain_pem)[0]
    except CertificateUnfit as unfit:
        fail(f"{shown_name(names[0])}: {unfit}.", NOT_OK, as_json=options["as_json"])
    try:
        key = load_pem_private_key(key_pem.encode(), None)
    except (ValueError, TypeError):
        fail(f"{shown_name(names[1])}: not an unencrypted PEM key.", NOT_OK, as_json=options["as_json"])
    if key.public_key() != leaf.public_key():
        fail(f"{shown_name(names[1])} is not the key of {shown_name(names[0])}.", NOT_OK, as_json=options["as_json"])
    return ClientCertificate(chain_pem=chain_pem, key_pem=key_pem)
