"""Certificates and requests that are not what they seem, and messages stuffed with more than facts look at."""

import datetime
import functools
import math

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.config.policy_packs import DEFAULT_PACKS, load_bundle
from gateway.ocpp.vocabulary import OCPPVersion
from gateway.policy import metering
from gateway.policy.facts import Facts, RequestFact
from gateway.policy.items import TooManyItems
from gateway.policy.transactions import Transactions
from tests.policy.build import NOW, PLAIN, Bench, call, session_of, snapshot_of

KEY = ec.generate_private_key(ec.SECP256R1())
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
AT = "2026-01-01T00:00:00Z"


@functools.cache
def certificate(name: str) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), 1, BEGIN, BEGIN + datetime.timedelta(days=9))
    return builder.sign(KEY, hashes.SHA256())


def pem(name: str, label: str = "CERTIFICATE") -> str:
    text = certificate(name).public_bytes(Encoding.PEM).decode()
    return text.replace(" CERTIFICATE-", f" {label}-")


def request(key=KEY) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CP-A01")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def shown(text, field="certificate"):
    return [(each.ok, each.cn) for each in Facts("InstallCertificate", {field: text}).certificates]


PINNED = pem("pinned")
NONE = (False, "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (PINNED, [(True, "pinned")]),
        (f"\r\n {PINNED}\n\n{PINNED}\t", [(True, "pinned")] * 2),
        (PINNED.replace("\n", "\r\n"), [(True, "pinned")]),
        (pem("rogue", "X509 CERTIFICATE") + PINNED, [NONE, (True, "pinned")]),
        (pem("rogue", "TRUSTED CERTIFICATE") + PINNED, [NONE, (True, "pinned")]),
        (PINNED + pem("rogue", "X509 CERTIFICATE"), [(True, "pinned"), NONE]),
        (PINNED + pem("rogue", "X509 CERTIFICATE") + PINNED, [(True, "pinned"), NONE, (True, "pinned")]),
        ("subject=CN = pinned\n" + PINNED, [NONE, (True, "pinned")]),
        (PINNED + "\0", [(True, "pinned"), NONE]),
        (PINNED + "\u00a0", [(True, "pinned"), NONE]),
        (PINNED + "-----BEGIN CERTIFICATE-----AAAA", [(True, "pinned"), NONE]),
        (pem("rogue", "X509 CERTIFICATE"), [NONE]),
        ("", [NONE]),
    ],
)
def test_what_stands_beside_certificates_is_not_one_that_is_ok(text, found):
    assert shown(text) == found


@pytest.mark.parametrize(("number", "more"), [(10, []), (11, [NONE]), (12, [NONE])])
def test_certificates_beyond_the_tenth_are_not_ok(number, more):
    expected = [(True, "pinned")] * 10 + more
    assert shown(PINNED * number) == expected
    assert shown([PINNED] * number) == expected


def test_certificates_longer_than_any_legal_chain_are_not_read():
    assert shown(PINNED + " " * 10_000) == [(True, "pinned")]
    assert shown(PINNED + " " * 12_000) == [NONE]
    assert shown([PINNED, " " * 12_000]) == [(True, "pinned"), NONE]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (PINNED, True),
        (PINNED + "\n" + PINNED, True),
        (pem("rogue", "X509 CERTIFICATE") + PINNED, False),
        (PINNED * 10 + pem("rogue"), False),
    ],
)
def test_a_rogue_root_does_not_pass_beside_a_pinned_one(text, passes):
    pinned = certificate("pinned").fingerprint(hashes.SHA256()).hex()
    bench = Bench(
        snapshot_of(
            {
                "unless": f'facts.certificates.all(c, c.ok && c.fingerprint in ["{pinned}"])',
                "match": {"action": "InstallCertificate", "version": "2.0.1"},
            }
        ),
        session_of("2.0.1"),
    )
    payload = {"certificateType": "CSMSRootCertificate", "certificate": text}
    verdict = bench.judge(call("InstallCertificate", payload, to="station", version="2.0.1"))
    assert verdict.passes is passes


def test_only_the_first_request_is_checked():
    text = request()
    (alone,) = Facts("SignCertificate", {"csr": text}).csrs
    assert (alone.ok, alone.cn) == (True, "CP-A01")
    assert Facts("SignCertificate", {"csr": [text, text]}).csrs == [alone, RequestFact()]
    assert Facts("SignCertificate", {"csr": [text] * 300}).csrs == [alone, RequestFact()]


def test_a_signature_that_takes_long_to_check_is_none():
    """The exponent of a public key can be as long as the key; checking then takes a hundred times as long."""
    numbers = rsa.generate_private_key(65_537, 2048).private_numbers()
    order = math.lcm(numbers.p - 1, numbers.q - 1)
    public = 2**2044 + 1
    while math.gcd(public, order) != 1:
        public += 2
    private = pow(public, -1, order)
    slow = rsa.RSAPrivateNumbers(
        numbers.p,
        numbers.q,
        private,
        private % (numbers.p - 1),
        private % (numbers.q - 1),
        numbers.iqmp,
        rsa.RSAPublicNumbers(public, numbers.public_numbers.n),
    ).private_key(unsafe_skip_rsa_key_validation=True)
    usual = rsa.generate_private_key(65_537, 2048)
    assert [Facts("SignCertificate", {"csr": request(key)}).csrs[0].ok for key in (slow, usual)] == [False, True]


# -- more than facts look at


def sampled(number):
    """As a charge point sends it at the end of a long transaction."""
    sample = {"value": "12345.6", "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register"}
    return {
        "timestamp": AT,
        "meterStop": 99_999,
        "transactionData": [{"timestamp": AT, "sampledValue": [sample]}] * number,
    }


def schedule(number):
    periods = [{"startPeriod": second, "limit": 16} for second in range(number)]
    return {"csChargingProfiles": {"chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}}}


LIMITS = [
    ("urls", "UpdateFirmware", 16, lambda n: {"location": ["https://a.example/x"] * n}),
    ("tokens", "SendLocalList", 2_000, lambda n: {"localAuthorizationList": [{"idTag": "A"}] * n}),
    ("limits_a", "SetChargingProfile", 2_000, schedule),
    ("connectors", "ChangeAvailability", 2_000, lambda n: {"evse": [{"id": 1}] * n}),
    ("config_changes", "SetNetworkProfile", 2_000, lambda n: {"connectionData": [{"securityProfile": 3}] * n}),
    ("config_names", "SetNetworkProfile", 2_000, lambda n: {"connectionData": [{"securityProfile": 3}] * n}),
    ("meter_wh", "StopTransaction", 1_500, lambda n: sampled(n - 1)),
    ("soc", "MeterValues", 1_500, lambda n: {"meterValue": [{"sampledValue": [{"value": 1, "measurand": "SoC"}] * n}]}),
    ("timestamps", "MeterValues", 1_500, lambda n: {"meterValue": [{"timestamp": AT}] * n}),
    ("odd_strings", "DataTransfer", 2_000, lambda n: {"data": ["a;b"] * n}),
]


@pytest.mark.parametrize(("fact", "action", "limit", "payload"), LIMITS, ids=[row[0] for row in LIMITS])
def test_facts_have_no_value_rather_than_leave_something_out(fact, action, limit, payload):
    assert len(getattr(Facts(action, payload(limit)), fact)) == limit
    facts = Facts(action, payload(limit + 1))
    for _ in range(2):  # the second time it is not counted again
        with pytest.raises(TooManyItems, match=f"more than {limit} "):
            getattr(facts, fact)


def test_numbers_that_one_walk_gives_have_no_limit():
    facts = Facts("SetChargingProfile", schedule(4_900))
    assert (facts.periods, facts.min_period_s, facts.longest_list, facts.setpoint_w) == (4_900, 1, 4_900, 16 * 690)


@pytest.mark.parametrize(("effect", "passes"), [("deny", False), ("alert", True)])
def test_a_rule_on_too_many_items_fails_closed_and_says_so(effect, passes):
    rule = {
        "when": "facts.meter_wh.exists(x, x < 0.0)",
        "match": {"action": "MeterValues", "version": "1.6"},
        "action": effect,
    }
    bench = Bench(snapshot_of(rule))
    few, many = (
        call("MeterValues", {"connectorId": 1, "meterValue": sampled(number)["transactionData"]})
        for number in (1_000, 1_501)
    )
    assert bench.judge(few).effect is None
    verdict = bench.judge(many)
    assert verdict.passes is passes
    assert verdict.errors == (("t/0", "facts.meter_wh"),)


def test_the_tracker_keeps_the_first_and_the_last_of_any_number_of_readings():
    for number in (1_000, 1_500, 1_501, 3_000):
        tracker = Transactions()
        start = {"connectorId": 1, "idTag": "A", "timestamp": AT}
        tracker.seen(OCPPVersion.V1_6, "StartTransaction", start, {"transactionId": 7})
        values = [
            {
                "timestamp": f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}Z",
                "sampledValue": [{"value": str(second)}],
            }
            for second in range(number)
        ]
        payload = {"connectorId": 1, "transactionId": 7, "meterValue": values}
        view = tracker.view("MeterValues", payload)
        if number > 1_500:
            with pytest.raises(TooManyItems):
                _ = view.power_w
        else:
            assert view.power_w == pytest.approx(60)
        tracker.seen(OCPPVersion.V1_6, "MeterValues", payload)
        assert (view.meter_start, view.last_meter) == (0, number - 1)
        last = tracker.readings[1].at
        assert last is not None
        assert last - BEGIN == datetime.timedelta(seconds=number - 1)


def test_a_day_of_readings_is_judged_by_every_shipped_rule():
    """One a minute for 24 hours, all that is measured with it: as much as a message may hold."""
    bundle = load_bundle(list(DEFAULT_PACKS), PLAIN, now=NOW)
    bench = Bench(bundle.snapshot())
    bench.transactions.seen(
        OCPPVersion.V1_6, "StartTransaction", {"connectorId": 1, "meterStart": 0, "timestamp": AT}, {"transactionId": 7}
    )
    measurand = "Energy.Active.Import.Register"
    values = [
        {
            "timestamp": f"2026-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z",
            "sampledValue": [
                {"value": str(minute * 100), "unit": "Wh", "measurand": measurand},
                {"value": "230.1", "measurand": "Voltage"},
            ],
        }
        for minute in range(1_440)
    ]
    stop = {
        "transactionId": 7,
        "meterStop": 1_440 * 100,
        "timestamp": "2026-01-02T00:00:00Z",
        "transactionData": values[:1_000],
    }
    for message in (
        call("StopTransaction", stop),
        call("MeterValues", {"connectorId": 1, "transactionId": 7, "meterValue": values}),
    ):
        verdict = bench.judge(message, after=86_400)
        assert (verdict.passes, verdict.errors, verdict.matches) == (True, (), ())


def test_a_fact_is_walked_once_however_often_a_rule_reads_it(monkeypatch):
    walks = []

    def walk(*_: object) -> float:
        walks.append(1)
        return 0.0

    monkeypatch.setattr(metering, "largest_power_w", walk)
    rule = {
        "when": " && ".join(["tx.power_w >= 0.0"] * 50),
        "match": {"action": "MeterValues", "version": "1.6"},
        "action": "alert",
    }
    Bench(snapshot_of(rule)).judge(call("MeterValues", {"connectorId": 1, "meterValue": sampled(3)["transactionData"]}))
    assert walks == [1]
