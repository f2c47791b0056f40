"""Roots in a store: what is asked, what the answers mean, and what the guards keep and let through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.config.ocpp_schemas import schema_gate
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.provisioning.roots import (
    InstalledRoot,
    RootName,
    RootStore,
    ask_facts,
    delete_message,
    has,
    install_message,
    installed_roots,
    list_messages,
    refusal_to_delete,
    refusal_to_install,
    with_facts,
)

V1_6, V2_0_1, V2_1 = OCPPVersion
VERSIONS = pytest.mark.parametrize("version", list(OCPPVersion))
ONE = RootName("SHA256", "aa", "bb", "1f")
OTHER = RootName("SHA256", "cc", "dd", "2f")
DATA = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "1f"}


def store(*names: RootName, kind: Any = "csms", **facts: Any) -> RootStore:
    return RootStore(roots=tuple(InstalledRoot(kind, name) for name in names), **facts)


@VERSIONS
def test_what_we_say_fits_the_schemas(version: OCPPVersion) -> None:
    install = install_message(version, "csms", "pem")
    assert install is not None
    for message in (*list_messages(version), ask_facts(version), install, delete_message(ONE)):
        assert schema_gate(version).check(message.action, "call", message.payload) is None, message.action


@pytest.mark.parametrize(("version", "kind"), [(V1_6, "v2g"), (V1_6, "oem"), (V2_0_1, "oem"), (V2_1, "v2g-chain")])
def test_what_a_version_cannot_install(version: OCPPVersion, kind: Any) -> None:
    assert install_message(version, kind, "pem") is None


def test_only_2_1_has_roots_of_oems() -> None:
    message = install_message(V2_1, "oem", "pem")
    assert message is not None
    assert message.payload["certificateType"] == "OEMRootCertificate"


class TestNames:
    @pytest.mark.requirement("M04.FR.07")
    @pytest.mark.parametrize(
        "other", [ONE, RootName("SHA256", "AA", "BB", "001F"), RootName("SHA256", "aa", "bb", "0x1f")]
    )
    def test_spelling_does_not_count(self, other: RootName) -> None:
        assert ONE.is_same(other)

    @pytest.mark.parametrize(
        "other", [OTHER, RootName("SHA384", "aa", "bb", "1f"), RootName("SHA256", "aa", "bb", "1f0")]
    )
    def test_everything_else_does(self, other: RootName) -> None:
        assert not ONE.is_same(other)

    def test_the_kind_counts(self) -> None:
        assert has(store(ONE), "csms", [OTHER, ONE])
        assert not has(store(ONE, kind="manufacturer"), "csms", [ONE])

    def test_what_is_deleted_is_named_as_it_was_reported(self) -> None:
        reported = RootName("SHA256", "AA", "Bb", "001f")
        data = delete_message(reported).payload["certificateHashData"]
        assert list(data.values()) == ["SHA256", "AA", "Bb", "001f"]


class TestAnswers:
    @pytest.mark.requirement("M03.FR.02")
    @pytest.mark.parametrize("answer", [{"status": "NotFound"}, {"status": "Accepted", "certificateHashData": []}])
    def test_none(self, answer: Any) -> None:
        assert installed_roots(V1_6, list_messages(V1_6)[0], answer) == ()

    @pytest.mark.parametrize("answer", [None, [], {}, {"status": "Rejected"}, {"status": 5}])
    def test_no_such_answer(self, answer: Any) -> None:
        assert installed_roots(V2_0_1, list_messages(V2_0_1)[0], answer) is None

    def test_of_1_6_the_type_is_that_of_the_question(self) -> None:
        of_csms, of_makers = list_messages(V1_6)
        answer = {"status": "Accepted", "certificateHashData": [DATA]}
        assert installed_roots(V1_6, of_csms, answer) == (InstalledRoot("csms", ONE),)
        assert installed_roots(V1_6, of_makers, answer) == (InstalledRoot("manufacturer", ONE),)

    def test_of_2_x_each_has_its_own(self) -> None:
        chain = [
            {"certificateType": "CSMSRootCertificate", "certificateHashData": DATA},
            {"certificateType": "V2GRootCertificate", "certificateHashData": {**DATA, "serialNumber": "2"}},
            {"certificateType": "Unheard of", "certificateHashData": DATA},
            {"certificateType": "MORootCertificate", "certificateHashData": {"hashAlgorithm": "SHA256"}},
        ]
        found = installed_roots(V2_1, list_messages(V2_1)[0], {"status": "Accepted", "certificateHashDataChain": chain})
        assert found is not None
        assert [root.kind for root in found] == ["csms", "v2g"]

    def test_facts_of_1_6(self) -> None:
        keys = [
            {"key": "AdditionalRootCertificateCheck", "readonly": True, "value": "True"},
            {"key": "CertificateStoreMaxLength", "readonly": True, "value": "7"},
        ]
        found = with_facts(store(ONE), {"configurationKey": keys})
        assert (found.demands_link, found.capacity, found.roots) == (True, 7, store(ONE).roots)

    def test_facts_of_2_x(self) -> None:
        results = [
            {
                "attributeStatus": "Accepted",
                "variable": {"name": "AdditionalRootCertificateCheck"},
                "attributeValue": "true",
            },
            {"attributeStatus": "Accepted", "variable": {"name": "CertificateEntries"}, "attributeValue": "3"},
        ]
        found = with_facts(store(version=V2_0_1), {"getVariableResult": results})
        assert (found.demands_link, found.capacity) == (True, 3)
        results[0]["attributeStatus"] = "UnknownVariable"
        assert not with_facts(store(version=V2_0_1), {"getVariableResult": results}).demands_link

    @given(
        st.recursive(st.none() | st.text(max_size=3), lambda x: st.lists(x) | st.dictionaries(st.text(max_size=3), x))
    )
    def test_any_answer_can_be_read(self, answer: Any) -> None:
        for version in OCPPVersion:
            installed_roots(version, list_messages(version)[0], answer)
            assert with_facts(store(version=version), answer).capacity == 0


class TestInstalling:
    @staticmethod
    def refused(
        given: RootStore, kind: Any = "csms", chars: int = 1_000, *, is_root: bool = True, is_linked: bool = False
    ) -> str:
        return refusal_to_install(given, kind, chars, is_root=is_root, is_linked=is_linked)

    @pytest.mark.parametrize(("version", "most"), [(V1_6, 5_500), (V2_0_1, 5_500), (V2_1, 10_000)])
    def test_size(self, version: OCPPVersion, most: int) -> None:
        assert self.refused(store(version=version), chars=most) == ""
        assert str(most) in self.refused(store(version=version), chars=most + 1)

    @pytest.mark.requirement("M05.FR.03")
    def test_room(self) -> None:
        assert self.refused(store(ONE, capacity=2)) == ""
        assert "full" in self.refused(store(ONE, OTHER, capacity=2))
        assert self.refused(store(ONE, OTHER)) == "", "one that does not say is asked"

    def test_only_roots(self) -> None:
        assert "no root" in self.refused(store(ONE), is_root=False)
        assert "no root" in self.refused(store(ONE), is_root=False, is_linked=True)

    @pytest.mark.requirement("M05.FR.09", "M05.FR.10")
    def test_links_where_they_are_demanded(self) -> None:
        demanding = store(ONE, demands_link=True)
        assert "signed by" in self.refused(demanding)
        assert self.refused(demanding, is_root=False, is_linked=True) == ""
        assert self.refused(demanding, "manufacturer") == ""
        assert self.refused(replace(demanding, roots=())) == "", "the first one has nothing to be linked to"


class TestDeleting:
    def test_the_last_of_its_kind_stays(self) -> None:
        for kind in ("csms", "manufacturer"):
            one = store(ONE, kind=kind)
            assert "last root" in refusal_to_delete(one, one.roots[0], [])
            two = store(ONE, OTHER, kind=kind)
            assert refusal_to_delete(two, two.roots[0], []) == ""

    @pytest.mark.parametrize("twin", [ONE, replace(ONE, serial_number="0x001F"), RootName("SHA512", "ee", "ff", "1f")])
    def test_a_root_that_is_listed_twice_is_one_root(self, twin: RootName) -> None:
        """Once more, in other digits, or with another algorithm: it may be the same, and then nothing is left."""
        twice = store(ONE, twin)
        assert "last root" in refusal_to_delete(twice, twice.roots[0], [])
        three = store(ONE, twin, OTHER)
        assert refusal_to_delete(three, three.roots[0], []) == ""

    def test_a_root_of_another_kind_is_no_company(self) -> None:
        mixed = RootStore(roots=(InstalledRoot("csms", ONE), InstalledRoot("v2g", OTHER)))
        assert "last root" in refusal_to_delete(mixed, mixed.roots[0], [])
        assert refusal_to_delete(mixed, mixed.roots[1], []) == ""

    def test_the_one_that_we_are_known_by_stays(self) -> None:
        two = store(replace(ONE, issuer_name_hash="AA"), OTHER)
        assert "own server certificate" in refusal_to_delete(two, two.roots[0], ["aa"])
        assert refusal_to_delete(two, two.roots[1], ["aa"]) == ""

    @pytest.mark.parametrize("number", [0, 1])
    def test_none_goes_where_ours_is_not_seen_among_them(self, number: int) -> None:
        two = store(ONE, OTHER)
        assert "none of the roots that it lists" in refusal_to_delete(two, two.roots[number], ["ee"])
        three = store(ONE, OTHER, replace(ONE, issuer_name_hash="EE"))
        assert refusal_to_delete(three, three.roots[number], ["ee"]) == ""
