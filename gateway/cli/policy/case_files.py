"""Reads the cases beside a pack, with the places of everything in them."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.config.policy_packs import PackProblem
    from gateway.config.yaml_file import YAMLDocument
    from gateway.policy.trial_reading import Case

__all__ = ["CaseFile", "pack_beside", "read_case_file"]

_TESTS = ".test.yaml"


class CaseFile(NamedTuple):
    """One ``*.test.yaml``. Its cases are only fit for use without problems."""

    path: str
    pack: str
    """Name of the pack as the file says it."""
    cases: "tuple[Case, ...]"
    problems: "list[PackProblem]"
    document: "YAMLDocument | None"

    def place(self, case: int, step: int = -1) -> str:
        """``file:line:column`` of a case or of a step in it."""
        positions = {} if self.document is None else self.document.positions
        line, column = positions.get(("cases", case, "steps", step)) or positions.get(("cases", case), (1, 1))
        return f"{self.path}:{line}:{column}"


def pack_beside(word: str) -> str:
    """The pack that a file of cases belongs to, by its name; any other word as it is."""
    return word.removesuffix(_TESTS) + ".yaml" if word.endswith(_TESTS) else word


def read_case_file(word: str) -> CaseFile | None:
    """The cases of a pack by its name or file, or of a file of cases itself. None if there are none."""
    from gateway.config.policy_packs import PackProblem, load_tests
    from gateway.config.problems import ConfigError
    from gateway.policy.findings import Findings
    from gateway.policy.trial_reading import read_cases

    try:
        document = load_tests(word)
    except ConfigError as error:
        problems = [
            PackProblem(path=each.path, message=f"P001 {each.message}", line=each.line, column=each.column, code="P001")
            for each in error.problems
        ]
        return CaseFile(problems[0].path, "", (), problems, None)
    if document is None:
        if word.endswith(_TESTS):
            missing = PackProblem(path=word, message="P001 cannot be read: no such file", code="P001")
            return CaseFile(word, "", (), [missing], None)
        return None
    findings = Findings()
    pack, cases = read_cases(document.value, findings)
    problems = []
    for finding in findings.all:
        path = finding.path
        while path and path not in document.positions:
            path = path[:-1]
        line, column = document.positions.get(path, (1, 1))
        problems.append(
            PackProblem(
                path=document.shown_path,
                message=f"{finding.code} {finding.message}",
                line=line,
                column=column,
                key=".".join(map(str, finding.path)),
                suggestion=finding.suggestion,
                code=finding.code,
                severity=finding.severity,
            )
        )
    return CaseFile(document.shown_path, pack, cases, problems, document)
