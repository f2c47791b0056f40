import pytest

from gateway.policy.fields import Table
from gateway.policy.findings import Findings
from gateway.policy.requirements import read_requirements, unmet_requirements


def read(value):
    findings = Findings()
    return read_requirements(Table({"requires": value}, ("metadata",), findings)), findings


def unmet(value, gateway="0.3.1", **packs):
    requirements, findings = read(value)
    assert not findings.all
    return [(each.requirement.subject, each.found) for each in unmet_requirements(requirements, gateway, packs)]


@pytest.mark.parametrize(
    "text", [">=0.3", ">= 0.3.1", ">0.3", "<0.4", "==0.3.1.0", "!=0.3", ">=0.3, <1", "<=0.3.1", "*"]
)
def test_a_requirement_that_is_met(text):
    assert unmet(text) == []


@pytest.mark.parametrize("text", [">=0.4", ">0.3.1", "<0.3.1", "==0.3", "!=0.3.1", ">=0.3, <0.3.1", "<=0.3"])
def test_a_requirement_that_is_not_met(text):
    assert unmet(text) == [("gateway", "0.3.1")]


def test_numbers_are_no_texts():
    assert unmet(">=0.9", gateway="0.10.0") == []
    assert unmet("<0.9", gateway="0.10.0") == [("gateway", "0.10.0")]


def test_what_comes_before_a_release_is_less_and_a_build_is_the_same():
    assert unmet(">=1.0", gateway="1.0.0-rc1") == [("gateway", "1.0.0-rc1")]
    assert unmet("<1.0", gateway="1.0.0-rc1") == []
    assert unmet("==1.0", gateway="1.0.0+build.7") == []


def test_packs_have_to_be_there_in_the_version_that_is_asked_for():
    wanted = {"gateway": "*", "firmware": ">=1.0, <2", "logs": "*"}
    assert unmet(wanted, firmware="1.9", logs="whatever") == []
    assert unmet(wanted, firmware="2.0", logs="1") == [("firmware", "2.0")]
    assert unmet(wanted, firmware="1.0") == [("logs", None)]
    assert unmet({"firmware": ">=1"}, firmware="whatever") == [("firmware", "whatever")]


@pytest.mark.parametrize(
    ("value", "code", "path"),
    [
        (0.3, "P002", ("metadata", "requires")),
        ([">=0.3"], "P002", ("metadata", "requires")),
        ("0.3", "P005", ("metadata", "requires")),
        (">=0.3,", "P005", ("metadata", "requires")),
        ("", "P005", ("metadata", "requires")),
        ("*, >=1", "P005", ("metadata", "requires")),
        ("~=1.0", "P005", ("metadata", "requires")),
        (">=1.0-rc1", "P005", ("metadata", "requires")),
        ({"firmware": 1.0}, "P002", ("metadata", "requires", "firmware")),
        ({"firmware": "1.0"}, "P005", ("metadata", "requires", "firmware")),
    ],
)
def test_what_is_no_requirement(value, code, path):
    requirements, findings = read(value)
    assert requirements == ()
    assert [(each.code, each.path) for each in findings.all] == [(code, path)]


def test_no_requirement_is_none():
    assert read_requirements(Table({}, (), Findings())) == ()
