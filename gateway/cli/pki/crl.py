"""`pki crl`: the CA's revocation lists: how they stand, signed now, and as files for whoever publishes them himself."""

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.exit_codes import NOT_OK
from gateway.cli.finite import FiniteRange
from gateway.cli.output import json_option, print_json, print_table, shown, warn
from gateway.cli.pki.ca import (
    ca_option,
    existing_directory,
    issuers_named,
    now,
    revocations_read,
    signer_asked,
    write_public,
)

if TYPE_CHECKING:
    from pki.issuer import Issuer
    from pki.own_crls import OwnList
    from pki.revocation import RevokedCertificate
    from pki.signer.client import SignerClient

__all__ = ["crl"]


@click.command()
@click.option("--issuer", "name", metavar="NAME", help="Only the lists of this issuing CA.")
@click.option("--sign", is_flag=True, help="Sign new lists now, due or not.")
@click.option(
    "--valid-days", type=FiniteRange(0.1, 100), default=7.0, show_default=True, help="For how long, with --sign."
)
@click.option("--out", metavar="DIR", help="Write the lists there as well: NAME-SHARD.crl, in DER.")
@ca_option
@json_option
def crl(name: str | None, sign: bool, valid_days: float, out: str | None, ca_path: str, as_json: bool) -> int:
    """Show the CA's revocation lists, or sign the next ones.

    Lists are kept in DIR/published, where a gateway that publishes them takes them from, too. Exit code 1 if one is missing,
    has run out, or does not name everybody who is revoked.
    """
    from pki.own_crls import revoked_by_shard

    lifetime = datetime.timedelta(days=valid_days)
    with signer_asked(ca_path, as_json=as_json) as signer:
        issuers = issuers_named(signer, name, as_json=as_json)
        found = []
        with revocations_read(ca_path, signer, as_json=as_json) as (inventory, address_of):
            for issuer in issuers:
                entries = revoked_by_shard(issuer, inventory, address_of, now(), lifetime)
                if sign:
                    _sign(Path(ca_path), issuer, entries, signer, lifetime)
                found += _facts(Path(ca_path), issuer, entries)
    if out is not None:
        directory = existing_directory(out, as_json=as_json)
        for facts, made in found:
            if made is not None:
                write_public(directory / f"{facts['issuer']}-{facts['shard']}.crl", made.der, as_json=as_json)
    return _tell([facts for facts, _ in found], as_json=as_json)


def _sign(
    directory: Path,
    issuer: "Issuer",
    revoked: "dict[int, list[RevokedCertificate]]",
    signer: "SignerClient",
    lifetime: datetime.timedelta,
) -> None:
    from pki.crl import CRLTooSoon
    from pki.errors import PKIError, SignerUnavailable
    from pki.own_crls import next_list, read_list, write_list

    key, moment = signer.revocation_key(issuer), now()
    for shard, entries in revoked.items():
        try:
            before = read_list(directory, issuer, shard)
            write_list(directory, next_list(issuer, shard, entries, before, key, moment, lifetime))
        except CRLTooSoon as error:
            raise SignerUnavailable(f"{issuer.name}, shard {shard}: {error}") from None
        except OSError as error:
            raise PKIError(f"{error.filename}: {error.strerror}") from None


def _facts(
    directory: Path, issuer: "Issuer", revoked: "dict[int, list[RevokedCertificate]]"
) -> "list[tuple[dict[str, Any], OwnList | None]]":
    from pki.own_crls import list_url, read_list

    moment, found = now(), []
    for shard, entries in revoked.items():
        made = read_list(directory, issuer, shard)
        facts: dict[str, Any] = {"issuer": issuer.name, "shard": shard, "url": list_url(issuer, shard)}
        if made is None:
            facts |= {"state": "missing"}
        else:
            missing = sum(entry.serial_number not in made.serials for entry in entries)
            has_ended = made.stamp.next_update < moment
            facts |= {
                "state": "expired" if has_ended else "incomplete" if missing else "current",
                "number": made.stamp.number,
                "revoked": len(made.serials),
                "not_named": missing,
                "this_update": made.stamp.this_update.isoformat(),
                "next_update": made.stamp.next_update.isoformat(),
            }
        found.append((facts, made))
    return found


def _tell(found: list[dict[str, Any]], *, as_json: bool) -> int:
    wrong = [each for each in found if each["state"] != "current"]
    if as_json:
        print_json(found)
        return NOT_OK if wrong else 0
    rows = [
        (
            each["issuer"],
            str(each["shard"]),
            each["state"],
            str(each.get("number", "")),
            str(each.get("revoked", "")),
            each.get("next_update", "")[:16].replace("T", " "),
            each["url"],
        )
        for each in found
    ]
    print_table(
        "Revocation lists", ("issuing CA", "shard", "state", "number", "revoked", "until (UTC)", "address"), rows
    )
    warn(f"{shown(each['issuer'])}, shard {each['shard']}: {each['state']}; --sign makes it" for each in wrong)
    return NOT_OK if wrong else 0
