"""Expressions over one decoded message: a subset of CEL, checked against the OCPP schemas, compiled to Python.

A rule is loaded once and evaluated for every message::

    expression = parse("payload.?connectorId.orValue(0) > params.max_connector")   # ExpressionInvalid: no such text
    report = check_each(expression, {pair: scope_of(pair) for pair in pairs})       # or check() for one scope
    if report.is_refused: show(report.findings)                                     # every finding, not only the first
    program = compile_program(report.checked[pair])

    program.names                       # ("params", "payload"): compute these, nothing else
    program.test(params, payload)       # in that order; True or False, or raises EvaluationError
    program.evaluate({"payload": ...})  # the same by name
    program.explain({"payload": ...})   # every sub-expression with its value or error, in evaluation order

A `Scope` gives the type of each root name. `record_of(schema)` makes the type of a payload from a parsed JSON schema;
`Object("session", {"identity": Field(STRING), ...})` describes a Python object whose attributes are read lazily.
Scopes that share the very same type object for every root name an expression uses are checked once and share one
`Checked`; so make each Record once and keep it.

An EvaluationError (a BudgetExceeded is one) means that the expression has no value: restrictive rules then match.
For messages like ``"limit above {params.max_amps} A"``::

    report = check_template(parse_template(text), scope)
    report.checked.render({"params": ...})   # never raises; needs the values of report.checked.names

Nothing here does I/O, knows a clock or a rule. The language is described in docs/policy-language.md.
"""

from gateway.policy.cel.checked import Checked
from gateway.policy.cel.checker import EachReport, Report, check, check_each
from gateway.policy.cel.errors import BudgetExceeded, EvaluationError, ExpressionError, ExpressionInvalid
from gateway.policy.cel.findings import Finding, Severity, finding_of
from gateway.policy.cel.nodes import Expression, Node
from gateway.policy.cel.parser import MAX_LENGTH, MAX_NESTING, parse
from gateway.policy.cel.program import DEFAULT_BUDGET, Program, compile_program
from gateway.policy.cel.schema_types import SchemaInvalid, record_of
from gateway.policy.cel.scope import Scope
from gateway.policy.cel.template import CheckedTemplate, Template, TemplateReport, check_template, parse_template
from gateway.policy.cel.times import parse_duration, parse_timestamp
from gateway.policy.cel.types import (
    BOOL,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    NULL,
    STRING,
    TIMESTAMP,
    Field,
    List,
    Map,
    Object,
    Optional,
    Record,
    Set,
    String,
    Type,
    describe,
)
from gateway.policy.cel.walker import Step

__all__ = [
    "BOOL",
    "DEFAULT_BUDGET",
    "DOUBLE",
    "DURATION",
    "DYN",
    "INT",
    "MAX_LENGTH",
    "MAX_NESTING",
    "NULL",
    "STRING",
    "TIMESTAMP",
    "BudgetExceeded",
    "Checked",
    "CheckedTemplate",
    "EachReport",
    "EvaluationError",
    "Expression",
    "ExpressionError",
    "ExpressionInvalid",
    "Field",
    "Finding",
    "List",
    "Map",
    "Node",
    "Object",
    "Optional",
    "Program",
    "Record",
    "Report",
    "SchemaInvalid",
    "Scope",
    "Set",
    "Severity",
    "Step",
    "String",
    "Template",
    "TemplateReport",
    "Type",
    "check",
    "check_each",
    "check_template",
    "compile_program",
    "describe",
    "finding_of",
    "parse",
    "parse_duration",
    "parse_template",
    "parse_timestamp",
    "record_of",
]
