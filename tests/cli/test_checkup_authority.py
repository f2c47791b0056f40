"""`doctor` on another CA: reached, pinned, believed by the listeners; each fault with its near-miss."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.checkup.authority import check_authority
from gateway.cli.checkup.check import Check
from gateway.config.authorities import CMP, Command, Vault
from gateway.config.load import load_unchecked
from gateway.config.model import PKI, Config
from tests.cli.conftest import Place
from tests.support.other_ca import OtherCA, https
from tests.support.other_ca_servers import VAULT_TOKEN, VaultServer


class Bench:
    """A gateway whose CA is a Vault."""

    def __init__(self, place: Place) -> None:
        self.work = place.directory
        self.config = load_unchecked(place.config)
        self.server = VaultServer()
        self.write("roots.pem", self.server.ca.root.pem)
        self.write("token", VAULT_TOKEN.encode())

    def write(self, name: str, content: bytes) -> str:
        path = Path(self.work / name)
        path.write_bytes(content)
        path.chmod(0o600)
        return str(path)

    def configured(self, **changes: Any) -> Config:
        pki = PKI(ca=str(self.work / "ca"), roots=(str(self.work / "roots.pem"),), **changes)
        return msgspec.structs.replace(self.config, pki=pki)

    @contextlib.asynccontextmanager
    async def vault(self) -> AsyncIterator[Config]:
        async with https(self.work, self.server.routes()) as (address, root):
            roots = self.write("server-roots.pem", root.encode())
            table = Vault(
                address=address, role="charge-points", token_file=str(self.work / "token"), server_roots=roots
            )
            yield self.configured(backend="vault", vault=table)


@pytest.fixture
def bench(place: Place) -> Bench:
    return Bench(place)


async def looked(config: Config) -> dict[str, Check]:
    found = await asyncio.to_thread(lambda: list(check_authority(config)))
    return {check.check: check for check in found}


async def test_a_ca_that_answers_takes_the_token_and_is_pinned(bench: Bench) -> None:
    async with bench.vault() as config:
        listener = config.listeners[0]
        assert listener.tls is not None
        tls = msgspec.structs.replace(listener.tls, client_trust=config.pki.roots)
        trusting = msgspec.structs.replace(listener, tls=tls)
        found = await looked(msgspec.structs.replace(config, listeners=(trusting,)))
    assert {name: check.level for name, check in found.items()} == {"ca": "ok", "ca-credentials": "ok"}
    assert "takes our credentials" in found["ca-credentials"].message


async def test_a_ca_that_no_listener_believes(bench: Bench) -> None:
    async with bench.vault() as config:
        assert (await looked(config))["ca-trust"].level == "warning"


async def test_a_token_that_is_not_taken(bench: Bench) -> None:
    bench.write("token", b"hvs.another-s3cret")
    async with bench.vault() as config:
        check = (await looked(config))["ca"]
    assert check.level == "error"
    assert "the token is not taken: HTTP status 403" in check.message
    assert "another-s3cret" not in check.message


async def test_a_ca_that_leads_to_another_root(bench: Bench) -> None:
    bench.write("roots.pem", OtherCA().root.pem)
    async with bench.vault() as config:
        check = (await looked(config))["ca"]
    assert check.level == "error"
    assert "leads to no root" in check.message


async def test_a_ca_that_is_not_there(bench: Bench) -> None:
    cmp = CMP(server="http://127.0.0.1:1", reference="r", secret_file=str(bench.work / "token"))
    check = (await looked(bench.configured(backend="cmp", cmp=cmp)))["ca"]
    assert check.level == "error"
    assert "cannot be used" in check.message


async def test_a_command_that_fails(bench: Bench) -> None:
    command = Command(command=("/bin/false",))
    check = (await looked(bench.configured(backend="command", command=command)))["ca"]
    assert "exit code 1" in check.message


async def test_a_secret_that_others_can_read(bench: Bench) -> None:
    (bench.work / "token").chmod(0o644)
    async with bench.vault() as config:
        check = (await looked(config))["ca"]
    assert "chmod 600" in check.message


async def test_the_embedded_ca_is_not_its_business(bench: Bench) -> None:
    pki = PKI(ca=str(bench.work / "ca"))
    assert await looked(msgspec.structs.replace(bench.config, pki=pki)) == {}
