"""Who vouches for whom: bundles, issuers, and certificates that are good for their own renewal alone."""

import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec.structs import replace

from gateway.identity.client_certificate import parse_issuer, parse_leaf, verify_leaf
from gateway.identity.evidence import CertificateName, CertificateProof
from gateway.identity.refusal import Reason, Refusal
from gateway.identity.trust import OWN_ROOTS, Chain, TrustBundle, TrustBundles
from tests.support.hierarchy import certificate
from tests.support.records import make_record
from tests.support.tls_material import DAY, Issued

OPERATOR, PARTNER = "Example CPO", "Partner"
ROOT = certificate("Root", ca=True)
SUB = certificate("Sub", issuer=ROOT, ca=True)
HOUR = datetime.timedelta(hours=1)


def leaf_of(organization: str = OPERATOR, **times: Any) -> Issued:
    return certificate("SN-1", issuer=SUB, organization=organization, **times)


def chain_of(*issuers: Issued) -> Chain:
    return Chain(tuple(parse_issuer(each.certificate.public_bytes(Encoding.DER)) for each in issuers))


CHAIN = chain_of(SUB, ROOT)
GOOD = leaf_of()
RECORD = make_record("CP-1", 3, serial_number="SN-1")
NOW = datetime.datetime.now(datetime.UTC).timestamp()


def verify(leaf: Issued = GOOD, **changes: Any) -> CertificateProof:
    options: dict[str, Any] = {
        "record": RECORD,
        "operator_names": (OPERATOR,),
        "now": NOW,
        "is_revoked": lambda _: False,
        "key_owner": None,
        "chain": CHAIN,
        **changes,
    }
    return verify_leaf(parse_leaf(leaf.der), **options)


def refused(leaf: Issued = GOOD, **changes: Any) -> Reason:
    with pytest.raises(Refusal) as refusal:
        verify(leaf, **changes)
    return refusal.value.reason


class TestBundles:
    def test_the_root_decides_which_bundle_it_is(self) -> None:
        own, partner = TrustBundle(name="own", anchors=frozenset({"aa"})), bundle(anchors=frozenset({CHAIN.anchor}))
        assert TrustBundles((own, partner)).bundle_of(CHAIN.anchor) is partner

    def test_without_bundles_the_listeners_own_roots_count_and_no_other(self) -> None:
        assert TrustBundles((), frozenset({CHAIN.anchor})).bundle_of(CHAIN.anchor) is OWN_ROOTS
        assert TrustBundles((), frozenset({"bb"})).bundle_of(CHAIN.anchor) is None

    @pytest.mark.parametrize("bundles", [(), (TrustBundle(name="partner", anchors=frozenset({"aa"})),)])
    def test_a_chain_that_nobody_knows_is_vouched_for_by_nobody(self, bundles: tuple[TrustBundle, ...]) -> None:
        trust = TrustBundles(bundles, frozenset({"bb"}))
        assert trust.bundle_of(CHAIN.anchor) is None
        assert trust.bundle_of(Chain().anchor) is None

    def test_a_listeners_own_roots_stay_beside_bundles(self) -> None:
        trust = TrustBundles((bundle(anchors=frozenset({"aa"})),), frozenset({CHAIN.anchor, "aa"}))
        assert trust.bundle_of(CHAIN.anchor) is OWN_ROOTS
        assert trust.bundles["partner"].anchors == {"aa"}


def bundle(**changes: Any) -> TrustBundle:
    return TrustBundle(**{"name": "partner", "use": "other-operator", "operator_names": (PARTNER,), **changes})


@pytest.mark.requirement("A00.FR.404")
class TestNames:
    def test_another_operators_roots_vouch_for_its_name(self) -> None:
        record = make_record("CP-1", 3, serial_number="SN-1", operator_names=(PARTNER,))
        assert verify(leaf_of(PARTNER), record=record, bundle=bundle()).trust == "partner"

    @pytest.mark.parametrize("use", ["other-operator", "manufacturer", "v2g"])
    @pytest.mark.parametrize("configured", [(OPERATOR,), (OPERATOR, PARTNER)])
    def test_but_for_no_charge_point_whose_record_does_not_name_it(self, use: str, configured: tuple[str, ...]) -> None:
        """A record as `charge-point add` makes it names nobody: it is ours, and the partner's CA must not make it."""
        assert (
            refused(leaf_of(PARTNER), bundle=bundle(use=use), operator_names=configured) is Reason.CERT_WRONG_OPERATOR
        )
        named = make_record("CP-1", 3, serial_number="SN-1", operator_names=(PARTNER,))
        assert verify(leaf_of(PARTNER), bundle=bundle(use=use), record=named).common_name == "SN-1"

    @pytest.mark.parametrize("names", [(), (OPERATOR,), (OPERATOR, PARTNER)])
    def test_they_never_vouch_for_ours_whatever_the_record_says(self, names: tuple[str, ...]) -> None:
        record = make_record("CP-1", 3, serial_number="SN-1", operator_names=names)
        assert refused(GOOD, record=record, bundle=bundle()) is Reason.CERT_WRONG_OPERATOR
        assert verify(GOOD).trust == ""

    def test_nor_for_a_charge_point_that_is_of_somebody_else(self) -> None:
        record = make_record("CP-1", 3, serial_number="SN-1", operator_names=(OPERATOR,))
        assert refused(leaf_of(PARTNER), record=record, bundle=bundle()) is Reason.CERT_WRONG_OPERATOR

    def test_a_foreign_bundle_without_names_vouches_for_nobody(self) -> None:
        assert refused(GOOD, bundle=bundle(operator_names=())) is Reason.CERT_WRONG_OPERATOR

    def test_an_own_bundle_takes_the_configured_names_or_narrows_them(self) -> None:
        own = TrustBundle(name="own")
        narrow = TrustBundle(name="own", operator_names=("Example CPO South",))
        assert verify(GOOD, bundle=own).trust == "own"
        assert refused(GOOD, bundle=narrow) is Reason.CERT_WRONG_OPERATOR
        assert verify(leaf_of("Example CPO South"), bundle=narrow).trust == "own"


class TestLater:
    """A session lives for weeks; what vouched for it may change meanwhile."""

    RECORD = replace(RECORD, operator_names=(PARTNER,))
    PARTNERS = TrustBundle(
        name="partner", use="other-operator", anchors=frozenset({CHAIN.anchor}), operator_names=(PARTNER, "Other")
    )
    PROOF = verify(leaf_of(PARTNER), record=RECORD, bundle=PARTNERS)

    def why(self, *bundles: TrustBundle, record: Any = RECORD, proof: CertificateProof = PROOF) -> str:
        return TrustBundles(bundles, frozenset({"bb"}), (OPERATOR,)).no_longer(proof, record)

    def test_it_is_still_good_while_its_root_is_in_a_bundle_whatever_its_name_and_whatever_becomes_of_others(
        self,
    ) -> None:
        other = TrustBundle(name="other", anchors=frozenset({"cc"}))
        for bundles in ((self.PARTNERS, other), (self.PARTNERS,), (replace(self.PARTNERS, name="renamed"),)):
            assert self.why(*bundles) == ""

    def test_it_ends_with_the_trust_in_its_root(self) -> None:
        other = TrustBundle(name="other", anchors=frozenset({"cc"}))
        assert self.why() == self.why(other) == "trust in its root withdrawn"
        assert self.why(replace(self.PARTNERS, anchors=frozenset({"dd"}))) == "trust in its root withdrawn"
        assert self.why(self.PARTNERS, proof=replace(self.PROOF, anchor="")) == "trust in its root withdrawn"

    def test_it_ends_with_the_name(self) -> None:
        gone = "operator name no longer accepted"
        assert self.why(replace(self.PARTNERS, operator_names=("Other",))) == gone
        assert self.why(self.PARTNERS, record=replace(self.RECORD, operator_names=(OPERATOR,))) == gone
        assert self.why(self.PARTNERS, record=replace(self.RECORD, operator_names=(OPERATOR, PARTNER))) == ""

    def test_one_of_our_own_ends_when_the_configuration_names_its_operator_no_longer(self) -> None:
        own = frozenset({CHAIN.anchor})
        assert TrustBundles((), own, (OPERATOR, "New")).no_longer(verify(), RECORD) == ""
        assert TrustBundles((), own, ("New",)).no_longer(verify(), RECORD) == "operator name no longer accepted"

    def test_it_ends_when_its_root_becomes_a_factorys_or_is_one_no_longer(self) -> None:
        factory = replace(self.PARTNERS, use="manufacturer")
        limited = verify(leaf_of(PARTNER), record=self.RECORD, bundle=factory)
        assert self.why(factory) == self.why(self.PARTNERS, proof=limited) == "use of its root changed"
        assert self.why(factory, proof=limited) == self.why(replace(self.PARTNERS, use="v2g")) == ""
        assert self.why(factory, proof=replace(limited, renewal_only="expired")) == ""


class TestIssuers:
    @pytest.mark.requirement("A00.FR.403", "A00.FR.702")
    def test_a_revoked_issuer_takes_its_certificates_with_it(self) -> None:
        revoked = CHAIN.issuers[0].name
        assert refused(is_revoked=lambda name: name == revoked) is Reason.CERT_REVOKED
        assert verify(is_revoked=lambda name: name.serial_number == "1").issuers == (revoked,)

    def test_the_root_is_asked_about_by_nobody(self) -> None:
        asked: list[CertificateName] = []

        def note(name: CertificateName) -> bool:
            asked.append(name)
            return False

        verify(is_revoked=note)
        assert [name.sha256 for name in asked] == [parse_leaf(GOOD.der).sha256, CHAIN.issuers[0].name.sha256]

    @pytest.mark.requirement("A00.FR.403")
    @pytest.mark.parametrize(
        ("times", "reason"),
        [
            ({"start": -2 * DAY, "end": -HOUR}, Reason.CERT_EXPIRED),
            ({"start": HOUR}, Reason.CERT_NOT_YET_VALID),
        ],
    )
    def test_an_issuer_out_of_its_time_is_refused_even_to_renew(self, times: Any, reason: Reason) -> None:
        late = certificate("Sub", issuer=ROOT, ca=True, **times)
        root = certificate("Root", ca=True, **times)
        for chain in (chain_of(late, ROOT), chain_of(SUB, root)):
            assert refused(chain=chain) is reason
            assert refused(chain=chain, record=allowed()) is reason


def allowed(until: float = NOW + 3_600) -> Any:
    return make_record("CP-1", 3, serial_number="SN-1", expired_certificate_until=until)


@pytest.mark.requirement("A00.FR.429")
class TestRenewalOnly:
    EXPIRED = leaf_of(start=-9 * DAY, end=-HOUR)

    def test_an_expired_certificate_is_good_for_its_renewal_where_the_registry_says_so(self) -> None:
        assert refused(self.EXPIRED) is Reason.CERT_EXPIRED
        assert verify(self.EXPIRED, record=allowed()).renewal_only == "expired"

    def test_up_to_its_end_and_no_longer(self) -> None:
        assert verify(self.EXPIRED, record=allowed(NOW + 1)).renewal_only == "expired"
        assert refused(self.EXPIRED, record=allowed(NOW)) is Reason.CERT_EXPIRED

    def test_one_that_has_not_expired_is_not_limited_by_the_permission(self) -> None:
        assert verify(GOOD, record=allowed()).renewal_only == ""

    def test_nothing_else_is_forgiven(self) -> None:
        start = leaf_of(start=HOUR)
        assert refused(start, record=allowed()) is Reason.CERT_NOT_YET_VALID
        assert refused(self.EXPIRED, record=allowed(), is_revoked=lambda _: True) is Reason.CERT_REVOKED
        other = leaf_of("Somebody", start=-9 * DAY, end=-HOUR)
        assert refused(other, record=allowed()) is Reason.CERT_WRONG_OPERATOR

    def test_without_a_known_chain_nobody_can_say_that_the_issuers_are_good(self) -> None:
        assert refused(self.EXPIRED, record=allowed(), chain=Chain()) is Reason.CERT_EXPIRED

    @pytest.mark.requirement("A00.FR.406")
    def test_a_factory_certificate_is_good_for_nothing_else_either(self) -> None:
        factory = TrustBundle(name="factory", use="manufacturer", operator_names=("Maker",))
        record, until = (replace(each, operator_names=("Maker",)) for each in (RECORD, allowed()))
        assert verify(leaf_of("Maker"), bundle=factory, record=record).renewal_only == "factory"
        assert verify(leaf_of("Maker"), bundle=bundle(operator_names=("Maker",)), record=record).renewal_only == ""
        expired = leaf_of("Maker", start=-9 * DAY, end=-HOUR)
        assert refused(expired, bundle=factory, record=record) is Reason.CERT_EXPIRED
        assert verify(expired, bundle=factory, record=until).renewal_only == "expired"
