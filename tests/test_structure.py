"""House rules that no linter knows: who may make evidence, sizes, exports, one map of refusals, no secrets in repr."""

import ast
import importlib
import pkgutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import gateway
import pki
from gateway.edge.refusals import Asker, status_of
from gateway.identity.refusal import Reason, Stage

ROOT = Path(__file__).parents[1]
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 50
SENT_BY_TLS_OR_SILENCE = {Stage.ACCEPT, Stage.TLS}
BESIDE_ANOTHER_REFUSAL = {Reason.HTTP_SMUGGLING}


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("gateway", "pki"):
        for path in sorted((ROOT / package).rglob("*.py")):
            yield path, ast.parse(path.read_text())


def modules() -> list[str]:
    found = []
    for package in (gateway, pki):
        walked = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
        found += [each.name for each in walked if "migrations" not in each.name and not each.name.endswith("__main__")]
    return found


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The contract does not count as code."""
    first = node.body[0]
    if ast.get_docstring(node) is None or first.end_lineno is None:
        return 0
    return first.end_lineno - first.lineno + 1


def calls(tree: ast.Module, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


@pytest.mark.parametrize(
    ("evidence", "only_in"),
    [
        ("Admission", "gateway/identity/admission.py"),
        ("Authenticated", "gateway/control/authentication.py"),
        ("CertificateProof", "gateway/identity/client_certificate.py"),
        ("PasswordProof", "gateway/control/authentication.py"),
        ("Claim", "gateway/edge/entrance.py"),
        ("Relay", "gateway/edge/worker.py"),
    ],
)
def test_each_kind_of_evidence_is_made_in_exactly_one_place(evidence: str, only_in: str) -> None:
    makers = {str(path.relative_to(ROOT)) for path, tree in sources() if calls(tree, evidence)}
    assert makers == {only_in}


def test_modules_and_functions_keep_their_size() -> None:
    too_long = []
    for path, tree in sources():
        name = path.relative_to(ROOT)
        lines = len(path.read_text().splitlines())
        if lines > MAX_MODULE_LINES:
            too_long.append(f"{name}: {lines} lines")
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                length = node.end_lineno - node.lineno + 1 - docstring_lines(node)
                if length > MAX_FUNCTION_LINES and "migrations" not in path.parts:
                    too_long.append(f"{name}:{node.lineno} {node.name}: {length} lines")
    assert too_long == []


@pytest.mark.parametrize("name", modules())
def test_what_a_module_exports_is_there_and_once(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    assert [each for each in exported if not hasattr(module, each)] == []


def test_every_module_has_a_docstring() -> None:
    assert [str(path) for path, tree in sources() if not ast.get_docstring(tree)] == []


@pytest.mark.parametrize(
    "reason", [x for x in Reason if x.stage not in SENT_BY_TLS_OR_SILENCE and x not in BESIDE_ANOTHER_REFUSAL]
)
def test_every_refusal_after_tls_has_an_http_answer(reason: Reason) -> None:
    assert 400 <= status_of(reason, Asker(proven=True)) < 600, f"{reason} has no row in gateway/edge/refusals.py"


def test_reasons_have_distinct_codes_and_words_for_people() -> None:
    codes = [reason.code for reason in Reason]
    assert len(set(codes)) == len(codes)
    assert [reason.code for reason in Reason if len(reason.meaning) < 20 or len(reason.remedy) < 10] == []


def test_values_that_hold_secrets_do_not_show_them() -> None:
    from gateway.identity.evidence import BasicCredentials
    from gateway.identity.record import StoredPassword
    from gateway.link.messages import CertificatePEM

    secret = "s3cr3t-s3cr3t-s3cr3t"
    holders: list[msgspec.Struct] = [
        BasicCredentials(username_matches=True, password=secret.encode()),
        StoredPassword(phc=secret),
        CertificatePEM(b"chain", secret.encode()),
    ]
    assert [holder for holder in holders if secret in repr(holder)] == []


def test_no_private_key_and_no_registry_address_is_tracked() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    wrong = []
    for name in tracked.decode().split("\0")[:-1]:
        path = ROOT / name
        if not path.is_file():
            continue
        data = path.read_bytes()
        if b"PRIVATE" + b" KEY-----" in data and path.suffix in {".pem", ".key"}:
            wrong.append(f"{name}: private key")
        if "locks" in path.parts and b"://" in data:
            wrong.append(f"{name}: an address")
        if path.name == "package-lock.json" and b"resolved" in data:
            wrong.append(f"{name}: an address")
    assert wrong == []
