"""TLS judged by tools nobody here wrote: the openssl command line and sslyze.

openssl comes with the system; sslyze has an environment of its own (`make judges`), because it pins an old cryptography.
A judge that is missing is a skipped test with its reason, never a silent pass.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio

from tests.support.peer import basic, upgrade
from tests.support.rig import Rig
from tests.support.site import PASSWORD, Site, running

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]
OPENSSL = shutil.which("openssl")
SSLYZE = Path(os.environ.get("OCPP_JUDGES", Path(__file__).parents[2] / ".venv-judges" / "bin" / "sslyze"))
needs_openssl = pytest.mark.skipif(
    OPENSSL is None, reason="JUDGE MISSING: no openssl command line (apt-get install openssl)"
)
needs_sslyze = pytest.mark.skipif(not SSLYZE.exists(), reason=f"JUDGE MISSING: no {SSLYZE} (make judges)")
WAIT_S = 90.0
OCPP_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
)
FORWARD_SECRET = {
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
}


def prepare(rig: Rig) -> None:
    modern = rig.tls_table("none", cipher_policy="modern")
    stdlib = rig.tls_table("optional", engine="stdlib")
    rig.config["listener"].append(rig.listener("modern", [2], tls=modern))
    rig.config["listener"].append(rig.listener("stdlib", [2, 3], tls=stdlib))
    rig.add("CP-2", security_profile=2, password=PASSWORD)
    rig.add("CP-3", security_profile=3, serial_number="SN-3")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with running(tmp_path_factory.mktemp("tls-judges"), prepare) as made:
        yield made


class SClient:
    """`openssl s_client`, driven by what it prints."""

    def __init__(self, site: Site, process: asyncio.subprocess.Process) -> None:
        self._site, self._process = site, process
        self.text = ""
        """Printed and not yet taken."""
        self.seen = ""
        """Everything it has printed."""

    @classmethod
    async def start(cls, site: Site, listener: str, *options: str) -> Self:
        host, port = site.gateway.address(listener)
        name = () if "-noservername" in options else ("-servername", "localhost")
        return cls(
            site,
            await asyncio.create_subprocess_exec(
                *(str(OPENSSL), "s_client", "-connect", f"{host}:{port}", "-CAfile", str(site.rig.work / "root.pem")),
                *(*name, "-verify_return_error", "-crlf", *options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.communicate()

    def say(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())

    async def until(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed this; the text up to there is taken. Raises AssertionError if it ends before."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while (found := re.search(pattern, self.text)) is None:
                more = await self._process.stdout.read(65536)
                assert more, f"ended without {pattern!r}:\n{self.text}"
                self.text += more.decode(errors="replace")
                self.seen += more.decode(errors="replace")
        self.text = self.text[found.end() :]
        return found

    async def to_the_end(self) -> str:
        """Everything it prints until it ends by itself or because its input has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write_eof()
        async with asyncio.timeout(WAIT_S):
            return self.text + (await self._process.stdout.read()).decode(errors="replace")

    async def upgrade(self, *before: str, identity: str = "CP-2") -> None:
        """Become an admitted charge point; `before` are patterns that must come ahead of the 101."""
        self._site.csms.connections.pop(identity, None)  # that of an earlier session
        request = upgrade(f"/ocpp/{identity}", authorization=basic(identity, PASSWORD))
        self.say(request.decode().replace("\r\n", "\n"))
        for pattern in (*before, r"HTTP/1\.1 101 "):
            await self.until(pattern)


async def once(site: Site, listener: str, *options: str) -> str:
    """One handshake without input; everything openssl has to say about it."""
    async with await SClient.start(site, listener, *options) as client:
        return await client.to_the_end()


# -- openssl


@needs_openssl
@pytest.mark.parametrize("listener", ["tls", "stdlib"])
@pytest.mark.requirement(
    "A00.FR.317", "A00.FR.318", "A00.FR.321", "A00.FR.420", "A00.FR.421", "A00.FR.424", "TC_086_CSMS"
)
async def test_openssl_completes_a_handshake_with_each_ocpp_suite_and_with_tls_1_3(site: Site, listener: str) -> None:
    for suite in OCPP_SUITES:
        said = await once(site, listener, "-tls1_2", "-cipher", suite)
        assert f"Cipher is {suite}" in said
        assert "Verification: OK" in said
        assert "Compression: NONE" in said
        assert "Secure Renegotiation IS supported" in said
    said = await once(site, listener, "-tls1_3")
    assert re.search(r"New, TLSv1\.3, Cipher is TLS_", said)


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
@pytest.mark.requirement("A00.FR.313", "A00.FR.314", "A00.FR.315", "A00.FR.416", "TC_A_06_CSMS")
async def test_openssl_is_refused_with_tls_1_1_and_below(site: Site, version: str) -> None:
    said = await once(site, "tls", version, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in said
    assert "Cipher is (NONE)" in said


@needs_openssl
@pytest.mark.parametrize(
    "suite",
    [
        "AES128-SHA",
        "AES256-SHA256",
        "ECDHE-RSA-AES128-SHA",
        "DHE-RSA-AES128-GCM-SHA256",
        "NULL-SHA256",
        "AECDH-AES128-SHA",
    ],
)
@pytest.mark.requirement("A00.FR.320", "A00.FR.322", "A00.FR.423", "A00.FR.425")
async def test_openssl_is_refused_with_suites_that_ocpp_does_not_have(site: Site, suite: str) -> None:
    said = await once(site, "tls", "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    assert "alert handshake failure" in said


@needs_openssl
@pytest.mark.parametrize("length", ["512", "1024", "2048", "4096"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_charge_point_with_small_records_gets_in_and_gets_no_longer_ones(
    site: Site, length: str, version: str
) -> None:
    async with await SClient.start(site, "tls", version, "-maxfraglen", length, "-msg") as client:
        await client.upgrade()
        connection = await site.csms.connected("CP-2")
        await connection.send('[2,"long","DataTransfer",{"vendorId":"' + "v" * 5_000 + '"}]')
        await client.until(r"v{50}")
        await client.until(r"v\"\}\]")
    heads = re.findall(r"<<< [^\n]*RecordHeader[^\n]*\n +17 03 03 ([0-9a-f]{2}) ([0-9a-f]{2})", client.seen)
    sizes = [int(high + low, 16) for high, low in heads]
    # A record is its plain text, 16 bytes of tag, and at most 8 of nonce or 1 of type.
    assert int(length) < max(sizes) <= int(length) + 24


@needs_openssl
async def test_no_server_name_is_no_obstacle(site: Site) -> None:
    async with await SClient.start(site, "tls", "-noservername") as client:
        await client.until(r"Verification: OK")
        await client.upgrade()


@needs_openssl
@pytest.mark.parametrize("listener", ["tls", "stdlib"])
@pytest.mark.parametrize("admitted", [False, True], ids=["before the request", "in a live session"])
async def test_renegotiation_is_refused_with_an_alert_and_ends_the_connection(
    site: Site, listener: str, admitted: bool
) -> None:
    since = site.gateway.mark()
    async with await SClient.start(site, listener, "-tls1_2") as client:
        await client.until(r"Verify return code: 0")
        if admitted:
            await client.upgrade()
        client.say("R\n")
        await client.until(r"RENEGOTIATING")
        await client.until(r"no renegotiation|unexpected eof|closed")
    event = await site.gateway.event("tls.renegotiation", since)
    assert (event["decision"], event["listener"]) == ("tls_alert", listener)
    assert event.get("verified", False) is admitted


@needs_openssl
@pytest.mark.parametrize("listener", ["tls", "stdlib"])
async def test_key_update_is_answered_with_the_next_record_and_the_session_goes_on(site: Site, listener: str) -> None:
    answered = r"<<< TLS 1\.3, Handshake \[length 0005\], KeyUpdate"
    since = site.gateway.mark()
    async with await SClient.start(site, listener, "-tls1_3", "-msg") as client:
        await client.until(r"Verify return code: 0")
        client.say("K\n")  # asks for one in return, before there is a request; RFC 8446, 4.6.3
        await client.until(r"KEYUPDATE")
        await client.upgrade(answered)
        client.say("K\n")
        await client.until(r"KEYUPDATE")
        connection = await site.csms.connected("CP-2")
        for number in count():  # until the gateway has read the KeyUpdate, its records come without
            await connection.send(f'[2,"k{number}","GetConfiguration",{{"key":["message-{number}."]}}]')
            if "KeyUpdate" in (await client.until(f"{answered}|message-{number}\\."))[0]:
                break
        await client.until(f"message-{number}\\.")
        client.say("k\n")  # asks for none
        await client.until(r"KEYUPDATE")
        await connection.send('[2,"last","GetConfiguration",{"key":["the-last-message"]}]')
        assert "KeyUpdate" not in (await client.until(f"{answered}|the-last-message"))[0]
    assert not [event for event in site.gateway.events(since) if event["event"].startswith("tls.")]


@needs_openssl
async def test_openssl_resumes_its_session_on_every_reconnect(site: Site) -> None:
    said = await once(site, "tls", "-tls1_2", "-reconnect")
    assert (said.count("\nNew, TLSv1.2"), said.count("\nReused, TLSv1.2")) == (1, 5)


@needs_openssl
@pytest.mark.requirement("A00.FR.401", "A00.FR.402", "TC_087_CSMS")
async def test_openssl_gets_in_with_a_client_certificate_and_not_without(site: Site) -> None:
    issued = site.rig.authority.charge_point("SN-3")
    path = str(site.rig.write_private("sn-3.pem", issued.pem + issued.key_pem))
    async with await SClient.start(site, "mtls", "-cert", path, "-tls1_2") as client:
        await client.upgrade(identity="CP-3")
    assert "alert handshake failure" in await once(site, "mtls", "-tls1_2")
    async with await SClient.start(site, "mtls", "-tls1_3") as client:
        await client.until(r"alert certificate required")


# -- sslyze


async def scan(site: Site, listener: str, *commands: str) -> dict[str, Any]:
    """sslyze's results by command."""
    port, answer = site.gateway.address(listener)[1], site.rig.work / "sslyze.json"
    process = await asyncio.create_subprocess_exec(
        *(str(SSLYZE), "--quiet", f"--json_out={answer}", *commands, f"localhost:{port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    assert answer.exists(), said.decode()
    found = json.loads(answer.read_text())["server_scan_results"][0]
    answer.unlink()
    assert found["scan_status"] == "COMPLETED", found
    return {name: each["result"] for name, each in found["scan_result"].items() if each["status"] == "COMPLETED"}


def suites(result: dict[str, Any]) -> set[str]:
    return {each["cipher_suite"]["openssl_name"] for each in result["accepted_cipher_suites"]}


@needs_sslyze
@pytest.mark.requirement(
    "A00.FR.313", "A00.FR.318", "A00.FR.320", "A00.FR.321", "A00.FR.421", "A00.FR.423", "A00.FR.424"
)
async def test_sslyze_finds_the_suites_of_the_policy_and_no_known_weakness(site: Site) -> None:
    versions = ("--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3")
    attacks = ("--compression", "--reneg", "--robot", "--heartbleed", "--openssl_ccs", "--fallback", "--early_data")
    found = await scan(site, "tls", *versions, *attacks, "--ems", "--resum")
    for old in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1"):
        assert suites(found[f"{old}_cipher_suites"]) == set()
    assert suites(found["tls_1_2_cipher_suites"]) == FORWARD_SECRET | {"AES128-GCM-SHA256", "AES256-GCM-SHA384"}
    assert suites(found["tls_1_3_cipher_suites"]) == {
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
    }
    assert not found["tls_compression"]["supports_compression"]
    assert not found["tls_1_3_early_data"]["supports_early_data"]
    assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert found["robot"]["robot_result"].startswith("NOT_VULNERABLE")
    assert found["tls_fallback_scsv"]["supports_fallback_scsv"]
    assert found["tls_extended_master_secret"]["supports_ems_extension"]
    assert found["session_renegotiation"]["supports_secure_renegotiation"]
    assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert found["session_resumption"]["tls_ticket_resumption_result"] == "FULLY_SUPPORTED"


@needs_sslyze
@pytest.mark.requirement("A00.FR.320", "A00.FR.423")
async def test_sslyze_finds_forward_secrecy_only_under_the_modern_policy(site: Site) -> None:
    found = await scan(site, "modern", "--tlsv1_1", "--tlsv1_2")
    assert suites(found["tls_1_1_cipher_suites"]) == set()
    assert suites(found["tls_1_2_cipher_suites"]) == FORWARD_SECRET
