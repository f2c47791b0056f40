"""`policy sign` and `policy verify`: what is signed is what is loaded, and nothing else comes into force."""

import pytest

from gateway.cli.exit_codes import NOT_OK, OK, USAGE
from tests.cli.conftest import Cli, Place
from tests.cli.policy_files import SOUND, write_pack, write_site


@pytest.fixture
def signed(place: Place, cli: Cli) -> Place:
    """A configuration with a pack and a site, and their signature."""
    write_pack(place.directory)
    write_site(place.directory)
    place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
    place.replace('#site = ""', 'site = "site.yaml"')
    made = cli(
        "policy", "sign", "--key", place.directory / "key", "--name", "ops", "--out", place.directory / "sig", "--json"
    )
    assert made.code == OK
    place.replace("#keys = []", f'keys = ["{made.json()["key"]}"]')
    place.replace('#signature = ""', 'signature = "sig"')
    return place


@pytest.mark.usefixtures("signed")
def test_what_is_signed_is_usable_and_says_by_whom(cli: Cli) -> None:
    assert cli("check-config").code == OK
    revision = cli("policy", "show", "--json").json()["revision"]
    verified = cli("policy", "verify")
    assert (verified.code, verified.out) == (OK, f"Revision {revision} is signed by ops.\n")
    assert cli("policy", "verify", "--json").json()["by"] == "ops"


@pytest.mark.parametrize("changed", ["pack", "site", "comment"])
def test_every_change_that_decides_needs_another_signature(signed: Place, cli: Cli, changed: str) -> None:
    if changed == "pack":
        write_pack(signed.directory, SOUND.replace("action: deny", "action: alert"))
    elif changed == "site":
        path = write_site(signed.directory)
        path.write_text(path.read_text().replace("kinds: [Soft]", "kinds: [Hard, Soft]"))
    else:
        write_pack(signed.directory, SOUND + "# a comment\n")
    is_good = changed == "comment"
    assert cli("check-config").code == (OK if is_good else USAGE)
    verified = cli("policy", "verify")
    assert verified.code == (OK if is_good else NOT_OK)
    if is_good:
        return
    assert "the signature is one of another bundle" in verified.err
    assert "P092" in cli("check-config").err
    again = cli("policy", "sign", "--key", signed.directory / "key", "--name", "ops")
    assert again.code == OK
    assert "new key" not in again.out
    assert cli("check-config").code == OK


def test_another_key_of_the_same_name_is_another_key(signed: Place, cli: Cli) -> None:
    made = cli("policy", "sign", "--key", signed.directory / "other", "--name", "ops")
    assert "A new key is in" in made.out
    assert (signed.directory / "other").stat().st_mode & 0o077 == 0
    verified = cli("policy", "verify", "--json")
    assert (verified.code, "none of the configured keys" in verified.json()["error"]) == (NOT_OK, True)


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("sign", "--key", "k", "--name", "a b"), USAGE, "no spaces"),
        (("sign", "--key", "/proc/nothing/k", "--name", "a"), NOT_OK, "/proc/nothing/k"),
        (("verify", "--key", "nonsense"), USAGE, "--key: not a verifier key"),
        (("verify", "--signature", "/nowhere"), NOT_OK, "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(cli: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    result = cli("policy", *words)
    assert (result.code, "Traceback" in result.err) == (code, False)
    assert said in result.err


def test_without_keys_nobody_has_to_sign(place: Place, cli: Cli) -> None:
    write_pack(place.directory)
    place.replace('#packs = ["baseline"]', 'packs = ["mine.yaml"]')
    assert cli("check-config").code == OK
    assert cli("policy", "verify").code == USAGE
    assert cli("policy", "sign", "--key", place.directory / "k", "--name", "ops").code == USAGE


@pytest.mark.parametrize(
    ("line", "value", "said"),
    [
        ("#keys = []", 'keys = ["nonsense"]', "not a verifier key"),
        ('#signature = ""', 'signature = "sig"', "name the keys that may sign"),
        ("#max_policy_age_s = 0.0", "max_policy_age_s = -1", "must not be negative"),
    ],
)
def test_settings_that_contradict_themselves_are_told(place: Place, cli: Cli, line: str, value: str, said: str) -> None:
    place.replace(line, value)
    result = cli("check-config")
    assert result.code == USAGE
    assert said in result.err
