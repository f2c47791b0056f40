"""cfssl, a CA that nobody here wrote, behind the command backend: a hook of a few lines, as an operator would write one."""

import json
import sys
from pathlib import Path

import pytest
from cryptography import x509

from pki.backends.command import CommandBackend, CommandSettings
from pki.backends.interface import BackendMisbehaved, Issued
from tests.support.judges import judge, needs_cfssl
from tests.support.other_ca import now, request_for
from tests.support.tls_material import new_key

pytestmark = needs_cfssl

_HOOK = """
import json, pathlib, subprocess, sys
work = pathlib.Path(sys.argv[1])
asked = json.loads(sys.stdin.readline())
(work / "request.csr").write_text(asked["csr"])
subject = {"CN": asked["common_name"], "names": [{"O": asked["organization"]}]}
(work / "subject.json").write_text(json.dumps(subject))
done = subprocess.run(
    ["cfssl", "sign", "-ca", "ca.pem", "-ca-key", "ca.key", "-config", "config.json", "-profile", sys.argv[2],
     "request.csr", "subject.json"],
    cwd=work, capture_output=True, check=True)
print(json.loads(done.stdout)["cert"])
"""


def profile(*usages: str, days: int = 90) -> dict[str, object]:
    return {"usages": ["digital signature", *usages], "expiry": f"{days * 24}h"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A CA's directory."""
    asked = {"CN": "Fleet CA", "key": {"algo": "ecdsa", "size": 256}, "names": [{"O": "Example CPO"}]}
    (tmp_path / "ca.json").write_text(json.dumps(asked))
    made = json.loads(judge("cfssl", "gencert", "-initca", tmp_path / "ca.json").stdout)
    (tmp_path / "ca.pem").write_text(made["cert"])
    (tmp_path / "ca.key").write_text(made["key"])
    profiles = {
        "charge-point": profile("client auth"),
        "server": profile("client auth", "server auth"),
        "short": profile("client auth", days=10),
    }
    (tmp_path / "config.json").write_text(json.dumps({"signing": {"profiles": profiles}}))
    (tmp_path / "hook.py").write_text(_HOOK)
    return tmp_path


def backend(work: Path, name: str = "charge-point") -> CommandBackend:
    anchor = x509.load_pem_x509_certificate((work / "ca.pem").read_bytes())
    command = (sys.executable, str(work / "hook.py"), str(work), name)
    return CommandBackend(CommandSettings(command=command, anchors=(anchor,)), now)


@pytest.mark.parametrize("rsa", [False, True], ids=["ec", "rsa"])
async def test_what_cfssl_issues_is_taken(work: Path, rsa: bool) -> None:
    request = request_for(key=new_key("rsa" if rsa else "ec"))
    answer = await backend(work).enroll(request)
    assert isinstance(answer, Issued)
    (leaf,) = answer.chain
    assert leaf.public_key() == request.csr.public_key()
    names = {each.oid: each.value for each in leaf.subject}
    assert names == {x509.NameOID.COMMON_NAME: "SN-1", x509.NameOID.ORGANIZATION_NAME: "Example CPO"}


@pytest.mark.parametrize(("name", "why"), [("server", "key usage"), ("short", "days")])
async def test_a_profile_of_cfssl_that_is_not_for_charge_points_is_not(work: Path, name: str, why: str) -> None:
    with pytest.raises(BackendMisbehaved, match=why):
        await backend(work, name).enroll(request_for())
