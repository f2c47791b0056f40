"""An explanation for people."""

from typing import TYPE_CHECKING

from gateway.cli.output import console, print_table, shown

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.cli.policy.explained import Explained
    from gateway.policy.explain import ConditionShown, RuleExplanation

__all__ = ["print_explanation"]


def print_explanation(found: "Explained", *, one_rule: bool) -> None:
    """Message, gates, rules, verdict, answer."""
    explanation, out = found.explanation, console()
    _say(out, f"{explanation.key}, policy {explanation.revision[:12]}")
    for gate in found.gates:
        _say(out, f"gate {'refuses it' if gate.refuses else 'would refuse it'}: {gate.event}: {gate.detail}")
    if not found.gates:
        _say(out, "gates: nothing against it")
    if not one_rule:
        rows = [(rule.rule, rule.effect, rule.mode, rule.meaning) for rule in explanation.rules]
        print_table(f"Candidate rules ({len(rows)})", ("rule", "effect", "mode", "outcome"), rows)
    for rule in explanation.rules:
        _print_rule(out, rule)
    _say(out, "")
    for name, at in explanation.verdict.errors:
        _say(out, f"error in {name}: no value at {at}")
    _say(out, f"verdict: {explanation.combination}")
    refused = next((gate for gate in found.gates if gate.refuses), None)
    if refused is not None:
        _say(out, f"but no rule is asked, because the gate {refused.event} refuses it before")
    elif explanation.answer:
        _say(out, f"the sender gets: {explanation.answer}")
    elif not found.passes:
        _say(out, "the sender gets no answer")


def _say(out: "Console", text: str) -> None:
    out.print(shown(text), soft_wrap=True)


def _print_rule(out: "Console", rule: "RuleExplanation") -> None:
    from rich.text import Text

    out.print(Text("\n").append(shown(rule.rule), "bold").append(f": {shown(rule.meaning)}"), soft_wrap=True)
    if rule.title:
        _say(out, f"  {rule.title} ({rule.place})")
    if rule.effect:
        _say(out, f"  {rule.effect}, {rule.mode}")
    for part in rule.static:
        if not part.fits:
            _say(out, f"  {part.name} is {part.actual or 'empty'}, and the rule is about {part.wanted}")
    for condition in rule.conditions:
        _print_condition(out, condition)
    if rule.counter:
        _say(out, f"  counter: {rule.counter}")
    for item in rule.exceptions:
        applies = "applies" if item.applies else "does not apply"
        _say(out, f"  exception of {item.owner} ({item.reason}) {applies}: {item.because}")
    if rule.why:
        _say(out, f"  why: {rule.why}")


def _print_condition(out: "Console", condition: "ConditionShown") -> None:
    _say(out, f"  {condition.name}: {' '.join(condition.text.split())}  =  {condition.value}")
    for step in condition.steps:
        if step.text == step.value:
            continue  # a literal
        turn = f" [{'.'.join(str(number + 1) for number in step.iteration)}]" if step.iteration else ""
        value = f"no value: {step.error}" if step.error else step.value
        _say(out, f"    {' '.join(step.text.split())}{turn}  =  {value}")
