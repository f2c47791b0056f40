"""`init`: a file that works once its certificates exist, never over another one, and with --dev at once."""

import os
import stat
import tomllib
from pathlib import Path

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from gateway.config.load import load_config
from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OCPP_GATEWAY_CONFIG", raising=False)
    return tmp_path


def test_file_passes_check_config_once_its_certificates_exist(cli: Cli, here: Path, certificates: Path) -> None:
    assert cli("init").code == OK
    refused = cli("check-config")
    assert refused.code == USAGE
    assert {line.rpartition(": ")[2] for line in refused.err.splitlines()} == {"No such file or directory"}
    (here / "certificates").mkdir()
    for path in certificates.glob("server-*"):
        copy = here / "certificates" / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o600)
    (here / "certificates" / "charge-point-roots.pem").write_bytes((certificates / "root.pem").read_bytes())
    # Certificates of one's own do not say DEV ONLY; these do.
    text = (here / "gateway.toml").read_text()
    (here / "gateway.toml").write_text(
        text.replace("#unsafe_dev_certificates = false", "unsafe_dev_certificates = true")
    )
    checked = cli("check-config")
    assert (checked.code, checked.err) == (OK, "")


def test_mode_lets_the_service_read_it_and_only_us_write_it(cli: Cli, here: Path) -> None:
    before = os.umask(0o022)
    try:
        cli("init")
    finally:
        os.umask(before)
    assert stat.S_IMODE((here / "gateway.toml").stat().st_mode) == 0o644


class TestExistingFile:
    def test_is_left_alone(self, cli: Cli, here: Path) -> None:
        (here / "gateway.toml").write_text("mine")
        result = cli("init")
        assert result.code == NOT_OK
        assert "--force" in result.err
        assert (here / "gateway.toml").read_text() == "mine"

    def test_is_replaced_when_forced(self, cli: Cli, here: Path) -> None:
        (here / "gateway.toml").write_text("mine")
        assert cli("init", "--force").code == OK
        assert "[[listener]]" in (here / "gateway.toml").read_text()
        assert [path.name for path in here.iterdir()] == ["gateway.toml"], "no temporary file stays behind"

    def test_that_is_a_device_is_never_replaced(self, cli: Cli) -> None:
        result = cli("init", "--config", "/dev/null", "--force")
        assert (result.code, "not a file" in result.err) == (NOT_OK, True)
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)

    def test_that_is_a_link_stays_a_link(self, cli: Cli, here: Path) -> None:
        (here / "real.toml").write_text("mine")
        (here / "gateway.toml").symlink_to("real.toml")
        assert cli("init", "--force").code == OK
        assert (here / "gateway.toml").is_symlink()
        assert "[[listener]]" in (here / "real.toml").read_text()


class TestPlace:
    def test_directory_is_made(self, cli: Cli, here: Path) -> None:
        result = cli("init", "--config", "etc/gateway.toml", "--json")
        assert result.json()["config"] == str(here / "etc" / "gateway.toml")
        assert (here / "etc" / "gateway.toml").exists()

    def test_environment_names_it(self, cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OCPP_GATEWAY_CONFIG", str(here / "other.toml"))
        cli("init")
        assert [path.name for path in here.iterdir()] == ["other.toml"]

    def test_that_cannot_be_written_is_told(self, cli: Cli, here: Path) -> None:
        (here / "file").write_text("")
        result = cli("init", "--config", "file/gateway.toml", "--json")
        assert result.code == NOT_OK
        assert "cannot be written" in result.json()["error"]

    def test_next_steps_name_another_file_and_not_the_default(self, cli: Cli) -> None:
        assert all("--config" not in step for step in cli("init", "--json").json()["next"])
        steps = cli("init", "--config", "a b.toml", "--json").json()["next"]
        assert "ocpp-gateway run --config 'a b.toml'" in steps


class TestDevelopment:
    def test_runs_at_once_and_on_loopback_only(self, cli: Cli, here: Path) -> None:
        found = cli("init", "--dev", "--json").json()
        checked = cli("check-config")
        assert (checked.code, checked.err) == (OK, "")
        config = load_config(here / "gateway.toml")
        assert {listener.address.rpartition(":")[0] for listener in config.listeners} == {"127.0.0.1"}
        assert config.unsafe_dev_certificates
        directory = Path(found["certificates"])
        assert directory.parent == here
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.glob("*.key")} == {0o600}
        assert (directory / ".gitignore").read_text() == "*\n"

    def test_certificate_for_profile_3_belongs_to_the_serial_number_it_names(self, cli: Cli, here: Path) -> None:
        from cryptography import x509

        steps = " ".join(cli("init", "--dev", "--json").json()["next"])
        leaf = x509.load_pem_x509_certificates((here / "dev-certificates" / "charge-point.pem").read_bytes())[0]
        common_name = leaf.subject.rfc4514_string().partition(",")[0].removeprefix("CN=")
        assert f"--serial-number {common_name}" in steps
        organization = tomllib.loads((here / "gateway.toml").read_text())["gateway"]["operator_names"]
        assert f"O={organization[0]}" in leaf.subject.rfc4514_string().split(",")

    def test_without_it_no_certificates_are_made(self, cli: Cli, here: Path) -> None:
        assert cli("init", "--json").json()["certificates"] is None
        assert [path.name for path in here.iterdir()] == ["gateway.toml"]
