"""`doctor` on trust bundles: roots and revocation lists, each fault with its near-miss."""

import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.cli.checkup.check import Check
from gateway.cli.checkup.trust import check_trust_bundles
from gateway.config.load import load_unchecked
from gateway.config.model import Trust
from gateway.control.crl_source import CRLSource
from gateway.control.trust import certificates_in
from pki.crl import CRLStamp, build_crl
from tests.cli.conftest import Place
from tests.support.revocation_material import HOUR, authority, moment
from tests.support.tls_material import Authority

NOW = moment()
CA = authority()
ADDRESS = "http://pki.example.test/ca.crl"


def listed(lives: datetime.timedelta = 48 * HOUR, ca: Authority = CA) -> bytes:
    return build_crl(ca.root, ca.key, (), CRLStamp(1, NOW - 2 * HOUR, NOW - 2 * HOUR + lives))


class Bench:
    """One bundle with one list."""

    def __init__(self, place: Place) -> None:
        self.work = place.directory
        self.config = load_unchecked(place.config)
        (self.work / "ca.pem").write_bytes(CA.pem)

    def look(self, crl: bytes | None = None, **changes: Any) -> list[Check]:
        path = self.work / "ca.crl"
        path.unlink(missing_ok=True)
        if crl is not None:
            path.write_bytes(crl)
        options: dict[str, Any] = {"roots": (str(self.work / "ca.pem"),), "crl": (str(path),), **changes}
        config = msgspec.structs.replace(self.config, trust=(Trust(name="partner", **options),))
        return [check for check in check_trust_bundles(config, NOW) if check.check == "revocation-list"]


@pytest.fixture
def bench(place: Place) -> Bench:
    return Bench(place)


def test_a_current_list_is_as_it_should_be(bench: Bench) -> None:
    (check,) = bench.look(listed())
    assert check.level == "ok"
    assert "number 1, 0 revoked" in check.message


@pytest.mark.parametrize(
    ("crl", "words"),
    [
        (None, "cannot be read: No such file"),
        (b"noise", "not believed: it is not a revocation list"),
        (listed(ca=Authority("Nobody")), "not believed: its issuer is not among"),
        (listed(HOUR), "ended on"),
    ],
)
def test_a_list_that_says_nothing_is_worse_where_it_must_say_something(
    bench: Bench, crl: bytes | None, words: str
) -> None:
    for policy, level in (("soft", "warning"), ("hard", "error")):
        (check,) = bench.look(crl, revocation=policy)
        assert (check.level, words in check.message) == (level, True), check


def test_one_that_ends_soon_is_warned_about(bench: Bench) -> None:
    (check,) = bench.look(listed(5 * HOUR), revocation="hard")
    assert (check.level, "ends on" in check.message) == ("warning", True)
    (check,) = bench.look(listed(5 * HOUR), revocation="hard", warn_before_s=3_600.0)
    assert check.level == "ok"


def test_what_a_gateway_has_fetched_is_found_again(bench: Bench) -> None:
    bundle = Trust(name="partner", roots=(str(bench.work / "ca.pem"),), crl=(ADDRESS,))
    config = msgspec.structs.replace(bench.config, trust=(bundle,))

    def looked() -> Check:
        return next(each for each in check_trust_bundles(config, NOW) if each.check == "revocation-list")

    assert "never been fetched" in looked().message
    cache = Path(config.state_dir) / "revocation-lists"
    cache.mkdir(parents=True)
    CRLSource(bundle, ADDRESS, certificates_in(CA.pem), cache).cache.write_bytes(listed())
    assert looked().level == "ok"


def test_roots_that_end_soon_are_told(bench: Bench) -> None:
    bundle = Trust(name="partner", roots=(str(bench.work / "ca.pem"),))
    config = msgspec.structs.replace(bench.config, trust=(bundle,))
    (check,) = check_trust_bundles(config, NOW)
    assert (check.check, check.level) == ("trust", "warning")
