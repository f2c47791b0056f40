"""Each finding fires where it should, and not next to it."""

import pytest

from gateway.policy.cel import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    ExpressionInvalid,
    Field,
    Finding,
    List,
    Map,
    Object,
    Record,
    Scope,
    Set,
    Severity,
    String,
    Type,
    check,
    check_each,
    finding_of,
    parse,
)

STATUS = String(frozenset({"Accepted", "Rejected", "Blocked"}))
SAMPLE = Record("sample", {"value": Field(STRING), "phase": Field(STRING, optional=True)})
METER = Record("meter", {"at": Field(String(date_time=True)), "samples": Field(List(SAMPLE))})
INFO = Record("info", {"status": Field(STATUS), "parent": Field(String(max_length=20), optional=True)})
CUSTOM = Record("customData", {"vendorId": Field(STRING)}, is_open=True)
PAYLOAD = Record(
    "StartTransaction",
    {
        "connectorId": Field(INT),
        "limit": Field(DOUBLE),
        "idTag": Field(String(max_length=20)),
        "timestamp": Field(String(date_time=True)),
        "reservationId": Field(INT, optional=True),
        "info": Field(INFO, optional=True),
        "meters": Field(List(METER)),
        "others": Field(List(METER)),
        "few": Field(List(INT, 10)),
        "many": Field(List(INT, 1000)),
        "states": Field(List(STATUS)),
        "flag": Field(BOOL),
        "maybe": Field(BOOL, optional=True),
        "data": Field(DYN, optional=True),
        "custom": Field(CUSTOM, optional=True),
    },
)
SCOPE = Scope(
    {
        "payload": PAYLOAD,
        "session": Object("session", {"identity": Field(STRING), "vendor": Field(STRING, optional=True)}),
        "params": Record("params", {"max_amps": Field(DOUBLE), "hosts": Field(List(STRING))}, unknown="P070"),
        "sets": Record("sets", {"trusted": Field(Set())}, unknown="P070"),
        "keys": Map(INT),
        "now": TIMESTAMP,
        "age": DURATION,
    }
)


def findings(text: str, expect: Type = BOOL) -> tuple[Finding, ...]:
    return check(parse(text), SCOPE, expect).findings


def codes(text: str, expect: Type = BOOL) -> list[str]:
    return [finding.code for finding in findings(text, expect)]


def the_finding(text: str) -> tuple[str, str]:
    """Code of the only finding, and the text it points at."""
    (finding,) = findings(text)
    return finding.code, text[finding.start : finding.end]


@pytest.mark.parametrize(
    ("text", "place", "suggestion"),
    [
        ("paylaod.flag", "paylaod", "did you mean payload?"),
        ("x == 1", "x", ""),
        ("session.identitty == 'a'", "session.identitty", "did you mean identity?"),
        ("payload.idTag.startswith('a')", "payload.idTag.startswith('a')", "did you mean startsWith?"),
        ("payload.meters.exist(m, true)", "payload.meters.exist(m, true)", "did you mean exists?"),
        ("frobnicate(payload.idTag)", "frobnicate(payload.idTag)", ""),
        ("payload.few.all(x, x > 0) && x > 0", "x", ""),
    ],
)
def test_p020_unknown_names_and_functions(text: str, place: str, suggestion: str) -> None:
    finding = findings(text)[0]
    assert (finding.code, text[finding.start : finding.end]) == ("P020", place)
    if suggestion:
        assert finding.suggestion == suggestion


@pytest.mark.parametrize(
    ("text", "part", "suggestion"),
    [
        ("payload.connectorId", "int is no condition", ""),
        ("!payload.connectorId", "int is no condition", ""),
        ("payload.flag && payload.limit", "double is no condition", ""),
        ("payload.connectorId == 'a'", "never equal", ""),
        ("payload.idTag < 1", "cannot order", "int(x)"),
        ("payload.idTag == null", "never equal", "has("),
        ("payload.flag == 1", "never equal", ""),
        ("payload.connectorId + 1.5 > 0.0", "no int + double", "double(x)"),
        ("payload.limit * 2 > 0.0", "no double * int", "write 2.0"),
        ("payload.limit % 2.0 == 0.0", "no double % double", ""),
        ("payload.idTag + 1 == 'a'", "no string + int", "string(x)"),
        ("-payload.idTag == 'a'", "no -string", ""),
        ("payload.idTag in 'abc'", "no string in string", "contains"),
        ("payload.connectorId in params.hosts", "no int in list(string)", ""),
        ("payload.connectorId in sets.trusted", "no int in set(string)", ""),
        ("1 in keys", "no int in map(int)", ""),
        ("'flag' in payload", "in StartTransaction", "has("),
        ("payload.timestamp < now", "not ordered as texts", "timestamp(x)"),
        ("payload.timestamp < '2026'", "not ordered as texts", "timestamp(x)"),
        ("payload.timestamp == now", "never equal", "timestamp(x)"),
        ("now - payload.timestamp > age", "no timestamp - string", "timestamp(x)"),
        ("now > age", "cannot order timestamp and duration", ""),
        ("-age == age", "no -duration", ""),
        ("payload.?reservationId == 1", "never equal", ".orValue"),
        ("payload.?reservationId > 1", "cannot order", ".orValue"),
        ("payload.?maybe", "no condition", ".orValue(false)"),
        ("payload.connectorId.orValue(1) == 1", "never missing", ".?field"),
        ("payload.?reservationId.orValue('a') == 1", "string instead of int", ""),
        ("payload.?info.samples.exists(x, true) ", "no field", ""),
        ("payload.idTag.size == 1", "string has no fields", ""),
        ("payload.meters.at == 'a'", "has no fields", "exists()"),
        ("payload.meters['a'].at == 'a'", "index of a list", ""),
        ("payload.few[-1] == 1", "indices start at 0", ""),
        ("payload[payload.idTag] == 1", "no StartTransaction[...]", "name the field"),
        ("session['identity'] == 'a'", "no session[...]", "name the field"),
        ("payload.idTag.all(c, c == 'a')", "has no elements", ""),
        ("sets.trusted.all(c, c == 'a')", "has no elements", ""),
        ("payload.?few.all(c, c == 1)", "has no elements", ".orValue([])"),
        ("payload.few.all(x, x)", "no condition", ""),
        ("payload.few.map(x, x > 1)", "list(bool) is no condition", ""),
        ("payload.flag ? 1 : 'a'", "either int or string", ""),
        ("[1, 'a'].size() == 2", "string in a list of int", ""),
        ("size(payload.connectorId) == 1", "does not take int", ""),
        ("size(payload.few, 1) == 1", "takes one argument", ""),
        ("startsWith(payload.idTag, 'a')", "follows a text", "x.startsWith(y)"),
        ("payload.timestamp.timestamp() < now", "in brackets", "timestamp(x)"),
        ("payload.idTag.contains(1)", "does not take int", ""),
        ("payload.few.contains(1)", "does not take list(int)", ""),
        ("timestamp('yesterday') < now", "RFC 3339", ""),
        ("duration('1d') < age", "not a duration", ""),
        ("int(payload.flag) == 1", "does not take bool", ""),
        ("payload.?few.orValue().size() == 1", "takes one argument", "orValue(y)"),
        ("payload.?reservationId.orValue(payload.?connectorId) == 1", "missing too", ".orValue"),
        ("payload.idTag.matches('a', 'b')", "takes one pattern", ""),
        ("payload.few.matches('a')", "does not take list(int)", ""),
        ("payload.?idTag.matches('a')", "does not take optional(string)", ".orValue"),
        ("payload.?reservationId + 1 == 1", "no optional(int) + int", ".orValue"),
        ("-payload.?reservationId == 1", "no -optional(int)", ".orValue"),
        ("has(payload.data) && payload.data + 1 == 1", "no dyn + int", "int(x)"),
        ("has(payload.data) && payload.data", "dyn is no condition", "x == true"),
        ("now - payload.idTag > age", "no timestamp - string", "string(x)"),
        ("now < payload.idTag", "cannot order timestamp and string", "timestamp(x)"),
        ("payload.few + payload.states == []", "no list(int) + list(string)", ""),
        ("1 in 2", "no int in int", "write a list"),
        ("1 in payload.?few", "no int in optional", ".orValue([])"),
        ("payload.?reservationId in [1]", "no optional(int) in list", ".orValue"),
        ("[payload.?reservationId].size() == 1", "may be missing", ".orValue"),
        ("payload.few.map(x, payload.?reservationId).size() == 1", "may be missing", ".orValue"),
        ("keys[1] == 1", "no map(int)[int]", ""),
        ("payload['typo'] == 1", "no field typo", ""),
    ],
)
def test_p021_types(text: str, part: str, suggestion: str) -> None:
    matching = [each for each in findings(text) if part in each.message]
    assert matching, findings(text)
    assert matching[0].code in {"P021", "P022"}
    assert suggestion in matching[0].suggestion


@pytest.mark.parametrize(
    "text",
    [
        "payload.connectorId == 1.0",
        "payload.limit <= 32",
        "payload.connectorId < payload.limit",
        "payload.connectorId in [1, 2.0]",
        "payload.?reservationId.orValue(0) == 0",
        "payload.limit * double(payload.connectorId) > 1.0",
        "payload.idTag + '/' + string(payload.connectorId) in params.hosts",
        "payload.idTag in sets.trusted",
        "payload.idTag in keys",
        "timestamp(payload.timestamp) < now && now - timestamp(payload.timestamp) < age + duration('10m')",
        "payload.timestamp == '2026-01-01T00:00:00Z'",
        "payload.few + [1] == [1, 2]",
        "(payload.flag ? payload.few : []).size() == 1",
        "payload.flag ? true : payload.limit > (payload.flag ? 1 : 2.5)",
        "payload.flag == payload.flag && true",
        "payload.meters.map(m, m.at).size() > 1",
        "payload.few.filter(x, x > 1).exists(x, x == 2)",
        "cel.bind(n, payload.few.size(), n > 1 && n < 9)",
        "'identity' == session.identity",
        "keys.all(k, k.size() > 1)",
        "false < payload.flag",
        "[[1], [2]].exists(x, x == payload.few)",
        "has((payload.flag ? keys : keys).a)",
        "has(payload.data) && payload.data.lowerAscii() == 'a'",
        "payload.few == ([] + [])",
        "[].all(x, x + 1 > -x)",
    ],
)
def test_well_typed_expressions_have_no_error(text: str) -> None:
    assert [finding for finding in findings(text) if finding.severity is Severity.ERROR] == []


def test_a_condition_must_be_bool_and_a_key_may_be_anything() -> None:
    assert codes("session.identity") == ["P021"]
    assert codes("session.identity", DYN) == []
    assert codes("session.identity", STRING) == []
    assert codes("payload.connectorId", DOUBLE) == []
    assert codes("payload.limit", INT) == ["P021"]
    assert codes("payload.flag ? 'a' : session.identity", STRING) == []
    assert codes("has(payload.data) ? payload.data : 'a'", STRING) == ["P021"]


def test_p022_unknown_field() -> None:
    assert the_finding("payload.conectorId == 1") == ("P022", "payload.conectorId")
    assert the_finding("has(payload.reservation)") == ("P022", "has(payload.reservation)"[4:-1])
    assert the_finding("payload.?idtag.orValue('') == 'a'")[0] == "P022"
    assert the_finding("payload.meters.exists(m, m.sample.size() > 1)") == ("P022", "m.sample")
    assert codes("payload.connectorId == 1") == []


def test_an_unknown_parameter_has_the_code_its_record_says() -> None:
    assert the_finding("payload.limit > params.max_amp") == ("P070", "params.max_amp")


def test_an_open_record_may_have_other_fields_but_they_need_a_guard() -> None:
    assert codes("has(payload.custom) && has(payload.custom.colour) && payload.custom.colour == 'red'") == []
    assert the_finding("has(payload.custom) && payload.custom.colour == 'red'") == ("P023", "payload.custom.colour")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("payload.reservationId == 1", "payload.reservationId"),
        ("payload.info.status == 'Accepted'", "payload.info"),
        ("has(payload.info.parent)", "payload.info"),
        ("has(payload.info) && payload.info.parent == 'a'", "payload.info.parent"),
        ("has(payload.info) || payload.info.status == 'Accepted'", "payload.info"),
        ("payload.info.status == 'Accepted' && has(payload.info)", "payload.info"),
        ("!has(payload.info) && payload.info.status == 'Accepted'", "payload.info"),
        ("(has(payload.info) || payload.flag) && payload.info.status == 'Accepted'", "payload.info"),
        ("has(payload.info) ? payload.flag : payload.info.status == 'Accepted'", "payload.info"),
        ("payload.meters[0].samples.all(s, s.phase == 'L1')", "s.phase"),
        ("has(payload.meters[0].samples[0].phase) && payload.meters[0].samples[1].phase == 'a'",
         "payload.meters[0].samples[1].phase"),
        ("payload.meters[0].samples.exists(s, has(s.phase)) && payload.meters[0].samples.all(s, s.phase == 'L1')",
         "s.phase"),
        ("session.vendor == 'x'", "session.vendor"),
        ("keys.a == 1", "keys.a"),
        ("keys['a'] == 1", "keys['a']"),
        ("payload.data == 1", "payload.data"),
        ("cel.bind(payload, [payload][0], has(payload.info)) && payload.info.status == 'Accepted'", "payload.info"),
    ],
)  # fmt: skip
def test_p023_an_optional_field_needs_a_guard_before_it(text: str, place: str) -> None:
    assert the_finding(text) == ("P023", place)


@pytest.mark.parametrize(
    "text",
    [
        "has(payload.reservationId) && payload.reservationId == 1",
        "!has(payload.reservationId) || payload.reservationId == 1",
        "has(payload.info) && has(payload.info.parent) && payload.info.parent == 'a'",
        "has(payload.?info.parent) && payload.info.parent == 'a'",
        "payload.flag && has(payload.info) && (payload.flag || payload.info.status == 'Accepted')",
        "!(!has(payload.info) || payload.info.status == 'Accepted')",
        "!(has(payload.info) && payload.flag) || payload.info.status == 'Accepted'",
        "has(payload.info) ? payload.info.status == 'Accepted' : false",
        "!has(payload.info) ? true : payload.info.status == 'Accepted'",
        "(has(payload.info) ? payload.flag : false) && payload.info.status == 'Accepted'",
        "has(payload.info) && payload.few.all(x, payload.info.status == 'Accepted')",
        "payload.meters[0].samples.all(s, !has(s.phase) || s.phase == 'L1')",
        "payload.meters[0].samples.filter(s, has(s.phase)).all(t, t.phase == 'L1')",
        "payload.meters[0].samples.map(s, has(s.phase), s.phase).exists(p, p == 'L1')",
        "payload.?info.status.orValue('Accepted') == 'Accepted'",
        "payload.?info.?parent.orValue('') == ''",
        "has(payload.meters[0].samples[0].phase) && payload.meters[0].samples[0].phase == 'L1'",
        "cel.bind(i, payload, has(i.info) && payload.info.status == 'Accepted')",
        "has(payload.info) && cel.bind(i, payload.info, i.status == 'Accepted')",
        "has(session.vendor) && session.vendor == 'x'",
        "'a' in keys && keys['a'] == 1 && keys.a == 1",
        "keys.all(k, keys[k] > 0)",
        "keys[?'a'].orValue(1) == 1",
        "(has(payload.info) && has(payload.maybe)) && payload.maybe && payload.info.status == 'Accepted'",
        "((has(payload.info) && payload.flag) || (has(payload.info) && !payload.flag)) && payload.info.status == 'Accepted'",
    ],
)
def test_p023_a_guard_is_understood(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("has(payload.info) && payload.info.status == 'Acepted'", "'Acepted'"),
        ("'Unknown' != payload.?info.status.orValue('Accepted') || true", "'Unknown'"),
        ("has(payload.info) && payload.info.status in ['Accepted', 'Denied']", "'Denied'"),
        ("payload.states.exists(s, s == 'accepted')", "'accepted'"),
        ("payload.states.map(s, s.lowerAscii()).exists(s, s == 'Accepted')", "'Accepted'"),
        ("payload.idTag == '012345678901234567890'", "'012345678901234567890'"),
        ("(payload.flag ? 'a' : 'b') == 'c'", "'c'"),
    ],
)
def test_p024_a_comparison_that_can_never_hold(text: str, place: str) -> None:
    found = [each for each in findings(text) if each.code == "P024"]
    assert [text[each.start : each.end] for each in found] == [place]


@pytest.mark.parametrize(
    "text",
    [
        "has(payload.info) && payload.info.status in ['Accepted', 'Blocked']",
        "payload.states.map(s, s.lowerAscii()).exists(s, s == 'accepted')",
        "payload.idTag == '01234567890123456789'",
        "payload.idTag == '😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀'",
        "(payload.flag ? payload.states[0] : payload.idTag) == 'anything'",
    ],
)
def test_p024_is_silent_where_it_can_hold(text: str) -> None:
    assert codes(text) == []


def test_p024_suggests_the_value_that_was_meant() -> None:
    (finding,) = findings("payload.states.exists(s, s == 'Acepted')")
    assert finding.suggestion == "did you mean Accepted?"
    assert "Accepted, Blocked, Rejected" in finding.message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("true", "true"),
        ("1 < 2", "1 < 2"),
        ("payload.flag || true", "true"),
        ("!false && payload.flag", "!false"),
        ("payload.few.all(x, true)", "true"),
        ("has(payload.idTag)", "has(payload.idTag)"),
        ("payload.idTag == payload.idTag", "payload.idTag == payload.idTag"),
        ("payload.few.exists(x, x < x)", "x < x"),
        ("payload.few.size() >= 0", "payload.few.size() >= 0"),
        ("0 > size(payload.few)", "0 > size(payload.few)"),
    ],
)
def test_p025_what_is_always_the_same_is_a_warning(text: str, place: str) -> None:
    (finding,) = findings(text)
    assert (finding.code, finding.severity) == ("P025", Severity.WARNING)
    assert text[finding.start : finding.end] == place
    assert check(parse(text), SCOPE).checked is not None


@pytest.mark.parametrize(
    "text",
    [
        "has(payload.info)",
        "payload.few.size() > 0",
        "payload.few[0] == payload.few[1]",
        "payload.few.exists(x, payload.few.exists(y, x == y))",
        "payload.flag ? payload.few == [] : payload.few == [1]",
    ],
)
def test_p025_is_silent_where_the_message_decides(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "payload.meters.all(a, payload.others.all(b, a.at == b.at))",
        "payload.meters.map(a, payload.others.map(b, b)).size() > 1",
        "payload.meters.all(a, a.samples.all(s, payload.others.exists(b, b.at == s.value)))",
        "payload.many.all(a, payload.few.all(b, a != b))",
    ],
)
def test_p040_loops_that_multiply(text: str) -> None:
    assert codes(text) == ["P040"]


@pytest.mark.parametrize(
    "text",
    [
        "payload.meters.all(m, m.samples.all(s, s.value == 'a'))",
        "payload.meters.all(m, cel.bind(q, m.samples, q.all(s, s.value == 'a')))",
        "payload.meters.all(m, payload.few.exists(x, m.samples.size() == x))",
        "payload.meters.all(m, params.hosts.exists(h, m.at.endsWith(h)))",
        "params.hosts.exists(h, payload.meters.exists(m, m.at.endsWith(h)))",
        "payload.few.all(a, payload.few.all(b, a != b))",
        "payload.meters.all(m, true || m.samples.all(s, s.value == 'a'))",
        "payload.meters.map(m, m.samples).all(s, s.size() > 1)",
        "payload.meters.exists(a, a.at == 'x') && payload.others.exists(b, b.at == 'x')",
    ],
)
def test_p040_is_silent_where_each_element_is_seen_once_or_lists_are_short(text: str) -> None:
    assert "P040" not in codes(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (r"payload.idTag.matches('(a)\\1')", "back-references"),
        ("payload.idTag.matches('a(?=b)')", "look-around"),
        ("payload.idTag.matches('(a+)+$')", "under a repetition"),
        ("payload.idTag.matches('[')", "[ without ]"),
        ("payload.idTag.matches(session.identity)", "literal"),
        ("payload.idTag.matches('a' + 'b')", "literal"),
        ("matches(payload.idTag, '*')", "nothing to repeat"),
        ("payload.idTag.matches('a.{200}b')", "too complex"),
    ],
)
def test_p041_patterns_that_are_refused(text: str, part: str) -> None:
    (finding,) = findings(text)
    assert finding.code == "P041"
    assert part in finding.message


def test_p041_plain_patterns_are_accepted() -> None:
    assert codes("payload.idTag.matches('^[0-9A-F]{8,20}$') || matches(payload.idTag, '^DE')") == []


def test_all_findings_are_collected_in_order() -> None:
    text = "payload.conectorId == 1 && payload.reservationId == 'a' && nowhere && payload.flag + 1 == 2"
    assert codes(text) == ["P022", "P023", "P021", "P020", "P021"]


def test_a_report_says_whether_the_expression_can_be_used() -> None:
    assert check(parse("payload.typo == 1"), SCOPE).is_refused
    assert not check(parse("payload.flag || true"), SCOPE).is_refused


def test_a_text_that_cannot_be_parsed_is_a_finding_like_any_other() -> None:
    with pytest.raises(ExpressionInvalid) as caught:
        parse("a = 1")
    finding = finding_of(caught.value)
    assert (finding.code, finding.start, finding.end, finding.severity) == ("P019", 2, 3, Severity.ERROR)
    assert finding.suggestion == "to compare, write =="


def test_one_mistake_is_reported_once() -> None:
    assert codes("payload.typo.deeper.still == 1 && payload.typo2 + 1 > 2") == ["P022", "P022"]


# Several versions and actions


V1 = Scope({"payload": Record("A", {"n": Field(INT), "s": Field(STATUS), "o": Field(INT)}), "now": TIMESTAMP})
V2 = Scope(
    {"payload": Record("B", {"n": Field(DOUBLE), "s": Field(STRING), "o": Field(INT, optional=True)}), "now": TIMESTAMP}
)
V3 = Scope({"payload": Record("C", {"n": Field(STRING)}), "now": TIMESTAMP})
PAIRS = {"1.6 A": V1, "2.0.1 B": V2}


def test_a_field_that_one_action_lacks_is_reported_with_the_action() -> None:
    report = check_each(parse("payload.s == 'Accepted'"), {**PAIRS, "2.1 C": V3})
    assert [(each.code, each.where) for each in report.findings] == [("P022", ("2.1 C",))]
    assert report.is_refused
    assert set(report.checked) == {"1.6 A", "2.0.1 B"}


def test_a_field_that_no_action_has_is_reported_without_naming_them_all() -> None:
    report = check_each(parse("payload.x == 1"), PAIRS)
    assert [(each.code, each.where) for each in report.findings] == [("P022", ())]


def test_a_guard_is_needed_if_one_action_needs_it_and_is_no_constant_then() -> None:
    unguarded = check_each(parse("payload.o == 1"), PAIRS)
    assert [(each.code, each.where) for each in unguarded.findings] == [("P023", ("2.0.1 B",))]
    assert check_each(parse("has(payload.o) && payload.o == 1"), PAIRS).findings == ()


def test_a_value_that_one_version_knows_is_no_mistake() -> None:
    assert check_each(parse("payload.s == 'Scheduled'"), PAIRS).findings == ()
    assert [each.code for each in check_each(parse("payload.s == 'Scheduled'"), {"1.6 A": V1}).findings] == ["P024"]


def test_scopes_that_differ_only_in_what_is_not_used_are_checked_once() -> None:
    report = check_each(parse("now > timestamp('2026-01-01T00:00:00Z')"), PAIRS)
    assert report.checked["1.6 A"] is report.checked["2.0.1 B"]
    different = check_each(parse("payload.n > 1"), PAIRS)
    assert different.checked["1.6 A"] is not different.checked["2.0.1 B"]


# What else the outcome says


def test_names_and_uses_say_what_an_expression_reads() -> None:
    text = "payload.meters.all(m, m.samples.exists(s, s.value == 'a')) && now > now && params.hosts.size() > 0"
    checked = check(parse(text), SCOPE).checked
    assert checked is not None
    assert checked.names == ("now", "params", "payload")
    assert checked.uses == (
        ("now",),
        ("params", "hosts"),
        ("payload", "meters", "[]", "samples", "[]", "value"),
    )


def test_a_variable_of_a_macro_is_no_root_name() -> None:
    checked = check(parse("payload.few.all(now, now > 1)"), SCOPE).checked
    assert checked is not None
    assert checked.names == ("payload",)
