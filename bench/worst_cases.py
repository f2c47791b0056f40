"""The largest legal messages, and for each the conditions that are thought to cost most. Data for worst.py.

Three kinds of message: lists of just as many elements as a condition may enter (2 000), as many things as a fact looks at, of
the kind that takes longest, and as many as 256 KiB or 10 000 values hold. Some do not fit their schema: the schema gate only
watches unless a site says otherwise, so they reach the rules too.
"""

import datetime
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.ocpp.vocabulary import OCPPVersion, Origin

__all__ = ["ENVELOPE_ID", "Case", "cases"]

ENVELOPE_ID = "w"
"""Message id of every case; no number, so that `int(msg.id)` has no value."""
_MAX_BYTES = 262_144
_STEPS = 1_990
"""Elements that one comprehension may enter, with a few steps left."""
_READINGS = 1_490
_TIME = "2026-11-22T10:00:00Z"
_EVERYTHING = (
    "facts.odd_strings.size() + facts.absurd_times + facts.timestamps.size() + facts.meter_wh.size() + facts.soc.size() + "
    "facts.certificates.size() + facts.csrs.size() + facts.urls.size() + facts.longest_list + facts.strings.size() + "
    "facts.config_changes.size() + facts.tokens.size() + facts.periods + facts.connectors.size() > 0 && "
    "!facts.control_characters && tx.power_w >= 0.0"
)
"""Walks all that can be walked."""


class Case(NamedTuple):
    """One message and the conditions it is judged by."""

    name: str
    version: OCPPVersion
    origin: Origin
    action: str
    payload: dict[str, Any]
    conditions: tuple[str, ...]

    def frame(self) -> bytes:
        """The message as it is sent."""
        return json.dumps([2, ENVELOPE_ID, self.action, self.payload], separators=(",", ":")).encode()


def _as_many(item: Any, per_item: int, values: int = 9_900) -> int:
    """How many such items 256 KiB hold, of `per_item` values each."""
    return min((_MAX_BYTES - 400) // (len(json.dumps(item, separators=(",", ":"))) + 1), values // per_item)


def _repeated(item: Any, per_item: int = 1, at_most: int = 10_000) -> list[Any]:
    return [item] * min(_as_many(item, per_item), at_most)


def _csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CP")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def _certificate(alternative_names: int = 1) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CP")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + datetime.timedelta(days=9))
    names = x509.SubjectAlternativeName([x509.DNSName("a")] * alternative_names)
    builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


_UP = (OCPPVersion.V1_6, Origin.CHARGE_POINT)
_DOWN = (OCPPVersion.V1_6, Origin.CSMS)


def _readings(number: int = _STEPS, **more: str) -> Case:
    sample = {"value": "12345.6", "unit": "Wh", "measurand": "Energy.Active.Import.Register", **more}
    values = [
        each | {"timestamp": f"2026-11-22T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z"}
        for second, each in enumerate(_repeated({"timestamp": "x" * 24, "sampledValue": [sample]}, 4, number))
    ]
    return Case(
        f"{len(values)} readings",
        *_UP,
        "MeterValues",
        {"connectorId": 1, "meterValue": values},
        (
            "payload.meterValue.all(m, timestamp(m.timestamp) < now && m.timestamp.size() + m.sampledValue.size() > 1)",
            "facts.timestamps.all(t, t < now)",
            "facts.meter_wh.all(x, x > 0.0 && x * 2.0 + x * 3.0 - x / 4.0 + x * 5.0 - x / 6.0 < 1000000.0)",
            "facts.odd_strings.size() == 0 && facts.absurd_times == 0 && facts.meter_wh.all(x, x > 0.0)",
            _EVERYTHING,
        ),
    )  # fmt: skip


def _most_readings() -> Case:
    """As many as facts look at, filled up."""
    return _readings(_READINGS, location="Outlet", context="Other")


def _samples() -> Case:
    samples = _repeated({"value": "12345.678901234567890", "phase": "L1"}, 2, _STEPS // 2)
    values = [{"timestamp": _TIME, "sampledValue": samples[:1]}] * (_STEPS // 2)
    values[0] = {"timestamp": _TIME, "sampledValue": samples}
    return Case(
        "readings, and samples in one of them",
        *_UP,
        "MeterValues",
        {"connectorId": 1, "meterValue": values},
        (
            "payload.meterValue.filter(m, m.sampledValue.size() == 1).all(m, timestamp(m.timestamp) < now)",
            "payload.meterValue[0].sampledValue.all(s, double(s.value) > 0.0 && s.value.size() > 1)",
            'payload.meterValue[0].sampledValue.all(s, !s.value.matches("^([0-9.]|[a-f])*z$"))',
        ),
    )


def _periods() -> Case:
    period = {"startPeriod": 100, "limit": 16.1, "numberPhases": 3}
    periods = _repeated(period, 3, _STEPS)
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    where = "payload.csChargingProfiles.chargingSchedule.chargingSchedulePeriod"
    return Case(
        f"{len(periods)} charging periods",
        *_DOWN,
        "SetChargingProfile",
        {"connectorId": 1, "csChargingProfiles": profile},
        (
            f"{where}.all(p, p.startPeriod + p.startPeriod * 2 + p.startPeriod * 3 + p.startPeriod * 4 + p.startPeriod * 5 > 0)",
            f"{where}.map(p, p.limit * 2.0 + p.limit * 3.0 - p.limit).size() > 0",
            "facts.limits_a.all(x, x < 32.0) && facts.min_period_s == 0 && facts.longest_list > 9",
            f"{where}.all(p, string(p.limit).size() > 1)",
        ),
    )  # fmt: skip


def _one_text() -> Case:
    text = "abcdefg; " * (_MAX_BYTES // 9 - 20)
    longest = "facts.strings[1]"
    return Case(
        "one long text",
        *_UP,
        "DataTransfer",
        {"vendorId": "v", "data": text},
        (
            " && ".join(f'!{longest}.contains("abcdefg; abcdefg{n}")' for n in range(15)),
            " && ".join(f'!{longest}.lowerAscii().contains("aaaab{n}")' for n in range(7)),
            f"({longest} + facts.strings[0]).size() > 9 && !facts.control_characters && facts.odd_strings.size() == 1",
        ),
    )  # fmt: skip


def _tokens() -> Case:
    entry = {"idTag": "0123456789ABCDEF0123", "idTagInfo": {"status": "Accepted", "expiryDate": _TIME}}
    entries = _repeated(entry, 3, _STEPS)
    return Case(
        f"local list of {len(entries)} tokens",
        *_DOWN,
        "SendLocalList",
        {"listVersion": 1, "updateType": "Full", "localAuthorizationList": entries},
        (
            'facts.tokens.all(t, !t.matches("^([0-9A-F]|[g-m])*z$"))',
            'facts.tokens.all(t, t.lowerAscii().contains("abcdef") && t.startsWith("0") && !t.endsWith("9"))',
            "payload.?localAuthorizationList.orValue([]).all(e, e.idTag.size() + e.idTag.size() + e.idTag.size() > 0)",
        ),
    )  # fmt: skip


def _texts() -> Case:
    """Texts as long as a pattern may be used on, as many as it may look at."""

    def report(value: str) -> dict[str, Any]:
        return {"component": {"name": "c"}, "variable": {"name": "v"}, "variableAttribute": [{"value": value}]}

    reports = [*[report("abcdefgh" * 127)] * 28, *[report("x" * 1_000)] * 200]
    return Case(
        "report of long texts",
        OCPPVersion.V2_0_1,
        Origin.CHARGE_POINT,
        "NotifyReport",
        {"requestId": 1, "generatedAt": _TIME, "seqNo": 0, "reportData": reports},
        (
            'facts.strings.all(s, s.size() == 1000 || s.size() < 20 || !s.matches("^(a|b|[c-m])*z$"))',
            'facts.strings.all(s, !s.contains("abcdefgi") && !s.endsWith("z") && s.size() + s.size() > 0)',
        ),
    )


def _changes() -> Case:
    item = {
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuth"},
        "attributeValue": "0123456789abcdef",
    }
    items = _repeated(item, 3, _STEPS)
    return Case(
        f"{len(items)} variables set",
        OCPPVersion.V2_0_1,
        Origin.CSMS,
        "SetVariables",
        {"setVariableData": items},
        (
            "facts.config_changes.all(c, c.key.size() + c.name.size() + c.value.size() > 3)",
            'facts.config_names.all(n, n != "a") && facts.config_changes.all(c, c.value != "b")',
        ),
    )  # fmt: skip


def _odd(name: str, origin: Origin, action: str, payload: dict[str, Any], *conditions: str) -> Case:
    return Case(name, OCPPVersion.V2_0_1, origin, action, payload, conditions)


def _facts() -> list[Case]:
    """As much of what one fact looks for as a message can hold, where the schema would not have it."""
    down, up = Origin.CSMS, Origin.CHARGE_POINT
    urls, times = _repeated("http://a.b/c;d"), _repeated({"timestamp": _TIME})
    firmware = {"requestId": 1, "firmware": {"retrieveDateTime": _TIME, "location": urls}}
    return [
        _odd(
            f"{len(urls)} URLs",
            down,
            "UpdateFirmware",
            firmware,
            "facts.urls.size() > 0",
            "facts.odd_strings.size() > 0",
        ),
        _odd("CSRs", up, "SignCertificate", {"csr": _repeated(_csr())}, "facts.csrs.size() > 0"),
        _odd(
            "certificates",
            down,
            "InstallCertificate",
            {"certificate": _repeated(_certificate())},
            "facts.certificates.size() > 0",
        ),
        _odd("CSRs that are none", up, "SignCertificate", {"csr": _repeated("-----BEGIN")}, "facts.csrs.size() > 0"),
        _odd(
            f"{len(times)} moments",
            up,
            "MeterValues",
            {"evseId": 1, "meterValue": times},
            "facts.timestamps.size() > 0",
            "facts.absurd_times == 0 && facts.meter_wh.size() == 0",
        ),
    ]


def _most() -> list[Case]:
    """As many as facts look at, of the costliest kind, with filler up to 10 000 values."""
    down, up = Origin.CSMS, Origin.CHARGE_POINT
    urls = [f"https://{'a.' * 120}example/{'b/' * 880}{number}" for number in range(16)]
    leaps = [f"2026-11-22T10:{number // 60:02d}:60.{number:06d}+01:00" for number in range(_READINGS)]
    never = [f"2026-02-31T10:{number // 60:02d}:{number % 60:02d}.{number:06d}Z" for number in range(_READINGS)]
    filler = ["a"] * 7_900
    return [
        _odd(
            "long URLs", down, "UpdateFirmware", {"location": urls, "x": filler}, "facts.urls.size() > 0", _EVERYTHING
        ),
        _odd("leap seconds", up, "MeterValues", {"timestamp": leaps, "x": filler}, "facts.timestamps.size() > 0"),
        _odd("days that are none", up, "MeterValues", {"timestamp": never, "x": filler}, _EVERYTHING),
        _odd("odd texts", down, "DataTransfer", {"data": ["a" * 20 + ";"] * _STEPS, "x": filler}, _EVERYTHING),
        _odd(
            "a certificate with many names",
            down,
            "InstallCertificate",
            {"certificate": _certificate(2_500), "x": filler},
            "facts.certificates.size() > 0",
            _EVERYTHING,
        ),
        _odd(
            "settings",
            down,
            "SetNetworkProfile",
            {
                "connectionData": [{"securityProfile": 1, "ocppCsmsUrl": "", "basicAuthPassword": ""}] * 660,
                "x": filler[:7_000],
            },
            "facts.config_names.size() > 0 && facts.security_profile == 1",
            _EVERYTHING,
        ),
    ]


_CASES: tuple[Callable[[], Case], ...] = (
    _readings,
    _most_readings,
    _samples,
    _periods,
    _one_text,
    _tokens,
    _texts,
    _changes,
)


def cases() -> list[Case]:
    """Every case."""
    return [make() for make in _CASES] + _most() + _facts()
