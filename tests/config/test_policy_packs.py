import pytest

from gateway.config.policy_packs import load_bundle, load_tests, shipped_packs
from gateway.config.problems import ConfigError
from gateway.policy.rules import Rollout
from gateway.policy.site import GroupPolicy, SitePolicy

PLAIN = SitePolicy()
NOW = 1_767_225_600.0
HEAD = 'apiVersion: ocpp-gateway/v1\nkind: PolicyPack\nmetadata: {name: mine, version: "1"}\n'
RULE = "rules:\n  - id: a/b\n    title: t\n    match: {action: Reset, direction: to_station}\n    action: deny\n"


def load(tmp_path, body, site=PLAIN, name="mine.yaml", more=()):
    path = tmp_path / name
    path.write_text(HEAD + body)
    return load_bundle([str(path), *more], site, now=NOW)


def places(bundle):
    return [(problem.code, problem.line, problem.column) for problem in bundle.problems]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("    when: payload.tpe == 'Hard'\n", ("P022", 9, 11)),
        ("    when: msg.size > 9 && payload.tpe == 'Hard'\n", ("P022", 9, 27)),
        ("    when: \"payload.tpe == 'Hard'\"\n", ("P022", 9, 12)),
        ("    when: '  payload.tpe == \"x\"'\n", None),
        ("    when: >-\n      payload.tpe == 'Hard'\n", ("P022", 9, 11)),
        ("    unles: x\n", ("P003", 9, 5)),
        ("    when: payload.type == 'Hard'\n", ()),
    ],
)
def test_a_finding_has_its_line_and_column(tmp_path, line, place):
    found = places(load(tmp_path, RULE + line))
    if place is None:
        assert found[0][:2] == ("P022", 9)
    else:
        assert found == ([place] if place else [])


def test_a_list_of_expressions_has_the_place_of_its_item(tmp_path):
    found = places(load(tmp_path, RULE + "    rate: {limit: 5/1m, key: [sesion.identity]}\n"))
    assert found == [("P020", 9, 31)]


def test_a_suggestion_is_said_once(tmp_path):
    text = str(load(tmp_path, RULE + "    unles: x\n").problems[0])
    assert text.endswith("mine.yaml:9:5: P003 unknown field 'unles' (did you mean 'unless'?)")
    assert str(load(tmp_path, RULE + "    when: payload.tpe == 'x'\n").problems[0]).count("did you mean") <= 1


def test_names_and_paths(tmp_path):
    assert load_bundle(["firmware"], SitePolicy(), now=NOW).packs[0].name == "firmware"
    wrong = load_bundle(["firmwar"], SitePolicy(), now=NOW)
    assert (wrong.errors[0].code, wrong.errors[0].suggestion) == ("P071", "firmware")
    missing = load_bundle([str(tmp_path / "x.yaml")], SitePolicy(), now=NOW)
    assert "cannot be read" in missing.errors[0].message
    with pytest.raises(ConfigError):
        missing.snapshot()


def test_the_revision_is_that_of_the_content(tmp_path):
    other = "  - id: a/c\n    title: t\n    match: {action: Reset}\n    action: alert\n"
    (tmp_path / "d").mkdir()
    plain = load(tmp_path, RULE + other).revision
    commented = load(
        tmp_path, "# why\n" + RULE.replace("title: t", "title:   t  # x") + other, name="d/other.yaml"
    ).revision
    moved = load(tmp_path, "rules:\n" + other + RULE.removeprefix("rules:\n")).revision
    assert plain == commented == moved
    assert len(plain) == 64
    assert load(tmp_path, RULE.replace("deny", "drop") + other).revision != plain
    assert load(tmp_path, RULE + other, SitePolicy(everyone=GroupPolicy(mode="monitor"))).revision != plain


def test_the_revision_does_not_depend_on_the_order_of_packs():
    one = load_bundle(["firmware", "logs"], SitePolicy(), now=NOW).revision
    assert one == load_bundle(["logs", "firmware"], SitePolicy(), now=NOW).revision


def test_an_include_gives_the_mode_and_the_strictest_wins(tmp_path):
    body = "include:\n  - {pack: logs, mode: monitor}\n  - {pack: logs, mode: enforce, rules: [logs/customer-data]}\n"
    modes = {rule.id: rule.mode for pack in load(tmp_path, body).packs for rule in pack.rules}
    assert modes == {"logs/upload-allowlist": "monitor", "logs/customer-data": "enforce"}


def test_an_include_takes_only_the_rules_it_names(tmp_path):
    body = "include:\n  - {pack: logs, rules: [logs/customer-data]}\n"
    assert [rule.id for pack in load(tmp_path, body).packs for rule in pack.rules] == ["logs/customer-data"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("include:\n  - {pack: lgs}\n", ("P071", 5, 6)),
        ("include:\n  - {pack: logs, rules: [logs/x]}\n", ("P071", 5, 27)),
    ],
)
def test_an_include_of_nothing_is_found_where_it_stands(tmp_path, body, place):
    found = places(load(tmp_path, body))
    assert (found[0][0], found[0][1]) == place[:2]


def test_packs_in_a_circle(tmp_path):
    path = tmp_path / "mine.yaml"
    bundle = load(tmp_path, f"include:\n  - {{pack: {path}}}\n")
    assert [problem.code for problem in bundle.errors] == ["P071"]


def test_two_packs_of_one_name(tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(HEAD + RULE)
    assert "P004" in {problem.code for problem in load(tmp_path, RULE, more=[str(other)]).errors}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"firmware_hosts": ("a.example",)}, None),
        ({"firmware_hosts": "a.example"}, "P070"),
        ({"firmware_host": ("a.example",)}, "P070"),
        ({"max_updates": True}, "P070"),
    ],
)
def test_the_values_of_a_site_are_checked(params, code):
    bundle = load_bundle(["firmware"], SitePolicy(groups={"g": GroupPolicy(params=params)}), now=NOW)
    assert {problem.code for problem in bundle.errors} == ({code} if code else set())


def test_durations_of_a_site_become_seconds():
    bundle = load_bundle(["reservation"], SitePolicy(everyone=GroupPolicy(params={"max_reservation": "2h"})), now=NOW)
    assert bundle.site.parameter("g", "max_reservation") == 7200


def test_a_mode_for_a_rule_that_is_not_loaded():
    site = SitePolicy(everyone=GroupPolicy(modes={"firmware/location-alowlist": "off"}))
    problem = load_bundle(["firmware"], site, now=NOW).errors[0]
    assert (problem.code, problem.suggestion) == ("P061", "firmware/location-allowlist")


def test_a_duplicate_key_keeps_its_place(tmp_path):
    assert places(load(tmp_path, "rules: []\nrules: []\n")) == [("P001", 5, 1)]


def test_tests_beside_packs(tmp_path):
    assert all(load_tests(name) is not None for name in shipped_packs())
    (tmp_path / "mine.yaml").write_text(HEAD)
    assert load_tests(str(tmp_path / "mine.yaml")) is None
    (tmp_path / "mine.test.yaml").write_text("pack: mine\n")
    for name in ("mine.yaml", "mine.test.yaml"):
        found = load_tests(str(tmp_path / name))
        assert found is not None
        assert found.value == {"pack": "mine"}


WIDE = "{id: a/wide, title: t, action: deny, severity: high, match: {action: [Reset, ClearCache]}%s}"
NARROW = '{id: a/narrow, title: t, action: deny, match: {action: Reset, version: "1.6", group: north}%s}'
UNDER = ", when: msg.size > 40"


@pytest.mark.parametrize(
    ("wide", "narrow", "found"),
    [
        ("", "", True),
        ("", UNDER, True),
        (UNDER, UNDER.replace(" > ", "  >  "), True),
        ("", ", rate: {limit: 5/1m}", True),
        (UNDER, "", False),
        (UNDER, ", when: msg.size > 41", False),
        (", rate: {limit: 5/1m}", "", False),
        (", mode: monitor, level: 2", "", False),
        ("", ", mode: monitor, level: 2", False),
        (", rollout: {percent: 50}", "", False),
        (UNDER + ", on_error: no-match", UNDER, False),
        ("", ", severity: critical", False),
        ("", ", then: [quarantine]", False),
    ],
)
def test_a_rule_that_never_decides_is_found(tmp_path, wide, narrow, found):
    bundle = load(tmp_path, f"rules:\n  - {NARROW % narrow}\n  - {WIDE % wide}\n")
    assert [(each.code, each.line, each.severity) for each in bundle.problems] == (
        [("P051", 5, "warning")] if found else []
    )


@pytest.mark.parametrize(
    ("narrow", "wide", "found"),
    [
        ("action: Reset", "action: '*', direction: to_station", True),
        ("action: Reset, identity: [A, B]", "action: Reset, identity: [A, B, C]", True),
        ("phase: result, of: Reset", "phase: result, of: '*', direction: to_csms", True),
        ("action: '*', direction: to_station", "action: Reset", False),
        ("action: Reset", "action: Reset, version: '1.6'", False),
        ("action: Reset, identity: [A, B]", "action: Reset, identity: [B, C]", False),
        ("action: Reset", "action: Reset, identity: B", False),
        ("action: DataTransfer", "action: DataTransfer, direction: to_csms", False),
        ("action: Reset", "phase: result, of: Reset", False),
        ("action: Reset", "action: Reset, state: pending", False),
    ],
)
def test_only_by_one_that_speaks_of_everything_it_speaks_of(tmp_path, narrow, wide, found):
    rule = "  - {id: a/%s, title: t, action: %s, match: {%s}}\n"
    bundle = load(tmp_path, "rules:\n" + rule % ("n", "drop", narrow) + rule % ("w", "deny", wide))
    assert {each.code for each in bundle.problems} == ({"P051"} if found else set())


def test_a_stronger_rule_with_an_exception_or_watching_in_a_group_leaves_something_to_decide(tmp_path):
    body = f"rules:\n  - {NARROW % ''}\n  - {WIDE % ''}\n"
    excepted = "exceptions: [{rule: a/wide, match: {group: north}, owner: o, reason: r, until: 2099-01-01}]\n"
    assert load(tmp_path, body + excepted).problems == ()
    assert load(tmp_path, body, SitePolicy(rollouts={"a/wide": Rollout(percent=5.0)})).problems == ()
    for policy in (GroupPolicy(modes={"a/wide": "monitor"}), GroupPolicy(mode="off")):
        assert load(tmp_path, body, SitePolicy(groups={"north": policy})).problems == ()
    assert [each.code for each in load(tmp_path, body, SitePolicy(groups={"north": GroupPolicy()})).problems] == [
        "P051"
    ]


def test_the_same_words_in_two_packs_are_not_the_same_condition(tmp_path):
    """Each pack has parameters and sets of its own."""
    params = "params: {most: {type: int, default: 5}}\n"
    under = ", when: msg.size > params.most"
    (tmp_path / "wide.yaml").write_text(HEAD.replace("mine", "wide") + params + f"rules:\n  - {WIDE % under}\n")
    body = params + f"rules:\n  - {NARROW % under}\n"
    assert load(tmp_path, body, more=[str(tmp_path / "wide.yaml")]).problems == ()
    both = load(tmp_path, params + f"rules:\n  - {NARROW % under}\n  - {WIDE % under}\n")
    assert [each.code for each in both.problems] == ["P051"]


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (RULE + "    rollout: {groups: [nroth]}\n", 9),
        (RULE.replace("action: Reset", "action: Reset, group: nroth"), 7),
        (
            RULE
            + "exceptions:\n  - {rule: a/b, match: {group: [north, nroth]}, owner: o, reason: r, until: 2099-01-01}\n",
            10,
        ),
    ],
)
def test_a_group_that_nobody_is_in_is_found_where_the_registry_is_known(tmp_path, body, line):
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + body)
    (found,) = load_bundle([str(path)], PLAIN, now=NOW, groups=["north", "south"]).problems
    assert (found.code, found.line, found.suggestion, found.severity) == ("P050", line, "north", "warning")
    assert load_bundle([str(path)], PLAIN, now=NOW, groups=["north", "nroth"]).problems == ()
    assert load_bundle([str(path)], PLAIN, now=NOW).problems == ()


def test_a_group_of_the_site_that_nobody_is_in():
    site = SitePolicy(
        groups={"north": GroupPolicy(level=2), "suoth": GroupPolicy(level=2)}, maintenance_groups=("south", "x")
    )
    found = load_bundle(["firmware"], site, now=NOW, groups=["north", "south"]).problems
    assert [(each.code, each.key, each.suggestion) for each in found] == [
        ("P050", "groups.suoth", "south"),
        ("P050", "maintenance_groups.1", ""),
    ]


def requiring(tmp_path, text, *packs):
    path = tmp_path / "mine.yaml"
    head = HEAD.replace('version: "1"', f'version: "1.2", requires: {text}')
    path.write_text(head + RULE + "    when: payload.type == 'Hard'\n")
    return load_bundle([str(path), *packs], PLAIN, now=NOW)


@pytest.mark.parametrize("text", ['">=0.1"', '"*"', '{gateway: ">=0.1", firmware: ">=1.0, <2"}', "{mine: '==1.2'}"])
def test_a_pack_whose_requirements_are_met_is_loaded(tmp_path, text):
    bundle = requiring(tmp_path, text, "firmware")
    assert bundle.errors == ()
    assert bundle.snapshot().rules


@pytest.mark.parametrize(
    ("text", "packs", "place", "said"),
    [
        ('">=9.4"', (), (3, 40), "requires gateway >=9.4, and this gateway is version"),
        ('{firmware: ">=7"}', ("firmware",), (3, 51), "requires firmware >=7, and pack firmware is version 1"),
        ('{firmware: ">=1"}', (), (3, 51), "requires pack firmware >=1, which is not loaded; name it beside this one"),
        ('{firmwar: ">=1"}', ("firmware",), (3, 51), "requires pack 'firmwar', which is not loaded"),
        ('{gatway: ">=0"}', (), (3, 51), "requires pack 'gatway', which is not loaded"),
    ],
)
def test_a_requirement_that_is_not_met_makes_the_bundle_unusable(tmp_path, text, packs, place, said):
    bundle = requiring(tmp_path, text, *packs)
    (problem,) = bundle.errors
    assert (problem.code, problem.line, problem.column) == ("P072", *place)
    assert said in problem.message
    assert problem.suggestion == {"firmwar": "firmware", "gatway": "gateway"}.get(text[1:].partition(":")[0], "")
    with pytest.raises(ConfigError, match="P072"):
        bundle.snapshot()


def test_what_a_pack_includes_need_not_be_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD.replace('"1"', '"1", requires: {firmware: "*"}') + "include: [{pack: firmware}]\n")
    assert load_bundle([str(path)], PLAIN, now=NOW).errors == ()
