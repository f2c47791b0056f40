"""What a driver may ask for: found by pseudonym, destroyed for good, and the log is still whole. At a real gateway."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.control.trail import kit_verifier
from gateway.control.trail.layout import Shard, shards_in
from gateway.control.trail.reader import ShardReader, decoded
from tests.integration.test_policy import admitted, register
from tests.support.csms import FakeCSMS
from tests.support.fleet import until
from tests.support.rig import Rig

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("csms")]
TOKEN, OTHER = "04AABBCCDD", "04EEFF0011"
WORDS = "Hello-Marked-Text"


def command(rig: Rig, *words: str, stdin: str = "") -> tuple[int, Any]:
    line = [sys.executable, "-m", "gateway", "audit", *words, "--json", "--config", str(rig.config_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, input=stdin)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def live(rig: Rig) -> list[dict[str, Any]]:
    return [decoded(data) for shard in shards_in(rig.state / "audit") for _, data in ShardReader(shard).records()]


def kinds_of(rig: Rig, shard: str) -> list[str]:
    return [decoded(data)["type"] for _, data in ShardReader(Shard(rig.state / "audit" / shard)).records()]


def texts_of(rig: Rig) -> list[str]:
    found = []
    for index, record in enumerate(live(rig)):
        if "commit" in record.get("body", {}):
            code, shown = command(rig, "show", f"0001/{index}", "--text")
            found += [shown["text"]] if code == 0 else []
    return found


def everything(*places: Path) -> bytes:
    return b"".join(path.read_bytes() for place in places for path in place.rglob("*") if path.is_file())


async def test_a_driver_is_found_forgotten_and_the_log_stays_whole(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    rig.config["audit"] = {"full": ["Authorize", "DataTransfer"]}
    today = time.strftime("%Y-%m-%d", time.gmtime())
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        for number, token in enumerate((TOKEN, OTHER, TOKEN.lower())):
            peer.send_text(json.dumps([2, f"a{number}", "Authorize", {"idTag": token}]))
            await peer.text()
        await until(lambda: sum("body" in record for record in live(rig)) >= 6, "they are in the log")
        assert len(texts_of(rig)) >= 6

        index = next(n for n, record in enumerate(live(rig)) if record.get("subj") and "body" in record)
        kit = ("prove", f"0001/{index}", "--text", "-o", str(rig.state / "kit.zip"))
        await until(lambda: command(rig, *kit)[0] == 0, "it is under a checkpoint")
        verifier = [sys.executable, "-I", "-S", kit_verifier.__file__, str(rig.state / "kit.zip"), "--json"]
        proven = json.loads(subprocess.run(verifier, capture_output=True, check=True, timeout=60).stdout)
        assert (proven["ok"], json.loads(proven["text"])[2]) == (True, "Authorize")

        change = [sys.executable, "-m", "gateway", "charge-point", "set", "CP-1", "--notes", "sold"]
        named = {**os.environ, "OCPP_GATEWAY_OPERATOR": "Alice"}
        subprocess.run([*change, "--config", str(rig.config_path)], check=True, timeout=60, env=named)
        by = ("admin.charge_point_changed", "named Alice)")
        await until(lambda: any((r["type"], r.get("text", "")[-12:]) == by for r in live(rig)), "who it was is known")

        code, found = command(rig, "subject", "-", "--reason", "case 17", stdin=TOKEN + "\n")
        assert (code, found["records"], found["texts"]) == (0, 2, 2)
        (pseudonym,) = found["subjects"]
        assert sum(pseudonym in record.get("subj", []) for record in live(rig)) == 2

        # Without --yes nothing happens, and under a hold nothing either.
        shred = ("shred", "--token", TOKEN, "--reason", "case 17")
        assert command(rig, *shred)[1]["destroyed"] == 0
        assert command(rig, "hold", "add", "court", "--since", today, "--reason", "order")[0] == 0
        code, held = command(rig, *shred, "--yes")
        assert (code, held["destroyed"], held["held"]) == (0, 0, {today: ["court"]})
        assert command(rig, "hold", "lift", "court", "--reason", "closed")[1] == {"holds": []}

        before = (rig.state / "audit-keys" / "payload" / today).read_bytes()
        code, gone = command(rig, *shred, "--yes")
        assert (code, gone["destroyed"]) == (0, 2)
        code, refused = command(rig, *kit)
        assert (code, "shredded" in refused["error"]) == (1, True)
        left = texts_of(rig)
        assert not any(pseudonym.partition(":")[2] in text for text in left)
        assert any("Authorize" in text for text in left)
        now = (rig.state / "audit-keys" / "payload" / today).read_bytes()
        lost = [before[at : at + 48] for at in range(0, len(before), 48) if before[at : at + 48] not in now]
        assert len(lost) == 2
        assert not any(row[16:] in everything(rig.state) for row in lost)

        code, report = command(rig, "verify")
        assert (code, report["ok"], report["texts"]["destroyed"]) == (0, True, 2)
        assert report["texts"]["readable"] > 0

        # It goes on in another shard, with other keys, while the charge point is connected.
        code, rotated = command(rig, "rotate", "--keys", "--reason", "once a year")
        assert (code, rotated["shard"]) == (0, "0002")
        peer.send_text(json.dumps([2, "b1", "Authorize", {"idTag": OTHER}]))
        await peer.text()
        await until(lambda: "ocpp.message" in kinds_of(rig, "0002"), "it is in the new shard")
        code, refused = command(rig, "prune", "--reason", "old", "--yes")
        assert (code, "everything is kept" in refused["error"]) == (1, True)
        code, report = command(rig, "verify", "--key", str(rig.state / "audit/0001/keys"))
        assert (code, [shard["shard"] for shard in report["shards"]]) == (0, ["0001", "0002"])
        assert (report["texts"]["destroyed"], kinds_of(rig, "0001")[-1]) == (2, "audit.closed")
    found = live(rig)
    asked = [each for each in found if each["type"].partition(".")[0] == "privacy" or each["type"] == "admin.request"]
    assert {(each["actor"]["known_by"], each["actor"]["uid"]) for each in asked} == {("socket", os.getuid())}
    assert sum(each["type"] == "privacy.text_read" for each in asked) >= 6
    assert all(each["text"].endswith(f"; by {each['actor']['name']}") and each["actor"]["pid"] for each in asked)
    assert "; by " in next(each["log"]["reason"] for each in found if each["type"] == "audit.closed")
    kinds = [record["type"] for record in found]
    assert kinds.index("privacy.subject") < kinds.index("privacy.held") < kinds.index("privacy.hold_lifted")
    assert kinds.index("privacy.shredding") < kinds.index("privacy.shredded")
    for place in ("audit", "audit-keys"):
        clear = everything(rig.state / place)
        assert TOKEN.encode() not in clear
        assert TOKEN.lower().encode() not in clear
    del csms


async def test_what_cannot_be_done_is_said(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    rig.write_config()
    assert command(rig, "hold", "list")[0] == 3
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1"):
        assert command(rig, "shred", "--reason", "r")[0] == 2
        assert command(rig, "shred", "--reason", "r", "--since", "yesterday")[0] == 1
        assert command(rig, "shred", "--reason", "r", "--until", "20200101", "--yes")[0] == 1
        assert command(rig, "hold", "lift", "nobody", "--reason", "r")[0] == 1
        assert command(rig, "subject", "-", "--reason", "r", stdin="\n")[0] == 2
        assert command(rig, "hold", "list")[1] == {"holds": []}
    del csms


async def test_a_text_that_is_altered_or_taken_away_is_found(rig: Rig, csms: FakeCSMS) -> None:
    register(rig, "CP-1")
    rig.config["audit"] = {"full": ["DataTransfer"]}
    async with rig.gateway() as gateway, await admitted(gateway, "CP-1") as peer:
        peer.send_text(json.dumps([2, "d", "DataTransfer", {"vendorId": "v", "data": WORDS}]))
        await peer.text()
        await until(lambda: any("body" in record for record in live(rig)), "it is in the log")
    assert WORDS.encode() not in everything(rig.state)
    (path,) = (rig.state / "audit" / "payload").iterdir()
    whole = path.read_bytes()
    assert command(rig, "verify")[0] == 0
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    code, report = command(rig, "verify")
    assert (code, report["ok"], len(report["texts"]["findings"])) == (1, False, 1)
    path.unlink()
    assert command(rig, "verify")[0] == 1
    path.write_bytes(whole)
    assert command(rig, "verify")[0] == 0
    del csms
