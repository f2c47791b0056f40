"""Collects errors and warnings with their places."""

from gateway.config.positions import Path, Position
from gateway.config.problems import Problem

__all__ = ["Findings"]


class Findings:
    """Errors make a configuration unusable, warnings do not."""

    def __init__(self, shown_path: str, positions: dict[Path, Position]) -> None:
        self._shown = shown_path
        self._positions = positions
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def _problem(self, path: Path, message: str, suggestion: str) -> Problem:
        at = path
        while at and at not in self._positions:
            at = at[:-1]
        line, column = self._positions.get(at, (0, 0))
        key = ".".join(str(part) for part in path if not isinstance(part, int))
        return Problem(
            path=self._shown, message=f"{key}: {message}", line=line, column=column, key=key, suggestion=suggestion
        )

    def error(self, path: Path, message: str, suggestion: str = "") -> None:
        """Something that must be corrected."""
        self.errors.append(self._problem(path, message, suggestion))

    def warning(self, path: Path, message: str) -> None:
        """Something that is legal but unwise."""
        self.warnings.append(self._problem(path, message, ""))
