"""`firmware verify`: images, signatures and certificates that OpenSSL has made."""

import base64
import hashlib
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

Files = dict[str, str]


def openssl(*words: str, cwd: Path) -> None:
    subprocess.run(["openssl", *words], cwd=cwd, check=True, capture_output=True)


def made(place: Path, kind: str, days: int = 30) -> Files:
    """A manufacturer with a root, a signing certificate and a signed image."""
    new = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]}[kind]
    for name, ca in (("root", "TRUE"), ("firmware", "FALSE")):
        sign = [] if name == "root" else ["-CA", "root.pem", "-CAkey", "root.key"]
        openssl(
            *["req", "-x509", "-newkey", *new, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", *sign],
            *["-subj", f"/O=Maker/CN={name}", "-addext", f"basicConstraints=critical,CA:{ca}", "-days", str(days)],
            cwd=place,
        )
    (place / "image.bin").write_bytes(bytes(range(256)) * 10_000)
    return {"image": "image.bin", "certificate": "firmware.pem", "signature": "image.sig", "root": "root.pem"}


def sign(place: Path, *options: str) -> None:
    openssl("dgst", "-sha256", "-sign", "firmware.key", *options, "-out", "raw.sig", "image.bin", cwd=place)
    (place / "image.sig").write_text(base64.encodebytes((place / "raw.sig").read_bytes()).decode())


def words(place: Path, files: Files) -> list[str]:
    paths = {name: str(place / file) for name, file in files.items()}
    options = [word for name in ("certificate", "signature", "root") for word in (f"--{name}", paths[name])]
    return ["firmware", "verify", paths["image"], *options]


_PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest")


@pytest.mark.parametrize(
    ("kind", "options", "method"),
    [("rsa", _PSS, "RSA-PSS"), ("rsa", (), "RSA PKCS#1 v1.5"), ("ec", (), "ECDSA")],
    ids=["pss", "pkcs1", "ecdsa"],
)
def test_an_image_that_its_manufacturer_has_signed(
    cli: Cli, tmp_path: Path, kind: str, options: tuple[str, ...], method: str
) -> None:
    files = made(tmp_path, kind)
    sign(tmp_path, *options)
    code, out, _ = cli(*words(tmp_path, files), "--json")
    assert code == 0
    assert json.loads(out)["method"] == method
    code, out, _ = cli(*words(tmp_path, files))
    assert code == 0
    assert method in out


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("image", "not one of this image"),
        ("signature", "not base64"),
        ("root", "none of the roots"),
        ("certificate", "not one certificate"),
        ("ca", "of a CA"),
    ],
)
def test_what_does_not_hold(cli: Cli, tmp_path: Path, what: str, why: str) -> None:
    files = made(tmp_path, "ec")
    sign(tmp_path)
    match what:
        case "image":
            (tmp_path / "image.bin").write_bytes(b"other")
        case "signature":
            (tmp_path / "image.sig").write_text("?")
        case "root":
            (tmp_path / "other").mkdir()
            files["root"] = "other/root.pem"
            made(tmp_path / "other", "ec")
        case "certificate":
            (tmp_path / "firmware.pem").write_text("c")
        case _:
            files["certificate"] = "root.pem"
    code, out, err = cli(*words(tmp_path, files))
    assert code == 1
    assert "Not to be installed" in err
    assert why in err
    assert not out


def test_a_root_that_is_none_and_a_file_that_is_not_there(cli: Cli, tmp_path: Path) -> None:
    files = made(tmp_path, "ec")
    sign(tmp_path)
    (tmp_path / "text").write_text("x")
    code, _, err = cli(*words(tmp_path, files | {"root": "text"}))
    assert code == 1
    assert "root" in err
    code, _, err = cli(*words(tmp_path, files | {"image": "missing"}))
    assert code == 1
    assert "No such file" in err


@pytest.mark.parametrize("days", [-2, 40])
def test_a_certificate_that_is_not_current(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    files = made(tmp_path, "ec")
    sign(tmp_path)
    now = time.time()
    monkeypatch.setattr("gateway.cli.firmware.time.time", lambda: now + days * 86_400)
    code, _, err = cli(*words(tmp_path, files))
    assert code == 1
    assert "the certificate is good from" in err


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Standard error is the command's."""


@contextmanager
def served(place: Path) -> Iterator[str]:
    """The address of a file server for a directory; it runs in a thread, as the command has a loop of its own."""
    handler = partial(Quiet, directory=str(place))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_image_at_an_address(cli: Cli, tmp_path: Path) -> None:
    files = made(tmp_path, "ec")
    sign(tmp_path)
    with served(tmp_path) as address:
        told = words(tmp_path, files)
        told[2] = f"{address}/image.bin?key=secret"
        code, out, err = cli(*told, "--json")
        assert (code, err) == (0, "")
        digest = hashlib.sha256((tmp_path / "image.bin").read_bytes()).hexdigest()
        assert json.loads(out)["sha256"] == digest
        code, out, _ = cli(*told)
        assert code == 0
        assert "/image.bin is signed (ECDSA)" in out
        assert "secret" not in out
        code, _, err = cli(*told, "--max-bytes", "100")
        assert (code, "more than 100 bytes" in err) == (1, True)
        told[2] = f"{address}/missing"
        code, _, err = cli(*told)
        assert (code, "HTTP status 404" in err, "secret" in err) == (1, True, False)
        (tmp_path / "image.bin").write_bytes(b"other")
        told[2] = f"{address}/image.bin"
        code, _, err = cli(*told)
        assert (code, "not one of this image" in err) == (1, True)
    told[2] = "sftp://fw.example/image.bin"
    code, _, err = cli(*told)
    assert (code, "no http or https address" in err) == (1, True)
