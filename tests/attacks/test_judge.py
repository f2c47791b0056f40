"""The judge sees what no vector shows: leaks, echoes, and what is said behind a refusal."""

import pytest

from tests.attacks.case import VECTORS, Case, load
from tests.attacks.expand import frames_of, generated_text, numbered, requests_of, with_version
from tests.attacks.hello import alerts_in, build_client_hello
from tests.attacks.judge import judge_leaks, judge_play
from tests.attacks.observed import Observed, secrets_in
from tests.support.peer import Answer

CASES = {name: case for file in ("attacks", "benign") for name, case in load(VECTORS / f"{file}.jsonl")}


def case(name: str) -> Case:
    found = CASES[name]
    assert isinstance(found, Case)
    return found


def rejected(**changes: object) -> Observed:
    """A perfect refusal of HTTP-04."""
    (_, request), *_ = requests_of(case("HTTP-04"))
    seen = Observed(label="", source="127.64.0.1", request=request, closed=True)
    seen.answer = Answer(401, {"content-length": "13"}, b"Unauthorized\n")
    for name, value in changes.items():
        setattr(seen, name, value)
    return seen


EVENTS = [{"event": "identity.mismatch", "decision": "http_reject", "peer": "127.64.0.1"}]


def test_perfect_refusal_passes() -> None:
    assert judge_play(case("HTTP-04"), rejected(), EVENTS) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"answer": Answer(401, {}, b"no /ocpp/CP-A01 here")}, "the answer repeats ['/ocpp/CP-A01']"),
        ({"answer": Answer(401, {"x": "dGhlIHNhbXBsZSBub25jZQ=="}, b"")}, "repeats ['dGhlIHNhbXBsZSBub25jZQ==']"),
        ({"behind_answer": b"HTTP/1.1 200 OK"}, "15 bytes behind the refusal"),
        ({"closed": False}, "the connection was left open"),
        ({"forwarded": "some"}, "some of it was forwarded"),
        ({"answer": None}, "no HTTP answer"),
        ({"problems": ["something else"]}, "something else"),
    ],
)
def test_flawed_refusal_differs(changes: dict[str, object], difference: str) -> None:
    found = judge_play(case("HTTP-04"), rejected(**changes), EVENTS)
    assert any(difference in each for each in found), found


@pytest.mark.parametrize(
    "event",
    [
        {**EVENTS[0], "decision": "allow_alert"},
        {**EVENTS[0], "event": "identity.unknown"},
        {**EVENTS[0], "detail": "two\nlines"},
    ],
)
def test_event_that_says_something_else_differs(event: dict[str, object]) -> None:
    assert judge_play(case("HTTP-04"), rejected(), [event])


def test_audit_words_are_demanded_of_the_event() -> None:
    seen = Observed(label="", source="127.64.0.1", alerts=["protocol_version"], closed=True)
    event = {"event": "tls.downgrade", "decision": "tls_alert", "peer": "127.64.0.1", "server_name": "gw.example.test"}
    assert judge_play(case("TLS-01"), seen, [event]) == ["event without offered versions"]
    assert judge_play(case("TLS-01"), seen, [{**event, "tls_offered": ["TLSv1.1"]}]) == []


def test_header_that_reaches_the_csms_differs() -> None:
    seen = Observed(label="", source="", answer=Answer(101, {}), forwarded="all")
    event = {"event": "http.spoofed_header", "decision": "sanitize"}
    seen.upstream_headers = ["Host", "Upgrade", "X_SSL_Client_CN"]
    assert judge_play(case("HTTP-20"), seen, [event]) == ["the CSMS saw x_ssl_client_cn"]
    seen.upstream_headers = None
    assert judge_play(case("HTTP-20"), seen, [event]) == ["the CSMS saw no request"]


def test_event_about_something_legitimate_differs() -> None:
    seen = Observed(label="", source="", answer=Answer(101, {}), forwarded="all")
    assert judge_play(case("OK-01"), seen, [{"event": "auth.failed", "severity": "high"}])
    assert judge_play(case("OK-01"), seen, [{"event": "identity.tolerance", "severity": "info"}]) == []


def test_secrets_and_exceptions_in_what_was_written_differ() -> None:
    secrets = secrets_in(requests_of(case("HTTP-04"))[0][1])
    assert secrets == {"Basic Q1AtQjAyOmNwYi1wYXNzd29yZC0wMDE=", "Q1AtQjAyOmNwYi1wYXNzd29yZC0wMDE="}
    assert judge_leaks("all quiet", secrets) == []
    assert judge_leaks("token Q1AtQjAyOmNwYi1wYXNzd29yZC0wMDE= seen", secrets)
    assert judge_leaks("the password is correct-horse-battery", set())
    assert judge_leaks("Traceback (most recent call last):\n", set()) == ["an exception was logged"]


def test_requests_are_expanded_as_the_case_says() -> None:
    assert [len(request) > 60_000 for _, request in requests_of(case("HTTP-13"))] == [False, True]
    assert len(requests_of(case("HTTP-11"))) == 6
    bomb = requests_of(case("HTTP-26"))
    assert [request.count(b"X-A: ") for _, request in bomb] == [10_000, 1]
    assert [b"Sec-WebSocket-Protocol" in request for _, request in requests_of(case("HTTP-23"))] == [True, False]
    assert requests_of(case("HTTP-30"))[4][1].count(b"A" * 65_536) == 1
    offered = with_version(requests_of(case("HTTP-01"))[0][1], "2.1")
    assert offered is not None
    assert b"\r\nSec-WebSocket-Protocol: ocpp2.1\r\n" in offered
    assert with_version(requests_of(case("HTTP-23"))[0][1], "2.1") is None


def test_messages_are_those_of_the_version() -> None:
    assert "csChargingProfiles" in frames_of(case("JSON-04"), "1.6")[0]
    assert "evseId" in frames_of(case("JSON-04"), "2.1")[0]
    assert frames_of(case("OK-22"), "2.0.1") == []
    assert numbered('[2,"t{n}","X",{"idTag":"0412AB{n:06X}"}]', 10) == '[2,"t10","X",{"idTag":"0412AB00000A"}]'
    assert generated_text({"prefix": "<", "unit": "[", "count": 3, "close_unit": "]", "suffix": ">"}) == "<[[[]]]>"
    assert generated_text({"unit": "k{n},", "count": 2, "suffix": ""}) == "k0,k1,"


def test_alerts_are_read_from_records() -> None:
    handshake = build_client_hello(0x0303, (0x002F,), "gw.example.test")
    assert alerts_in(handshake + b"\x15\x03\x03\x00\x02\x02\x28" + b"\x15\x03\x03\x00\x02\x01\x00") == [
        "handshake_failure"
    ]
    assert alerts_in(b"\x15\x03\x03\x00\x02\x02") == []
