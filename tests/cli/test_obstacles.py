"""Who can never connect: what `doctor`'s tests do not reach."""

import msgspec
import pytest

from gateway.cli.obstacles import REMEDIES, Kind, find_obstacles
from gateway.config.load import load_unchecked
from gateway.config.model import Config
from gateway.identity.record import StoredPassword
from gateway.ocpp.vocabulary import OCPPVersion, SecurityProfile
from tests.cli.conftest import Place
from tests.support.records import make_record

_, TWO, THREE = SecurityProfile
PASSWORD = StoredPassword(phc="$argon2id$x")


@pytest.fixture
def config(place: Place) -> Config:
    return load_unchecked(place.config)


def kinds(config: Config, identity: str = "CP-1", profile: int = 2, **fields: object) -> list[Kind]:
    return [obstacle.kind for obstacle in find_obstacles(make_record(identity, profile, **fields), config)]


def test_identity_longer_than_any_request_may_be(config: Config) -> None:
    assert kinds(config, "x" * 48) == []
    assert kinds(config, "x" * 49) == ["identity-too-long"]


class TestUpgradeUnderWay:
    """Two profiles are open to it; one that works is enough."""

    def test_old_way_works(self, config: Config) -> None:
        assert kinds(config, profile=2, pending_security_profile=THREE) == []

    def test_new_way_works(self, config: Config) -> None:
        assert kinds(config, profile=1, pending_security_profile=TWO) == []

    def test_neither_works(self, config: Config) -> None:
        assert kinds(config, profile=1, pending_security_profile=THREE) == ["security-profile-not-served"]


def test_pending_password_is_one(config: Config) -> None:
    assert kinds(config, password=None) == ["no-password"]
    assert kinds(config, password=None, pending_password=PASSWORD) == []


def test_operator_name_of_its_own_or_of_the_configuration(config: Config) -> None:
    bare = msgspec.structs.replace(config, operator_names=())
    assert kinds(config, profile=3, serial_number="S") == []
    assert kinds(bare, profile=3, serial_number="S") == ["no-operator-name"]
    assert kinds(bare, profile=3, serial_number="S", operator_names=("O",)) == []


def test_version_that_its_own_csms_speaks(config: Config) -> None:
    old, new = (
        msgspec.structs.replace(config.csms[0], name=name, ocpp_versions=(version,))
        for name, version in (("main", OCPPVersion.V1_6), ("new", OCPPVersion.V2_1))
    )
    two = msgspec.structs.replace(config, csms=(old, new))
    assert kinds(two, ocpp_versions=(OCPPVersion.V2_1,)) == ["no-common-ocpp-version"]
    assert kinds(two, ocpp_versions=(OCPPVersion.V2_1,), csms="new") == []
    assert kinds(two, ocpp_versions=(OCPPVersion.V2_1, OCPPVersion.V1_6)) == []


def test_every_kind_has_a_remedy() -> None:
    from typing import get_args

    assert set(REMEDIES) == set(get_args(Kind))
