"""What is wrong with a configuration, all of it at once."""

import msgspec

__all__ = ["ConfigError", "Problem"]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, with its place."""

    path: str
    message: str
    line: int = 0
    column: int = 0
    key: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}:{self.column}" if self.line else self.path
        hint = f" (did you mean {self.suggestion!r}?)" if self.suggestion else ""
        return f"{place}: {self.message}{hint}"


class ConfigError(Exception):
    """The configuration cannot be used."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
