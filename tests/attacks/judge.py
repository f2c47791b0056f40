"""Compares what was observed with what a case expects. Says every difference in words; an empty list is a pass."""

import re
from collections.abc import Callable
from typing import Any

from tests.attacks.case import Case, Decision, NotUnderstood
from tests.attacks.observed import Observed
from tests.attacks.roster import PASSWORDS

__all__ = ["Event", "judge_leaks", "judge_play", "unjudged_words"]

_UPSTREAM_HEADERS = {
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
}
"""All that the gateway may send to a CSMS that asks for nothing more."""
_NO_ECHO_BELOW = 7
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Event = dict[str, Any]


# -- by decision


def _tls_alert(case: Case, seen: Observed) -> list[str]:
    found = []
    if seen.alerts != [case.expected.tls_alert]:
        found.append(f"alerts {seen.alerts or 'none'} instead of {case.expected.tls_alert}")
    if seen.answer is not None:
        found.append(f"HTTP {seen.answer.status} though the handshake had to fail")
    return found + _must_be_closed(seen)


def _must_be_closed(seen: Observed) -> list[str]:
    return [] if seen.closed else ["the connection was left open"]


def _disconnect(case: Case, seen: Observed) -> list[str]:
    if case.layer == "tls":
        return _must_be_closed(seen) + ([f"{seen.received} bytes were answered"] if seen.received else [])
    return _must_be_closed(seen) + (_close_code(case, seen) if case.expected.ws_close else [])


def _http_reject(case: Case, seen: Observed) -> list[str]:
    expected, answer = case.expected, seen.answer
    if answer is None:
        return ["no HTTP answer"]
    if answer.status not in expected.statuses:
        return [f"HTTP {answer.status} instead of {' or '.join(map(str, expected.statuses))}"]
    if answer.status == 101:
        told = [] if seen.station_close == 1002 else [f"101 and then close {seen.station_close} instead of 1002"]
        return told + (["101 with a subprotocol"] if "sec-websocket-protocol" in answer.headers else [])
    behind = [f"{len(seen.behind_answer)} bytes behind the refusal"] if seen.behind_answer else []
    return behind + _must_be_closed(seen) + _echo(seen)


def _echo(seen: Observed) -> list[str]:
    """Nothing that the peer chose may stand in the answer."""
    assert seen.answer is not None
    said = "\n".join([*seen.answer.headers.values(), seen.answer.body.decode("latin-1")])
    lines = seen.request.decode("latin-1").split("\r\n")
    chosen = set(lines[0].split(" ")[1:2]) | {line.partition(":")[2].strip() for line in lines[1:]}
    echoed = sorted(
        word[:60] for word in chosen if len(word) >= _NO_ECHO_BELOW and word in said and word != "websocket"
    )
    return [f"the answer repeats {echoed}"] if echoed else []


def _close_code(case: Case, seen: Observed) -> list[str]:
    expected = case.expected.ws_close
    return [] if seen.sender_close == expected else [f"close code {seen.sender_close} instead of {expected}"]


def _ws_close(case: Case, seen: Observed) -> list[str]:
    return _close_code(case, seen) + _must_be_closed(seen)


def _rate_limit(case: Case, seen: Observed) -> list[str]:
    if not case.http:
        wanted = case.expected.callerror.get(seen.version, "")
        return [f"no {wanted} among the answers"] if wanted and wanted not in seen.replies else []
    wrong = set(seen.statuses) - set(case.expected.statuses)
    found = [f"HTTP {sorted(wrong)}"] if wrong else []
    return found if 429 in seen.statuses else [*found, f"never limited in {len(seen.statuses)} attempts"]


def _sanitize(case: Case, seen: Observed) -> list[str]:
    if not case.http:
        # What cannot be cleaned without changing what is said is refused instead.
        return _callerror(case, seen) if case.expected.callerror else ["the session ended"] if seen.closed else []
    if seen.answer is None or seen.answer.status != 101:
        return [f"HTTP {seen.answer.status if seen.answer else 'nothing'} instead of 101"]
    if seen.upstream_headers is None:
        return ["the CSMS saw no request"]
    leaked = sorted({name.lower() for name in seen.upstream_headers} - _UPSTREAM_HEADERS)
    return [f"the CSMS saw {', '.join(leaked)}"] if leaked else []


def _callerror(case: Case, seen: Observed) -> list[str]:
    wanted = case.expected.callerror.get(seen.version)
    if wanted is None:
        raise NotUnderstood(f"no callerror for version {seen.version}")
    if case.judged_as == "fleet":
        # Each message is legal, and the first ones pass.
        odd = sorted(set(seen.replies) - {"", wanted})
        return ([] if wanted in seen.replies else [f"no {wanted} among the answers"]) + [f"answers {odd}"] * bool(odd)
    wrong = [f"{reply or 'no CALLERROR'}" for reply in seen.replies if reply != wanted]
    answered = f"{', '.join(sorted(set(wrong)))} instead of {wanted} to {len(wrong)} of {len(seen.replies)} messages"
    return ([answered] if wrong else []) + (["the session ended"] if seen.closed else [])


def _deny_native(case: Case, seen: Observed) -> list[str]:
    """Every message is answered by a result that says no, in the words of the case if it has some."""
    named = re.search(r"\bstatus (\w+)", case.expected.note)
    wrong = [
        status or reply or "no answer"
        for status, reply in zip(seen.natives, seen.replies, strict=True)
        if not status or status == "Accepted" or (named and status != named[1])
    ]
    answered = f"{', '.join(sorted(set(wrong)))} instead of {named[1] if named else 'a native refusal'}"
    return ([answered] if wrong else []) + (["the session ended"] if seen.closed else [])


def _drop(_: Case, seen: Observed) -> list[str]:
    answered = [reply for reply in seen.replies if reply]
    return ([f"answered with {answered}"] if answered else []) + (["the session ended"] if seen.closed else [])


def _allow(_: Case, seen: Observed) -> list[str]:
    refused = [reply for reply in seen.replies if reply]
    found = [f"refused with {refused}"] if refused else []
    if seen.answer is not None and seen.answer.status != 101:
        found.append(f"HTTP {seen.answer.status}")
    return found + (["the session ended"] if seen.closed else [])


_BY_DECISION: dict[Decision, Callable[[Case, Observed], list[str]]] = {
    "tls_alert": _tls_alert,
    "disconnect": _disconnect,
    "http_reject": _http_reject,
    "ws_close": _ws_close,
    "rate_limit": _rate_limit,
    "sanitize": _sanitize,
    "callerror": _callerror,
    "deny_native": _deny_native,
    "drop": _drop,
    "allow": _allow,
    "allow_alert": _allow,
}


# -- what every decision has in common


def _forwarded(case: Case, seen: Observed) -> list[str]:
    """Where many messages are legal one by one, `forwarded: false` means that not all of them got through."""
    if case.expected.forwarded:
        return [] if seen.forwarded == "all" else [f"{seen.forwarded} of it was forwarded"]
    by_quantity = (
        case.expected.decision == "rate_limit" or "csms_sends_per_s" in case.generator or case.judged_as == "fleet"
    )
    allowed = {"none", "some"} if by_quantity else {"none"}
    return [] if seen.forwarded in allowed else [f"{seen.forwarded} of it was forwarded"]


_RULES_SAY: dict[Decision, frozenset[str]] = {
    "allow": frozenset({"keep_last_good"}),
    "allow_alert": frozenset({"alert"}),
    "callerror": frozenset({"deny", "quarantine"}),
    "deny_native": frozenset({"deny"}),
    "drop": frozenset({"drop"}),
    "rate_limit": frozenset({"deny", "answer", "drop", "throttle"}),
    "sanitize": frozenset({"deny"}),
    "ws_close": frozenset({"disconnect"}),
}
"""Events of rules say the effect in the words of policies; what came of it on the wire is judged by the answers."""


def _says(event: Event, decision: Decision) -> bool:
    return event.get("decision", "") in {decision, *_RULES_SAY.get(decision, ())}


def _event(case: Case, seen: Observed, events: list[Event]) -> list[str]:
    expected = case.expected
    if not expected.event:
        would = "would:" if seen.watched else "\0"
        loud = sorted(
            {
                event["event"]
                for event in events
                if event.get("severity") != "info" and not event.get("decision", "").startswith(would)
            }
        )
        return [f"events {', '.join(loud)} about something legitimate"] if loud else []
    found = [event for event in events if event["event"] == expected.event]
    if not found:
        return [f"no event {expected.event} (there are: {', '.join(e['event'] for e in events) or 'none'})"]
    decisions = sorted({event.get("decision", "") for event in found})
    right = any(_says(event, expected.decision) for event in found)
    wrong = [] if right else [f"event says {', '.join(decisions)}, not {expected.decision}"]
    return wrong + _audit(expected.audit, found)


_AUDIT: dict[str, Callable[[Event], object]] = {
    "peer address": lambda event: event.get("peer"),
    "offered versions": lambda event: event.get("tls_offered"),
    "SNI": lambda event: event.get("server_name"),
    "fingerprint": lambda event: re.fullmatch("[0-9a-f]{64}", event.get("certificate_sha256", "")),
    "identity as claimed (marked unverified)": lambda event: event.get("charge_point_id") and not event.get("verified"),
    "event name maps to InvalidChargingStationCertificate": lambda event: (
        event.get("ocpp_event") == "InvalidChargingStationCertificate"
    ),
    "identity escaped": lambda event: "\\x0d\\x0a" in event.get("charge_point_id", "") + event.get("detail", ""),
}


def _audit(words: str, events: list[Event]) -> list[str]:
    asked = [_AUDIT[item] for item in _items(words) if item in _AUDIT]
    names = [item for item in _items(words) if item in _AUDIT]
    return [f"event without {name}" for name, has in zip(names, asked, strict=True) if not any(map(has, events))]


# -- the prose of a case

_CODES = re.compile(r"(station leg|upstream leg closed|disconnect) (\d{4})(?: or (\d{4}))?")
_CARRIES = re.compile(r"answer carries ([\w-]+): (\w+)")
_JUDGED_BY_PLAYS = re.compile(
    r"no (101|secret|echo.*|exception)|one line|closed within handshake timeout|connection dropped at the first attempt"
    r"|(then )?close|bytes after the request are discarded|same status|body.*unknown ids"
    r"|client gets no 101.*|headers removed before upstream|every inbound header is dropped.*|audit and limits use.*"
    r"|each variant in its own request|unknown or missing: 101.*|or 400 by config|decode exactly once.*"
    r"|pings are answered|not relayed|default budget.*|max fragments per message.*|empty frames count too"
    r"|CSMS socket closed.*|write deadline.*|freed after ping_interval.*|the identity becomes free.*"
    r"|reading is paused first.*|revocation and authorisation re-checked.*|stations send no Origin.*"
)


def _items(words: str) -> list[str]:
    return [item.strip() for item in re.split(r"[;,](?![^(]*\))", words) if item.strip()]


def _note(case: Case, seen: Observed) -> list[str]:
    found = []
    for leg, first, second in _CODES.findall(case.expected.note):
        code = seen.csms_close if leg.startswith("upstream") else seen.station_close
        if str(code) not in {first, second}:
            found.append(f"{leg}: {code} instead of {first}{' or ' + second if second else ''}")
    carries = _CARRIES.search(case.expected.note)
    if carries and (seen.answer is None or seen.answer.headers.get(carries[1].lower()) != carries[2]):
        found.append(f"the answer has no {carries[1]}: {carries[2]}")
    return found


def unjudged_words(case: Case) -> list[str]:
    """Parts of note and audit that only a person can judge."""
    known = [item for item in _items(case.expected.audit) if item in _AUDIT or _JUDGED_BY_PLAYS.fullmatch(item)]
    rest = [item for item in _items(case.expected.audit) if item not in known]
    judged = (_CODES.search, _CARRIES.search, _JUDGED_BY_PLAYS.fullmatch)
    return rest + [item for item in _items(case.expected.note) if not any(judge(item) for judge in judged)]


# -- all together


def judge_play(case: Case, seen: Observed, events: list[Event]) -> list[str]:
    """Differences of one play. `events`: those about its source address. Raises NotUnderstood."""
    check = _BY_DECISION.get(case.expected.decision)
    if check is None:
        raise NotUnderstood(f"decision {case.expected.decision}")
    found = [
        *check(case, seen),
        *_forwarded(case, seen),
        *_event(case, seen, events),
        *_note(case, seen),
        *seen.problems,
    ]
    odd = [e["event"] for e in events if any(isinstance(v, str) and _CONTROL.search(v) for v in e.values())]
    return found + [f"control character in event {name}" for name in odd]


def judge_leaks(written: str, secrets: set[str]) -> list[str]:
    """Secrets and exceptions in what the gateway wrote: events and log."""
    found = [
        f"secret {secret[:40]!r} was written down"
        for secret in sorted(secrets | set(PASSWORDS.values()))
        if secret in written
    ]
    return found + (["an exception was logged"] if "Traceback (most recent call last)" in written else [])
